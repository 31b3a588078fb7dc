// Package verdict judges how a request ended: from an [Ending] it makes a [breaker.Outcome] and the name of its reason. It
// knows Envoy's and gRPC's terms, and leaves it to others where an ending is read from: the plugin asks its host, another
// program may read an access log.
package verdict

import (
	"time"

	"envoy-circuit-breaker/breaker"
)

// An Ending is all that a verdict on a request is made from, as known when its stream has ended.
type Ending struct {
	Origin Origin
	Status int // HTTP status that the client got; -1 if it got none
	GRPC   int // gRPC status that the client got; -1 if it got none

	// Tunnel is an upgrade that has been answered, such as a WebSocket, or a CONNECT.
	Tunnel bool

	// Took is the time until response headers came, or where none came, until the end. That is what a slow call is
	// measured by: streams, upgrades and long downloads are not slow for being long, while a unary gRPC server sends its
	// headers with its answer.
	Took time.Duration
}

// Judge gives the verdict, and the name of its reason: "status", "grpc_status", or that of the ending's origin. A call that
// took longer than slowCall is slow, unless slowCall is 0.
func Judge(e Ending, failureOn *FailureSet, slowCall time.Duration) (o breaker.Outcome, reason string) {
	slow := slowCall > 0 && e.Took > slowCall
	switch from := e.from(); {
	case from == Elsewhere:
		return breaker.Outcome{Result: breaker.Neutral}, "elsewhere"
	case from == Answered:
		switch {
		case failureOn.codes.Has(e.Status):
			return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "status"
		case failureOn.hasGRPC(e.GRPC):
			return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "grpc_status"
		}
		return breaker.Outcome{Slow: slow}, "answered"
	case failureOn.hasOrigin(from):
		return breaker.Outcome{Result: breaker.Failure, Slow: slow}, from.String()
	case slow:
		// A client that gives up on a hung upstream has seen a slow call; without this, a hang would never be noticed where
		// clients are less patient than the route.
		return breaker.Outcome{Slow: true}, from.String()
	default:
		return breaker.Outcome{Result: breaker.Neutral}, from.String()
	}
}

// from is the origin, seen in the light of what the client got.
func (e *Ending) from() Origin {
	switch {
	case e.Tunnel:
		// The answer was the handshake. From then on either side may hang up whenever it likes, and Envoy calls that a reset
		// or a client that is gone.
		return Answered
	case e.Origin == Outlived && e.inPlace():
		return Timeout
	case e.Origin == Outlived:
		// The client did not send the rest of its request, which is a 408, or a stream came to its allowed end.
		return Elsewhere
	}
	return e.Origin
}

// inPlace reports whether Envoy had to answer for the upstream after waiting for nothing but that: 504, which to gRPC is
// "unavailable" or "deadline-exceeded".
func (e *Ending) inPlace() bool {
	return e.Status == 504 || e.Status == 200 && (e.GRPC == 4 || e.GRPC == 14)
}
