package prometheus_test

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/template"
	"sigs.k8s.io/yaml"
)

// readRules returns the rules that are shipped: those that alert, and those that record.
func readRules(t *testing.T) (alerts, records []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile("circuit-breaker.rules.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) != 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			} else {
				records = append(records, r)
			}
		}
	}
	return alerts, records
}

// Only an outage that the fleet sees pages, and every alert says what it is about.
func TestSeverities(t *testing.T) {
	alerts, _ := readRules(t)
	for _, rule := range alerts {
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
			t.Errorf("%s lacks a summary or a description", rule.Alert)
		}
		want := []string{"warning", "info"}
		if rule.Alert == "CircuitBreakerOpen" {
			want = []string{"critical"}
		}
		if severity := rule.Labels["severity"]; !slices.Contains(want, severity) {
			t.Errorf("%s is %q, want one of %q", rule.Alert, severity, want)
		}
	}
}

// What is recorded is named by Prometheus's convention, level:metric:operations, and its level is the labels that an aggregation leaves.
func TestRecordNames(t *testing.T) {
	name := regexp.MustCompile(`^([a-z_]+):[a-z_]+:[a-z0-9_]+$`)
	by := regexp.MustCompile(`^(?:sum|count|max|min) by \(([a-z, ]+)\)`)
	_, records := readRules(t)
	for _, rule := range records {
		match := name.FindStringSubmatch(rule.Record)
		if match == nil {
			t.Errorf("%s is not level:metric:operations", rule.Record)
			continue
		}
		if left := by.FindStringSubmatch(rule.Expr); left != nil && strings.ReplaceAll(left[1], ", ", "_") != match[1] {
			t.Errorf("%s is by %s", rule.Record, left[1])
		}
	}
}

// Of each alert there is a case in which it fires, and one in which it does not. That they come true, promtool tests.
func TestEachAlertHasCases(t *testing.T) {
	text, err := os.ReadFile("circuit-breaker.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name string `json:"alertname"`
				Want []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Want) > 0
			quiet[a.Name] = quiet[a.Name] || len(a.Want) == 0
		}
	}
	alerts, _ := readRules(t)
	for _, rule := range alerts {
		if !fires[rule.Alert] || !quiet[rule.Alert] {
			t.Errorf("%s: fires in a case: %v, does not in another: %v", rule.Alert, fires[rule.Alert], quiet[rule.Alert])
		}
	}
}

// An alert says which breaker it is about: that of a cluster, or of a route to it.
func TestAlertsTellTheRoute(t *testing.T) {
	alerts, _ := readRules(t)
	for _, rule := range alerts {
		if !strings.Contains(rule.Annotations["summary"], "$labels.cluster") { // is about a plugin, or about Envoys
			continue
		}
		for route, want := range map[string]string{"": "shop", "reports": "shop (route reports)"} {
			about := labels.FromStrings("instance", "envoy-1", "plugin", "breaker", "cluster", "shop", "route", route).WithoutEmpty()
			summary := expand(t, rule.Annotations["summary"], about)
			description := expand(t, rule.Annotations["description"], about)
			if !strings.Contains(summary, want) || strings.Count(description, "shop") != strings.Count(description, want) ||
				route == "" && strings.Contains(summary+description, "(route") {
				t.Errorf("%s, about %s: %s: %s", rule.Alert, want, summary, description)
			}
		}
	}
}

// expand fills in an annotation as Prometheus does.
func expand(t *testing.T, text string, about labels.Labels) string {
	t.Helper()
	const variables = "{{ $labels := .Labels }}{{ $value := .Value }}"
	data := template.AlertTemplateData(about.Map(), nil, "", promql.Sample{F: 5})
	expander := template.NewTemplateExpander(context.Background(), variables+text, "", data, 0, nil, nil, []string{"missingkey=zero"})
	expanded, err := expander.Expand()
	if err != nil {
		t.Fatal(err)
	}
	return expanded
}
