package inprocess_test

import (
	"strings"
	"testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// merge adds a parent's stats to those of its child, as a hot restart does: the child's counters count the parent's calls too, and its
// gauges read the sum. They share no shared data.
func (w *workers) merge(parent *workers) {
	w.t.Helper()
	for name, value := range parent.Stats() {
		if strings.Contains(name, ".cluster.") && value > 0 {
			w.AddToStat(name, value)
		}
	}
}

// The failures in a row that a parent has had are none of its child's: as many of its own open it, and no fewer.
func TestHotRestart(t *testing.T) {
	const config = `{"failure_rate": 0, "consecutive_failures": 7}`
	for _, failures := range []int{6, 7} { // the parent's: with seven it is open
		parent := startWorkers(t, wasmhost.Options{Config: config})
		child := startWorkers(t, wasmhost.Options{Config: config})
		for i := range failures {
			parent.call(i%2, 500)
		}
		child.warm()
		child.merge(parent)
		for i := range 7 {
			if !child.call(i%2, 500) {
				t.Fatalf("the child rejects after %d failures of its own, and %d of its parent's", i, failures)
			}
		}
		if child.call(0, 200) || child.call(1, 200) {
			t.Error("seven failures in a row do not open the child's")
		}
	}
}

// A good call of a parent that goes on while its child has begun can end a row of the child's, and do nothing else.
func TestHotRestartEndsARow(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"failure_rate": 0, "consecutive_failures": 7}`})
	w.warm()
	fail := func(n int) {
		t.Helper()
		for i := range n {
			if !w.call(i%2, 500) {
				t.Fatalf("rejected after %d failures", i)
			}
		}
	}
	fail(5)
	w.AddToStat("circuit_breaker.breaker.cluster.payments."+breaker.Calls.String(), 1)
	w.AddToStat("circuit_breaker.breaker.cluster.payments."+breaker.Successes.String(), 1)
	fail(7)
	if w.call(0, 200) {
		t.Error("seven in a row do not open it")
	}
}
