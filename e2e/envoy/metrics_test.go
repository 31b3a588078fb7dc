package envoy_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/e2e/internal/monitoring"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
	"envoy-circuit-breaker/internal/version"
)

// A scrape is what Prometheus reads from an Envoy: metrics by name.
type scrape map[string]*dto.MetricFamily

func scrapeOf(t *testing.T, e *envoytest.Envoy) scrape {
	t.Helper()
	text := e.Admin(http.MethodGet, "/stats/prometheus")
	p := expfmt.NewTextParser(model.UTF8Validation)
	s, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func metricName(stat breaker.Stat) string { return "circuit_breaker_" + stat.String() }

// value returns a breaker's metric, which has no label but the plugin's and the cluster's.
func (s scrape) value(t *testing.T, stat breaker.Stat, cluster string) float64 {
	t.Helper()
	name := metricName(stat)
	for _, m := range s[name].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if maps.Equal(labels, map[string]string{"plugin": "breaker", "cluster": cluster}) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Errorf("no %s of plugin breaker and cluster %s in %v", name, cluster, s[name])
	return 0
}

// What people look at: the scrape has every stat that the README lists, with the labels whole, and everything that the alerts
// and the dashboard ask for.
func TestMetrics(t *testing.T) {
	t.Parallel()
	// payments opens; the others' names have every character that a rule for labels could trip over.
	const shadow = "a/b:c.d"
	clusters := []string{"payments", "outbound|443||api.example.com", shadow}
	sick, well := envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	sick.Handle(envoytest.Status(500))
	bootstrap := envoy.Bootstrap{Extra: monitoring.StatsConfig(t)}
	// All that a stat may be of is on; nobody falls back where nothing is rejected.
	listener := envoy.Listener{Plugin: &envoy.Plugin{Config: `{
		"min_requests": 10, "consecutive_failures": 1000, "slow_call": {"duration": "1h"}, "open": {"duration": "1h", "max_duration": "1h"},
		"ramp": "1s", "probe": {"path": "/", "interval": "1h"},
		"clusters": [{"match": "` + shadow + `", "mode": "shadow", "fallback": {"header": "x-fallback"}}]}`}}
	for i, name := range clusters {
		address := well.Address
		if name == "payments" {
			address = sick.Address
		}
		bootstrap.Clusters = append(bootstrap.Clusters, envoy.Cluster{Name: name, Address: address})
		listener.Routes = append(listener.Routes, envoy.Route{Prefix: fmt.Sprintf("/%d", i), Cluster: name})
	}
	bootstrap.Listeners = []envoy.Listener{listener}
	e := envoytest.Start(t, bootstrap)
	const requests = 25
	for range requests {
		for i := range clusters {
			if a := e.Get(fmt.Sprintf("/%d", i)); a.Err != nil {
				t.Fatal(a.Err)
			}
		}
	}
	s := scrapeOf(t, e)

	t.Run("stats", func(t *testing.T) {
		for stat := range breaker.NumStats {
			name := metricName(stat)
			want := dto.MetricType_COUNTER
			if stat.Gauge() {
				want = dto.MetricType_GAUGE
			}
			if got := s[name].GetType(); got != want {
				t.Errorf("%s is a %v, want a %v", name, got, want)
			}
			for _, cluster := range clusters {
				if stat != breaker.ShadowRejected || cluster == shadow {
					s.value(t, stat, cluster)
				}
			}
		}
	})

	t.Run("values", func(t *testing.T) {
		for _, cluster := range clusters {
			want := map[breaker.Stat]float64{breaker.Calls: requests}
			if cluster == "payments" {
				want = map[breaker.Stat]float64{breaker.Calls: 10, breaker.Failures: 10, breaker.Streak: 0, breaker.Rejected: requests - 10,
					breaker.StateGauge: float64(breaker.Open), breaker.Transitions: 1, breaker.Opened: 1, breaker.OpenedFailureRate: 1}
			}
			for stat, value := range want {
				if got := s.value(t, stat, cluster); got != value {
					t.Errorf("%v of %s is %g, want %g", stat, cluster, got, value)
				}
			}
			var sum float64
			for _, stat := range []breaker.Stat{breaker.Calls, breaker.Late, breaker.Neutrals, breaker.Rejected} {
				sum += s.value(t, stat, cluster)
			}
			if sum != requests {
				t.Errorf("%s: calls + late + neutral + rejected = %g, want %d", cluster, sum, requests)
			}
		}
	})

	t.Run("of the plugin", func(t *testing.T) {
		for name, want := range map[string]float64{"breakers": float64(len(clusters)), "config_invalid": 0, "version": float64(version.Number())} {
			metrics := s["circuit_breaker_"+name].GetMetric()
			if len(metrics) != 1 || metrics[0].GetGauge().GetValue() != want || len(metrics[0].GetLabel()) != 1 || metrics[0].GetLabel()[0].GetValue() != "breaker" {
				t.Errorf("%s: %v, want one of the plugin, %g", name, metrics, want)
			}
		}
	})

	t.Run("README", func(t *testing.T) {
		documented := documentedStats(t)
		for stat := range breaker.NumStats {
			if !slices.Contains(documented, stat.String()) {
				t.Errorf("the README does not list %s", stat)
			}
		}
		for _, name := range documented {
			if s["circuit_breaker_"+name] == nil {
				t.Errorf("the README lists %s, and the scrape has none", name)
			}
		}
	})

	t.Run("rules", func(t *testing.T) { s.wantMetrics(t, ruleExpressions(t)) })
	t.Run("dashboard", func(t *testing.T) { s.wantMetrics(t, dashboardExpressions(t)) })
}

// documentedStats returns the names in the README's table of stats: those in its first column, and the reasons of opening.
func documentedStats(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| stat | |\n")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatal("the README has no table of stats")
	}
	name := regexp.MustCompile("`([a-z_]+)`")
	reason := regexp.MustCompile("`(opened_[a-z_]+)`")
	for line := range strings.Lines(table) {
		first, rest, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, match := range append(name.FindAllStringSubmatch(first, -1), reason.FindAllStringSubmatch(rest, -1)...) {
			names = append(names, match[1])
		}
	}
	return names
}
