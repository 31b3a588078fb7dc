package verdict_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/verdict"
)

func judge(t *testing.T, configuration string, e verdict.Ending) (breaker.Outcome, string) {
	t.Helper()
	rules, err := config.Parse([]byte(configuration))
	if err != nil {
		t.Fatal(err)
	}
	return rules.Judge(e)
}

// Configurations of the tables.
const (
	defaults  = ``
	slowCalls = `{"slow_call": {"duration": "1s"}}`
	listed    = `{"slow_call": {"duration": "1s"}, "failure_on": ["gateway-error", "429", "overflow", "resource-exhausted", "body-timeout"]}`
	nothing   = `{"failure_on": ["418"]}`
)

var (
	success = breaker.Outcome{Result: breaker.Success}
	failure = breaker.Outcome{Result: breaker.Failure}
	neutral = breaker.Outcome{Result: breaker.Neutral}
)

func slow(o breaker.Outcome) breaker.Outcome { o.Slow = true; return o }

// answered is the whole answer to a whole request.
func answered(status, grpc int) verdict.Ending {
	return verdict.Ending{Origin: verdict.Answered, Status: status, GRPC: grpc, Sent: true}
}

// brokenOff is an answer that somebody cut off.
func brokenOff(status, grpc int, by verdict.Origin) verdict.Ending {
	e := answered(status, grpc)
	e.Broken, e.Cut = true, by
	return e
}

// unanswered is the end of a whole request to which no answer came.
func unanswered(by verdict.Origin) verdict.Ending {
	return verdict.Ending{Origin: by, Status: -1, GRPC: -1, Sent: true}
}

// unsent is the end of a request that had not come to its end.
func unsent(by verdict.Origin) verdict.Ending {
	e := unanswered(by)
	e.Sent = false
	return e
}

func after(d time.Duration, e verdict.Ending) verdict.Ending { e.Waited = d; return e }

// atDeadline is the end at a deadline that the caller had set.
func atDeadline(waited time.Duration) verdict.Ending {
	e := after(waited, unanswered(verdict.Timeout))
	e.CallersDeadline = true
	return e
}

// exceeded is the answer of an upstream at the deadline that the caller had set.
func exceeded(waited time.Duration) verdict.Ending {
	e := after(waited, answered(200, verdict.DeadlineExceeded))
	e.CallersDeadline = true
	return e
}

func tunnel(e verdict.Ending) verdict.Ending { e.Tunnel = true; return e }

