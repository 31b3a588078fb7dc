//go:build wasip1

package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// The upstream's time begins when the client has sent the whole request. That is known exactly: by the headers where they are
// all of it, by the last piece of the body, or by the trailers.

// start notes when a request was admitted, and which deadlines its caller has chosen. The coarse clock is good enough for most.
func (s *stream) start() {
	s.readDeadlines()
	if s.began = (clock{}).Coarse(); s.deadline > 0 || s.tryDeadline > 0 || s.permit.Trial() {
		s.began = clock{}.Now()
	}
	if s.permit.Trial() {
		s.plugin.trials = append(s.plugin.trials, s)
	}
}

// readDeadlines reads the deadlines that a caller has chosen by headers. Envoy takes those headers off the request of a caller
// that may not choose, and its router takes off all but grpc-timeout, so this is the only place to read them.
//
// Where a gRPC route limits its streams by max_stream_duration, Envoy has put its limit into grpc-timeout already.
func (s *stream) readDeadlines() {
	s.deadline = verdict.ParseTimeout(bridge.Header(bridge.RequestHeaders, "x-envoy-upstream-rq-timeout-ms"))
	s.tryDeadline = verdict.ParseTimeout(bridge.Header(bridge.RequestHeaders, "x-envoy-upstream-rq-per-try-timeout-ms"))
	if s.deadline == 0 && s.bodied {
		s.deadline = verdict.ParseGRPCTimeout(bridge.Header(bridge.RequestHeaders, "grpc-timeout"))
	}
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
	case s.marked || q == nil && (s.deadline > 0 || s.tryDeadline > 0):
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
