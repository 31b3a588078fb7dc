package inprocess_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// on sends a request on a route of a cluster, which its upstream answers with a status. It reports whether it was admitted.
func (w *workers) on(worker int, cluster, route string, status int) bool {
	w.t.Helper()
	s := w.send(worker, wasmhost.Req{Cluster: cluster, RouteName: route})
	if !s.Continued() {
		return false
	}
	w.end(s.Status(status))
	return true
}

// breakers are whose breaker the plugin shows stats of: "cluster" or "cluster.route.ROUTE".
func (w *workers) breakers() (names []string) {
	for name := range w.Stats() {
		if rest, ok := strings.CutPrefix(name, "circuit_breaker.breaker.cluster."); ok {
			if owner, ok := strings.CutSuffix(rest, ".calls"); ok {
				names = append(names, owner)
			}
		}
	}
	slices.Sort(names)
	return names
}

const perRoute = `{"per": "route", "min_requests": 10, "open": {"duration": "1h", "max_duration": "1h", "jitter": 0}}`

// One route that fails leaves the others of its cluster alone, on all workers. Routes without a name share the cluster's breaker.
func TestRoutes(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 3, Config: perRoute})
	for i := range 60 {
		w.on(i%3, "shop", "reports", 500)
		for _, route := range []string{"checkout", "", "a.b|c/d é"} {
			if !w.on(i%3, "shop", route, 200) {
				t.Fatalf("request %d on %q was rejected", i, route)
			}
		}
		w.on(i%3, "other", "reports", 200)
	}
	want := []string{"other.route.reports", "shop", "shop.route.a.b|c/d é", "shop.route.checkout", "shop.route.reports"}
	if got := w.breakers(); !slices.Equal(got, want) {
		t.Errorf("breakers of %q, want %q", got, want)
	}
	for owner, state := range map[string]uint64{"shop.route.reports": 1, "shop.route.checkout": 0, "shop": 0, "other.route.reports": 0} {
		if got := w.Stat("circuit_breaker.breaker.cluster." + owner + ".state"); got != state {
			t.Errorf("state of %s is %d, want %d", owner, got, state)
		}
	}
	if got := w.Stat("circuit_breaker.breaker.cluster.shop.route.reports.calls"); got != 10 {
		t.Errorf("%d calls on the route that fails, want 10", got)
	}
	if n := w.logged(`cluster "shop" route "reports": closed -> open: 10/10 failed`); n != 1 {
		t.Errorf("%d such log lines, want 1: %v", n, w.Logs())
	}
	s := w.send(1, wasmhost.Req{Cluster: "shop", RouteName: "reports"})
	if note, _ := s.Property("circuit_breaker"); note != "decision=rejected state=open cluster=shop route=reports" {
		t.Errorf("note %q", note)
	}
}

// An override for routes gives them breakers of their own; the other routes share the cluster's, whatever they are called.
func TestRouteOverrides(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 2, Config: `{"min_requests": 10, "failure_rate": 100, "clusters": [
		{"match": "sh*", "route": "reports*", "min_requests": 5, "failure_rate": 50, "reject": {"body": "{route} of {cluster}"}},
		{"match": "*", "route": "never", "mode": "force_open"}]}`})
	for i := range 10 {
		w.on(i%2, "shop", "reports-v2", 500)
		for _, route := range []string{"checkout", "cart", ""} {
			w.on(i%2, "shop", route, 500-300*(i%2))
		}
	}
	if got, want := w.breakers(), []string{"shop", "shop.route.reports-v2"}; !slices.Equal(got, want) {
		t.Errorf("breakers of %q, want %q", got, want)
	}
	if calls := w.Stat("circuit_breaker.breaker.cluster.shop.calls"); calls != 30 {
		t.Errorf("the cluster's breaker has %d calls, want those of all other routes, 30", calls)
	}
	if s := w.send(0, wasmhost.Req{Cluster: "shop", RouteName: "reports-v2"}); s.Continued() || s.Reply().Body != "reports-v2 of shop" {
		t.Errorf("not rejected as configured: %+v", s.Reply())
	}
	if w.on(0, "another", "never", 200) || !w.on(0, "another", "ever", 200) {
		t.Error("force_open is for that route alone")
	}
}

