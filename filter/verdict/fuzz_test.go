package verdict_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/verdict"
)

// FuzzJudge judges arbitrary endings, by what an answer and Envoy's details say, deadlines included. There is always a reason, and nothing
// that a client does alone is a failure of the upstream's.
func FuzzJudge(f *testing.F) {
	f.Add("via_upstream", "", 200, 0, int64(0), int64(0), int64(0), int64(0), int64(0), true, false, false)
	f.Add("response_timeout", "", 504, -1, int64(time.Second), int64(time.Second), int64(20), int64(0), int64(0), true, false, false)
	f.Add("via_upstream", "http2.remote_reset", 200, 14, int64(1), int64(1), int64(0), int64(0), int64(1<<62), false, true, false)
	f.Add("downstream_remote_disconnect", "", -1, -1, int64(time.Hour), int64(time.Hour), int64(0), int64(0), int64(0), true, false, true)
	failureOn := verdict.DefaultFailureOn()
	f.Fuzz(func(t *testing.T, details, cut string, status, grpc int, took, lasted, request, perTry, grpcTimeout int64, sent, broken, tunnel bool) {
		d := verdict.Deadlines{Request: positive(request), PerTry: positive(perTry), GRPC: positive(grpcTimeout)}
		e := verdict.Ending{
			Origin: verdict.OriginOf([]byte(details)), Status: status, GRPC: grpc, Sent: sent,
			Broken: broken, Cut: verdict.OriginOf([]byte(cut)), Tunnel: tunnel,
		}
		e.Waited, e.CallersDeadline = d.Ended(details, positive(took), positive(lasted))
		if e.Waited < 0 || e.CallersDeadline && e.Waited > positive(took) {
			t.Errorf("the upstream had %v of %v", e.Waited, positive(took))
		}
		for _, slowCall := range []time.Duration{0, time.Second} {
			o, reason := verdict.Judge(e, &failureOn, slowCall)
			if reason == "" {
				t.Errorf("%+v has no reason", e)
			}
			clients := e.Origin == verdict.ClientGone || e.Origin == verdict.Elsewhere || !sent && (e.Origin == verdict.Timeout || e.Origin == verdict.Outlived)
			if clients && !tunnel && o.Result == breaker.Failure {
				t.Errorf("%+v is a failure: %s", e, reason)
			}
			if o.Slow && (slowCall == 0 || e.Waited <= slowCall) {
				t.Errorf("%+v is slow", e)
			}
		}
	})
}

func positive(n int64) time.Duration { return time.Duration(max(0, n)) }
