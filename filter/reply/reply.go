// Package reply makes the answer that a request gets which is not admitted: a [Reject] is what the configuration says of it,
// a [Reply] is one filled in for a cluster and ready for the host.
package reply

import (
	"math"
	"slices"
	"strconv"

	"envoy-circuit-breaker/internal/time"
)

// A Reject is the reply to a request that is not admitted.
type Reject struct {
	Status      int // HTTP status, 400 to 599
	Body        Template
	ContentType string   // of the body
	Headers     []Header // beside the usual ones, by name
	RetryAfter  bool     // send retry-after
	Overloaded  bool     // send x-envoy-overloaded and what keeps an Envoy in front from retrying
}

// A Header is a header of a reject that the configuration adds.
type Header struct {
	Name  string // in lower case
	Value Template
}

// Default is the reject where the configuration says nothing of it.
func Default() Reject {
	return Reject{
		Status:      503,
		Body:        Template{{placeholder: "cluster"}, {text: " is unavailable: circuit breaker "}, {placeholder: "state"}, {text: "\n"}},
		ContentType: "text/plain", RetryAfter: true, Overloaded: true,
	}
}

// ownHeaders are what Fill sets by itself, and what Envoy sets.
var ownHeaders = []string{"content-type", "content-length", "retry-after", "x-envoy-overloaded", "x-envoy-ratelimited", "x-circuit-breaker"}

// IsOwnHeader reports whether a reply has that header anyway, so that Reject.Headers must not.
func IsOwnHeader(name string) bool { return slices.Contains(ownHeaders, name) }

// A Reply is a Reject filled in, ready for the host.
type Reply struct {
	State   string // of the breaker
	Seconds int64  // of retry-after
	Status  uint32 // HTTP status
	Details string // response code details
	Body    []byte
	Headers []byte // serialized
}

// Fill makes the reply of the breaker of a cluster, or of a route to it, in that state. seconds is for retry-after; grpcWeb is the content type
// of a gRPC-Web request, and empty for any other. A gRPC-Web client gets what a trailers-only reply is in its protocol; to
// gRPC proper Envoy turns any reply into one by itself.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
func (r *Reject) Fill(cluster, route, state string, seconds int64, grpcWeb string) *Reply {
	after := strconv.FormatInt(seconds, 10)
	values := Values{Cluster: cluster, Route: route, RetryAfter: after, State: state}
	out := &Reply{
		State: state, Seconds: seconds, Status: uint32(r.Status),
		Details: "circuit_breaker_" + state,
		Body:    []byte(r.Body.Expand(values)),
	}
	pairs := [][2]string{{"x-circuit-breaker", state}}
	if r.RetryAfter {
		pairs = append(pairs, [2]string{"retry-after", after})
	}
	if r.Overloaded {
		// The first says what it is. Envoy's router has long stopped to look at it when it decides on a retry; it does not
		// retry a response that has the second (unless retry_on lists envoy-ratelimited).
		pairs = append(pairs, [2]string{"x-envoy-overloaded", "true"}, [2]string{"x-envoy-ratelimited", "true"})
	}
	for _, h := range r.Headers {
		pairs = append(pairs, [2]string{h.Name, printable(h.Value.Expand(values))})
	}
	switch {
	case grpcWeb != "":
		status, message := strconv.Itoa(GRPCUnavailable), percentEncode(out.Body)
		pairs = append(pairs, [2]string{"content-type", grpcWeb}, [2]string{"grpc-status", status}, [2]string{"grpc-message", message})
		out.Status, out.Body = 200, grpcWebTrailers(grpcWeb, "grpc-status: "+status+"\r\ngrpc-message: "+message+"\r\n")
	case len(out.Body) > 0:
		pairs = append(pairs, [2]string{"content-type", r.ContentType})
	}
	out.Headers = SerializeHeaders(pairs)
	return out
}

// WholeSeconds rounds a retry-after up, to one at least: a retry-after of 0 would invite everybody back at once.
func WholeSeconds(d time.Duration) int64 {
	return max(1, int64(math.Ceil(d.Seconds())))
}

// printable keeps what a name has no business to have out of headers: Envoy would send a line's end as it is, and the client read one.
func printable(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}
