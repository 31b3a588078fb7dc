package inprocess_test

import (
	"strings"
	"testing"

	"envoy-circuit-breaker/internal/wasmhost"
)

// The bad configuration's errors are all there is to the plugin's log, in one line.
func TestRefusedConfiguration(t *testing.T) {
	_, err := wasmhost.New(program, wasmhost.Options{Workers: 1, Plugin: "breaker", Config: `{"failure_rate": 140, "min_request": 5}`})
	if err == nil || strings.Count(err.Error(), "configuration refused: failure_rate: 140 is not allowed: must be from 0 to 100; "+
		"min_request: unknown key with value 5: did you mean min_requests?") != 1 {
		t.Errorf("%v", err)
	}
}

// The first worker says which configuration is in force, by which version, and what in it is surely not meant.
func TestLoadedConfiguration(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 3, Config: `{"failure_rate": 0.5, "fallback": {"header": "x-spare"}, "probe": {"path": "/healthz"}}`})
	for _, line := range []string{
		"configuration loaded: version=",
		"configuration is valid, but: failure_rate: 0.5 is less than one percent: did you mean 50?",
		"; other clusters: mode=enforce ", " failure_on=5xx,connect-failure,", " reject=503 ", " fallback=x-spare", " probe=GET /healthz",
	} {
		if n := w.logged(line); n != 1 {
			t.Errorf("%d lines of the log have %q", n, line)
		}
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
	if stats := w.Stats(); len(stats) != ofThePlugin {
		t.Errorf("stats: %v, want the plugin's own only", stats)
	}
	if keys := w.SharedData().Keys(); len(keys) != 2 {
		t.Errorf("shared data: %v, want the plugin's generation and its configuration only", keys)
	}
}

// A policy says which override it is from.
func TestPolicyTellsItsOverride(t *testing.T) {
	for config, want := range map[string]string{`{"clusters": [{"match": "*"}]}`: `{"match":"*","route":null,"mode":`, `{}`: `{"match":null,"route":null,"mode":`} {
		w := startWorkers(t, wasmhost.Options{Workers: 2, Config: config})
		w.warm()
		w.wantPolicy(want)
	}
}
