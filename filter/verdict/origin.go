package verdict

import "bytes"

// An Origin says who made an answer, or an end, and how: the upstream with its answer, Envoy in the upstream's place, or
// somebody with whom the breaker is not concerned.
type Origin uint8

const (
	Elsewhere         Origin = iota // another filter, the route, the client's mistake: not the upstream's doing
	Answered                        // the upstream answered
	ClientGone                      // the client gave up
	ConnectFailure                  // no connection could be made
	Reset                           // the connection or stream broke, before or in the middle of the answer
	Timeout                         // Envoy gave up waiting for the upstream
	BodyTimeout                     // the same, but headers had come: the upstream was slow to send the rest, or the client to take it
	Outlived                        // Envoy's limit on how long a stream may last or idle, whoever it was that let it
	NoHealthyUpstream               // there was no host to ask
	Overflow                        // Envoy's own circuit_breakers thresholds
)

// originNames are the names of the origins: in failure_on, as in Envoy's retry_on where that has them, or of reasons alone.
var originNames = [...]string{
	Elsewhere: "elsewhere", Answered: "answered", ClientGone: "client_gone", Outlived: "outlived",

	ConnectFailure: "connect-failure", Reset: "reset", Timeout: "timeout", BodyTimeout: "body-timeout",
	NoHealthyUpstream: "no-healthy-upstream", Overflow: "overflow",
}

// String returns the origin's name in failure_on, where it has one.
func (o Origin) String() string { return originNames[o] }

// inFailureOn reports whether failure_on can have the origin.
func (o Origin) inFailureOn() bool { return o >= ConnectFailure && o != Outlived }

// OriginOf tells the origin from Envoy's response code details. Those that are not listed are other filters' replies,
// direct responses, redirects and errors of the client's.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/response_code_details
func OriginOf(details []byte) Origin {
	// "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
	name, cause := cut(details, '{')
	switch string(name) {
	case "via_upstream", "internal_redirect": // which follows an answer
		return Answered
	case "response_timeout", "upstream_per_try_timeout", "upstream_per_try_idle_timeout":
		return Timeout
	case "stream_idle_timeout", "max_duration_timeout", "upstream_max_stream_duration_reached":
		return Outlived
	case "no_healthy_upstream":
		return NoHealthyUpstream
	case "downstream_remote_disconnect", "http2.remote_reset", "http3.remote_reset":
		return ClientGone
	case "upstream_reset_before_response_started", "upstream_reset_after_response_started":
		cause, _ = cut(cause, '|')
		cause, _ = cut(cause, '}')
		switch string(cause) {
		case "connection_failure", "local_connection_failure", "remote_connection_failure", "connection_timeout":
			return ConnectFailure
		case "overflow":
			return Overflow
		}
		return Reset
	}
	return Elsewhere
}

// cut returns what is before and behind a byte; all is before one that is not there.
func cut(text []byte, at byte) (before, after []byte) {
	if i := bytes.IndexByte(text, at); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, nil
}
