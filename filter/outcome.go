package main

import (
	"bytes"
	"time"

	"envoy-circuit-breaker/breaker"
)

// An ending is all that a verdict on a request is made from, as known when its stream has ended.
type ending struct {
	origin origin
	status int // HTTP status that the client got; -1 if it got none
	grpc   int // gRPC status that the client got; -1 if it got none

	// tunnel is an upgrade that has been answered, such as a WebSocket, or a CONNECT.
	tunnel bool

	// took is the time until response headers came, or where none came, until the end. That is what a slow call is
	// measured by: streams, upgrades and long downloads are not slow for being long, while a unary gRPC server sends its
	// headers with its answer.
	took time.Duration
}

// judge gives the verdict, and the name of its reason.
func (r *Rules) judge(e ending) (o breaker.Outcome, reason string) {
	slow := r.Policy.SlowCallDuration > 0 && e.took > r.Policy.SlowCallDuration
	switch from := e.from(); {
	case from == elsewhere:
		return breaker.Outcome{Result: breaker.Neutral}, "elsewhere"
	case from == answered:
		switch {
		case r.FailureOn.codes.has(e.status):
			return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "status"
		case r.FailureOn.hasGRPC(e.grpc):
			return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "grpc_status"
		}
		return breaker.Outcome{Slow: slow}, "answered"
	case r.FailureOn.hasOrigin(from):
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
func (e *ending) from() origin {
	switch {
	case e.tunnel:
		// The answer was the handshake. From then on either side may hang up whenever it likes, and Envoy calls that a reset
		// or a client that is gone.
		return answered
	case e.origin == outlived && e.inPlace():
		return timedOut
	case e.origin == outlived:
		// The client did not send the rest of its request, which is a 408, or a stream came to its allowed end.
		return elsewhere
	}
	return e.origin
}

// inPlace reports whether Envoy had to answer for the upstream after waiting for nothing but that: 504, which to gRPC is
// "unavailable" or "deadline-exceeded".
func (e *ending) inPlace() bool {
	return e.status == 504 || e.status == 200 && (e.grpc == 4 || e.grpc == 14)
}

// String returns the origin's name in failure_on, where it has one.
func (o origin) String() string {
	for name, named := range originNames {
		if named == o {
			return name
		}
	}
	return [...]string{elsewhere: "elsewhere", answered: "answered", clientGone: "client_gone", outlived: "outlived"}[o]
}

// endedBy tells the origin from Envoy's response code details. Those that are not listed are other filters' replies,
// direct responses, redirects and errors of the client's.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details
func endedBy(details []byte) origin {
	// "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
	name, cause, _ := bytes.Cut(details, []byte("{"))
	switch string(name) {
	case "via_upstream", "internal_redirect": // which follows an answer
		return answered
	case "response_timeout", "upstream_per_try_timeout", "upstream_per_try_idle_timeout":
		return timedOut
	case "stream_idle_timeout", "max_duration_timeout", "upstream_max_stream_duration_reached":
		return outlived
	case "no_healthy_upstream":
		return noHealthy
	case "downstream_remote_disconnect", "http2.remote_reset", "http3.remote_reset":
		return clientGone
	case "upstream_reset_before_response_started", "upstream_reset_after_response_started":
		if i := bytes.IndexAny(cause, "|}"); i >= 0 {
			cause = cause[:i]
		}
		switch string(cause) {
		case "connection_failure", "local_connection_failure", "remote_connection_failure", "connection_timeout":
			return connectFailure
		case "overflow":
			return overflow
		}
		return reset
	}
	return elsewhere
}

// parseRetryAfter reads the retry-after header, which is a number of seconds or a date; 0 if it is neither, or past.
// https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
func parseRetryAfter(value []byte, now time.Time) time.Duration {
	if seconds := number(value); seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, string(value)); err == nil {
			return max(0, t.Sub(now))
		}
	}
	return 0
}

// parsePushback reads grpc-retry-pushback-ms; 0 if it says nothing, or that one shall not retry at all.
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
func parsePushback(value []byte) time.Duration {
	return time.Duration(max(0, number(value))) * time.Millisecond
}

// number reads a decimal number; -1 if it is none.
func number(digits []byte) int {
	if len(digits) == 0 || len(digits) > 9 {
		return -1
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return -1
		}
		n = n*10 + int(d-'0')
	}
	return n
}
