package prometheus_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
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
		cluster                         string
		state, mode, rejected, fallback float64
		alert                           string // "" for none
	}{
		{"healthy", 0, 0, 0, 0, ""},
		{"open", 1, 0, grows, 0, "CircuitBreakerOpen"},
		{"half-open", 2, 0, grows, 0, "CircuitBreakerOpen"},
		{"sent elsewhere", 1, 0, 0, grows, "CircuitBreakerOpen"},
		{"nobody asks", 1, 0, 0, 0, ""},
		{"shadow", 1, 1, 0, 0, ""},
		{"forced", 1, 2, grows, 0, "CircuitBreakerForcedOpen"},
		{"disabled", 0, 3, 0, 0, ""},
		{"removed", 0, 0, 0, 0, ""},
	} {
		for stat, first := range map[string]float64{"state": b.state, "mode": b.mode, "rejected": 0, "fallback": 0, "opened": 0,
			"opened_half_open_failure": 0, "errors": 0, "permits_expired": 0} {
			growth := map[string]float64{"rejected": b.rejected, "fallback": b.fallback}[stat]
			all.addHour(labels.FromStrings("__name__", "circuit_breaker_"+stat, "plugin", "breaker", "cluster", b.cluster), first, growth)
		}
		if b.alert != "" {
			want[b.alert] = append(want[b.alert], b.cluster)
		}
	}
	groups, errs := rulefmt.ParseFile("circuit-breaker.rules.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) != 0 {
		t.Fatal(errs)
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000, Timeout: time.Minute})
	defer engine.Close()
	got := map[string][]string{}
	for _, rule := range groups.Groups[0].Rules {
		for _, cluster := range fires(t, engine, all, rule.Expr) {
			got[rule.Alert] = append(got[rule.Alert], cluster)
		}
	}
	if !maps.EqualFunc(got, want, func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}) {
		t.Errorf("alerts: %v, want %v", got, want)
	}
}

// fires returns the clusters for which an expression has a value at the end.
func fires(t *testing.T, engine *promql.Engine, s scraped, expression string) (clusters []string) {
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
	for _, sample := range vector {
		clusters = append(clusters, sample.Metric.Get("cluster"))
	}
	return clusters
}
