package envoy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// liveShop is a shop with a live configuration.
func liveShop(t *testing.T, config string) (*shop, *envoytest.Live) {
	t.Helper()
	l := envoytest.NewLive(t, config)
	s := &shop{t: t, payments: envoytest.NewUpstream(t), catalog: envoytest.NewUpstream(t)}
	s.Envoy = envoytest.Start(t, envoy.Bootstrap{
		Clusters:  []envoy.Cluster{{Name: "payments", Address: s.payments.Address}, {Name: "catalog", Address: s.catalog.Address}},
		Listeners: []envoy.Listener{{FiltersBefore: l.Filter()}},
	})
	return s, l
}

// An open breaker stays open under another policy, but no longer than that one would let it. A bad configuration is refused
// and the old one stays.
func TestConfigurationWhileOpen(t *testing.T) {
	t.Parallel()
	s, live := liveShop(t, `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}}`)
	s.trip(5)
	taken, refusedBefore := s.Updates()

	live.Push(`{"min_requests": 6, "reject": {"status": 429}, "open": {"duration": "20s", "max_duration": "30s", "jitter": 0}}`)
	s.AwaitUpdates(taken + 1)
	envoytest.Eventually(t, 20*time.Second, func() error {
		a := s.Get("/payments")
		if a.Header.Get("x-circuit-breaker") != "open" {
			t.Fatalf("the breaker did not stay open: %+v", a)
		}
		if after := a.Header.Get("retry-after"); a.Status != 429 || after == "" || len(after) != 2 || after > "30" {
			return fmt.Errorf("the new policy does not show: %d, retry-after %s", a.Status, after)
		}
		return nil
	})

	live.Push(`{"min_requests": "few"}`)
	envoytest.Eventually(t, 20*time.Second, func() error {
		if _, refused := s.Updates(); refused == refusedBefore {
			return fmt.Errorf("not refused yet: %v", s.Stats("extension_config_discovery."))
		}
		return nil
	})
	envoytest.Eventually(t, 20*time.Second, func() error { // what Envoy logs comes through a pipe
		if !strings.Contains(s.Log(), `configuration refused: min_requests: "few" is not allowed: must be a whole number`) {
			return errors.New("the log does not say why the configuration was refused")
		}
		return nil
	})
	for range 10 {
		if status, refused := s.pay(); status != 429 || refused != "open" {
			t.Errorf("after a refused configuration: %d %q", status, refused)
		}
	}

	// And by hand, live: disabled lets everything through at once.
	s.payments.Handle(envoytest.Status(200))
	taken, _ = s.Updates()
	live.Push(`{"clusters": [{"match": "payments", "mode": "disabled"}]}`)
	s.AwaitUpdates(taken + 1)
	envoytest.Eventually(t, 20*time.Second, func() error {
		if status, refused := s.pay(); status != 200 {
			return fmt.Errorf("disabled, but %d %q", status, refused)
		}
		return nil
	})
}

// A Struct, as people write in an Envoy configuration, is as good as JSON text.
func TestStructConfiguration(t *testing.T) {
	t.Parallel()
	up := envoytest.NewUpstream(t)
	up.Handle(envoytest.Status(500))
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: up.Address}},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{RawConfig: `
			"@type": type.googleapis.com/google.protobuf.Struct
			value:
			  failure_rate: 60
			  min_requests: 100
			  reject: { status: 429, overloaded: false }
			  clusters:
			  - { match: "pay*", min_requests: 4 }`}}},
	})
	for i := range 6 {
		want := 500
		if i >= 4 {
			want = 429
		}
		if a := e.Get("/payments"); a.Status != want || a.Header.Get("x-envoy-overloaded") != "" {
			t.Errorf("request %d: %d %v, want %d", i+1, a.Status, a.Header, want)
		}
	}
}
