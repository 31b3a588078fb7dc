package replay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/report"
)

var day = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// at is a time of the day's log.
func at(since time.Duration) int64 { return day.Add(since).UnixNano() }

const ms = time.Millisecond

// good is a request that was answered in 5 ms.
func good(begin time.Duration) accesslog.Entry {
	return accesslog.Entry{Start: at(begin), Duration: 5 * ms, Request: 0, Response: 5 * ms, Status: 200, GRPC: -1, Attempts: 1,
		Method: "GET", Details: "via_upstream", Cluster: "payments"}
}

func failed(begin time.Duration) accesslog.Entry {
	e := good(begin)
	e.Status = 503
	return e
}

// hung is a request that the route's timeout ended.
func hung(begin, timeout time.Duration) accesslog.Entry {
	e := good(begin)
	e.Status, e.Details, e.Flags, e.Duration, e.Response = 504, "response_timeout", "UT", timeout, -1
	return e
}

// every makes an entry of each so many.
func every(step, from, to time.Duration, make func(time.Duration) accesslog.Entry) (entries []accesslog.Entry) {
	for t := from; t < to; t += step {
		entries = append(entries, make(t))
	}
	return entries
}

func with(entries []accesslog.Entry, change func(e *accesslog.Entry)) []accesslog.Entry {
	for i := range entries {
		change(&entries[i])
	}
	return entries
}

// written puts entries in the order in which Envoy writes their lines.
func written(parts ...[]accesslog.Entry) []accesslog.Entry {
	entries := slices.Concat(parts...)
	slices.SortStableFunc(entries, func(a, b accesslog.Entry) int { return int(a.End() - b.End()) })
	return entries
}

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func replayed(t testing.TB, policy string, o Options, entries []accesslog.Entry) *report.Report {
	t.Helper()
	o.Policies = append(o.Policies, Policy{Name: "policy", Config: parse(t, policy)})
	r := New(o)
	for i := range entries {
		r.Add(&entries[i])
	}
	out := r.Finish()
	for _, p := range out.Policies {
		for _, c := range append(p.Breakers, report.Breaker{Counts: p.Total}) {
			if c.Requests != c.Calls+c.Late+c.Neutral+c.Unjudged+c.Rejected || c.Rejected != c.Saved+c.Lost+c.RejectedNeutral ||
				min(c.Calls, c.Late, c.Neutral, c.Rejected, c.Saved, c.Lost) < 0 {
				t.Errorf("the sums: %+v", c)
			}
		}
	}
	return out
}

// told are the transitions as the log would have them, each with its time since the beginning.
func told(o *report.Breaker) string {
	var s strings.Builder
	for _, m := range o.Transitions {
		fmt.Fprintf(&s, "%v %s\n", m.At.Sub(day), m.Text)
	}
	return s.String()
}

const steady = `"open": {"duration": "5s", "jitter": 0}`

