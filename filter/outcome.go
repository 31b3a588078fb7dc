package main

import (
	"bytes"
	"time"

	"envoy-circuit-breaker/breaker"
)

// An ending is all that a verdict on a request is made from, as known when its stream has ended.
type ending struct {
	origin origin
	status int // HTTP status that the client got
	grpc   int // gRPC status that the upstream sent; -1 if none

	// took is the time until response headers came, or where none came, until the end. That is what a slow call is
	// measured by: streams, upgrades and long downloads are not slow for being long, while a unary gRPC server sends its
	// headers with its answer.
	took       time.Duration
	hasHeaders bool // response headers came
}

// judge gives the verdict, and the name of its reason.
func (r *Rules) judge(e ending) (o breaker.Outcome, reason string) {
	slow := r.Policy.SlowCallDuration > 0 && e.took > r.Policy.SlowCallDuration
	switch {
	case e.origin == elsewhere:
		return breaker.Outcome{Result: breaker.Unjudged}, "not_upstream"
	case e.origin == answered:
		switch {
		case r.FailureOn.codes.has(e.status):
			return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "status"
		case r.FailureOn.hasGRPC(e.grpc):
			return breaker.Outcome{Result: breaker.Failure, Slow: slow}, "grpc_status"
		}
		return breaker.Outcome{Slow: slow}, "answered"
	case r.FailureOn.hasOrigin(e.origin):
		return breaker.Outcome{Result: breaker.Failure, Slow: slow}, e.origin.String()
	case slow && !e.hasHeaders:
		// A client that gives up on a hung upstream has seen a slow call; without this, a hang would never be noticed where
		// clients are less patient than the route.
		return breaker.Outcome{Slow: true}, e.origin.String()
	}
	return breaker.Outcome{Result: breaker.Unjudged}, e.origin.String()
}

// String returns the origin's name in failure_on, where it has one.
func (o origin) String() string {
	for name, named := range originNames {
		if named == o {
			return name
		}
	}
	return [...]string{elsewhere: "not_upstream", answered: "answered", clientGone: "client_gone"}[o]
}

// endedBy tells the origin from Envoy's response code details. Those that are not listed are other filters' replies,
// direct responses, redirects and errors of the client's.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details
func endedBy(details []byte) origin {
	switch string(details) {
	case "via_upstream":
		return answered
	case "response_timeout", "upstream_per_try_timeout", "upstream_per_try_idle_timeout", "stream_idle_timeout",
		"upstream_max_stream_duration_reached", "max_duration_timeout":
		return timedOut
	case "no_healthy_upstream":
		return noHealthy
	case "downstream_remote_disconnect", "http2.remote_reset", "http3.remote_reset":
		return clientGone
	}
	cause, isReset := bytes.CutPrefix(details, []byte("upstream_reset_"))
	if !isReset {
		return elsewhere
	}
	// "before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
	_, cause, _ = bytes.Cut(cause, []byte("{"))
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
