package prometheus_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/util/annotations"
)

// scraped is what Prometheus has.
type scraped []promql.Series

// addHour adds an hour of one stat, with a value each minute that grows by so much.
func (s *scraped) addHour(metric labels.Labels, first, growth float64) {
	series := promql.Series{Metric: metric}
	for i := range 61 {
		series.Floats = append(series.Floats, promql.FPoint{T: int64(i) * time.Minute.Milliseconds(), F: first + float64(i)*growth})
	}
	*s = append(*s, series)
}

// choose has the series that an expression asks for.
func (s scraped) choose(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	chosen := &selection{at: -1}
	for _, series := range s {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(series.Metric.Get(m.Name)) }) {
			chosen.series = append(chosen.series, series)
		}
	}
	return chosen
}

type selection struct {
	series scraped
	at     int
}

func (s *selection) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *selection) At() storage.Series                { return promql.NewStorageSeries(s.series[s.at]) }
func (s *selection) Err() error                        { return nil }
func (s *selection) Warnings() annotations.Annotations { return nil }

// The alerts tell an outage from what somebody wants: a breaker that is forced open has one of its own, and one that is in shadow or
// disabled, that nobody asks, or whose plugin is gone has none.
func TestAlertsByStateAndMode(t *testing.T) {
	const grows = 60
	var all scraped
	want := map[string][]string{}
	for _, b := range []struct {
		cluster, route                  string
		state, mode, rejected, fallback float64
		alert                           string // "" for none
	}{
		{"healthy", "", 0, 0, 0, 0, ""},
		{"open", "", 1, 0, grows, 0, "CircuitBreakerOpen"},
		{"half-open", "", 2, 0, grows, 0, "CircuitBreakerOpen"},
		{"sent elsewhere", "", 1, 0, 0, grows, "CircuitBreakerOpen"},
		{"nobody asks", "", 1, 0, 0, 0, ""},
		{"shadow", "", 1, 1, 0, 0, ""},
		{"forced", "", 1, 2, grows, 0, "CircuitBreakerForcedOpen"},
		{"disabled", "", 0, 3, 0, 0, ""},
		{"removed", "", 0, 0, 0, 0, ""},

		{"shop", "", 0, 0, 0, 0, ""},
		{"shop", "reports", 1, 0, grows, 0, "CircuitBreakerOpen"},
		{"shop", "export", 1, 0, grows, 0, "CircuitBreakerOpen"},
		{"shop", "legacy", 1, 2, grows, 0, "CircuitBreakerForcedOpen"},
		{"shop", "checkout", 0, 0, 0, 0, ""},
		{"shop", "nobody asks", 1, 0, 0, 0, ""},
	} {
		for stat, first := range map[string]float64{"state": b.state, "mode": b.mode, "rejected": 0, "fallback": 0, "opened": 0,
			"opened_half_open_failure": 0, "errors": 0, "permits_expired": 0} {
			growth := map[string]float64{"rejected": b.rejected, "fallback": b.fallback}[stat]
			all.addHour(labels.FromStrings("__name__", "circuit_breaker_"+stat, "plugin", "breaker", "cluster", b.cluster, "route", b.route).WithoutEmpty(), first, growth)
		}
		if b.alert != "" {
			want[b.alert] = append(want[b.alert], b.cluster+"/"+b.route)
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000, Timeout: time.Minute})
	defer engine.Close()
	got := map[string][]string{}
	for _, rule := range readRules(t) {
		for _, sample := range fires(t, engine, all, rule.Expr) {
			got[rule.Alert] = append(got[rule.Alert], sample.Metric.Get("cluster")+"/"+sample.Metric.Get("route"))
		}
	}
	if !maps.EqualFunc(got, want, func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}) {
		t.Errorf("alerts: %v, want %v", got, want)
	}
}

// readRules returns the rules that are shipped.
func readRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("circuit-breaker.rules.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) != 0 {
		t.Fatal(errs)
	}
	return groups.Groups[0].Rules
}

// An alert says which breaker it is about: that of a cluster, or of a route to it.
func TestAlertsTellTheRoute(t *testing.T) {
	for _, rule := range readRules(t) {
		if rule.Alert == "CircuitBreakerConfigInvalid" { // is about the plugin
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

// fires returns what an expression has a value for at the end.
func fires(t *testing.T, engine *promql.Engine, s scraped, expression string) promql.Vector {
	t.Helper()
	all := &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: s.choose}}
	query, err := engine.NewInstantQuery(context.Background(), all, nil, expression, time.UnixMilli(time.Hour.Milliseconds()))
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(context.Background()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return vector
}