func TestScenarios(t *testing.T) {
	tests := map[string]struct {
		policy  string
		entries []accesslog.Entry
		options Options
		told    string
		counts  report.Counts // without what the case is not about: zero there is any
	}{
		"nothing happens": {
			"{}", every(100*ms, 0, time.Minute, good), Options{}, "", report.Counts{Requests: 600, Calls: 600},
		},
		"failures": {
			`{` + steady + `}`,
			written(every(100*ms, 0, 20*time.Second, good), every(100*ms, 20*time.Second, 27*time.Second, failed)),
			Options{},
			"25.005s closed -> open: 51/101 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n",
			report.Counts{Requests: 270, Calls: 251, Failures: 51, Rejected: 19, Saved: 19, CallsAvoided: 19, Trips: 1, Outages: 1},
		},
		"trials": {
			`{` + steady + `}`,
			written(every(100*ms, 0, 9*time.Second, failed), every(100*ms, 9*time.Second, 30*time.Second, good)),
			Options{},
			"1.905s closed -> open: 20/20 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n" +
				"7s open -> half_open: the open time is over, trying\n" +
				"7.005s half_open -> open: a trial failed after 0 good of 3; open for 10s, trip 2 in a row\n" +
				"17.1s open -> half_open: the open time is over, trying\n" +
				"17.305s half_open -> closed: 3 trials succeeded\n",
			report.Counts{Requests: 300, Calls: 20 + 1 + 3 + 126, Failures: 21, Rejected: 150, Saved: 50 + 19, Lost: 81, CallsAvoided: 150, Trips: 2, Outages: 1},
		},
		"a hang is noticed while it hangs": {
			`{"min_requests": 10, "slow_call": {"duration": "500ms", "rate": 50}, ` + steady + `}`,
			written(every(100*ms, 0, 2*time.Second, good), every(100*ms, 2*time.Second, 6*time.Second, func(t time.Duration) accesslog.Entry { return hung(t, 8*time.Second) })),
			Options{},
			"4.5s closed -> open: 20/40 slower than 500ms, 20 of them still waiting, in 10s, threshold 50%; open for 5s, trip 1 in a row\n",
			report.Counts{Requests: 60, Calls: 40, SlowCalls: 20, Late: 5, Rejected: 15, Saved: 15, CallsAvoided: 15, Trips: 1, Outages: 1},
		},
		"without slow_call at its end": {
			`{` + steady + `}`,
			written(every(100*ms, 0, 10*time.Second, func(t time.Duration) accesslog.Entry { return hung(t, 8*time.Second) })),
			Options{},
			"9.9s closed -> open: 20/20 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n",
			report.Counts{Requests: 100, Calls: 20, Failures: 20, Late: 80, Trips: 1},
		},
		"late": { // they were admitted before it opened, and end after that
			`{"min_requests": 5, ` + steady + `}`,
			written(every(100*ms, 0, 1*time.Second, func(t time.Duration) accesslog.Entry { return hung(t, 600*ms) })),
			Options{},
			"1s closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n",
			report.Counts{Requests: 10, Calls: 5, Failures: 5, Late: 5, Trips: 1},
		},
		"a trial hangs": {
			`{"min_requests": 5, "slow_call": {"duration": "1s"}, ` + steady + `}`,
			written(every(100*ms, 0, 500*ms, failed), every(time.Second, 6*time.Second, 7*time.Second, func(t time.Duration) accesslog.Entry { return hung(t, 8*time.Second) })),
			Options{},
			"405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n" +
				"6s open -> half_open: the open time is over, trying\n" +
				"7.1s half_open -> open: a trial failed after 0 good of 3; open for 10s, trip 2 in a row\n",
			report.Counts{Requests: 6, Calls: 6, SlowCalls: 1, Failures: 5, Trips: 2, Outages: 1},
		},
		"a trial is told by its headers": { // its download takes 10 s
			`{"min_requests": 5, "half_open": {"success_threshold": 1}, ` + steady + `}`,
			written(every(100*ms, 0, 500*ms, failed), with(every(time.Second, 6*time.Second, 7*time.Second, good), func(e *accesslog.Entry) { e.Duration = 10 * time.Second })),
			Options{},
			"405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n" +
				"6s open -> half_open: the open time is over, trying\n" +
				"6.005s half_open -> closed: 1 trials succeeded\n",
			report.Counts{Requests: 6, Calls: 6, Trips: 1},
		},
		"trials expire": { // three clients send for 40 s; nobody else calls until then
			`{"min_requests": 5, "half_open": {"permit_timeout": "2s"}, ` + steady + `}`,
			written(every(100*ms, 0, 500*ms, failed), every(100*ms, 6*time.Second, 6300*ms, func(t time.Duration) accesslog.Entry { return hung(t, 20*time.Second) }),
				every(time.Second, 10*time.Second, 11*time.Second, good)),
			Options{},
			"405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n" +
				"6s open -> half_open: the open time is over, trying\n" +
				"10s half_open -> open: 3 trials in a row expired without an answer; open for 10s, trip 2 in a row\n",
			report.Counts{Requests: 9, Calls: 5, Late: 3, Rejected: 1, Lost: 1, Trips: 2, PermitsExpired: 3},
		},
		"an upload gives its place back": {
			`{"min_requests": 5, "half_open": {"max_requests": 1, "success_threshold": 1}, ` + steady + `}`,
			written(every(100*ms, 0, 500*ms, failed), with(every(time.Second, 6*time.Second, 7*time.Second, good), func(e *accesslog.Entry) {
				e.Duration, e.Request, e.Response = 20*time.Second, 19*time.Second, 20*time.Second
			}), every(500*ms, 6500*ms, 8*time.Second, good)),
			Options{},
			"405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n" +
				"6s open -> half_open: the open time is over, trying\n" +
				"7.005s half_open -> closed: 1 trials succeeded\n",
			report.Counts{Requests: 9, Calls: 7, Late: 1, Rejected: 1, Lost: 1, Trips: 1},
		},
		"gRPC": {
			`{"min_requests": 5, ` + steady + `}`,
			with(every(100*ms, 0, time.Second, good), func(e *accesslog.Entry) { e.GRPC = 14 }),
			Options{},
			"405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n",
			report.Counts{Requests: 10, Calls: 5, Failures: 5, Rejected: 5, Trips: 1},
		},
		"in a row": {
			`{"failure_rate": 0, "consecutive_failures": 4, ` + steady + `}`,
			written(every(100*ms, 0, 300*ms, failed), every(100*ms, 300*ms, 400*ms, good), every(100*ms, 400*ms, time.Second, failed)),
			Options{},
			"705ms closed -> open: 4 failures in a row, threshold 4; open for 5s, trip 1 in a row\n",
			report.Counts{Requests: 10, Calls: 8, Failures: 7, Rejected: 2},
		},
		"shadow": {
			`{"mode": "shadow", "min_requests": 5, ` + steady + `}`, every(100*ms, 0, time.Second, failed), Options{},
			"405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row (shadow: nothing is rejected)\n",
			report.Counts{Requests: 10, Calls: 5, Rejected: 5},
		},
		"disabled":   {`{"mode": "disabled"}`, every(100*ms, 0, 3*time.Second, failed), Options{}, "", report.Counts{Requests: 30, Unjudged: 30}},
		"force_open": {`{"mode": "force_open"}`, every(100*ms, 0, 3*time.Second, good), Options{}, "", report.Counts{Requests: 30, Rejected: 30, Lost: 30}},
		"neither the upstream's nor asked": {
			`{"min_requests": 5}`,
			written(with(every(100*ms, 0, time.Second, failed), func(e *accesslog.Entry) { e.Details = "ext_authz_denied" }),
				with(every(100*ms, 0, time.Second, good), func(e *accesslog.Entry) {
					e.Details, e.Status, e.Response = "downstream_remote_disconnect", 0, -1
				})),
			Options{}, "", report.Counts{Requests: 20, Neutral: 20, Elsewhere: 10},
		},
		"kept waiting by a filter after the breaker": { // which was asked: the trial gives its place back
			`{"min_requests": 5, "half_open": {"max_requests": 1, "success_threshold": 1}, ` + steady + `}`,
			written(every(100*ms, 0, 500*ms, failed), with(every(time.Second, 6*time.Second, 7*time.Second, good), func(e *accesslog.Entry) {
				e.Details, e.Status, e.Response, e.Attempts, e.Duration = "downstream_remote_disconnect", 0, -1, 0, 2500*ms
			}), every(time.Second, 8*time.Second, 11*time.Second, good)),
			Options{},
			"405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row\n" +
				"6s open -> half_open: the open time is over, trying\n" +
				"9.005s half_open -> closed: 1 trials succeeded\n",
			report.Counts{Requests: 9, Calls: 7, Neutral: 1, Rejected: 1},
		},
		"sent to no upstream": { // in the first lines, too
			`{"mode": "force_open"}`,
			written(with(every(100*ms, 0, time.Second, failed), func(e *accesslog.Entry) { e.Details, e.Response, e.Attempts = "no_healthy_upstream", -1, 0 }),
				every(100*ms, time.Second, 1500*ms, failed)),
			Options{}, "", report.Counts{Requests: 15, Rejected: 15, Saved: 15, CallsAvoided: 5},
		},
		"retries and neutral ends among the rejected": {
			`{"mode": "force_open"}`,
			written(with(every(100*ms, 0, time.Second, failed), func(e *accesslog.Entry) { e.Attempts = 3 }),
				with(every(100*ms, 0, time.Second, good), func(e *accesslog.Entry) {
					e.Details, e.Status, e.Response = "downstream_remote_disconnect", 0, -1
				})),
			Options{}, "", report.Counts{Requests: 20, Rejected: 20, Saved: 10, RejectedNeutral: 10, CallsAvoided: 40},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out := replayed(t, test.policy, test.options, test.entries)
			if n := len(out.Policies[0].Breakers); n != 1 {
				t.Fatalf("%d breakers", n)
			}
			o := &out.Policies[0].Breakers[0]
			if told := told(o); told != test.told {
				t.Errorf("got\n%swant\n%s", told, test.told)
			}
			wantCounts(t, o.Counts, test.counts)
		})
	}
}