func TestJudge(t *testing.T) {
	isUnanswered := breaker.Outcome{Result: breaker.Neutral, Unanswered: true}
	for _, c := range []struct {
		config string
		e      verdict.Ending
		want   breaker.Outcome
		reason string
	}{
		{defaults, answered(200, -1), success, "answered"},
		{defaults, answered(404, -1), success, "answered"},
		{defaults, answered(429, -1), success, "answered"},
		{defaults, answered(500, -1), failure, "status"},
		{defaults, answered(599, -1), failure, "status"},
		{defaults, answered(-1, -1), success, "answered"},
		{listed, answered(500, -1), success, "answered"},
		{listed, answered(502, -1), failure, "status"},
		{listed, answered(504, -1), failure, "status"},
		{listed, answered(505, -1), success, "answered"},
		{listed, answered(429, -1), failure, "status"},

		{defaults, answered(200, 0), success, "answered"},
		{defaults, answered(200, 14), failure, "grpc_status"},
		{defaults, answered(200, 4), failure, "grpc_status"},
		{defaults, answered(200, 13), failure, "grpc_status"},
		{defaults, answered(200, 15), failure, "grpc_status"},
		{defaults, answered(200, 5), success, "answered"},
		{defaults, answered(200, 1), success, "answered"},
		{defaults, answered(200, 99), success, "answered"},
		{listed, answered(200, 8), failure, "grpc_status"},
		{nothing, answered(200, 14), success, "answered"},

		// An answer can come before the request's end.
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 413, GRPC: -1}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 503, GRPC: -1}, failure, "status"},

		// No answer came.
		{defaults, unanswered(verdict.ConnectFailure), failure, "connect-failure"},
		{defaults, unanswered(verdict.Reset), failure, "reset"},
		{defaults, unanswered(verdict.Timeout), failure, "timeout"},
		{defaults, unanswered(verdict.NoHealthyUpstream), failure, "no-healthy-upstream"},
		{defaults, unanswered(verdict.Overflow), neutral, "overflow"},
		{listed, unanswered(verdict.Overflow), failure, "overflow"},
		{listed, unanswered(verdict.Timeout), neutral, "timeout"},
		{defaults, unanswered(verdict.Elsewhere), neutral, "elsewhere"},
		// The upstream can be at fault before the request's end, too.
		{defaults, unsent(verdict.ConnectFailure), failure, "connect-failure"},
		{defaults, unsent(verdict.Reset), failure, "reset"},
		{defaults, unsent(verdict.NoHealthyUpstream), failure, "no-healthy-upstream"},
		{defaults, unsent(verdict.Elsewhere), neutral, "elsewhere"},

		// Envoy's limits on streams and the route's timeouts are the upstream's doing once nothing else was left to wait for.
		{defaults, unanswered(verdict.Outlived), failure, "timeout"},
		{listed, unanswered(verdict.Outlived), neutral, "timeout"},
		{defaults, unsent(verdict.Outlived), neutral, "elsewhere"},
		{defaults, unsent(verdict.Timeout), neutral, "elsewhere"},
		{slowCalls, after(2*time.Second, unanswered(verdict.Outlived)), slow(failure), "timeout"},

		// The client gave up.
		{defaults, unanswered(verdict.ClientGone), neutral, "client_gone"},
		{defaults, unsent(verdict.ClientGone), neutral, "client_gone"},
		{defaults, after(time.Second-1, unanswered(verdict.ClientGone)), neutral, "client_gone"},
		{defaults, after(time.Second, unanswered(verdict.ClientGone)), isUnanswered, "client_gone"},
		{defaults, after(time.Minute, unanswered(verdict.Elsewhere)), neutral, "elsewhere"},
		{slowCalls, after(time.Second, unanswered(verdict.ClientGone)), isUnanswered, "client_gone"},
		{slowCalls, after(time.Second+1, unanswered(verdict.ClientGone)), slow(success), "client_gone"},

		// The caller chose the deadline.
		{defaults, atDeadline(0), neutral, "callers_deadline"},
		{defaults, atDeadline(time.Second - 1), neutral, "callers_deadline"},
		{defaults, atDeadline(time.Second), failure, "timeout"},
		{nothing, atDeadline(time.Second), neutral, "timeout"},
		{slowCalls, atDeadline(time.Second - 1), neutral, "callers_deadline"},
		{slowCalls, atDeadline(2 * time.Second), slow(failure), "timeout"},
		{`{"slow_call": {"duration": "100ms"}}`, atDeadline(100 * time.Millisecond), neutral, "callers_deadline"},
		{`{"slow_call": {"duration": "100ms"}}`, atDeadline(100*time.Millisecond + 1), slow(failure), "timeout"},
		{`{"slow_call": {"duration": "100ms"}, "failure_on": ["5xx"]}`, atDeadline(200 * time.Millisecond), slow(success), "timeout"},
		{`{"slow_call": {"duration": "1h"}}`, atDeadline(time.Second), failure, "timeout"},

		{defaults, exceeded(0), neutral, "callers_deadline"},
		{defaults, exceeded(time.Second - 1), neutral, "callers_deadline"},
		{defaults, exceeded(time.Second), failure, "grpc_status"},
		{defaults, after(time.Second-1, answered(200, 4)), failure, "grpc_status"},
		{`{"failure_on": ["unavailable"]}`, exceeded(0), success, "answered"},
		{`{"slow_call": {"duration": "100ms"}}`, exceeded(100 * time.Millisecond), neutral, "callers_deadline"},
		{`{"slow_call": {"duration": "100ms"}}`, exceeded(100*time.Millisecond + 1), slow(failure), "grpc_status"},

		// A good answer was cut off.
		{defaults, brokenOff(200, -1, verdict.Reset), failure, "reset"},
		{defaults, brokenOff(200, -1, verdict.ConnectFailure), failure, "connect-failure"},
		{nothing, brokenOff(200, -1, verdict.Reset), neutral, "reset"},
		{defaults, brokenOff(200, -1, verdict.ClientGone), neutral, "client_gone"},
		{defaults, after(2*time.Second, brokenOff(200, -1, verdict.ClientGone)), neutral, "client_gone"},
		{slowCalls, after(2*time.Second, brokenOff(200, -1, verdict.ClientGone)), slow(success), "client_gone"},
		{slowCalls, after(2*time.Second, brokenOff(200, -1, verdict.Reset)), slow(failure), "reset"},
		{defaults, brokenOff(200, -1, verdict.Timeout), neutral, "body-timeout"},
		{`{"failure_on": ["timeout"]}`, brokenOff(200, -1, verdict.Timeout), neutral, "body-timeout"},
		{`{"failure_on": ["body-timeout"]}`, brokenOff(200, -1, verdict.Timeout), failure, "body-timeout"},
		{`{"failure_on": ["body-timeout"]}`, unanswered(verdict.Timeout), neutral, "timeout"},
		{`{"failure_on": ["body-timeout"]}`, brokenOff(200, -1, verdict.Outlived), neutral, "elsewhere"},
		{defaults, brokenOff(200, -1, verdict.Outlived), neutral, "elsewhere"},
		{slowCalls, after(2*time.Second, brokenOff(200, -1, verdict.Outlived)), slow(success), "elsewhere"},
		// Another filter has put its own answer in its place.
		{defaults, brokenOff(200, -1, verdict.Elsewhere), success, "answered"},
		{defaults, brokenOff(200, -1, verdict.Answered), success, "answered"},
		{slowCalls, after(2*time.Second, brokenOff(200, -1, verdict.Elsewhere)), slow(success), "answered"},

		// A tunnel is judged by its handshake.
		{defaults, tunnel(answered(101, -1)), success, "answered"},
		{defaults, tunnel(brokenOff(101, -1, verdict.ClientGone)), success, "answered"},
		{defaults, tunnel(brokenOff(101, -1, verdict.Reset)), success, "answered"},
		{defaults, tunnel(brokenOff(101, -1, verdict.Outlived)), success, "answered"},
		{defaults, tunnel(brokenOff(200, -1, verdict.ClientGone)), success, "answered"},
		{slowCalls, after(2*time.Second, tunnel(brokenOff(101, -1, verdict.ClientGone))), slow(success), "answered"},

		{slowCalls, after(time.Second, answered(200, -1)), success, "answered"},
		{slowCalls, after(time.Second+1, answered(200, -1)), slow(success), "answered"},
		{slowCalls, after(2*time.Second, answered(500, -1)), slow(failure), "status"},
		{slowCalls, after(2*time.Second, answered(200, 14)), slow(failure), "grpc_status"},
		{slowCalls, after(2*time.Second, unanswered(verdict.Timeout)), slow(failure), "timeout"},
		{slowCalls, after(2*time.Second, unanswered(verdict.Elsewhere)), neutral, "elsewhere"},
		{listed, after(2*time.Second, unanswered(verdict.Timeout)), slow(success), "timeout"},
	} {
		if got, reason := judge(t, c.config, c.e); got != c.want || reason != c.reason {
			t.Errorf("%s %+v: %+v (%s), want %+v (%s)", c.config, c.e, got, reason, c.want, c.reason)
		}
	}
}

