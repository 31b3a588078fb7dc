package envoy_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/statuspage"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

func TestStatusPage(t *testing.T) {
	t.Parallel()
	const istio, dots, markup = "outbound|443||api.example.com", "api.v1.example.com", `<b>bold</b>"'&<script>alert(1)</script>`
	payments, search, catalog, other := envoytest.NewUpstream(t), envoytest.NewUpstream(t), envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	shop := envoytest.NewUpstream(t)
	b := openBoard(t, `{"min_requests": 10, "window": {"duration": "1h"}, "open": {"duration": "1h", "max_duration": "1h", "jitter": 0}, "clusters": [
			{"match": "search", "open": {"duration": "10ms", "multiplier": 1}, "half_open": {"max_requests": 2}},
			{"match": "catalog", "slow_call": {"duration": "2s", "rate": 80}},
			{"match": "serach"}, {"match": "shop", "route": "re*"},
			{"match": "shadow", "mode": "shadow"}, {"match": "forced", "mode": "force_open"}, {"match": "disabled", "mode": "disabled"}]}`,
		map[string]envoy.Cluster{
			"/payments": {Name: "payments", Address: payments.Address}, "/search": {Name: "search", Address: search.Address},
			"/catalog": {Name: "catalog", Address: catalog.Address}, "/shadow": {Name: "shadow", Address: payments.Address},
			"/forced": {Name: "forced", Address: other.Address}, "/disabled": {Name: "disabled", Address: other.Address},
			"/istio": {Name: istio, Address: other.Address}, "/dots": {Name: dots, Address: other.Address},
			"/markup": {Name: markup, Address: other.Address},
			"/orders": {Name: "shop", Address: shop.Address}, "/reports": {Name: "shop", Address: shop.Address}, "/returns": {Name: "shop", Address: shop.Address},
		})

	if s := b.read(); s.Plugin != "breaker" || s.Clusters == nil || len(s.Clusters) != 0 {
		t.Errorf("before any request: %+v", s)
	} else if want := (shownOverrides{7, 7, []shownOverride{{"search", ""}, {"catalog", ""}, {"serach", ""}, {"shop", "re*"},
		{"shadow", ""}, {"forced", ""}, {"disabled", ""}}}); !reflect.DeepEqual(s.Overrides, want) {
		t.Errorf("before any request: %+v, want %+v", s.Overrides, want)
	}

	payments.Handle(envoytest.Status(500))
	shop.Handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/reports" {
			w.WriteHeader(500)
		}
	})
	requests := map[string]int{}
	for _, path := range []string{"/payments", "/shadow", "/forced", "/disabled", "/istio", "/dots", "/markup", "/orders", "/reports", "/returns"} {
		requests[path] = b.spread(path, 20)
	}

	// Two of catalog's calls fail and one is slow.
	calls := b.spread("/catalog", 17) + 3
	catalog.Handle(envoytest.Status(500))
	b.Get("/catalog")
	b.Get("/catalog")
	release := make(chan struct{})
	catalog.Handle(envoytest.Hang(release))
	time.AfterFunc(2100*time.Millisecond, func() { close(release) })
	b.Get("/catalog")

	// Search opens, fails two trials, then has a good one, and one in flight.
	search.Handle(envoytest.Status(500))
	for range 10 {
		b.Get("/search")
	}
	trial := func() {
		envoytest.Eventually(t, 30*time.Second, func() error {
			if a := b.Get("/search"); a.Header.Get("x-circuit-breaker") != "" {
				return fmt.Errorf("rejected: %+v", a)
			}
			return nil
		})
	}
	trial()
	trial()
	search.Handle(envoytest.Status(200))
	trial()
	search.Handle(envoytest.Hang(nil))
	go b.Get("/search")
	envoytest.Eventually(t, 30*time.Second, func() error {
		if n := search.InFlight(); n != 1 {
			return fmt.Errorf("%d trials in flight", n)
		}
		return nil
	})

	// What a request did shows when it has ended, which is a moment after its client has the answer.
	envoytest.Eventually(t, 10*time.Second, func() error {
		if n := b.Breaker("catalog")[breaker.Calls]; n != uint64(calls) {
			return fmt.Errorf("catalog has %d calls, want %d", n, calls)
		}
		return nil
	})
	before := b.Stats("wasmcustom.")
	s := b.read()

	var names []string
	for _, c := range s.Clusters {
		names = append(names, c.Cluster+" "+c.Route)
	}
	if want := []string{markup + " ", dots + " ", "catalog ", "disabled ", "forced ", istio + " ", "payments ", "search ", "shadow ",
		"shop ", "shop reports", "shop returns"}; !slices.Equal(names, want) {
		t.Errorf("the page has %q, want each breaker once, by name: %q", names, want)
	}
	if want := (shownOverrides{7, 1, []shownOverride{{"serach", ""}}}); !reflect.DeepEqual(s.Overrides, want) {
		t.Errorf("%+v, want %+v", s.Overrides, want)
	}
	if age := time.Since(s.At); age < -time.Minute || age > time.Minute {
		t.Errorf("the page's time is %v", s.At)
	}

	c := s.cluster(t, "payments")
	if c.State != "open" || c.NextTry < 3000 || c.NextTry > 3600 || c.Trips != 1 || c.Rejected != requests["/payments"]-10 || c.Calls != 0 {
		t.Errorf("payments: %+v", c)
	}
	if len(c.Transitions) != 1 || c.Transitions[0].Text != "closed -> open: 10/10 failed in 1h0m0s, threshold 50%; open for 1h0m0s, trip 1 in a row" {
		t.Errorf("payments' history: %+v", c.Transitions)
	}

	c = s.cluster(t, "search")
	if c.State != "half_open" || c.Successes != 1 || c.Trials != 1 || c.NextTry != 0 || c.Trips != 3 {
		t.Errorf("search: %+v", c)
	}
	var history []string
	for i, transition := range c.Transitions {
		change, _, _ := strings.Cut(transition.Text, ":")
		history = append(history, change)
		if i > 0 && transition.At.After(c.Transitions[i-1].At.Add(100*time.Millisecond)) { // it is told by whichever worker it was
			t.Errorf("search's history is not in order: %+v", c.Transitions)
		}
	}
	tried, failed := "open -> half_open", "half_open -> open"
	if want := []string{tried, failed, tried, failed, tried}; !slices.Equal(history, want) {
		t.Errorf("search's history: %q, want the last five of six, the newest first: %q", history, want)
	}

	c = s.cluster(t, "catalog")
	if c.State != "closed" || c.Calls != calls || c.Failures != 2 || c.SlowCalls != 1 || c.Rejected != 0 || c.Transitions == nil || len(c.Transitions) != 0 {
		t.Errorf("catalog: %+v", c)
	}
	if want := 100 / float64(c.Calls); c.SlowRate != want || c.FailureRate != 2*want {
		t.Errorf("catalog's rates: %+v, want %v slow", c, want)
	}
	for key, want := range map[string]any{"mode": "enforce", "window_seconds": 3600.0, "min_requests": 10.0, "failure_rate": 50.0, "slow_call_seconds": 2.0, "slow_call_rate": 80.0} {
		if c.Policy[key] != want {
			t.Errorf("catalog's %s is %v, want %v", key, c.Policy[key], want)
		}
	}

	c = s.cluster(t, "shadow")
	if c.State != "open" || c.Policy["mode"] != "shadow" || c.Rejected != 0 || c.ShadowRejected != requests["/shadow"]-10 {
		t.Errorf("shadow: %+v", c)
	}
	if c = s.cluster(t, "forced"); c.State != "forced_open" || c.Rejected != requests["/forced"] {
		t.Errorf("forced: %+v", c)
	}
	if c = s.cluster(t, "disabled"); c.State != "disabled" || c.Calls != 0 {
		t.Errorf("disabled: %+v", c)
	}
	for path, name := range map[string]string{"/istio": istio, "/dots": dots, "/markup": markup} {
		if c = s.cluster(t, name); c.State != "closed" || c.Calls != requests[path] || c.FailureRate != 0 {
			t.Errorf("%s: %+v, want %d calls", name, c, requests[path])
		}
	}
	// Only the routes that the override names have breakers of their own.
	c = s.cluster(t, "shop")
	if c.State != "closed" || c.Calls != requests["/orders"] || c.Policy["match"] != nil || c.Policy["route"] != nil {
		t.Errorf("shop: %+v, want %d calls", c, requests["/orders"])
	}
	c = s.route(t, "shop", "reports")
	if c.State != "open" || c.Rejected != requests["/reports"]-10 || c.Policy["match"] != "shop" || c.Policy["route"] != "re*" {
		t.Errorf("reports: %+v, want %d requests", c, requests["/reports"])
	}
	if c = s.route(t, "shop", "returns"); c.State != "closed" || c.Calls != requests["/returns"] {
		t.Errorf("returns: %+v, want %d calls", c, requests["/returns"])
	}

	t.Run("HTML", func(t *testing.T) {
		// What its script makes of the JSON is for TestBrowser.
		for _, accept := range []string{"text/html,application/xhtml+xml,*/*;q=0.8", "*/*", ""} {
			a := b.ask("GET", statusPath+"?at=now", accept)
			if a.Status != 200 || a.Header.Get("content-type") != "text/html; charset=utf-8" {
				t.Fatalf("accept %q: %+v", accept, a)
			}
			if a.Body != statuspage.HTML {
				t.Errorf("accept %q: another page:\n%s", accept, a.Body)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		if s.Total != len(names) || s.Next != "" {
			t.Errorf("total %d, next %q, want %d on one page", s.Total, s.Next, len(names))
		}
		for limit := 1; limit <= 2; limit++ {
			var paged []string
			for query := fmt.Sprintf("?limit=%d", limit); query != ""; {
				page := b.readPage(query)
				if len(page.Clusters) == 0 || len(page.Clusters) > limit || len(paged) > len(names) || page.Total != len(names) {
					t.Fatalf("%s: %+v", query, page)
				}
				for _, c := range page.Clusters {
					paged = append(paged, c.Cluster+" "+c.Route)
				}
				query = page.Next
			}
			if !slices.Equal(paged, names) {
				t.Errorf("the pages of %d have %q, want %q", limit, paged, names)
			}
		}
		for query, want := range map[string]string{
			"?limit=0":                  "limit: \"0\" is not allowed: must be from 1 to 50\n",
			"?limit=51":                 "limit: \"51\" is not allowed: must be from 1 to 50\n",
			"?after=shop&after_route=%": "after_route: \"%\" is not allowed: must be a name in URL encoding\n",
			"?after=%zz":                "after: \"%zz\" is not allowed: must be a name in URL encoding\n",
		} {
			if a := b.ask("GET", statusPath+query, "application/json"); a.Status != 400 || a.Body != want || a.Header.Get("content-type") != "text/plain" {
				t.Errorf("%s: %+v, want %q", query, a, want)
			}
		}
	})
	t.Run("headers", func(t *testing.T) {
		for _, accept := range []string{"text/html", "application/json"} {
			a := b.ask("GET", statusPath, accept)
			for name, want := range map[string]string{
				"cache-control":           "no-store",
				"x-content-type-options":  "nosniff",
				"content-security-policy": statuspage.SecurityPolicy,
			} {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s of %s: %q, want %q", name, accept, got, want)
				}
			}
		}
		if e := b.Logged(statusPath); e.Details != "circuit_breaker_status" || e.Status != 200 || e.Cluster != "" {
			t.Errorf("the access log: %+v", e)
		}
	})
	t.Run("GET only", func(t *testing.T) {
		for _, method := range []string{"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"} {
			a := b.ask(method, statusPath+"?"+method, "*/*")
			if a.Status != 405 || a.Header.Get("allow") != "GET" || strings.Contains(a.Body, "payments") {
				t.Errorf("%s: %+v", method, a)
			}
			if e := b.Logged(statusPath + "?" + method); e.Details != "circuit_breaker_status" || e.Status != 405 {
				t.Errorf("the access log: %+v", e)
			}
		}
	})
	t.Run("other paths", func(t *testing.T) {
		if a := b.ask("GET", "/elsewhere", "*/*"); a.Status != 200 || a.Body != "elsewhere" {
			t.Errorf("a route: %+v", a)
		}
		for _, path := range []string{"/", statusPath + "/", statusPath + "x", "/x" + statusPath, "/CIRCUIT-BREAKERS"} {
			if a := b.ask("GET", path, "*/*"); a.Status != 404 || a.Body != "" {
				t.Errorf("%s: %+v", path, a)
			}
		}
	})
	t.Run("changes nothing", func(t *testing.T) {
		for range 50 {
			b.ask("GET", statusPath, "text/html")
			b.read()
		}
		if after := b.Stats("wasmcustom."); !maps.Equal(before, after) {
			t.Errorf("stats before %v\nand after %v", before, after)
		}
		again := b.read()
		again.At = s.At
		for i := range again.Clusters {
			if c := &again.Clusters[i]; c.NextTry > 0 && c.NextTry < s.Clusters[i].NextTry {
				c.NextTry = s.Clusters[i].NextTry // time passes
			}
		}
		if fmt.Sprint(again) != fmt.Sprint(s) {
			t.Errorf("the page before: %+v\nand after: %+v", s, again)
		}
	})
}

// Without a path in the configuration there is no page, and what would be its path is like any other.
func TestNoStatusPage(t *testing.T) {
	t.Parallel()
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the upstream's own") })
	b := openBoard(t, `{"failure_rate": 60}`, map[string]envoy.Cluster{statusPath: {Name: "pages", Address: upstream.Address}})
	if a := b.Get(statusPath); a.Status != 200 || a.Body != "the upstream's own" {
		t.Errorf("%+v", a)
	}
	envoytest.Eventually(t, 10*time.Second, func() error {
		if c := b.read().cluster(t, "pages"); c.Calls != 1 || c.Policy["failure_rate"] != 60.0 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	// The page's own listener has no say in what other listeners go by.
	if n := strings.Count(b.Log(), "configuration loaded: "); n != 1 {
		t.Errorf("%d configurations were loaded, want 1", n)
	}
}
