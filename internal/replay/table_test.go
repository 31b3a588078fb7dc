package replay

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/report"
)

func TestText(t *testing.T) {
	entries := written(
		every(100*ms, 0, 9*time.Second, failed), every(100*ms, 9*time.Second, 30*time.Second, good),
		with(every(20*ms, 0, 30*time.Second, good), func(e *accesslog.Entry) { e.Cluster, e.Route, e.Instance = "catalog", "books", "envoy-1" }),
	)
	entries[3].Decision = "rejected"
	const first, second = `{"per": "route", ` + steady + `}`, `{"per": "route", "failure_rate": 0, "consecutive_failures": 3, "probe": {"path": "/"}, ` + steady + `}`
	one := replayed(t, first, Options{}, entries)
	two := replayed(t, second, Options{Policies: []Policy{{"first", parse(t, first)}}}, entries)
	for i, test := range []struct {
		report *report.Report
		want   string
	}{
		{one, `
1,800 lines, 2026-11-24 10:00:00 to 2026-11-24 10:00:29 UTC.

CLUSTER   ROUTE  INSTANCE  REQUESTS  FAILED  SLOW  LATE  NEUTRAL  TRIPS   OPEN  REJECTED  SAVED  LOST  AVOIDED  NOTICED
catalog   books  envoy-1      1,499       0     0     0        0      0      -         0      0     0        0        -
payments  -      -              300      21     0     0        0      2  15.2s       150     69    81      150    1.91s
all                           1,799      21     0     0        0      2  15.2s       150     69    81      150    1.91s

payments
  2026-11-24 10:00:01.905  closed -> open: 20/20 failed in 10s, threshold 50%; open for 5s, trip 1 in a row; noticed in 1.91s
  2026-11-24 10:00:07.005  half_open -> open: a trial failed after 0 good of 3; open for 10s, trip 2 in a row
  2026-11-24 10:00:17.305  half_open -> closed: 3 trials succeeded

* Requests that would have been rejected are assumed to have ended as they did; the breaker heard nothing of them.
* 1 request had been rejected or sent to a fallback by a breaker when the log was written. Nobody knows how they would have ended, so they are left out: for the whole picture record a log with "mode": "shadow".
`},
		{two, `
1,800 lines, 2026-11-24 10:00:00 to 2026-11-24 10:00:29 UTC.

CLUSTER   ROUTE  INSTANCE  POLICY  REQUESTS  TRIPS   OPEN  REJECTED  SAVED  LOST  AVOIDED  NOTICED
catalog   books  envoy-1   first      1,499      0      -         0      0     0        0        -
catalog   books  envoy-1   policy     1,499      0      -         0      0     0        0        -
payments  -      -         first        300      2  15.2s       150     69    81      150    1.91s
payments  -      -         policy       300      2  15.2s       150     86    64      150    205ms
all                        first      1,799      2  15.2s       150     69    81      150    1.91s
all                        policy     1,799      2  15.2s       150     86    64      150    205ms

* Requests that would have been rejected are assumed to have ended as they did; the breaker heard nothing of them.
* Probes are not simulated: an open breaker tries requests when its open time is over.
* 1 request had been rejected or sent to a fallback by a breaker when the log was written. Nobody knows how they would have ended, so they are left out: for the whole picture record a log with "mode": "shadow".
`},
		{replayed(t, first, Options{}, with(every(time.Second, 0, time.Second, good), func(e *accesslog.Entry) { e.Duration = 90 * time.Second })), `
1 line, and none to replay.
* Requests that would have been rejected are assumed to have ended as they did; the breaker heard nothing of them.
* 1 line came too late to be put in order and were left out: their requests began up to 1m30s before one that had ended already. A longer -horizon takes them, and more memory.
`},
		{replayed(t, first, Options{}, nil), `
0 lines, and none to replay.
* Requests that would have been rejected are assumed to have ended as they did; the breaker heard nothing of them.
`},
	} {
		var text strings.Builder
		if err := test.report.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		if got := "\n" + text.String(); got != test.want {
			t.Errorf("%d: got%s\nwant%s", i, got, test.want)
		}
	}
}

// Names that a log has are not the terminal's commands.
func TestNamesAreText(t *testing.T) {
	r := replayed(t, `{"per": "route", `+steady+`}`, Options{Timeline: true}, with(every(100*ms, 0, 5*time.Second, failed), func(e *accesslog.Entry) {
		e.Cluster, e.Route, e.Instance = "a\x1b[2Jb", "c\n d", "\u202e\xff\u00e9"
	}))
	var text, page strings.Builder
	if err := errors.Join(r.WriteText(&text), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	if want := "\na\uFFFD[2Jb route c\uFFFD d on \uFFFD\uFFFDé\n"; !strings.Contains(text.String(), want) || strings.ContainsAny(text.String(), "\x1b\u202e") {
		t.Errorf("no %q in %q", want, text.String())
	}
	if strings.ContainsAny(page.String(), "\x1b\u202e") {
		t.Error("the page has them")
	}
}

// A breaker that flaps does not fill the terminal, nor the memory.
func TestManyTransitions(t *testing.T) {
	entries := every(50*ms, 0, 40*time.Minute, failed)
	r := replayed(t, `{"min_requests": 1, "open": {"duration": "1s", "multiplier": 1}}`, Options{}, entries)
	o := &r.Policies[0].Breakers[0]
	if len(o.Transitions) != report.MostTransitions || o.TransitionsLeftOut < 1000 || o.Trips < 1000 {
		t.Errorf("%d transitions, %d left out, %d trips", len(o.Transitions), o.TransitionsLeftOut, o.Trips)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || strings.Count(text.String(), "\n") > 40 || !strings.Contains(text.String(), "more transitions: -json lists up to 1,000\n") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestJSON(t *testing.T) {
	r := replayed(t, `{`+steady+`}`, Options{}, every(100*ms, 0, 9*time.Second, failed))
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Lines    int
		Policies []struct {
			Breakers []map[string]any
			Total    map[string]any
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	b := got.Policies[0].Breakers[0]
	transition := b["transitions"].([]any)[0]
	want := map[string]any{"at": "2026-11-24T10:00:01.905Z", "from": "closed", "to": "open", "reason": "failure_rate",
		"text": "closed -> open: 20/20 failed in 10s, threshold 50%; open for 5s, trip 1 in a row", "noticed_seconds": 1.905}
	if !reflect.DeepEqual(transition, want) || b["cluster"] != "payments" || b["saved"] != 69.0 || got.Policies[0].Total["rejected"] != 69.0 {
		t.Errorf("%s", text)
	}
}