// What Envoy sends in the upstream's place can be mapped to any status, and says nothing.
func TestJudgeLooksAtNoStatusOfEnvoys(t *testing.T) {
	for o := verdict.Elsewhere; o <= verdict.Overflow; o++ {
		if o == verdict.Answered {
			continue
		}
		for _, e := range []verdict.Ending{unanswered(o), unsent(o)} {
			want, wantReason := judge(t, defaults, e)
			for _, status := range []int{200, 404, 408, 429, 500, 503, 504} {
				for _, grpc := range []int{-1, 0, 4, 14} {
					e.Status, e.GRPC = status, grpc
					if got, reason := judge(t, defaults, e); got != want || reason != wantReason {
						t.Errorf("%+v: %+v (%s), want %+v (%s)", e, got, reason, want, wantReason)
					}
				}
			}
		}
	}
}

// What is bad about an answer stays so, however its body goes on: a trial has been told by then.
func TestJudgeKeepsBadAnswers(t *testing.T) {
	for _, e := range []verdict.Ending{answered(500, -1), answered(503, 0), answered(200, 14), after(2*time.Second, answered(503, -1))} {
		want, wantReason := judge(t, slowCalls, e)
		if want.Result != breaker.Failure {
			t.Errorf("%+v: %+v", e, want)
		}
		for cut := verdict.Elsewhere; cut <= verdict.Overflow; cut++ {
			e.Broken, e.Cut = true, cut
			if got, reason := judge(t, slowCalls, e); got != want || reason != wantReason {
				t.Errorf("%+v: %+v (%s), want %+v (%s)", e, got, reason, want, wantReason)
			}
		}
	}
}