// A request on a route costs one buffer more than one of a cluster, and one of a cluster nothing for the routes of another.
func TestRouteHostCalls(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"clusters": [{"match": "shop", "per": "route"}]}`})
	w.on(0, "shop", "checkout", 200)
	w.on(0, "shop", "reports", 200)
	w.call(0, 200)
	w.measure("cluster", 1000, costs{8, 3, 0}, func() { w.call(0, 200) })
	w.measure("route", 1000, costs{9, 4, 0}, func() { w.on(0, "shop", "checkout", 200) })
	w.measure("routes in turn", 1000, costs{18, 8, 0}, func() { w.on(0, "shop", "checkout", 200); w.on(0, "shop", "reports", 200) })
}

// However many routes there are, they have max_breakers places with the clusters, the same on all workers; the others pass.
func TestManyRoutes(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 2, Config: `{"per": "route", "max_breakers": 100, "consecutive_failures": 3, "failure_rate": 0}`})
	for round := range 3 {
		for i := range 10_000 {
			if route := fmt.Sprintf("route-%d", i); !w.on((i+round)%2, "shop", route, 500) {
				t.Fatalf("%s is rejected in round %d", route, round)
			}
			if i%500 == 0 {
				w.advance(100 * time.Millisecond)
			}
		}
	}
	if n := len(w.breakers()); n != 100 {
		t.Errorf("%d breakers, want 100", n)
	}
	for i := range 200 {
		if got := w.on(i%2, "shop", fmt.Sprintf("route-%d", i), 200); got != (i >= 100) {
			t.Errorf("route-%d: admitted %v", i, got)
		}
	}
	if n := w.logged("max_breakers (100) reached"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}

// However many overrides there are, a request does not have to be compared with them because it has no breaker, or goes to a fallback.
func TestRoutesAmongManyOverrides(t *testing.T) {
	var overrides []string
	for i := range 2000 {
		overrides = append(overrides, fmt.Sprintf(`{"match": "*shop*", "route": "route-%d-*"}`, i))
	}
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"max_breakers": 3, "min_requests": 10, "open": {"duration": "1h", "max_duration": "1h"},
		"fallback": {"header": "x-light", "cluster": "shop", "route": "light"}, "clusters": [` + strings.Join(overrides, ",") + `]}`})
	light := func(h wasmhost.Headers) (cluster, route string) {
		if h.Get("x-light") != "" {
			return "shop", "light"
		}
		return "other", ""
	}
	w.on(0, "shop", "light", 200)
	for range 10 {
		w.end(w.send(0, wasmhost.Req{Route: light}).Status(500))
	}
	w.on(0, "shop", "route-7-x", 200)
	w.on(0, "new", "", 200)
	time200 := func(request func()) time.Duration {
		least := time.Hour
		for range 5 {
			begin := time.Now()
			for range 200 {
				request()
			}
			least = min(least, time.Since(begin))
		}
		return least
	}
	usual := time200(func() { w.on(0, "shop", "route-7-x", 200) })
	for name, request := range map[string]func(){
		"no breaker": func() { w.on(0, "my-shop", "route-1999-x", 500) },
		"fallback": func() {
			s := w.send(0, wasmhost.Req{Route: light})
			if s.Cluster() != "shop" {
				t.Fatal("not sent to the fallback")
			}
			w.end(s.OK())
		},
	} {
		if took := time200(request); took > 60*usual { // it was 400 times as long
			t.Errorf("%s: %v for 200 requests, where others take %v", name, took, usual)
		}
	}
}

