package envoy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A fallback's header that no route matches, or whose route leads to no cluster, is found out by the first request.
func TestFallbackWithoutRoute(t *testing.T) {
	t.Parallel()
	payments, search := envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: payments.Address}, {Name: "search", Address: search.Address}},
		Listeners: []envoy.Listener{{
			Plugin: &envoy.Plugin{Config: `{"fallback": {"header": "x-fallback", "cluster": "nowhere"},
				"clusters": [{"match": "nowhere"}, {"match": "*", "mode": "force_open"}]}`},
			Routes: []envoy.Route{
				{Prefix: "/search", Match: `headers: [{ name: x-fallback, present_match: true }]`, Extra: `route: { cluster_header: x-fallback }`},
				{Prefix: "/search", Cluster: "search"},
				{Prefix: "/payments", Cluster: "payments"},
			},
		}},
	})
	for path, warning := range map[string]string{
		"/payments": `cluster "payments": the fallback's header x-fallback: true does not help: no route matches it, and the request came back`,
		"/search":   `cluster "search": the fallback's header x-fallback: true does not help: its route leads to a cluster that does not exist`,
	} {
		e.Get(path)
		envoytest.Eventually(t, 10*time.Second, func() error {
			if !strings.Contains(e.Log(), warning) {
				return errors.New("not yet")
			}
			return nil
		})
		envoytest.Eventually(t, 10*time.Second, func() error { // a worker knows within a second
			for range 20 {
				if a := e.Get(path); a.Status != 503 || !strings.Contains(a.Body, "is unavailable") {
					return errors.New("not yet")
				}
			}
			return nil
		})
		if n := strings.Count(e.Log(), warning); n != 1 {
			t.Errorf("%s: %d warnings, want 1", path, n)
		}
	}
	if n := payments.Requests(); n > 2 {
		t.Errorf("payments got %d requests, want only those that found out", n)
	}
}
