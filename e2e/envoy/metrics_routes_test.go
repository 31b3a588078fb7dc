package envoy_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/e2e/internal/istio"
	"envoy-circuit-breaker/e2e/internal/monitoring"
	filterconfig "envoy-circuit-breaker/filter/config"
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
	"outbound|443||shop.prod.svc.cluster.local":    {"", "default", "reports", "reports.by-month", ".by-month", "cache.hit.route", "component.a.b"},
	"outbound|80|v2|search.prod.svc.cluster.local": {"prod.search.0"},
	"PassthroughCluster":                           {"allow_any"},

	// Envoy Gateway, by rule and with merged backends.
	"httproute/default/shop/rule/0":    {"httproute/default/shop/rule/0/match/0/*", "httproute/default/shop/rule/0/match/1/www_example_com"},
	"service/default/shop/80/http":     {"httproute/default/shop/rule/1/match/0/*", "grpcroute/default/shop/rule/0/match/-1/*_example_com"},
	"httproute/default/route/rule/0":   {"", "httproute/default/route/rule/0/match/0/*"},
	"backend/default/external/0/https": {"httproute/default/shop/rule/2/match/0/cors-preflight/*"},
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
		"envoy":         {monitoring.StatsConfig(t), "breaker", ""},
		"istio":         {istioBootstrap(t, istio.Read(t).Bootstrap), istio.PluginNames(istio.Read(t).Plugin)[1], istio.PluginNames(istio.Read(t).Plugin)[0]},
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
			documented := append(documentedStats(t), "breakers", "config_invalid", "version", "bell")
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

// A plugin for routes behind one for clusters, as docs/routes.md has it: a route that fails alone opens its own breaker, and many that fail
// a little each open the cluster's. Their labels tell them apart.
func TestMetricsOfRouteAndCluster(t *testing.T) {
	t.Parallel()
	config, chain := routesDoc(t, "json"), routesDoc(t, "yaml")
	if c, err := filterconfig.Parse([]byte(config)); err != nil {
		t.Errorf("the configuration in docs/routes.md: %v", err)
	} else if warnings := c.Warnings(); len(warnings) > 0 {
		t.Errorf("the configuration in docs/routes.md: %v", warnings)
	}
	upstream := envoytest.NewUpstream(t)
	chain = strings.ReplaceAll(chain, "failure_rate:", "window: { duration: 1h }, failure_rate:") // however slow the machine is
	listener := envoy.Listener{FiltersBefore: strings.TrimPrefix(chain, "http_filters:\n")}
	for _, route := range []string{"reports", "checkout", "a", "b", "c", "d", "e", "f", "g", "h"} {
		listener.Routes = append(listener.Routes, envoy.Route{Name: route, Prefix: "/" + route, Cluster: "shop"})
	}
	e := envoytest.Start(t, envoy.Bootstrap{
		Extra: monitoring.StatsConfig(t), Clusters: []envoy.Cluster{{Name: "shop", Address: upstream.Address}}, Listeners: []envoy.Listener{listener},
	})
	send := func(route string, status, times int) {
		t.Helper()
		upstream.Handle(envoytest.Status(status))
		for i := range times {
			if a := e.Get("/" + route); a.Status != status {
				t.Fatalf("%s, request %d: got %d %q %v, want the upstream's %d", route, i+1, a.Status, a.Body, a.Err, status)
			}
		}
	}
	wantState := func(when string, want map[breakerLabels]breaker.State) {
		t.Helper()
		s := scrapeOf(t, e)
		for i, b := range s.breakersOf("circuit_breaker_state") {
			if state, told := want[b]; told && breaker.State(s["circuit_breaker_state"].Metric[i].GetGauge().GetValue()) != state {
				t.Errorf("%s: %+v is not %v", when, b, state)
			}
			delete(want, b)
		}
		if len(want) > 0 {
			t.Errorf("%s: there is no %v", when, want)
		}
	}
	cluster, reports, a := breakerLabels{"clusters", "shop", ""}, breakerLabels{"routes", "shop", "reports"}, breakerLabels{"routes", "shop", "a"}

	send("checkout", 200, 40)
	send("reports", 500, 20)
	for range 10 {
		if got := e.Get("/reports"); got.Header.Get("x-circuit-breaker") != "open" {
			t.Errorf("reports: got %d %q, want a reject", got.Status, got.Body)
		}
	}
	send("checkout", 200, 1)
	wantState("one route fails", map[breakerLabels]breaker.State{cluster: breaker.Closed, reports: breaker.Open})
	if b := e.BreakerOf("clusters", "shop"); b[breaker.Calls] != 61 || b[breaker.Neutrals] != 10 || b[breaker.Failures] != 20 {
		t.Errorf("the cluster's breaker: %v, want the rejects of the route's to be neutral", b)
	}

	for i := range 76 { // 96 of 137 are 70 %
		send(string("abcdefgh"[i%8]), 500, 1)
	}
	upstream.Reset()
	for _, route := range []string{"checkout", "reports", "a"} {
		if got := e.Get("/" + route); got.Status != 503 {
			t.Errorf("%s: got %d, want the reject of the cluster's breaker", route, got.Status)
		}
	}
	if n := upstream.Requests(); n != 0 {
		t.Errorf("%d requests were let through", n)
	}
	wantState("all fail", map[breakerLabels]breaker.State{cluster: breaker.Open, reports: breaker.Open, a: breaker.Closed})
}

// routesDoc returns the first block of a language in docs/routes.md that is a whole configuration or filter chain.
func routesDoc(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile("```" + language + "\n((?:\\{|http_filters:)(?s:.*?))```\n").FindSubmatch(text)
	if match == nil {
		t.Fatalf("docs/routes.md has no %s", language)
	}
	return string(match[1])
}
