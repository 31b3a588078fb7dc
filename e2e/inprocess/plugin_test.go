package inprocess_test

import (
	"strings"
	"testing"

	"envoy-circuit-breaker/internal/wasmhost"
)

// The bad configuration's error is all there is to the plugin's log.
func TestRefusedConfiguration(t *testing.T) {
	_, err := wasmhost.New(program, wasmhost.Options{Workers: 1, Plugin: "breaker", Config: `{"failure_rate": 140}`})
	if err == nil || strings.Count(err.Error(), "configuration refused: failure_rate: 140 is not allowed: must be from 0 to 100") != 1 {
		t.Errorf("%v", err)
	}
}

// A request without a cluster passes, touches nothing and is forgotten.
func TestNoClusterInProcess(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{})
	s, err := w.VM(0).Request(wasmhost.Req{})
	if err != nil {
		t.Fatal(err)
	}
	w.end(s.End(wasmhost.DirectResponse))
	if stats := w.Stats(); len(stats) != 1 {
		t.Errorf("stats: %v, want %s only", stats, invalidGauge)
	}
	if keys := w.SharedData().Keys(); len(keys) != 2 {
		t.Errorf("shared data: %v, want the plugin's generation and its configuration only", keys)
	}
}
