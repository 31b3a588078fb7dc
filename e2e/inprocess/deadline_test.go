package inprocess_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// A server that answers deadline-exceeded because its caller left it no time has not failed; one that had a second, or that says so
// long before the deadline, has.
func TestAnswerAtCallersDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		deadline string
		headers  time.Duration // when they come
		lasts    time.Duration // from then to the trailers
		upload   time.Duration // how long the request takes
		failures uint64
	}{
		"in no time":          {"200m", 200 * ms, 0, 0, 0},
		"a stream in no time": {"300m", 10 * ms, 290 * ms, 0, 0},
		"a slow upload":       {"3S", 3 * time.Second, 0, 2900 * ms, 0},
		"of a second":         {"1100m", 1100 * ms, 0, 0, 1},
		"a stream of seconds": {"2S", 10 * ms, 1990 * ms, 0, 1},
		"long before":         {"30S", 200 * ms, 0, 0, 1},
		"none":                {"", 200 * ms, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Workers: 1})
			status := wasmhost.Headers{{Name: "grpc-status", Value: "4"}}
			headers := wasmhost.Headers{}.With(":method", "POST").With("content-type", "application/grpc")
			if c.deadline != "" {
				headers = headers.With("grpc-timeout", c.deadline)
			}
			s := w.send(0, wasmhost.Req{Cluster: "payments", Headers: headers, Body: true})
			w.advance(c.upload)
			w.end(s.EndRequest())
			w.advance(c.headers - c.upload)
			w.end(s.Respond(200, grpcAnswer))
			w.advance(c.lasts)
			w.end(s.End(wasmhost.End{Trailers: status}))
			w.wantStats(map[breaker.Stat]uint64{breaker.Calls: c.failures, breaker.Failures: c.failures, breaker.Neutrals: 1 - c.failures})
		})
	}
}

// So has one that is asked by a trial: the trial is judged by it, or gives its permit back.
func TestTrialAtCallersDeadline(t *testing.T) {
	for deadline, want := range map[string]map[breaker.Stat]uint64{
		"100m": {breaker.StateGauge: uint64(breaker.HalfOpen), breaker.Neutrals: 1},
		"30S":  {breaker.StateGauge: uint64(breaker.Open), breaker.OpenedHalfOpenFailure: 1},
	} {
		w := startWorkers(t, wasmhost.Options{Workers: 1})
		w.openUp()
		headers := wasmhost.Headers{}.With(":method", "POST").With("content-type", "application/grpc").With("grpc-timeout", deadline)
		s := w.trial(0, wasmhost.Req{Headers: headers, Body: true})
		w.end(s.EndRequest())
		w.advance(100 * ms)
		w.end(s.GRPC(4))
		w.wantStats(want)
	}
}

// A stream whose server ends it at the caller's deadline is not slow: its headers came at once.
func TestStreamAtDeadlineIsNotSlow(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"min_requests": 5, "slow_call": {"duration": "2s"}, "failure_on": ["5xx", "unavailable"]}`})
	var streams []*wasmhost.Stream
	for range 5 {
		headers := wasmhost.Headers{}.With(":method", "POST").With("content-type", "application/grpc").With("grpc-timeout", "10S")
		s := w.send(0, wasmhost.Req{Cluster: "payments", Headers: headers, Body: true})
		w.end(s.EndRequest())
		streams = append(streams, s)
	}
	w.advance(10 * ms)
	for _, s := range streams {
		w.end(s.Respond(200, grpcAnswer))
	}
	w.advance(9990 * time.Millisecond)
	for _, s := range streams {
		w.end(s.End(wasmhost.End{Trailers: wasmhost.Headers{{Name: "grpc-status", Value: "4"}}}))
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: 5, breaker.SlowCalls: 0, breaker.Failures: 0, breaker.StateGauge: uint64(breaker.Closed)})
}
