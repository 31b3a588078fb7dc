package envoy_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

var promQL = parser.NewParser(parser.Options{})

// alertExpressions returns the expressions of all alert rules, which are valid to Prometheus.
func alertExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	files, err := filepath.Glob("../../deploy/prometheus/*.rules.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rule files: %v", err)
	}
	for _, file := range files {
		groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, promQL, slog.Default())
		for _, err := range errs {
			t.Error(err)
		}
		if groups == nil {
			continue
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
					t.Errorf("alert %s lacks a summary, a description or a severity", r.Alert)
				}
				expressions = append(expressions, r.Expr)
			}
		}
	}
	return expressions
}

// A dashboard is what is shipped for Grafana.
type dashboard struct {
	Panels []struct {
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition, AllValue string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/circuit-breaker.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// dashboardExpressions returns the expressions of the dashboard's panels and variables, with values in place of Grafana's
// variables.
func dashboardExpressions(t *testing.T) (expressions []string) {
	t.Helper()
	dashboard := readDashboard(t)
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q is wider than the dashboard", p.Title)
		}
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	labelValues := regexp.MustCompile(`^label_values\((.+), [a-z]+\)$`)
	names := map[string]string{"__rate_interval": "1m", "__range": "1h", "__interval": "15s"}
	for _, v := range dashboard.Templating.List {
		names[v.Name] = ".*"
		if v.Type == "query" {
			match := labelValues.FindStringSubmatch(v.Definition)
			if match == nil {
				t.Fatalf("variable %s: %s is no label_values(…)", v.Name, v.Definition)
			}
			expressions = append(expressions, match[1])
		}
	}
	variable := regexp.MustCompile(`\$[a-z_]+`)
	for i, expression := range expressions {
		expressions[i] = variable.ReplaceAllStringFunc(expression, func(v string) string {
			value, ok := names[v[1:]]
			if !ok {
				t.Errorf("%s: the dashboard has no variable %s", expression, v)
			}
			return value
		})
	}
	return expressions
}

// wantMetrics checks that expressions parse and ask for nothing that is not there.
func (s scrape) wantMetrics(t *testing.T, expressions []string) {
	t.Helper()
	asked := map[string]bool{}
	for _, text := range expressions {
		expression, err := promQL.ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
			if selector, ok := n.(*parser.VectorSelector); ok {
				asked[selector.Name] = true
			}
			return nil
		})
	}
	for name := range asked {
		if s[name] == nil {
			t.Errorf("%s is not in the scrape", name)
		}
	}
	t.Logf("%d expressions ask for %d metrics: %v", len(expressions), len(asked), slices.Sorted(maps.Keys(asked)))
}

// The dashboard keeps the breakers of a cluster's routes apart, and has those without a route.
func TestDashboardByRoute(t *testing.T) {
	dashboard := readDashboard(t)
	for _, v := range dashboard.Templating.List {
		if v.Name == "route" && v.AllValue != ".*" {
			t.Errorf("all routes are %q, which leaves out breakers without one", v.AllValue)
		}
	}
	grouping := regexp.MustCompile(`by \(([^)]*)\)`)
	selector := regexp.MustCompile(`\{[^}]*\}`)
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			for _, match := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				if match[1] != "cluster, route" {
					t.Errorf("%s: breakers of several routes are one: %s", p.Title, target.Expr)
				}
			}
			for _, s := range selector.FindAllString(target.Expr, -1) {
				if !strings.Contains(s, `, route=~"$route"`) {
					t.Errorf("%s: the choice of a route makes no difference: %s", p.Title, target.Expr)
				}
			}
			if l := target.LegendFormat; strings.Contains(l, "{{cluster}}") != strings.Contains(l, "{{cluster}} {{route}}") {
				t.Errorf("%s: the legend does not tell the route: %s", p.Title, l)
			}
		}
	}
}
