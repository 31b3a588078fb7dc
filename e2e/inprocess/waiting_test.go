package inprocess_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

const ms = time.Millisecond

// A grpcAnswer is the headers of one that goes on.
var grpcAnswer = wasmhost.Headers{{Name: "content-type", Value: "application/grpc"}}

// openUp lets failures open payments' breaker, and its open time be over. The next request is a trial.
func (w *workers) openUp() {
	w.t.Helper()
	for n := 0; w.call(0, 500); n++ {
		if n == 1000 {
			w.t.Fatal("failures do not open the breaker")
		}
	}
	w.advance(5 * time.Second)
}

// trial sends a request that a half-open breaker lets in.
func (w *workers) trial(worker int, r wasmhost.Req) *wasmhost.Stream {
	w.t.Helper()
	r.Cluster = "payments"
	s := w.send(worker, r)
	if !s.Continued() {
		w.t.Fatal("the trial was not let in")
	}
	return s
}

// heldBack has filters after the breaker keep all requests of a worker from the upstream, until it is told to let go.
func (w *workers) heldBack() (letGo func()) {
	w.SetHook(func(_ int, call, key string) wasmhost.Status {
		if call == "proxy_get_property" && key == "upstream.request_attempt_count" {
			return wasmhost.NotFound
		}
		return wasmhost.OK
	})
	return func() { w.SetHook(nil) }
}

// A hang opens the breaker while it hangs: with all of its requests on two workers, within 100 ms of the last one's being slow.
func TestHangInProcess(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "500ms", "rate": 50}, "min_requests": 10, "open": {"jitter": 0}}`})
	var hung []*wasmhost.Stream
	for i := range 10 {
		w.advance(7 * ms)
		hung = append(hung, w.request(i%2))
	}
	w.advance(500 * ms)
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 0})
	w.advance(100 * ms)
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 1, breaker.Calls: 10, breaker.SlowCalls: 10, breaker.Failures: 0, breaker.OpenedSlowRate: 1, breaker.Streak: 0})
	if w.call(0, 200) || w.call(1, 200) {
		t.Error("a worker still admits")
	}
	if log := fmt.Sprint(w.Logs()); !strings.Contains(log, "10 of them still waiting") {
		t.Errorf("the log does not say that they are waiting:\n%s", log)
	}
	// What becomes of them adds nothing.
	for i, s := range hung {
		w.end(s.Status(200 + 300*(i%2)))
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 1, breaker.Calls: 10, breaker.SlowCalls: 10, breaker.Failures: 0, breaker.Late: 0, breaker.Opened: 1})
}

// A call that was counted while it waited is no second call at its end, and no second slow one. It may be a failure.
func TestEarlyVerdict(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "500ms", "rate": 100}, "consecutive_failures": 100}`})
	w.warm()
	calls := w.stat(breaker.Calls)
	for i, end := range []wasmhost.End{
		{Status: 200, Upstream: wasmhost.Upstream},
		{Status: 500, Upstream: wasmhost.Upstream},
		wasmhost.Timeout,
		wasmhost.ClientGone,
		wasmhost.UpstreamClosed,
	} {
		s := w.request(i % 2)
		w.advance(700 * ms)
		w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + uint64(i) + 1, breaker.SlowCalls: uint64(i) + 1})
		w.end(s.End(end))
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 0, breaker.Calls: calls + 5, breaker.SlowCalls: 5, breaker.Failures: 3, breaker.Neutrals: 0, breaker.Late: 0, breaker.Waiting: 0})

	// Those that have an answer, or have ended, are not looked at.
	s := w.request(0)
	w.end(s.Respond(200, nil))
	w.end(w.request(0).End(wasmhost.ClientGone))
	w.advance(2 * time.Second)
	w.end(s.End(wasmhost.End{}))
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + 6, breaker.SlowCalls: 5, breaker.Neutrals: 1, breaker.Waiting: 0})
}

