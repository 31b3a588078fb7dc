//go:build wasip1

package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// The upstream's time begins when the client has sent the whole request. That is known exactly: by the headers where they are
// all of it, by the last piece of the body, or by the trailers.

// follow begins to follow a request that goes on to its cluster, from its headers on.
func (s *stream) follow(endOfStream uint32) {
	s.readDeadlines()
	s.began = clock{}.Coarse()
	if s.permit.Trial() {
		bridge.SetProperty(trialOf, []byte(s.plugin.name))
		s.began = clock{}.Now()
		s.plugin.trials = append(s.plugin.trials, s)
	}
	if endOfStream != 0 {
		s.requestEnds()
	}
}

// readDeadlines reads the deadlines that a caller has set. Envoy's router takes off their headers, so this is the only place to read
// them. It leaves grpc-timeout, which is read where such a deadline may have ended the request.
func (s *stream) readDeadlines() {
	s.deadlines.Request = verdict.ParseTimeout(bridge.Header(bridge.RequestHeaders, "x-envoy-upstream-rq-timeout-ms"))
	s.deadlines.PerTry = verdict.ParseTimeout(bridge.Header(bridge.RequestHeaders, "x-envoy-upstream-rq-per-try-timeout-ms"))
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
	if s := find(id); s != nil && (s.cluster != nil || s.calm) {
		s.requestEnds()
	}
}

// requestEnds starts the upstream's time. Where slow calls are on, the request joins those that wait for an answer.
func (s *stream) requestEnds() {
	s.sent = true
	q := s.queueToJoin()
	if q == nil && s.marked == nil && !s.bodied && s.deadlines == (verdict.Deadlines{}) { // nothing will ask for it exactly
		s.sentAt = clock{}.Coarse()
		return
	}
	s.sentAt = clock{}.Now()
	if q != nil && s.marked == nil && s.answer.at == 0 {
		q.join(s)
	}
}

// queueToJoin is the queue where the request waits; nil where no call is slow. One that has not been asked for its cluster may be slow
// as soon as a call to any of them.
func (s *stream) queueToJoin() *queue {
	if s.cluster == nil {
		return s.plugin.unasked
	}
	return s.cluster.queue
}
