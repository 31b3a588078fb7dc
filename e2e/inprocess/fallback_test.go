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
		{"no route", "payments", "came back to the cluster that had refused it", wasmhost.End{Status: 500, Upstream: wasmhost.Upstream}},
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
				s := w.send(worker, wasmhost.Req{Route: func(h wasmhost.Headers) string {
					if h.Get("x-spare") != "" {
						return leadsTo
					}
					return "payments"
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
		s := w.send(0, wasmhost.Req{Route: func(h wasmhost.Headers) string {
			if h.Get("x-spare") != "" {
				return "spare"
			}
			return "payments"
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
