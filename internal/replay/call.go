package replay

import (
	"math"
	"strings"
	"time"

	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/accesslog"
)

// A call is what a line of the log says of a request, as short as it can be kept: many are held at once. Times are Unix nanoseconds.
type call struct {
	begin, end int64
	sent       int64 // when the request had been sent whole; never where it was not
	answered   int64 // when the headers of the upstream's answer came; never where none did
	source     uint32
	flight     uint32 // of its policies, once it has begun
	status     int16
	grpc       int8
	origin     verdict.Origin // who made the answer, or the end where there was none
	cut        verdict.Origin // who cut the answer off
	attempts   uint8          // at least 1
	flags      callFlags
}

type callFlags uint8

const (
	broken callFlags = 1 << iota // the answer did not come to its end
	tunnel
	unasked // the upstream has never got it
	isGRPC
)

func (f callFlags) has(flag callFlags) bool { return f&flag != 0 }

const never = math.MaxInt64

// read makes a call of a line.
func (c *call) read(e *accesslog.Entry) {
	*c = call{begin: e.Start, end: e.End(), sent: e.Start, answered: never, grpc: -1}
	c.status, c.attempts = int16(e.Status), uint8(min(max(e.Attempts, 1), math.MaxUint8))
	if e.Status == 0 {
		c.status = -1
	}
	switch {
	case e.Unsent:
		c.sent = never
	case e.Request > 0:
		c.sent = min(c.begin+int64(e.Request), c.end)
	}
	if e.Attempts == 0 {
		c.flags |= unasked
	}
	if e.GRPC >= 0 {
		c.flags |= isGRPC
	}
	ended := originOf(e)
	if ended != verdict.Answered && !hasAnswer(e, ended) {
		c.origin = ended
		return
	}
	c.origin, c.answered = verdict.Answered, c.end
	if e.Response >= 0 {
		c.answered = min(c.begin+int64(e.Response), c.end)
	}
	if ended != verdict.Answered {
		c.flags |= broken
		c.cut = ended
	} else if e.Status == 200 && e.GRPC >= 0 { // without a status in the answer, Envoy's log makes one up
		c.grpc = int8(min(e.GRPC, math.MaxInt8))
	}
	if e.Status == 101 || e.Status == 200 && c.flags.has(broken) && e.Method == "CONNECT" {
		c.flags |= tunnel
	}
}

// originOf is [verdict.OriginOf] without garbage: most details are one text.
func originOf(e *accesslog.Entry) verdict.Origin {
	if e.Details == "via_upstream" {
		return verdict.Answered
	}
	return verdict.OriginOf([]byte(e.Details))
}

// hasAnswer reports whether an answer of the upstream had begun before something else ended it.
func hasAnswer(e *accesslog.Entry, ended verdict.Origin) bool {
	switch {
	case ended == verdict.Elsewhere:
		return false
	case strings.HasPrefix(e.Details, "upstream_reset_after_response_started"):
		return true
	case strings.HasPrefix(e.Details, "upstream_reset_before_response_started"):
		return false
	}
	return e.Response >= 0 && e.Status > 0
}

// ending is how the call ended, as the plugin would have put it together.
func (c *call) ending() verdict.Ending {
	e := c.answer()
	switch {
	case c.flags.has(unasked) && (c.origin == verdict.ClientGone || c.origin == verdict.Outlived):
		e.Origin = verdict.Elsewhere // it was a filter after the breaker that kept the client waiting
	case c.origin == verdict.Answered:
		e.Broken, e.Cut, e.Tunnel, e.GRPC = c.flags.has(broken), c.cut, c.flags.has(tunnel), int(c.grpc)
	}
	return e
}

// answer is how it ended if nothing matters but its answer's headers.
func (c *call) answer() verdict.Ending {
	e := verdict.Ending{Origin: c.origin, Status: -1, GRPC: -1, Sent: c.sent != never}
	if c.origin == verdict.Answered {
		e.Status = int(c.status)
	}
	if e.Sent {
		e.Waited = time.Duration(max(0, c.waitEnd()-c.sent))
	}
	return e
}

// waitEnd is when the wait for the upstream was over.
func (c *call) waitEnd() int64 { return min(c.answered, c.end) }

// asks reports whether a call asked the breaker at all: what other filters answer, mostly those before it, never does.
func (c *call) asks() bool { return c.origin != verdict.Elsewhere }