// The upstream's time begins at the end of the request.
func TestUploadIsNotWaiting(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "500ms"}}`})
	w.warm()
	calls := w.stat(breaker.Calls)
	s := w.send(0, wasmhost.Req{Cluster: "payments", Body: true})
	w.advance(10 * time.Second)
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls, breaker.SlowCalls: 0})
	w.end(s.EndRequest())
	w.advance(400 * ms)
	w.end(s.OK())
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + 1, breaker.SlowCalls: 0})

	s = w.send(0, wasmhost.Req{Cluster: "payments", Body: true})
	w.advance(10 * time.Second)
	w.end(s.EndRequest())
	w.advance(700 * ms)
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + 2, breaker.SlowCalls: 1})
	w.end(s.OK())
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + 2, breaker.SlowCalls: 1})
}

// Each cluster's limit holds for its own requests, which have a queue with those of the same limit.
func TestQueues(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"slow_call": {"duration": "2s"}, "clusters": [
		{"match": "payments", "slow_call": {"duration": "500ms"}}, {"match": "cart", "slow_call": {"duration": "500ms"}}, {"match": "off", "slow_call": {"duration": "0s"}}]}`})
	slow := func(cluster string) uint64 {
		return w.Stat("circuit_breaker.breaker.cluster." + cluster + ".slow_calls")
	}
	want := func(payments, cart, other, off uint64) {
		t.Helper()
		if p, c, o, f := slow("payments"), slow("cart"), slow("other"), slow("off"); p != payments || c != cart || o != other || f != off {
			t.Errorf("after %v slow calls are %d %d %d %d, want %d %d %d %d", w.Now(), p, c, o, f, payments, cart, other, off)
		}
	}
	var streams []*wasmhost.Stream
	for range 3 {
		for _, cluster := range []string{"payments", "other", "cart", "off"} {
			streams = append(streams, w.send(0, wasmhost.Req{Cluster: cluster}))
		}
		w.advance(200 * ms)
	}
	// One in the middle of a queue, the oldest and the newest leave.
	w.end(streams[4].OK())
	w.end(streams[1].End(wasmhost.ClientGone))
	w.end(streams[10].OK())
	want(1, 1, 0, 0)
	w.advance(time.Second)
	want(2, 2, 0, 0)
	w.advance(2 * time.Second)
	want(2, 2, 2, 0)
	for i, s := range streams {
		if i != 4 && i != 1 && i != 10 {
			w.end(s.OK())
		}
	}
	want(2, 2, 2, 0)
	w.advance(time.Second)
	want(2, 2, 2, 0)
}

// A filter after the breaker that keeps a request from the upstream keeps it from being slow.
func TestHeldBackInProcess(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "500ms"}}`})
	w.warm()
	calls := w.stat(breaker.Calls)
	letGo := w.heldBack()
	s := w.request(0)
	w.advance(10 * time.Second)
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls, breaker.SlowCalls: 0})
	letGo()
	w.advance(300 * ms)
	w.end(s.OK())
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + 1, breaker.SlowCalls: 0})

	// From then on it is the upstream's time.
	letGo = w.heldBack()
	s = w.request(0)
	w.advance(10 * time.Second)
	letGo()
	w.advance(1200 * ms)
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + 2, breaker.SlowCalls: 1})
	w.end(s.OK())

	// And a client that has had enough of the filter has seen nothing of the upstream.
	letGo = w.heldBack()
	s = w.request(0)
	w.advance(10 * time.Second)
	w.end(s.End(wasmhost.ClientGone))
	letGo()
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: calls + 2, breaker.SlowCalls: 1, breaker.Neutrals: 1})
}

// A trial that waits for too long is a bad one while it waits, and its end changes nothing.
func TestEarlyVerdictOfTrial(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "500ms"}, "open": {"jitter": 0}}`})
	w.openUp()
	before := w.stat(breaker.Calls)
	s := w.trial(1, wasmhost.Req{})
	w.advance(500 * ms)
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 2})
	w.advance(100 * ms)
	want := map[breaker.Stat]uint64{breaker.StateGauge: 1, breaker.Calls: before + 1, breaker.SlowCalls: 1, breaker.OpenedHalfOpenFailure: 1}
	w.wantStats(want)
	if got, _ := s.Property("circuit_breaker"); !strings.HasSuffix(got, "outcome=success,slow reason=waiting") {
		t.Errorf("the access log reads %q", got)
	}
	w.end(s.Respond(500, nil))
	w.end(s.End(wasmhost.BrokenOff))
	w.wantStats(want)
	w.wantStats(map[breaker.Stat]uint64{breaker.Late: 0, breaker.Neutrals: 0})
}

