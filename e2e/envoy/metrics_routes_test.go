package envoy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"envoy-circuit-breaker/e2e/internal/istio"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// breakerLabels are what tells one breaker's stats from another's. An empty route is none.
type breakerLabels struct{ plugin, cluster, route string }

// breakersOf returns the breakers that a metric is about.
func (s scrape) breakersOf(name string) (breakers []breakerLabels) {
	for _, m := range s[name].GetMetric() {
		var b breakerLabels
		for _, l := range m.GetLabel() {
			switch l.GetName() {
			case "plugin":
				b.plugin = l.GetValue()
			case "cluster":
				b.cluster = l.GetValue()
			case "route":
				b.route = l.GetValue()
			}
		}
		breakers = append(breakers, b)
	}
	return breakers
}

// routesOf are the routes to clusters, by the names that each kind of control plane gives them. An empty one has no name.
var routesOf = map[string][]string{
	// Envoy alone: whatever people write.
	"shop":    {"", "reports", "a.b.c", "a/b|c d", "Zürich → 東京", `a "quoted" \ name`, "route", "a.route.b", "cluster", "a.cluster.b", "calls", "x.calls"},
	"route":   {"", "route", "reports"},
	"cluster": {"", "cluster"},
	"a.b/c:d": {"", "reports", strings.Repeat("route.cluster.", 25) + "x"},

	// Istio: a VirtualService's http[].name, with that of the match; what it makes up for others. Its own tags look for cache and component.
	"outbound|443||shop.prod.svc.cluster.local":    {"", "default", "reports", "reports.by-month", "cache.hit.route", "component.a.b"},
	"outbound|80|v2|search.prod.svc.cluster.local": {"prod.search.0"},
	"PassthroughCluster":                           {"allow_any"},

	// Envoy Gateway, by rule and with merged backends.
	"httproute/default/shop/rule/0":    {"httproute/default/shop/rule/0/match/0/*", "httproute/default/shop/rule/0/match/1/www_example_com"},
	"service/default/shop/80/http":     {"httproute/default/shop/rule/1/match/0/*", "grpcroute/default/shop/rule/0/match/-1/*_example_com"},
	"httproute/default/route/rule/0":   {"", "httproute/default/route/rule/0/match/0/*"},
	"backend/default/external/0/https": {"httproute/default/shop/rule/2/match/0/*/cors-preflight"},
}

// The labels that are shipped have the names of clusters and routes whole, and a breaker of a cluster has no label for a route.
func TestMetricsOfRoutes(t *testing.T) {
	t.Parallel()
	// What cannot be told apart: a cluster whose name has .route. in it reads as another's route.
	const mistaken = "x.route.y"
	var want []breakerLabels
	listener := envoy.Listener{}
	var clusters []envoy.Cluster
	upstream := envoytest.NewUpstream(t)
	add := func(cluster, route string, label breakerLabels) {
		listener.Routes = append(listener.Routes, envoy.Route{Name: route, Prefix: fmt.Sprintf("/%d/", len(want)), Cluster: cluster})
		want = append(want, label)
	}
	for cluster, routes := range routesOf {
		clusters = append(clusters, envoy.Cluster{Name: cluster, Address: upstream.Address})
		for _, route := range routes {
			add(cluster, route, breakerLabels{cluster: cluster, route: route})
		}
	}
	clusters = append(clusters, envoy.Cluster{Name: mistaken, Address: upstream.Address})
	add(mistaken, "", breakerLabels{cluster: "x", route: "y"})

	for name, shipped := range map[string]struct{ stats, plugin, label string }{
		"envoy":         {shippedStatsConfig(t), "breaker", ""},
		"istio":         {istioStats(t, istio.Read(t).Bootstrap), istio.PluginNames(istio.Read(t).Plugin)[1], istio.PluginNames(istio.Read(t).Plugin)[0]},
		"envoy gateway": {gatewayBootstrap(t), readGatewayPlugin(t).vmID, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if shipped.label == "" {
				shipped.label = shipped.plugin
			}
			listener := listener
			listener.Plugin = &envoy.Plugin{Name: shipped.plugin, Config: `{"per": "route"}`}
			e := envoytest.Start(t, envoy.Bootstrap{Extra: shipped.stats, Clusters: clusters, Listeners: []envoy.Listener{listener}})
			for i := range want {
				if a := e.Get(fmt.Sprintf("/%d/", i)); a.Status != 200 {
					t.Fatalf("request %d: %d %v", i, a.Status, a.Err)
				}
			}
			s := scrapeOf(t, e)
			documented := append(documentedStats(t), "breakers", "config_invalid")
			for metric := range s {
				if stat, ours := strings.CutPrefix(metric, "circuit_breaker_"); ours && !slices.Contains(documented, stat) {
					t.Errorf("%s is not the name of a stat: %v", metric, s[metric])
				}
			}
			for _, metric := range []string{"circuit_breaker_calls", "circuit_breaker_state", "circuit_breaker_opened_half_open_failure"} {
				got := s.breakersOf(metric)
				for _, b := range want {
					if b.plugin = shipped.label; !slices.Contains(got, b) {
						t.Errorf("%s: none of %q", metric, b)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%s: %d breakers, want %d: %q", metric, len(got), len(want), got)
				}
			}
		})
	}
}
