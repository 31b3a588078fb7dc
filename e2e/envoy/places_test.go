package envoy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// The plugin where it does not belong says so, once, and does no harm.
func TestPlaces(t *testing.T) {
	t.Parallel()
	t.Run("twice in a chain", func(t *testing.T) {
		upstream := envoytest.NewUpstream(t)
		twice := envoy.Plugin{Name: "twice", Config: `{"consecutive_failures": 1, "open": {"duration": "10ms", "jitter": 0}, "half_open": {"max_requests": 1}}`}
		e := envoytest.Start(t, envoy.Bootstrap{
			Clusters:  []envoy.Cluster{{Name: "payments", Address: upstream.Address}},
			Listeners: []envoy.Listener{{Plugin: &twice, FiltersBefore: twice.Filter()}},
		})
		upstream.Handle(envoytest.Status(500))
		if a := e.Get("/payments"); a.Status != 500 {
			t.Fatalf("%+v", a)
		}
		stateIs := func(want breaker.State) func() error {
			return func() error {
				if b := e.BreakerOf("twice", "payments"); b.State() != want {
					return fmt.Errorf("%+v", b)
				}
				return nil
			}
		}
		envoytest.Eventually(t, 10*time.Second, stateIs(breaker.Open)) // which is told when the client has its answer
		upstream.Handle(envoytest.Status(200))
		envoytest.Eventually(t, 10*time.Second, func() error {
			e.Get("/payments")
			return stateIs(breaker.Closed)()
		})
		wantOnce(t, e, `the plugin "twice" is twice in one filter chain`)
	})
	t.Run("an upstream filter", func(t *testing.T) {
		upstream := envoytest.NewUpstream(t)
		e := envoytest.Start(t, envoy.Bootstrap{
			Clusters: []envoy.Cluster{{Name: "upstream-filter", Address: upstream.Address, Extra: `
				typed_extension_protocol_options:
				  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
				    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
				    explicit_http_config: { http_protocol_options: {} }
				    http_filters:` + strings.ReplaceAll("\n"+envoy.Plugin{Name: "upstream"}.Filter(), "\n", "\n\t\t\t\t    ") + `
				    - name: envoy.filters.http.upstream_codec
				      typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec }`}},
		})
		for range 10 {
			if a := e.Get("/upstream-filter"); a.Status != 200 {
				t.Fatalf("%+v", a)
			}
		}
		wantOnce(t, e, `the plugin "upstream" is an upstream filter, where it can do nothing`)
	})
}

// wantOnce checks that each worker has at most once logged a text, and one has.
func wantOnce(t *testing.T, e *envoytest.Envoy, text string) {
	t.Helper()
	envoytest.Eventually(t, 5*time.Second, func() error {
		if n := strings.Count(e.Log(), text); n < 1 || n > 2 {
			return fmt.Errorf("%q is %d times in the log, want once from each worker that found out", text, n)
		}
		return nil
	})
}
