// Package verdict judges how a request ended: from an [Ending] it makes a [breaker.Outcome] and the name of its reason. It
// knows Envoy's and gRPC's terms, and leaves it to others where an ending is read from: the plugin asks its host, another
// program may read an access log.
//
// An answer is what the upstream sent, as it was when it passed the breaker: other filters may change it later. Where no
// answer came, who was at fault is told from what had happened by then, never from a status: what Envoy sends in the
// upstream's place can be mapped to any.
package verdict

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/time"
)

// An Ending is all that a verdict on a request is made from.
type Ending struct {
	// Origin is who made the answer, as known when its headers passed; who made the end, if none passed.
	Origin Origin
	// Status and GRPC are the answer's HTTP and gRPC status; -1 where it has none.
	Status, GRPC int
	// Broken is set where the answer did not come to its end, and Cut says by whom it was cut off.
	Broken bool
	Cut    Origin

	// Tunnel is an upgrade that has been answered, such as a WebSocket, or a CONNECT.
	Tunnel bool

	// Sent is set if the whole request had been sent: until then the upstream waits for the client.
	Sent bool
	// Waited is the upstream's time: from the end of the request to the headers of the answer, or to the end if none came. It
	// is 0 where the request had no end. Streams, upgrades and long downloads do not wait for long, while a unary gRPC server
	// sends its headers with its answer.
	Waited time.Duration
	// Had is the time to the end of an answer that says that the caller's deadline has passed: what the upstream had in all.
	Had time.Duration
	// CallersDeadline is set if the request ended at a deadline that its caller had chosen, by a header of the request; also where
	// it was the upstream that said so.
	CallersDeadline bool
}

// Patience is how long an upstream must have had a whole request before it says something about it that a caller gave up.
const Patience = time.Second

// DeadlineExceeded is the gRPC status of that name.
const DeadlineExceeded = 4

// Judge gives the verdict, and the name of its reason: "status", "grpc_status", "callers_deadline", or that of the ending's
// origin. A call that waited for longer than slowCall is slow, unless slowCall is 0.
func Judge(e Ending, failureOn *FailureSet, slowCall time.Duration) (o breaker.Outcome, reason string) {
	slow := slowCall > 0 && e.Waited > slowCall
	from := e.from()
	switch {
	case from == Elsewhere:
		return breaker.Outcome{Result: breaker.Neutral}, from.String()
	case from == Answered && failureOn.codes.Has(e.Status):
		return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "status"
	case from == Answered && e.GRPC == DeadlineExceeded && failureOn.hasGRPC(e.GRPC) && e.hurried(slowCall),
		from == Timeout && e.hurried(slowCall):
		return breaker.Outcome{Result: breaker.Neutral}, "callers_deadline"
	case from == Answered && failureOn.hasGRPC(e.GRPC):
		return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "grpc_status"
	case from == Answered:
		return e.judgeRest(failureOn, slow)
	case failureOn.hasOrigin(from):
		return breaker.Outcome{Result: breaker.Failure, Slow: slow}, from.String()
	case slow:
		// A client that gives up on a hung upstream has seen a slow call; without this, a hang would never be noticed where
		// clients are less patient than the route.
		return breaker.Outcome{Slow: true}, from.String()
	}
	unanswered := from == ClientGone && e.Waited >= Patience
	return breaker.Outcome{Result: breaker.Neutral, Unanswered: unanswered}, from.String()
}

// hurried reports whether the caller left the upstream no time. Of an upstream that had it, a deadline is a timeout like any other.
func (e *Ending) hurried(slowCall time.Duration) bool {
	had := max(e.Waited, e.Had)
	return e.CallersDeadline && had < Patience && (slowCall == 0 || had <= slowCall)
}

// judgeRest judges an answer whose status is a good one by how it went on.
func (e *Ending) judgeRest(failureOn *FailureSet, slow bool) (breaker.Outcome, string) {
	cut := e.Cut
	switch {
	// The handshake was the answer. From then on either side may hang up whenever it likes.
	case !e.Broken || e.Tunnel:
		return breaker.Outcome{Slow: slow}, Answered.String()
	// Another filter has put its own answer in the place of this one.
	case cut == Elsewhere || cut == Answered:
		return breaker.Outcome{Slow: slow}, Answered.String()
	case cut == Timeout:
		cut = BodyTimeout
	case cut == Outlived:
		cut = Elsewhere // a stream came to its allowed end
	}
	switch {
	case failureOn.hasOrigin(cut):
		return breaker.Outcome{Result: breaker.Failure, Slow: slow}, cut.String()
	case slow:
		return breaker.Outcome{Slow: true}, cut.String()
	}
	return breaker.Outcome{Result: breaker.Neutral}, cut.String()
}

// from is the origin, seen in the light of what had happened by then.
func (e *Ending) from() Origin {
	switch {
	case e.Tunnel:
		return Answered
	case (e.Origin == Timeout || e.Origin == Outlived) && !e.Sent:
		return Elsewhere // the client did not send the rest of its request
	case e.Origin == Outlived:
		return Timeout // nothing was left to wait for but the upstream
	}
	return e.Origin
}
