//go:build wasip1

package main

import (
	"encoding/binary"

	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// Properties of how a request went.
const (
	codeDetails  = "response\x00code_details"
	attemptCount = "upstream\x00request_attempt_count"
)

// answered is how a stream has ended if its answer is all that matters of it.
func (s *stream) answered() verdict.Ending {
	a := &s.answer
	e := verdict.Ending{Origin: a.origin, Status: a.status, GRPC: a.grpc, Sent: s.sent}
	if s.sent {
		e.Waited = max(0, a.at.Sub(s.sentAt))
	}
	return e
}

// ending puts together how a stream ended. What its answer was is known since that passed; the host is asked only where there
// was none, or where it was cut off.
func (s *stream) ending() verdict.Ending {
	a := &s.answer
	e := s.answered()
	switch {
	case a.at == 0:
		e = verdict.Ending{Origin: verdict.OriginOf(bridge.Property(codeDetails)), Status: -1, GRPC: -1, Sent: s.sent}
	case a.origin == verdict.Answered:
		if a.grpc == verdict.DeadlineExceeded {
			s.lookAtCallersDeadline(&e)
		}
		if e.Tunnel = a.status == 101; a.whole || e.Tunnel {
			return e
		}
		e.Cut = verdict.OriginOf(bridge.Property(codeDetails))
		e.Broken = true
		e.Tunnel = a.status == 200 && e.Cut != verdict.Answered && string(bridge.Header(bridge.RequestHeaders, ":method")) == "CONNECT"
		return e
	}
	if !s.sent {
		return e
	}
	end := a.at
	if end == 0 {
		end = clock{}.Now()
	}
	e.Waited = max(0, end.Sub(s.sentAt))
	switch e.Origin {
	case verdict.ClientGone, verdict.Outlived:
		if !asked() {
			e.Origin = verdict.Elsewhere // it was a filter after this one that kept the client waiting
		}
	}
	if e.Origin == verdict.Timeout || e.Origin == verdict.Outlived {
		s.deadlines.GRPC = verdict.ParseGRPCTimeout(bridge.Header(bridge.RequestHeaders, "grpc-timeout"))
		e.Waited, e.CallersDeadline = s.deadlines.Ended(a.details, e.Waited, end.Sub(s.began))
	}
	return e
}

// lookAtCallersDeadline finds out whether an upstream that says that a deadline has passed had been given any time.
func (s *stream) lookAtCallersDeadline(e *verdict.Ending) {
	at := s.answer.exceededAt
	s.deadlines.GRPC = verdict.ParseGRPCTimeout(bridge.Header(bridge.RequestHeaders, "grpc-timeout"))
	if e.CallersDeadline = s.deadlines.Exceeded(at.Sub(s.began)); e.CallersDeadline && s.sent {
		e.Had = max(0, at.Sub(s.sentAt))
	}
}

// asked reports whether the request has been sent to the upstream at all.
func asked() bool {
	n := bridge.Property(attemptCount)
	return len(n) == 8 && binary.LittleEndian.Uint64(n) > 0
}
