package envoy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// awaitGauges waits until the gauges of payments read so. No request asks for it.
func (s *shop) awaitGauges(when string, mode, state uint64) {
	s.t.Helper()
	const prefix = "wasmcustom.circuit_breaker.breaker.cluster.payments."
	envoytest.Eventually(s.t, 30*time.Second, func() error {
		stats := s.Stats(prefix)
		m, has := stats[prefix+"mode"]
		if st, shown := stats[prefix+"state"]; !has || !shown || m != mode || st != state {
			return fmt.Errorf("%s: mode %d (%v) and state %d (%v), want %d and %d", when, m, has, st, shown, mode, state)
		}
		return nil
	})
}

// machines returns how many virtual machines there are, and how many have been made.
func (s *shop) machines() (now, made uint64) {
	s.t.Helper()
	for name, value := range s.Stats("wasm.") {
		switch {
		case strings.HasSuffix(name, ".active"):
			now += value
		case strings.HasSuffix(name, ".created"):
			made += value
		}
	}
	return now, made
}

// A configuration that is pushed and taken back is one line each in the log, whatever the number of workers; the gauges tell what is
// in force without a request; and a new virtual machine shows all that there is of an open breaker.
func TestConfigurationRollback(t *testing.T) {
	t.Parallel()
	const enforce = `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}}`
	s, live := liveShop(t, enforce)
	s.trip(5)
	s.awaitGauges("open", 0, 1)
	push := func(config string) {
		taken, _ := s.Updates()
		live.Push(config)
		s.AwaitUpdates(taken + 1)
	}
	push(`{"mode": "disabled"}`)
	s.awaitGauges("disabled", 3, 0)
	push(enforce)
	s.awaitGauges("taken back", 0, 1)
	envoytest.Eventually(t, patience, func() error { // one worker shows it, and another logs it
		if n := strings.Count(s.Log(), "configuration loaded") + strings.Count(s.Log(), "configuration is in force again"); n != 3 {
			return fmt.Errorf("%d lines in the log tell of 3 configurations:\n%s", n, s.Log())
		}
		return nil
	})

	// Another virtual machine, as another version of the plugin has: no request has come to it.
	before, madeBefore := s.machines()
	taken, _ := s.Updates()
	filter := envoy.Plugin{Config: enforce}.TypedConfig()
	const vmConfig = "  vm_config:\n"
	if !strings.Contains(filter, vmConfig) {
		t.Fatalf("no %s in %s", vmConfig, filter)
	}
	const prefix = "wasmcustom.circuit_breaker.breaker.cluster.payments."
	shown := s.Stats(prefix)
	live.PushFilter(strings.Replace(filter, vmConfig, vmConfig+`    configuration: { "@type": type.googleapis.com/google.protobuf.StringValue, value: "2" }`+"\n", 1))
	s.AwaitUpdates(taken + 1)
	envoytest.Eventually(t, 60*time.Second, func() error {
		if now, made := s.machines(); made == madeBefore || now != before {
			return fmt.Errorf("%d virtual machines of %d ever made, want %d again", now, made, before)
		}
		return nil
	})
	s.awaitGauges("another machine", 0, 1)
	stats := s.Stats(prefix)
	for stat := range shown {
		// The trip has set all gauges of its kind, those that are off too.
		if _, has := stats[stat]; !has && stat != prefix+"waiting" && stat != prefix+"consecutive_failures" {
			t.Errorf("no stat %v after the upgrade", stat)
		}
	}
}
