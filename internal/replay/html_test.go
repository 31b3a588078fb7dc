package replay

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/report"
)

func pageOf(t *testing.T, r *report.Report) string {
	t.Helper()
	var s strings.Builder
	if err := r.WriteHTML(&s); err != nil {
		t.Fatal(err)
	}
	if _, err := html.Parse(strings.NewReader(s.String())); err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestHTML(t *testing.T) {
	entries := written(
		every(100*ms, 0, 9*time.Second, failed), every(100*ms, 9*time.Second, 30*time.Second, good),
		with(every(100*ms, 0, 30*time.Second, good), func(e *accesslog.Entry) { e.Cluster = "<b>" }),
	)
	page := pageOf(t, replayed(t, `{`+steady+`}`, Options{Timeline: true}, entries))
	for _, want := range []string{
		"600 lines, 2026-11-24 10:00:00 to 2026-11-24 10:00:29 UTC. policy", "<h2>&lt;b&gt;</h2>",
		`<path class="failed" d="M0 1000V0H2V`, `<path class="half_open" d="M0 100V100H`, `y1="50" y2="50"`,
		`<line class="trip" x1="1.91" x2="1.91" y1="0" y2="100"><title>10:00:01 closed -&gt; open: 20/20 failed`,
		"<time>2026-11-24 10:00:01.905</time>closed -&gt; open", "noticed in 1.91s", "<span>10:00:30</span></div>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(page, "<script") || strings.Index(page, "<h2>payments") > strings.Index(page, "<h2>&lt;b") || t.Failed() {
		t.Errorf("%s", page)
	}

	// What is compared stands in the order in which the policies were given.
	both := Options{Timeline: true, Policies: []Policy{{"quiet", parse(t, `{"mode": "disabled"}`)}}}
	page = pageOf(t, replayed(t, `{"failure_rate": 0, "consecutive_failures": 3}`, both, entries))
	quiet, policy := strings.LastIndex(page, `<p class="soft">quiet,`), strings.LastIndex(page, `<p class="soft">policy,`)
	if quiet < 0 || policy < quiet {
		t.Errorf("at %d and %d", quiet, policy)
	}

	// Of very many breakers, those that reject most are drawn.
	entries = nil
	for i := range 70 {
		entries = append(entries, with(every(100*ms, 0, 3*time.Second, failed), func(e *accesslog.Entry) {
			if e.Cluster = fmt.Sprintf("cluster-%02d", i); i < 20 {
				e.Status = 200
			}
		})...)
	}
	page = pageOf(t, replayed(t, `{}`, Options{Timeline: true}, written(entries)))
	if n := strings.Count(page, "<figure"); n != 50 || !strings.Contains(page, "20 more breakers") || strings.Contains(page, "<h2>cluster-19") ||
		!strings.Contains(page, ">cluster-19</td>") {
		t.Errorf("%d are drawn", n)
	}
	if page := pageOf(t, replayed(t, `{}`, Options{Timeline: true}, nil)); strings.Contains(page, "<figure") {
		t.Errorf("of an empty log: %s", page)
	}
}

// However long the log, its timeline has all of it, in a bounded number of bins.
func TestTimeline(t *testing.T) {
	entries := every(500*ms, 0, 3*time.Hour, func(t time.Duration) accesslog.Entry {
		switch s := int(t / time.Second); {
		case s%600 < 60:
			return failed(t)
		case s%600 < 120:
			return hung(t, 2*time.Second)
		}
		return good(t)
	})
	r := replayed(t, `{"slow_call": {"duration": "1s"}}`, Options{Timeline: true}, written(entries))
	o := &r.Policies[0].Breakers[0]
	var sum report.Bin
	for i := range o.Bins {
		sum.Add(&o.Bins[i])
	}
	judged := int64(sum.Good + sum.Failed + sum.Slow + sum.Lost + sum.SavedFailed + sum.SavedSlow + sum.Neutral)
	if n := len(o.Bins); n > report.MostBins || n <= report.MostBins/2 || judged != o.Requests || judged != int64(len(entries)) {
		t.Errorf("%d bins; %d of %d requests", n, judged, o.Requests)
	}
	if saved := int64(sum.SavedFailed + sum.SavedSlow); saved != o.Saved || int64(sum.Lost) != o.Lost || o.Lost == 0 || saved == 0 {
		t.Errorf("%d and %d were rejected, want %d and %d", saved, sum.Lost, o.Saved, o.Lost)
	}
	if open, half := report.Seconds(sum.Open), report.Seconds(sum.HalfOpen); math.Abs(open-o.OpenFor) > 0.01 || math.Abs(half-o.HalfOpenFor) > 0.01 || open == 0 || half == 0 {
		t.Errorf("open for %v, half-open for %v, want %v and %v", open, half, o.OpenFor, o.HalfOpenFor)
	}
	for i, b := range o.Bins {
		if b.Open+b.HalfOpen > r.Axis.Width {
			t.Errorf("bin %d: %+v is longer than a bin", i, b)
		}
	}
	// A trial that is known to be slow after the time that the timeline had room for, before its request's end makes room.
	r = replayed(t, `{"slow_call": {"duration": "9s"}, "min_requests": 5, `+steady+`}`, Options{Timeline: true}, written(
		every(100*ms, 0, time.Second, good), every(100*ms, 460*time.Second, 461*time.Second, failed), []accesslog.Entry{hung(478*time.Second, 40*time.Second)}))
	for i, b := range r.Policies[0].Breakers[0].Bins {
		if b.Open+b.HalfOpen > r.Axis.Width || (b.HalfOpen > 0) != (i >= 239 && i <= 243) {
			t.Errorf("bin %d: %+v", i, b)
		}
	}
	forced := replayed(t, `{"mode": "force_open"}`, Options{Timeline: true}, every(100*ms, 0, 3*time.Second, good)).Policies[0].Breakers[0]
	if forced.State != "open" || forced.OpenFor != 2.905 || len(forced.Bins) != 3 || forced.Bins[1].Open != int64(time.Second) || forced.Trips != 0 {
		t.Errorf("%s for %v, %+v", forced.State, forced.OpenFor, forced.Bins)
	}
	if o := replayed(t, `{}`, Options{}, written(entries)).Policies[0].Breakers[0]; o.Bins != nil {
		t.Errorf("%d bins that nobody asked for", len(o.Bins))
	}
}