// A fallback on another route of the same cluster is one; its outcome counts for the route that serves it. A breaker of a route is asked
// only where the fallback names it.
func TestFallbackRoute(t *testing.T) {
	light := func(h wasmhost.Headers) (cluster, route string) {
		if h.Get("x-light") != "" {
			return "shop", "light"
		}
		return "shop", "reports"
	}
	for _, named := range []bool{false, true} {
		t.Run(fmt.Sprint(named), func(t *testing.T) {
			fallback := `"header": "x-light", "cluster": "shop"`
			if named {
				fallback += `, "route": "light"`
			}
			w := startWorkers(t, wasmhost.Options{Workers: 2, Config: strings.TrimSuffix(perRoute, "}") + `, "fallback": {` + fallback + `}}`})
			for i := range 10 {
				w.end(w.send(i%2, wasmhost.Req{Route: light}).Status(500))
			}
			for i := range 30 {
				s := w.send(i%2, wasmhost.Req{Route: light})
				if !s.Continued() {
					t.Fatalf("request %d was rejected", i)
				}
				w.end(s.OK())
			}
			stat := func(name string) uint64 { return w.Stat("circuit_breaker.breaker.cluster.shop.route." + name) }
			if a, b, c, d := stat("reports.fallback"), stat("reports.calls"), stat("light.calls"), stat("reports.fallback_missed"); a != 30 || b != 10 || c != 30 || d != 0 {
				t.Errorf("%d to the fallback, %d calls, %d of the fallback, %d missed; want 30, 10, 30, 0", a, b, c, d)
			}
			// Where the fallback fails too, its breaker opens, and is asked if it is named.
			rejected := 0
			for i := range 60 {
				if s := w.send(i%2, wasmhost.Req{Route: light}); s.Continued() {
					w.end(s.Status(500))
				} else {
					rejected++
				}
			}
			if stat("light.state") != 1 || (rejected > 0) != named {
				t.Errorf("state %d, %d rejected", stat("light.state"), rejected)
			}
		})
	}
}

// A fallback on a route that has a breaker of its own is one for the routes of that cluster that share the cluster's, too.
func TestFallbackFromSharedToRoute(t *testing.T) {
	for _, from := range []string{"main", ""} {
		for _, fallback := range []string{`"header": "x-light"`, `"header": "x-light", "cluster": "shop", "route": "light"`} {
			w := startWorkers(t, wasmhost.Options{Workers: 2, Config: strings.Replace(perRoute, `"per": "route"`,
				`"fallback": {`+fallback+`}, "clusters": [{"match": "shop", "route": "light"}]`, 1)})
			route := func(h wasmhost.Headers) (cluster, route string) {
				if h.Get("x-light") != "" {
					return "shop", "light"
				}
				return "shop", from
			}
			for i := range 30 {
				s := w.send(i%2, wasmhost.Req{Route: route})
				if !s.Continued() {
					t.Fatalf("from %q by {%s}: request %d was rejected: %v", from, fallback, i, w.Logs())
				}
				w.end(s.Status(map[bool]int{true: 500, false: 200}[i < 10]))
			}
			stat := func(name string) uint64 { return w.Stat("circuit_breaker.breaker.cluster.shop." + name) }
			if a, b, c := stat("fallback"), stat("route.light.calls"), stat("fallback_missed"); a != 20 || b != 20 || c != 0 {
				t.Errorf("from %q by {%s}: %d to the fallback, %d calls of it, %d missed; want 20, 20, 0", from, fallback, a, b, c)
			}
		}
	}
}

// A route that is its own fallback, as where all routes of a cluster have the same one, is not asked twice: not in a ramp, where it might
// well take what it has refused.
func TestFallbackIsItself(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"per": "route", "min_requests": 10, "ramp": "10s", "half_open": {"success_threshold": 1},
		"open": {"duration": "1s", "jitter": 0}, "fallback": {"header": "x-light", "cluster": "shop", "route": "light"}}`})
	for range 10 {
		w.on(0, "shop", "light", 500)
	}
	w.advance(1100 * time.Millisecond)
	rejected := 0
	for range 100 {
		if !w.on(0, "shop", "light", 200) {
			rejected++
		}
	}
	const name = "circuit_breaker.breaker.cluster.shop.route.light."
	if a, b := w.Stat(name+"fallback"), w.Stat(name+"fallback_missed"); rejected == 0 || a != 0 || b != 0 {
		t.Errorf("%d rejected, %d sent to the fallback, %d missed; want some, 0, 0: %v", rejected, a, b, w.Logs())
	}
}

// A request that was sent to the fallback and came back to the route that refused it shows that there is no route for it.
func TestFallbackComesBackToRoute(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: strings.TrimSuffix(perRoute, "}") + `, "fallback": {"header": "x-light"}}`})
	for range 11 {
		w.on(0, "shop", "reports", 500)
	}
	if n := w.logged(`cluster "shop" route "reports": the fallback's header x-light: true does not help`); n != 1 {
		t.Errorf("%d such warnings, want 1: %v", n, w.Logs())
	}
	if w.on(0, "shop", "reports", 500) {
		t.Error("sent to the fallback again")
	}
}

