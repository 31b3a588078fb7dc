package envoy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// Who wants a breaker for each route and one for the cluster has the plugin in the chain twice, under two names. A permit of the one is
// given back when the other rejects, whichever comes first: with one trial at a time, and permits that outlast the test, one that leaked
// would keep its breaker half-open.
func TestRoutesAndCluster(t *testing.T) {
	const recovery = `"half_open": {"max_requests": 1, "success_threshold": 3, "permit_timeout": "10m"}, "min_requests": 10`
	routes := &envoy.Plugin{Name: "routes", Config: `{"per": "route", "failure_rate": 50, "open": {"duration": "200ms", "max_duration": "400ms", "jitter": 0}, ` + recovery + `}`}
	whole := &envoy.Plugin{Name: "whole", Config: `{"failure_rate": 80, "open": {"duration": "300ms", "max_duration": "600ms", "jitter": 0}, ` + recovery + `}`}
	for name, chain := range map[string][2]*envoy.Plugin{"routes first": {routes, whole}, "cluster first": {whole, routes}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := envoytest.NewUpstream(t)
			e := envoytest.Start(t, envoy.Bootstrap{
				Clusters: []envoy.Cluster{{Name: "shop", Address: up.Address}},
				Listeners: []envoy.Listener{{
					FiltersBefore: strings.Replace(chain[0].Filter(), "name: circuit_breaker", "name: first", 1), Plugin: chain[1],
					Routes: []envoy.Route{named("reports", "/reports", "shop"), named("checkout", "/checkout", "shop")},
				}},
			})
			stats := func() (reports, checkout, shop envoy.BreakerStats) {
				return e.BreakerOf("routes", "shop.route.reports"), e.BreakerOf("routes", "shop.route.checkout"), e.BreakerOf("whole", "shop")
			}

			// One route fails: its breaker opens alone.
			up.Handle(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/reports") {
					w.WriteHeader(500)
				}
			})
			rejected := ""
			for n := range 300 {
				path := fmt.Sprint("/checkout?", n)
				if n%3 == 0 {
					path = fmt.Sprint("/reports?", n)
				}
				a := e.Get(path)
				if n%3 != 0 && a.Status != 200 {
					t.Fatalf("checkout: %+v", a)
				}
				if a.Header.Get("x-circuit-breaker") == "open" {
					rejected = path
				}
			}
			if note := e.Logged(rejected).Breaker; note != "decision=rejected state=open cluster=shop route=reports" {
				t.Errorf("the note of a reject: %q", note)
			}
			if reports, checkout, shop := stats(); reports[breaker.Rejected] == 0 || checkout[breaker.Rejected]+shop[breaker.Rejected] != 0 {
				t.Errorf("one route fails: reports %+v, checkout %+v, the cluster %+v", reports, checkout, shop)
			}

			// Everything fails, long enough for each to try again while another is open.
			up.Handle(envoytest.Status(500))
			tried := func(b envoy.BreakerStats) bool { return b[breaker.OpenedHalfOpenFailure] >= 2 }
			envoytest.Eventually(t, patience, func() error {
				for range 20 {
					e.Get("/checkout")
					e.Get("/reports")
				}
				reports, checkout, shop := stats()
				given := chain[0] == whole && shop[breaker.Neutrals] > 0 || chain[0] == routes && reports[breaker.Neutrals]+checkout[breaker.Neutrals] > 0
				if !tried(reports) || !tried(shop) || !given {
					return fmt.Errorf("reports %+v, checkout %+v, the cluster %+v", reports, checkout, shop)
				}
				return nil
			})

			// It recovers.
			up.Handle(envoytest.Status(200))
			envoytest.Eventually(t, patience, func() error {
				for range 20 {
					for _, path := range []string{"/checkout", "/reports"} {
						if a := e.Get(path); a.Status != 200 {
							reports, checkout, shop := stats()
							return fmt.Errorf("%s: %d %s; reports %+v, checkout %+v, the cluster %+v", path, a.Status, a.Header.Get("x-circuit-breaker"), reports, checkout, shop)
						}
					}
				}
				return nil
			})
			reports, checkout, shop := stats()
			for _, b := range []envoy.BreakerStats{reports, checkout, shop} {
				if b.State() != breaker.Closed || b[breaker.PermitsExpired] != 0 {
					t.Errorf("in the end: %+v", b)
				}
			}
		})
	}
}
