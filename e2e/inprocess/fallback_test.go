package inprocess_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

const toSpare = `{"min_requests": 5, "open": {"jitter": 0, "duration": "1h", "max_duration": "1h"}, "fallback": {"header": "x-spare", "cluster": "spare"}}`

// A fallback whose header leads nowhere is found out by the first request: the ones after it are rejected, on all workers, but for one
// in 10 s, until there is a route.
func TestFallbackWithoutRoute(t *testing.T) {
	notThere := wasmhost.End{Status: 503, Details: "cluster_not_found"}
	for _, test := range []struct {
		name, leadsTo, warning string
		end                    wasmhost.End
	}{
		{"no route", "payments", "came back to where it was refused", wasmhost.End{Status: 500, Upstream: wasmhost.Upstream}},
		{"no route at all", "", "no route matches it", wasmhost.End{Status: 404, Details: "route_not_found"}},
		{"no cluster", "", "a cluster that does not exist", notThere},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Workers: 3, Config: toSpare})
			for w.call(0, 500) && w.stat(breaker.Opened) == 0 {
			}
			leadsTo, end := test.leadsTo, test.end
			send := func(worker int) (reached bool) {
				t.Helper()
				s := w.send(worker, wasmhost.Req{Route: func(h wasmhost.Headers) (cluster, route string) {
					if h.Get("x-spare") != "" {
						return leadsTo, ""
					}
					return "payments", ""
				}})
				if !s.Continued() {
					return false
				}
				w.end(s.End(end))
				return true
			}
			if !send(0) {
				t.Fatal("the first one was not sent to the fallback")
			}
			for i := range 300 {
				if send(i % 3) {
					t.Fatalf("request %d went on", i)
				}
				w.advance(10 * ms)
			}
			tries := 0
			for i := range 300 {
				if send(i % 3) {
					tries++
				}
				w.advance(100 * ms)
			}
			if tries != 3 {
				t.Errorf("%d requests in 30 s tried the route, want 3", tries)
			}
			if n := w.logged(test.warning); n != 1 {
				t.Errorf("%d warnings, want 1: %v", n, w.Logs())
			}
			if n := w.Stat("circuit_breaker.breaker.cluster.payments.fallback_missed"); n != 4 {
				t.Errorf("fallback_missed is %d, want 4", n)
			}
			// Now there is one.
			leadsTo, end = "spare", wasmhost.End{Status: 200, Upstream: wasmhost.Upstream}
			for i := range 120 {
				send(i % 3)
				w.advance(100 * ms)
			}
			for i := range 100 {
				if !send(i % 3) {
					t.Fatal("rejected though there is a route")
				}
			}
			if n := w.Stat("circuit_breaker.breaker.cluster.spare.neutral"); n > 4 {
				t.Errorf("%d permits of the fallback were given back", n)
			}
		})
	}
}

// A fallback that works costs its requests no look at shared data.
func TestFallbackWithRoute(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: toSpare})
	for w.call(0, 500) && w.stat(breaker.Opened) == 0 {
	}
	send := func() {
		s := w.send(0, wasmhost.Req{Route: func(h wasmhost.Headers) (cluster, route string) {
			if h.Get("x-spare") != "" {
				return "spare", ""
			}
			return "payments", ""
		}})
		if !s.Continued() {
			t.Fatal("rejected")
		}
		w.end(s.OK())
	}
	w.advance(time.Second)
	send()
	w.measure("fallback", 1000, costs{20, 6, 0}, send)
	if n := w.logged("does not help"); n != 0 {
		t.Errorf("%d warnings", n)
	}
}

// spare is the route of a request that payments does not take.
func spare(h wasmhost.Headers) (cluster, route string) {
	if h.Get("x-spare") != "" {
		return "spare", ""
	}
	return "payments", ""
}

// A fallback that does not say to which cluster it leads is measured all the same: the calls that it makes can be slow.
func TestFallbackWithoutClusterIsMeasured(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"min_requests": 5, "fallback": {"header": "x-spare"},
		"clusters": [{"match": "payments", "mode": "force_open"}, {"match": "spare", "slow_call": {"duration": "1s"}}]}`})
	w.advance(50 * ms) // between two ticks: the coarse clock is not good enough
	for _, took := range []time.Duration{1040 * ms, 960 * ms} {
		s := w.send(0, wasmhost.Req{Route: spare})
		w.advance(took)
		w.end(s.OK())
	}
	for stat, want := range map[breaker.Stat]uint64{breaker.Calls: 2, breaker.SlowCalls: 1} {
		if n := w.Stat("circuit_breaker.breaker.cluster.spare." + stat.String()); n != want {
			t.Errorf("spare: %v = %d, want %d", stat, n, want)
		}
	}
}

// A fallback that has no breaker, because max_breakers is reached, takes everything.
func TestFallbackBeyondMaxBreakers(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"max_breakers": 1, "mode": "force_open", "fallback": {"header": "x-spare", "cluster": "spare"}}`})
	for i := range 10 {
		s := w.send(i%2, wasmhost.Req{Route: spare})
		if !s.Continued() || s.Cluster() != "spare" {
			t.Fatalf("request %d: went on %v, to %s", i, s.Continued(), s.Cluster())
		}
		w.end(s.OK())
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.FellBack: 10, breaker.Rejected: 0})
}

// A request that cannot be sent to the fallback, because Envoy does not take the header, gives the fallback's permit back.
func TestFallbackHeaderIsNotTaken(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"fallback": {"header": "x-spare", "cluster": "spare"}, "clusters": [
		{"match": "payments", "mode": "force_open"},
		{"match": "spare", "min_requests": 1, "open": {"duration": "1s", "jitter": 0}, "half_open": {"max_requests": 1}}]}`})
	w.to(0, "spare", 500)
	w.advance(time.Second)
	w.SetHook(func(_ int, call, _ string) wasmhost.Status {
		if call == "proxy_replace_header_map_value" {
			return wasmhost.BadArgument
		}
		return wasmhost.OK
	})
	if s := w.send(0, wasmhost.Req{Route: spare}); s.Continued() {
		t.Error("went on without the header")
	}
	w.SetHook(nil)
	if !w.to(0, "spare", 200) {
		t.Error("the fallback's one trial is still taken")
	}
}
