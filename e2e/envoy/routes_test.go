package envoy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// named is a route with a name.
func named(name, prefix, cluster string) envoy.Route {
	return envoy.Route{Prefix: prefix, Cluster: cluster, Extra: fmt.Sprintf("name: %q", name)}
}

// Where one route of a service fails always and makes up a tenth of the requests, a breaker for the whole cluster either never opens or
// shuts everything. One for each route opens for that route alone, and the others are served throughout: while it is closed, open,
// half-open and on its ramp.
func TestRoutes(t *testing.T) {
	for _, names := range []struct{ by, cluster, reports, checkout string }{
		{"Envoy", "shop", "reports", "checkout"},
		{"Istio", "outbound|80||shop.prod.svc.cluster.local", "reports.v1", "checkout.v1"},
		{"Envoy Gateway", "httproute/prod/shop/rule/0", "httproute/prod/shop/rule/0/match/0/shop_example_com", "httproute/prod/shop/rule/0/match/1/shop_example_com"},
		{"nobody", "a.route/b c", "rapporté | {x}.route.y", "%2F \"z\""},
	} {
		t.Run(names.by, func(t *testing.T) {
			t.Parallel()
			up := envoytest.NewUpstream(t)
			routes := []envoy.Route{named(names.reports, "/reports", names.cluster), named(names.checkout, "/checkout", names.cluster)}
			listener := func(name, config string) envoy.Listener {
				return envoy.Listener{Name: name, Plugin: &envoy.Plugin{Name: name, Config: config}, Routes: routes}
			}
			e := envoytest.Start(t, envoy.Bootstrap{
				Clusters: []envoy.Cluster{{Name: names.cluster, Address: up.Address}},
				Listeners: []envoy.Listener{
					listener("half", `{"failure_rate": 50, "min_requests": 20}`),
					listener("low", `{"failure_rate": 7, "min_requests": 20, "open": {"duration": "1h", "max_duration": "1h"}}`),
					listener("routes", `{"per": "route", "failure_rate": 50, "min_requests": 10, "ramp": "2s",
						"open": {"duration": "1s", "jitter": 0}, "half_open": {"max_requests": 2, "success_threshold": 2}}`),
				},
			})
			ask := func(listener, path string) envoytest.Answer {
				return answerOf("http://" + e.Address(listener) + path)
			}
			onReports := func(handler http.HandlerFunc) {
				up.Handle(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, "/reports") {
						handler(w, r)
					}
				})
			}
			onReports(envoytest.Status(500))

			// Per cluster, at one of ten.
			for _, listener := range []string{"half", "low"} {
				var rejected atomic.Int64
				var clients sync.WaitGroup
				for range 4 {
					clients.Go(func() {
						for n := range 50 {
							path := "/checkout"
							if n%10 == 0 {
								path = "/reports"
							}
							if ask(listener, path).Header.Get("x-circuit-breaker") != "" {
								rejected.Add(1)
							}
						}
					})
				}
				clients.Wait()
				b := e.BreakerOf(listener, names.cluster)
				if opens := listener == "low"; (rejected.Load() > 0) != opens || (b.State() == breaker.Open) != opens {
					t.Errorf("%s: %d of 200 rejected: %+v", listener, rejected.Load(), b)
				}
			}

			// Per route. Customers come all the time.
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			var customers sync.WaitGroup
			var served atomic.Int64
			for range 2 {
				customers.Go(func() {
					for ctx.Err() == nil {
						if a := ask("routes", "/checkout"); a.Status != 200 {
							t.Errorf("checkout: %+v", a)
						}
						served.Add(1)
					}
				})
			}
			awaitServed := func(when string) {
				t.Helper()
				from := served.Load()
				envoytest.Eventually(t, 30*time.Second, func() error {
					if n := served.Load() - from; n < 20 {
						return fmt.Errorf("%d served while %s", n, when)
					}
					return nil
				})
			}
			reports := func() string {
				a := ask("routes", "/reports")
				return fmt.Sprint(a.Status, a.Header.Get("x-circuit-breaker"))
			}
			awaitReports := func(want string) {
				t.Helper()
				envoytest.Eventually(t, 30*time.Second, func() error {
					if got := reports(); got != want {
						return fmt.Errorf("reports: %s, want %s", got, want)
					}
					return nil
				})
			}
			awaitServed("closed")
			awaitReports("503open")
			awaitServed("open")

			var hung atomic.Int64
			release := make(chan struct{})
			onReports(func(w http.ResponseWriter, r *http.Request) {
				hung.Add(1)
				envoytest.Hang(release)(w, r)
			})
			trials := make(chan string)
			for range 2 {
				go func() {
					got := reports()
					for strings.HasPrefix(got, "503") {
						got = reports()
					}
					trials <- got
				}()
			}
			envoytest.Eventually(t, 30*time.Second, func() error {
				if n := hung.Load(); n != 2 {
					return fmt.Errorf("%d trials", n)
				}
				return nil
			})
			if got := reports(); got != "503half_open" {
				t.Errorf("beside both trials: %s", got)
			}
			awaitServed("half-open")
			close(release)
			for range 2 {
				if got := <-trials; got != "200" {
					t.Errorf("a trial: %s", got)
				}
			}
			awaitReports("503ramp")
			awaitServed("on the ramp")
			envoytest.Eventually(t, 30*time.Second, func() error {
				for range 20 {
					if got := reports(); got != "200" {
						return fmt.Errorf("after the ramp: %s", got)
					}
				}
				return nil
			})
			stop()
			customers.Wait()

			bad, good := e.BreakerOf("routes", names.cluster+".route."+names.reports), e.BreakerOf("routes", names.cluster+".route."+names.checkout)
			if bad.State() != breaker.Closed || bad[breaker.Opened] != 1 || bad[breaker.Rejected] == 0 {
				t.Errorf("the breaker of reports: %+v", bad)
			}
			if good[breaker.Calls] == 0 || good[breaker.Calls] != good.Sum() || good[breaker.Failures]+good[breaker.Transitions] != 0 {
				t.Errorf("the breaker of checkout: %+v", good)
			}
		})
	}
}