// wantCounts compares what want has.
func wantCounts(t *testing.T, got, want report.Counts) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range w.NumField() {
		if w.Field(i).CanInt() && w.Field(i).Int() != 0 && w.Field(i).Int() != g.Field(i).Int() {
			t.Errorf("%s: %v, want %v", w.Type().Field(i).Name, g.Field(i), w.Field(i))
		}
	}
}

func TestOwners(t *testing.T) {
	entries := written(
		with(every(100*ms, 0, time.Second, failed), func(e *accesslog.Entry) { e.Route = "reports" }),
		with(every(100*ms, 0, time.Second, good), func(e *accesslog.Entry) { e.Route = "carts" }),
		every(100*ms, 0, time.Second, good),
	)
	names := func(r *report.Report) (names []string) {
		for _, o := range r.Policies[0].Breakers {
			names = append(names, fmt.Sprint(o.Instance, "/", o.Cluster, "/", o.Route, ":", o.Requests, ",", o.Trips))
		}
		return names
	}
	for policy, want := range map[string][]string{
		`{"min_requests": 5}`:                 {"/payments/:30,0"},
		`{"min_requests": 5, "per": "route"}`: {"/payments/:10,0", "/payments/carts:10,0", "/payments/reports:10,1"},
		`{"min_requests": 5, "clusters": [{"match": "payments", "route": "rep*"}]}`: {"/payments/:20,0", "/payments/reports:10,1"},
		`{"min_requests": 5, "per": "route", "max_breakers": 1}`:                    {"/payments/reports:10,1"},
	} {
		out := replayed(t, policy, Options{}, entries)
		if got := names(out); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", policy, got, want)
		}
		if without := out.Policies[0].WithoutBreaker; strings.Contains(policy, "max_breakers") != (without == 20) {
			t.Errorf("%s: %d without a breaker", policy, without)
		}
	}

	// Each Envoy has breakers of its own.
	instances := written(
		with(every(100*ms, 0, time.Second, failed), func(e *accesslog.Entry) { e.Instance = "a" }),
		with(every(100*ms, 0, time.Second, good), func(e *accesslog.Entry) { e.Instance = "b" }),
	)
	if got, want := names(replayed(t, `{"min_requests": 5, "max_breakers": 1}`, Options{}, instances)), []string{"a/payments/:10,1", "b/payments/:10,0"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func outage() []accesslog.Entry {
	return written(every(10*ms, 0, 20*time.Second, good), every(10*ms, 20*time.Second, 50*time.Second, func(t time.Duration) accesslog.Entry { return hung(t, 2*time.Second) }),
		every(10*ms, 50*time.Second, 3*time.Minute, good))
}

// Lines that are out of order within the horizon make no difference.
func TestOutOfOrder(t *testing.T) {
	const policy = `{"slow_call": {"duration": "500ms"}, ` + steady + `}`
	entries := outage()
	want := replayed(t, policy, Options{}, entries)
	if o := &want.Policies[0].Breakers[0]; o.Trips < 3 || o.State != "closed" {
		t.Fatalf("%s", told(o))
	}
	random := rand.New(rand.NewPCG(1, 2))
	keys := map[int64]int64{}
	slices.SortStableFunc(entries, func(a, b accesslog.Entry) int {
		for _, e := range []*accesslog.Entry{&a, &b} {
			if keys[e.Start] == 0 {
				keys[e.Start] = e.End() + random.Int64N(int64(5*time.Second))
			}
		}
		return int(keys[a.Start] - keys[b.Start])
	})
	got := replayed(t, policy, Options{Horizon: 10 * time.Second}, entries)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got.Policies[0].Breakers[0], want.Policies[0].Breakers[0])
	}
	if short := replayed(t, policy, Options{Horizon: 3 * time.Second}, entries); short.TooLate == 0 || short.LatestBy < 3 || short.LatestBy > 7.1 {
		t.Errorf("with too short a horizon: %+v", short)
	} else if text := strings.Join(short.Notes, " "); !strings.Contains(text, "A longer -horizon takes them") {
		t.Errorf("the notes: %s", text)
	}
	stream := good(-2 * time.Hour)
	stream.Duration = 3 * time.Hour
	long := replayed(t, policy, Options{}, append(entries, stream))
	if text := strings.Join(long.Notes, " "); long.TooLate != 1 || !strings.Contains(text, "The longest -horizon, 1h0m0s, does not take all of them") {
		t.Errorf("%d lines too late; the notes: %s", long.TooLate, text)
	}
}

