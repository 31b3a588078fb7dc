package verdict

import "envoy-circuit-breaker/internal/time"

// Deadlines are what the caller of a request has set by its headers; 0 where it has not. Envoy leaves the first two to callers
// that may set them, and then goes by them whatever the route says.
type Deadlines struct {
	Request time.Duration // x-envoy-upstream-rq-timeout-ms
	PerTry  time.Duration // x-envoy-upstream-rq-per-try-timeout-ms
	// GRPC is grpc-timeout. A route with max_stream_duration has Envoy write there what it goes by, so a limit of the route's
	// own cannot be told from the caller's.
	GRPC time.Duration
}

// Ended reports whether one of them ended a request, by Envoy's response code details, the time since the request's end (took),
// and that since it was admitted (lasted). The latter need not be exact: filters before may have had their part of the deadline.
// had is the most that the upstream had for an answer: of took, what one try may take.
func (d *Deadlines) Ended(details string, took, lasted time.Duration) (had time.Duration, ended bool) {
	switch details {
	case "response_timeout":
		return took, d.Request > 0 || d.GRPC > 0 && atDeadline(took, d.GRPC)
	case "upstream_per_try_timeout":
		return min(took, d.PerTry), d.PerTry > 0
	case "max_duration_timeout":
		// The connection manager may have a limit of its own, which is in no header. Much before the deadline it was that one.
		return took, d.GRPC > 0 && lasted+slack >= d.GRPC/2
	}
	return took, false
}

// Exceeded reports whether an upstream that answered with [DeadlineExceeded] did so at the deadline that its caller had set: the
// request had lasted that long by then. A server may have such an answer from a service of its own as well, and then mostly sooner.
func (d *Deadlines) Exceeded(lasted time.Duration) bool {
	return d.GRPC > 0 && lasted+slack >= d.GRPC-d.GRPC/10
}

// slack is what a busy machine may be late or early by: Envoy counts from when its loop woke up.
const slack = 50 * time.Millisecond

// atDeadline reports whether what took so long ended at a deadline: within a tenth of it, and the slack. A route with max_grpc_timeout
// goes by grpc-timeout, and others do not.
func atDeadline(took, deadline time.Duration) bool {
	return (took - deadline).Abs() <= deadline/10+slack
}
