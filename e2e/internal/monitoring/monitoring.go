// Package monitoring reads deploy/prometheus, deploy/grafana and the labels in envoy.yaml for the tests.
package monitoring

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// root is the module's, from the folder of a package below e2e, where its tests run.
const root = "../../"

// RuleFile is the rules that are shipped.
const RuleFile = root + "deploy/prometheus/circuit-breaker.rules.yaml"

// PromQL parses expressions as Prometheus does.
var PromQL = parser.NewParser(parser.Options{})

// Rules returns the rules that are shipped, which are valid to Prometheus.
func Rules(t testing.TB) (rules []rulefmt.Rule) {
	t.Helper()
	files, err := filepath.Glob(root + "deploy/prometheus/*.rules.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rule files: %v", err)
	}
	for _, file := range files {
		groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, PromQL, slog.Default())
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, g := range groups.Groups {
			rules = append(rules, g.Rules...)
		}
	}
	return rules
}

// A Dashboard is what is shipped for Grafana.
type Dashboard struct {
	Panels     []Panel
	Templating struct {
		List []struct{ Name, Type, Definition, AllValue string }
	}
}

// A Panel is one of a dashboard. A row that is closed has the panels below it.
type Panel struct {
	Title, Type string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
	Panels      []Panel
}

// ReadDashboard reads the one that is shipped, as it is when all rows are open.
func ReadDashboard(t testing.TB) (d Dashboard) {
	t.Helper()
	text, err := os.ReadFile(root + "deploy/grafana/circuit-breaker.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		d.Panels = append(d.Panels, p.Panels...)
	}
	return d
}

// An Expression is one that the dashboard asks Prometheus for.
type Expression struct {
	For  string // the panel, or the variable
	Text string
}

var (
	labelValues = regexp.MustCompile(`^label_values\((.+), [a-z]+\)$`)
	variable    = regexp.MustCompile(`\$[a-z_]+`)
)

// Expressions returns the expressions of the panels and the variables. Grafana's variables have the given values; those that are not given,
// that of All.
func (d Dashboard) Expressions(t testing.TB, values map[string]string) (expressions []Expression) {
	t.Helper()
	all := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expressions = append(expressions, Expression{p.Title, target.Expr})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		all[v.Name] = v.AllValue
		match := labelValues.FindStringSubmatch(v.Definition)
		if match == nil {
			t.Fatalf("variable %s: %s is no label_values(…)", v.Name, v.Definition)
		}
		expressions = append(expressions, Expression{"variable " + v.Name, match[1]})
	}
	for i, e := range expressions {
		expressions[i].Text = variable.ReplaceAllStringFunc(e.Text, func(name string) string {
			for _, set := range []map[string]string{values, all} {
				if value, ok := set[name[1:]]; ok {
					return value
				}
			}
			t.Errorf("%s: %s: the dashboard has no variable %s", e.For, e.Text, name)
			return name
		})
	}
	return expressions
}

// StatsConfig is the stats_config of envoy.yaml, as a part of a bootstrap.
func StatsConfig(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(root + "envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		StatsConfig any `json:"stats_config"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	part, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(part)
}