// A trial whose client takes its time over the request gives its place back after a second. Its verdict counts all the same.
func TestUploadGivesItsPlaceBack(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"open": {"multiplier": 1}, "half_open": {"max_requests": 1, "success_threshold": 2, "permit_timeout": "5s"}}`})
	w.openUp()
	upload := w.trial(0, wasmhost.Req{Body: true})
	w.advance(900 * ms)
	if w.call(1, 200) {
		t.Fatal("a second trial before the upload's second was over")
	}
	w.advance(200 * ms)
	if !w.call(1, 200) {
		t.Fatal("no second trial after the upload's second")
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 2, breaker.PermitsExpired: 0})
	w.advance(10 * time.Second)
	w.end(upload.OK())
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 0, breaker.PermitsExpired: 0, breaker.Late: 0})

	// One that has sent all keeps its place.
	w.openUp()
	s := w.trial(0, wasmhost.Req{Body: true})
	w.end(s.EndRequest())
	w.advance(4 * time.Second)
	if w.call(1, 200) {
		t.Error("a second trial while the first one held its place")
	}
	w.end(s.OK())

	// And one that has left is none to give anything back.
	s = w.trial(0, wasmhost.Req{Body: true})
	w.end(s.End(wasmhost.ClientGone))
	s = w.trial(1, wasmhost.Req{})
	w.advance(2 * time.Second)
	if w.call(0, 200) {
		t.Error("a trial beside another")
	}
	w.end(s.Status(500))
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 1})
}

// A gRPC stream that has begun well is judged before its permit ends, and not again at its own end.
func TestLongStreamIsGoodTrial(t *testing.T) {
	for _, bidi := range []bool{false, true} {
		t.Run(fmt.Sprintf("bidi=%v", bidi), func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Config: `{"half_open": {"max_requests": 1, "success_threshold": 2, "permit_timeout": "3s"}}`})
			w.openUp()
			before := w.stat(breaker.Calls)
			s := w.trial(0, wasmhost.Req{Body: true})
			if !bidi {
				w.end(s.EndRequest())
			}
			w.end(s.Respond(200, grpcAnswer))
			w.advance(2700 * ms)
			w.wantStats(map[breaker.Stat]uint64{breaker.Calls: before})
			w.advance(200 * ms)
			w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 2, breaker.Calls: before + 1})
			w.advance(10 * time.Second)
			w.end(s.End(wasmhost.End{Trailers: wasmhost.Headers{{Name: "grpc-status", Value: "14"}}}))
			w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 2, breaker.Calls: before + 1, breaker.Late: 0, breaker.PermitsExpired: 0})

			// One that is over before says itself how it went.
			s = w.trial(1, wasmhost.Req{Body: true})
			w.end(s.Respond(200, grpcAnswer))
			w.advance(time.Second)
			w.end(s.End(wasmhost.End{Trailers: wasmhost.Headers{{Name: "grpc-status", Value: "14"}}}))
			w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 1, breaker.Calls: before + 2, breaker.OpenedHalfOpenFailure: 1})
		})
	}
}

// Where an answer has trailers too, a trial is judged by its headers, once.
func TestTrialWithTrailers(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"half_open": {"max_requests": 1, "success_threshold": 2}}`})
	w.openUp()
	before := w.stat(breaker.Calls)
	s := w.trial(0, wasmhost.Req{})
	w.end(s.Respond(200, nil))
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 2, breaker.Calls: before + 1})
	w.end(s.End(wasmhost.End{Trailers: wasmhost.Headers{{Name: "x-end", Value: "now"}}}))
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: 2, breaker.Calls: before + 1, breaker.Late: 0})
}