// Each breaker of a route has its own probe.
func TestRouteProbes(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 2, Clusters: []string{"shop"}, Config: `{"min_requests": 5, "half_open": {"success_threshold": 1}, "clusters": [
		{"match": "shop", "route": "reports", "probe": {"path": "/reports/health", "on_success": "close"}},
		{"match": "shop", "route": "checkout", "probe": {"path": "/checkout/health"}}]}`})
	for i := range 10 {
		w.on(i%2, "shop", "reports", 500)
		w.on(i%2, "shop", "checkout", 200)
	}
	w.advance(1100 * time.Millisecond)
	calls := w.HTTPCalls()
	if len(calls) != 1 || calls[0].Cluster != "shop" || calls[0].Headers.Get(":path") != "/reports/health" {
		t.Fatalf("probes: %+v", calls)
	}
	w.end(calls[0].Answer(200, nil, ""))
	if got := w.Stat("circuit_breaker.breaker.cluster.shop.route.reports.state"); got != 0 || !w.on(0, "shop", "reports", 200) {
		t.Errorf("state %d after a good probe", got)
	}
}

// Where breakers by route become one for the cluster, those of the routes are shown as disabled, and back again.
func TestRoutesRetire(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 2, Config: perRoute})
	for i := range 10 {
		w.on(i%2, "shop", "reports", 500)
	}
	gauges := func(when string, mode, state uint64) {
		t.Helper()
		const name = "circuit_breaker.breaker.cluster.shop.route.reports."
		if m, s := w.Stat(name+"mode"), w.Stat(name+"state"); m != mode || s != state {
			t.Errorf("%s: mode %d, state %d, want %d, %d", when, m, s, mode, state)
		}
	}
	gauges("open", 0, 1)
	whole := w.add("breaker", strings.Replace(perRoute, `"per": "route"`, `"status": {"path": "/status"}`, 1))
	w.on(0, "another", "", 200)
	w.end(w.send(0, wasmhost.Req{Plugin: whole, Cluster: "shop", RouteName: "reports"}).OK())
	w.advance(time.Second)
	gauges("per cluster", 3, 0)
	w.remove(whole)
	w.advance(time.Minute)
	gauges("per route again", 0, 1)
	if w.on(0, "shop", "reports", 200) {
		t.Error("the open breaker was forgotten")
	}
}

// Routes keep their places when a reload makes the breaker the cluster's again. Where there is none left for it, that is logged anew.
func TestRoutesKeepTheirPlaces(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 2, Config: `{"per": "route", "max_breakers": 3}`})
	for i := range 8 {
		w.on(i%2, "shop", fmt.Sprintf("route-%d", i/2), 200)
	}
	whole := w.add("breaker", `{"max_breakers": 3}`)
	for worker := range 2 {
		s, err := w.VM(worker).Request(wasmhost.Req{Plugin: whole, Cluster: "shop", RouteName: "route-0"})
		w.end(err)
		w.end(s.OK())
	}
	if w.hasBreaker("shop") {
		t.Error("there was a place for the cluster's breaker")
	}
	if n := w.logged("max_breakers (3) reached"); n != 2 {
		t.Errorf("%d warnings, want one for each configuration: %v", n, w.Logs())
	}
}
