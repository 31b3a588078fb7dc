//go:build wasip1

package main

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// The upstream's time begins when the client has sent the whole request. That is known exactly: by the headers where they are
// all of it, by the last piece of the body, or by the trailers.

// start notes when a request was admitted, and which deadline its caller has chosen. The coarse clock is good enough for most.
func (s *stream) start() {
	s.deadline = callersDeadline(s.bodied)
	if s.began = (clock{}).Coarse(); s.deadline > 0 || s.permit.Trial() {
		s.began = clock{}.Now()
	}
	if s.permit.Trial() {
		s.plugin.trials = append(s.plugin.trials, s)
	}
}

// callersDeadline reads the deadline that a caller has chosen by a header; 0 if none. Envoy takes those headers off the request of
// a caller that may not choose, and its router takes off all but grpc-timeout, so this is the only place to read them.
func callersDeadline(bodied bool) time.Duration {
	d := verdict.ParseTimeout(bridge.Header(bridge.RequestHeaders, "x-envoy-upstream-rq-timeout-ms"))
	if try := verdict.ParseTimeout(bridge.Header(bridge.RequestHeaders, "x-envoy-upstream-rq-per-try-timeout-ms")); try > 0 && (d == 0 || try < d) {
		d = try
	}
	if d == 0 && bodied {
		d = verdict.ParseGRPCTimeout(bridge.Header(bridge.RequestHeaders, "grpc-timeout"))
	}
	return d
}

//go:wasmexport proxy_on_request_body
func onRequestBody(id, _, endOfStream uint32) uint32 {
	if endOfStream != 0 {
		requestEnds(id)
	}
	return uint32(types.ActionContinue)
}

//go:wasmexport proxy_on_request_trailers
func onRequestTrailers(id, _ uint32) uint32 {
	requestEnds(id)
	return uint32(types.ActionContinue)
}

func requestEnds(id uint32) {
	if s := find(id); s != nil && s.cluster != nil {
		s.requestEnds()
	}
}

// requestEnds starts the upstream's time. Where slow calls are on, the request joins those that wait for an answer.
func (s *stream) requestEnds() {
	s.sent = true
	q := s.cluster.queue
	switch {
	case s.marked || q == nil && s.deadline > 0:
		s.sentAt = clock{}.Now()
	case q == nil:
		s.sentAt = clock{}.Coarse()
	default:
		s.sentAt = clock{}.Now()
		if s.answer.at == 0 {
			q.join(s)
		}
	}
}
