package envoy_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"

	"envoy-circuit-breaker/e2e/internal/monitoring"
)

// wantMetrics checks that expressions parse and ask for nothing that is neither in the scrape nor recorded.
func (s scrape) wantMetrics(t *testing.T, expressions []string) {
	t.Helper()
	recorded := map[string]bool{"ALERTS": true, "istio_agent_wasm_remote_fetch_count": true} // of Prometheus, and of Istio's agent
	for _, r := range monitoring.Rules(t) {
		recorded[r.Record] = true
	}
	asked := map[string]bool{}
	for _, text := range expressions {
		expression, err := monitoring.PromQL.ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
			if selector, ok := n.(*parser.VectorSelector); ok && selector.Name != "" {
				asked[selector.Name] = true
			}
			return nil
		})
	}
	for name := range asked {
		if s[name] == nil && !recorded[name] {
			t.Errorf("%s is not in the scrape", name)
		}
	}
	t.Logf("%d expressions ask for %d metrics: %v", len(expressions), len(asked), slices.Sorted(maps.Keys(asked)))
}

// ruleExpressions returns the expressions of all rules.
func ruleExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	for _, r := range monitoring.Rules(t) {
		expressions = append(expressions, r.Expr)
	}
	return expressions
}

// dashboardExpressions returns the expressions of the dashboard's panels and variables.
func dashboardExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	for _, e := range monitoring.ReadDashboard(t).Expressions(t, map[string]string{"__rate_interval": "1m", "__range": "1h"}) {
		expressions = append(expressions, e.Text)
	}
	return expressions
}

// The dashboard fits its width, every panel shows something, and what is not there (a route, a namespace, a pod) is a choice among all.
func TestDashboard(t *testing.T) {
	dashboard := monitoring.ReadDashboard(t)
	for _, v := range dashboard.Templating.List {
		if v.Type == "query" && v.AllValue != ".*" {
			t.Errorf("all of %s are %q, which leaves out what has none", v.Name, v.AllValue)
		}
	}
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q is wider than the dashboard", p.Title)
		}
	}
}

// The dashboard keeps the breakers of a cluster's routes apart, those of several plugins too, and those of several namespaces; and what
// is chosen makes a difference everywhere.
func TestDashboardByBreaker(t *testing.T) {
	const breaker = "namespace, plugin, cluster, route"
	grouping := regexp.MustCompile(`by \(([^)]*)\)`)
	selector := regexp.MustCompile(`([a-z0-9_:]+)\{([^}]*)\}`)
	for _, p := range monitoring.ReadDashboard(t).Panels {
		for _, target := range p.Targets {
			for _, match := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				if strings.Contains(match[1], "cluster") && match[1] != breaker {
					t.Errorf("%s: several breakers are one: %s", p.Title, target.Expr)
				}
			}
			for _, match := range selector.FindAllStringSubmatch(target.Expr, -1) {
				choices := []string{"plugin", "namespace", "pod", "instance", "cluster", "route"}
				switch name := match[1]; {
				case strings.HasPrefix(name, "namespace_plugin_cluster_route:"): // of all Envoys
					choices = []string{"plugin", "namespace", "cluster", "route"}
				case name == "circuit_breaker_config_invalid", name == "circuit_breaker_version": // of a plugin
					choices = []string{"plugin", "namespace", "pod", "instance"}
				case !strings.HasPrefix(name, "circuit_breaker_"): // of Envoys
					choices = []string{"namespace", "instance"}
				}
				for _, c := range choices {
					if !strings.Contains(match[2], c+`=~"$`+c+`"`) {
						t.Errorf("%s: the choice of %s makes no difference: %s", p.Title, c, target.Expr)
					}
				}
			}
			if l := target.LegendFormat; strings.Contains(l, "{{cluster}}") != strings.Contains(l, "{{namespace}} {{plugin}} {{cluster}} {{route}}") {
				t.Errorf("%s: the legend does not tell the breaker: %s", p.Title, l)
			}
		}
	}
}
