//go:build wasip1

package main

import (
	"bytes"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/time"
)

// An answer is what came back, as it was when it passed us. The filters before us in the chain come after us on the way back, and
// may change it: at the log it is theirs.
type answer struct {
	at         breaker.Time // when its headers came, to the tick where slow calls are off; 0 while none have
	origin     verdict.Origin
	status     int
	grpc       int
	exceededAt breaker.Time  // when its status came, if that says that a deadline has passed
	whole      bool          // it has come to its end
	retryAfter time.Duration // the upstream's word on when to come back
	details    string        // Envoy's, of its own replies
}

// onResponseHeaders finds out whose answer it is, unless that is known, reads it, and gives a trial its verdict where the headers say all,
// so that a long download does not hold recovery up.
//
//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, _, endOfStream uint32) uint32 {
	s := find(id)
	if s == nil || s.answer.at != 0 { // a filter that answers in an answer's place makes it two
		return uint32(types.ActionContinue)
	}
	s.leaveQueue()
	if !s.findCluster() {
		if s.calm {
			forget(s)
		}
		return uint32(types.ActionContinue)
	}
	a := &s.answer
	if a.at = (clock{}).Coarse(); s.marked != nil || s.cluster.queue != nil {
		a.at = clock{}.Now()
	}
	details := bridge.Property(codeDetails)
	a.origin = verdict.OriginOf(details)
	if a.origin != verdict.Answered {
		// Envoy's own replies are rare, and what they tell of the upstream is how long it had.
		a.details = string(details) // which the next call of the host may overwrite
		a.at = clock{}.Now()
	}
	a.status = verdict.ParseStatus(bridge.Header(bridge.ResponseHeaders, ":status"))
	a.grpc = -1
	if a.origin != verdict.Answered {
		return uint32(types.ActionContinue)
	}
	if a.whole = endOfStream != 0; a.whole {
		s.readGRPC(bridge.ResponseHeaders)
	}
	if s.honorsRetryAfter() && (a.status == 429 || a.status == 503) {
		a.retryAfter = verdict.ParseRetryAfter(bridge.Header(bridge.ResponseHeaders, "retry-after"), bridge.WallClock())
	}
	if s.permit.Trial() && (a.whole || !isGRPC()) {
		s.tell()
	}
	return uint32(types.ActionContinue)
}

// onResponseBody looks for nothing but the end, so that a request which has come to it need not be asked at the log how it
// ended.
//
//go:wasmexport proxy_on_response_body
func onResponseBody(id, _, endOfStream uint32) uint32 {
	if endOfStream != 0 {
		if s := find(id); s != nil && s.answer.origin == verdict.Answered {
			s.answer.whole = true
		}
	}
	return uint32(types.ActionContinue)
}

// onResponseTrailers reads the status of a gRPC answer, which is all that a trial of that kind waits for.
//
//go:wasmexport proxy_on_response_trailers
func onResponseTrailers(id, _ uint32) uint32 {
	s := find(id)
	if s == nil || s.cluster == nil || s.answer.at == 0 || s.answer.origin != verdict.Answered {
		return uint32(types.ActionContinue)
	}
	s.answer.whole = true
	s.readGRPC(bridge.ResponseTrailers)
	if s.permit.Trial() {
		s.tell()
	}
	return uint32(types.ActionContinue)
}

// readGRPC reads the gRPC status of an answer: from its trailers, or from headers that are all of it. A request without a body is
// none of gRPC.
func (s *stream) readGRPC(from uint32) {
	a := &s.answer
	if !s.bodied || a.status != 200 || !s.cluster.rules.FailureOn.AnyGRPC() {
		return
	}
	a.grpc = verdict.ParseStatus(bridge.Header(from, "grpc-status"))
	if a.grpc == verdict.DeadlineExceeded {
		a.exceededAt = clock{}.Now()
	}
	if a.grpc > 0 && s.honorsRetryAfter() {
		a.retryAfter = verdict.ParsePushback(bridge.Header(from, "grpc-retry-pushback-ms"))
	}
}

// honorsRetryAfter reports whether the upstream may be asked when to come back. Who serves a request that was sent to a fallback
// is not known before its end.
func (s *stream) honorsRetryAfter() bool { return s.marked != nil || s.cluster.rules.HonorRetryAfter }

// isGRPC reports whether the response is gRPC, whose status comes in the trailers.
func isGRPC() bool {
	return bytes.HasPrefix(bridge.Header(bridge.ResponseHeaders, "content-type"), []byte("application/grpc"))
}
