//go:build wasip1

package main

import (
	"encoding/binary"
	"time"

	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// Properties of how a request went.
const (
	codeDetails  = "response\x00code_details"
	attemptCount = "upstream\x00request_attempt_count"
)

// ending reads from the host how a stream ended, or for a trial with a final answer, how it will have ended. It makes no call
// of the host that the verdict does not need.
func (s *stream) ending() verdict.Ending {
	e := verdict.Ending{Origin: verdict.OriginOf(bridge.Property(codeDetails)), GRPC: -1}
	e.Status = verdict.ParseStatus(bridge.Header(bridge.ResponseHeaders, ":status"))
	if e.Status == 200 && s.bodied && (e.Origin == verdict.Outlived || s.cluster.rules.FailureOn.AnyGRPC()) {
		e.GRPC = grpcStatus()
	}
	e.Tunnel = e.Status == 101 ||
		e.Status == 200 && e.Origin != verdict.Answered && string(bridge.Header(bridge.RequestHeaders, ":method")) == "CONNECT"
	if s.began == 0 {
		return e
	}
	end := s.headers
	if end == 0 {
		end = clock{}.Now()
	}
	e.Took = end.Sub(s.began)
	if e.Origin == verdict.ClientGone && !asked() {
		e.Origin = verdict.Elsewhere // it was a filter after this one that kept the client waiting
	}
	return e
}

// final reports whether an answer's headers say all: those of the upstream's own, other than gRPC, whose status comes in
// the trailers.
func final() bool {
	const grpc = "application/grpc"
	contentType := bridge.Header(bridge.ResponseHeaders, "content-type")
	if len(contentType) >= len(grpc) && string(contentType[:len(grpc)]) == grpc {
		return false
	}
	return verdict.OriginOf(bridge.Property(codeDetails)) == verdict.Answered
}

// retryAfter reads the upstream's word on when to come back; 0 if it has none.
func retryAfter(e verdict.Ending) time.Duration {
	switch {
	case e.GRPC > 0:
		return verdict.ParsePushback(trailerOrHeader("grpc-retry-pushback-ms"))
	case e.Status == 429 || e.Status == 503:
		return verdict.ParseRetryAfter(bridge.Header(bridge.ResponseHeaders, "retry-after"), time.Now())
	}
	return 0
}

// asked reports whether the request has been sent to the upstream at all.
func asked() bool {
	n := bridge.Property(attemptCount)
	return len(n) == 8 && binary.LittleEndian.Uint64(n) > 0
}

// grpcStatus returns -1 if there is none.
func grpcStatus() int { return verdict.ParseStatus(trailerOrHeader("grpc-status")) }

// trailerOrHeader reads what gRPC sends in trailers, or in the headers of a reply that has no more than them.
func trailerOrHeader(name string) []byte {
	if v := bridge.Header(bridge.ResponseTrailers, name); v != nil {
		return v
	}
	return bridge.Header(bridge.ResponseHeaders, name)
}
