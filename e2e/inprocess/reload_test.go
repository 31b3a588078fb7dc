package inprocess_test

import (
	"testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// A reload that changes nothing but what is a failure starts the window afresh.
func TestReloadOfFailureOn(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"min_requests": 10}`})
	for i := range 9 {
		w.call(i%2, 500)
	}
	p, err := w.AddPlugin("breaker", `{"min_requests": 10, "failure_on": ["503"]}`)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		s := w.send(i%2, wasmhost.Req{Plugin: p, Cluster: "payments"})
		if !s.Continued() {
			t.Fatalf("rejected after %d failures", i)
		}
		w.end(s.Status(503))
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: uint64(breaker.Closed), breaker.Failures: 18})
	w.end(w.send(0, wasmhost.Req{Plugin: p, Cluster: "payments"}).Status(503))
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: uint64(breaker.Open)})
}