// Nothing of a stream is left for the one that has its memory after it.
func TestStreamsAreResetWhole(t *testing.T) {
	config := `{"clusters": [
		{"match": "waits", "slow_call": {"duration": "500ms"}},
		{"match": "payments", "consecutive_failures": 1, "half_open": {"max_requests": 1, "success_threshold": 1, "permit_timeout": "1s"}},
		{"match": "trials", "consecutive_failures": 1, "open": {"jitter": 0}, "half_open": {"max_requests": 1, "success_threshold": 3}},
		{"match": "marked", "mode": "force_open", "fallback": {"header": "x-other"}}]}`
	deadlines := wasmhost.Headers{{Name: ":method", Value: "GET"}, {Name: "x-envoy-upstream-rq-timeout-ms", Value: "300"}, {Name: "x-envoy-upstream-rq-per-try-timeout-ms", Value: "300"}}
	for name, use := range map[string]func(w *workers){
		"deadline": func(w *workers) {
			s := w.send(0, wasmhost.Req{Cluster: "other", Headers: deadlines, Body: true})
			w.advance(300 * ms)
			w.end(s.End(wasmhost.Timeout))
		},
		"try": func(w *workers) {
			s := w.send(0, wasmhost.Req{Cluster: "other", Headers: deadlines})
			w.end(s.End(wasmhost.End{Status: 504, Flags: wasmhost.UT, Details: "upstream_per_try_timeout", Upstream: wasmhost.Upstream}))
		},
		"waiting": func(w *workers) {
			s := w.send(0, wasmhost.Req{Cluster: "waits"})
			w.advance(700 * ms)
			w.end(s.End(wasmhost.ClientGone))
		},
		"in the queue": func(w *workers) {
			older, s := w.send(0, wasmhost.Req{Cluster: "waits"}), w.send(0, wasmhost.Req{Cluster: "waits"})
			w.end(s.End(wasmhost.ClientGone))
			w.end(older.End(wasmhost.ClientGone))
		},
		"upload": func(w *workers) {
			w.openUp()
			s := w.trial(0, wasmhost.Req{Body: true})
			w.advance(1200 * ms)
			w.end(s.End(wasmhost.ClientGone))
			w.call(0, 200)
		},
		"told": func(w *workers) {
			w.openUp()
			s := w.trial(0, wasmhost.Req{Body: true})
			w.end(s.Respond(200, grpcAnswer))
			w.advance(1200 * ms)
			w.end(s.End(wasmhost.ClientGone))
		},
		"marked":   func(w *workers) { w.end(w.send(0, wasmhost.Req{Cluster: "marked"}).OK()) },
		"answered": func(w *workers) { w.end(w.send(0, wasmhost.Req{Cluster: "other", Body: true}).Status(500)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Workers: 1, Config: config})
			use(w)
			next := func(r wasmhost.Req, after time.Duration, end wasmhost.End, stat string) {
				t.Helper()
				r.Cluster = "next"
				s := w.send(0, r)
				key := "circuit_breaker.breaker.cluster.next." + stat
				before := w.Stat(key)
				w.advance(after)
				w.end(s.End(end))
				if got := w.Stat(key); got != before+1 {
					t.Errorf("%s went from %d to %d", stat, before, got)
				}
			}
			next(wasmhost.Req{}, 300*ms, wasmhost.Timeout, "failures")
			next(wasmhost.Req{}, 300*ms, wasmhost.End{Status: 504, Flags: wasmhost.UT, Details: "upstream_per_try_timeout", Upstream: wasmhost.Upstream}, "failures")
			next(wasmhost.Req{Body: true}, 2*time.Second, wasmhost.ClientGone, "neutral")
			next(wasmhost.Req{Body: true}, 2*time.Second, wasmhost.Timeout, "failures")
			next(wasmhost.Req{}, 2*time.Second, wasmhost.End{Status: 500, Upstream: wasmhost.Upstream}, "failures")
			next(wasmhost.Req{}, 0, wasmhost.End{Status: 200, Upstream: wasmhost.Upstream}, "calls")
			if n := w.Stat("circuit_breaker.breaker.cluster.next.slow_calls"); n != 0 {
				t.Errorf("%d slow calls where that is off", n)
			}

			trial := func(r wasmhost.Req) *wasmhost.Stream {
				t.Helper()
				r.Cluster = "trials"
				s := w.send(0, r)
				if !s.Continued() {
					t.Fatal("a trial was not let in")
				}
				return s
			}
			w.end(trial(wasmhost.Req{}).Status(500))
			w.advance(5 * time.Second)
			download := trial(wasmhost.Req{})
			w.end(download.Respond(200, nil)) // which is all that its trial waits for
			w.end(trial(wasmhost.Req{}).End(wasmhost.ClientGone))
			w.end(download.End(wasmhost.End{}))
			trial(wasmhost.Req{Body: true})
			w.advance(1200 * ms) // and the upload has given its place back
			trial(wasmhost.Req{})
		})
	}
}