func answerOf(url string) envoytest.Answer {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return envoytest.Answer{Err: err}
	}
	return envoytest.Do(request)
}

// What an internal redirect or a fallback sends to another route counts for the route that serves it.
func TestRoutesThatChange(t *testing.T) {
	t.Parallel()
	up := envoytest.NewUpstream(t)
	up.Handle(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/old"):
			w.Header().Set("location", "http://"+r.Host+"/new")
			w.WriteHeader(302)
		case strings.HasPrefix(r.URL.Path, "/new"), r.Header.Get("x-light") == "":
			w.WriteHeader(500)
		}
	})
	light := named("light", "/reports", "shop")
	light.Match = `headers: [{ name: x-light, string_match: { exact: "true" } }]`
	old := named("old", "/old", "shop")
	old.Action = "internal_redirect_policy: { max_internal_redirects: 1 }"
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "shop", Address: up.Address}},
		Listeners: []envoy.Listener{{
			// As long as force_open is somewhere, each request is asked for its route.
			Plugin: &envoy.Plugin{Config: `{"per": "route", "min_requests": 10, "open": {"duration": "1h", "max_duration": "1h"},
				"clusters": [{"match": "closed", "mode": "force_open"}, {"match": "shop", "route": "reports", "fallback": {"header": "x-light", "cluster": "shop", "route": "light"}}]}`},
			Routes: []envoy.Route{light, named("reports", "/reports", "shop"), old, named("new", "/new", "shop"), {Prefix: "/", Cluster: "shop"}},
		}},
	})
	stats := func(route string) envoy.BreakerStats { return e.Breaker("shop.route." + route) }
	want := func(route string, want envoy.BreakerStats) {
		t.Helper()
		want[breaker.Changes], want[breaker.Successes] = 0, 0
		envoytest.Eventually(t, patience, func() error {
			got := stats(route)
			got[breaker.Changes], got[breaker.OpenedFailureRate], got[breaker.Transitions] = 0, 0, 0
			if got != want {
				return fmt.Errorf("%s counted %+v, want %+v", route, got, want)
			}
			return nil
		})
	}
	opened := envoy.BreakerStats{breaker.Calls: 10, breaker.Failures: 10, breaker.Opened: 1, breaker.StateGauge: uint64(breaker.Open)}

	for range 10 {
		e.Get("/old")
	}
	want("new", opened)
	want("old", envoy.BreakerStats{breaker.Calls: 10})

	for range 10 {
		e.Get("/reports")
	}
	want("reports", opened)
	for i := range 20 {
		if a := e.Get("/reports"); a.Status != 200 {
			t.Fatalf("request %d to the fallback: %+v", i, a)
		}
	}
	opened[breaker.FellBack] = 20
	want("reports", opened)
	want("light", envoy.BreakerStats{breaker.Calls: 20})
	if b := e.Breaker("shop"); b.Sum() != 0 {
		t.Errorf("the cluster's own breaker: %+v", b)
	}
}