// Where the horizon is too long for the memory, it shrinks, and what is not out of order is none the worse for it.
func TestMaxInFlight(t *testing.T) {
	want := replayed(t, `{`+steady+`}`, Options{}, outage())
	got := replayed(t, `{`+steady+`}`, Options{MaxInFlight: 500}, outage())
	if got.HeldFor < 2 || got.HeldFor > 6 || got.TooLate != 0 {
		t.Errorf("held for %v s; %d too late", got.HeldFor, got.TooLate)
	}
	if !reflect.DeepEqual(got.Policies, want.Policies) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// More than can be held of one moment leave no time to hold them for: that is told as the least that there is.
func TestMaxInFlightOfAMoment(t *testing.T) {
	for _, after := range []time.Duration{0, 5 * ms, 15 * ms} { // wherever in a slot that is
		entries := make([]accesslog.Entry, 110)
		for i := range entries {
			entries[i] = good(after)
			entries[i].Duration = 0
		}
		if got := replayed(t, `{}`, Options{MaxInFlight: 100}, entries); got.HeldFor != 0.001 || !strings.Contains(strings.Join(got.Notes, " "), "shrank to 1ms") {
			t.Errorf("held for %v s: %q", got.HeldFor, got.Notes)
		}
	}
}

// A misspelt name in an override would make a policy look as if it had no effect.
func TestUnmatchedOverrides(t *testing.T) {
	entries := every(100*ms, 0, time.Second, good)
	entries[3].Route = "reports"
	for config, want := range map[string]string{
		`{"clusters": [{"match": "` + entries[0].Cluster + `", "route": "report"}, {"match": "?"}, {"match": "*"}]}`: `2 overrides matched no request: clusters[0] "` + entries[0].Cluster + `" route "report", clusters[1] "?".`,
		`{"clusters": [{"match": "*", "route": "report*"}, {"match": "*"}]}`:                                         "",
	} {
		text := strings.Join(replayed(t, config, Options{}, entries).Notes, " ")
		if !strings.Contains(text, want) || want == "" && strings.Contains(text, "matched no request") {
			t.Errorf("%s: %s", config, text)
		}
	}
}

// What nobody can say anything of is counted apart.
func TestLeftOut(t *testing.T) {
	entries := every(100*ms, 0, time.Second, good)
	entries[1].Cluster = ""
	entries[2].Decision, entries[3].Decision, entries[4].Decision = "rejected", "fallback", "shadow_rejected"
	entries[5].Status, entries[5].Details = 503, "circuit_breaker_open"
	r := replayed(t, `{}`, Options{}, entries)
	if r.Lines != 10 || r.WithoutCluster != 1 || r.AlreadyRejected != 3 || r.Policies[0].Total.Requests != 6 {
		t.Errorf("%+v", r)
	}
	if text := strings.Join(r.Notes, " "); !strings.Contains(text, "3 requests had been rejected") || !strings.Contains(text, "1 request went to no upstream cluster") {
		t.Errorf("the notes: %s", text)
	}
	broken := New(Options{Policies: []Policy{{Config: parse(t, `{}`)}}})
	for range 30 {
		broken.Broken(&accesslog.Broken{File: "x", Line: 7, Err: errors.New("no time")})
	}
	if r := broken.Finish(); r.Lines != 30 || r.Broken != 30 || len(r.BrokenLines) != report.MostBroken || r.BrokenLines[0] != (report.BrokenLine{File: "x", Line: 7, Error: "no time"}) {
		t.Errorf("%+v", r)
	}
	if r := New(Options{Policies: []Policy{{Config: parse(t, `{}`)}}}).Finish(); len(r.Policies[0].Breakers) != 0 || !r.From.IsZero() {
		t.Errorf("an empty log: %+v", r)
	}
}

// An outage's beginning is told in spite of the failures that there always are.
func TestNoticed(t *testing.T) {
	usual := with(every(10*ms, 0, time.Minute, good), func(e *accesslog.Entry) {
		if e.Start/int64(10*ms)%20 == 0 {
			e.Status = 500
		}
	})
	r := replayed(t, `{`+steady+`}`, Options{}, written(usual, every(10*ms, time.Minute, 66*time.Second, failed)))
	o := &r.Policies[0].Breakers[0]
	m := o.Transitions[0]
	took := m.At.Sub(day.Add(time.Minute)).Seconds()
	if took < 4 || took > 6 || m.Noticed == nil || *m.Noticed < took-0.1 || *m.Noticed > took+0.5 {
		t.Errorf("noticed in %v s, want %v; %s", *m.Noticed, took, told(o))
	}
	if *o.NoticedMedian != *m.Noticed || *o.NoticedMax != *m.Noticed || o.Outages != 1 {
		t.Errorf("%+v", o)
	}
}

// With Recovery a trial has the luck of any request of that time.
func TestRecovery(t *testing.T) {
	entries := written(every(100*ms, 0, 500*ms, failed), every(50*ms, 2*time.Second, 5400*ms, good), every(100*ms, 5500*ms, 5600*ms, failed))
	for recovery, want := range map[bool]string{
		false: "half_open -> open: a trial failed after 0 good of 1; open for 10s, trip 2 in a row",
		true:  "half_open -> closed: 1 trials succeeded",
	} {
		r := replayed(t, `{"min_requests": 5, "half_open": {"success_threshold": 1}, `+steady+`}`, Options{Recovery: recovery}, entries)
		o := &r.Policies[0].Breakers[0]
		if told := told(o); !strings.HasSuffix(told, want+"\n") || r.Recovery != recovery {
			t.Errorf("recovery %v: %s", recovery, told)
		}
	}
}

// What a log cannot tell is left out: without probes an open breaker tries when its time is over.
func TestProbesAreNotSimulated(t *testing.T) {
	entries := written(every(100*ms, 0, time.Second, failed), every(100*ms, time.Second, 10*time.Second, good))
	want := replayed(t, `{"min_requests": 5, `+steady+`}`, Options{}, entries)
	got := replayed(t, `{"min_requests": 5, "probe": {"path": "/health", "interval": "30s"}, `+steady+`}`, Options{}, entries)
	if got, want := told(&got.Policies[0].Breakers[0]), told(&want.Policies[0].Breakers[0]); got != want || !strings.Contains(want, "-> closed") {
		t.Errorf("with a probe\n%swithout\n%s", got, want)
	}
}
