package wasmhost

import "time"

// An End is how a stream ends.
type End struct {
	// Status is that of the response's headers, whoever made them. 0 plays none: because Respond has, because the plugin
	// answered itself, or because there never were any.
	Status  int
	Headers Headers // of the response, after ":status"

	// Details is response.code_details. "" leaves what it was: "via_upstream" after response headers.
	Details  string
	Flags    Flags
	Trailers Headers

	// Upstream is upstream.address, "" if no host of the upstream was tried.
	Upstream string
	Attempts int // upstream.request_attempt_count; 0 counts as 1 where there is an Upstream

	Duration time.Duration // request.duration; if 0, the time that the clock has moved since the request
}

// Upstream is the address of the one host that all clusters have.
const Upstream = "10.0.0.1:8080"

// Flags are Envoy's response flags, by their names in access logs.
type Flags uint64

const (
	UH  Flags = 0x2      // no healthy upstream
	UT  Flags = 0x4      // upstream request timeout
	UR  Flags = 0x10     // upstream remote reset
	UF  Flags = 0x20     // upstream connection failure
	UC  Flags = 0x40     // upstream connection termination
	UO  Flags = 0x80     // upstream overflow
	FI  Flags = 0x400    // fault injected
	DC  Flags = 0x4000   // downstream connection termination
	URX Flags = 0x8000   // upstream retry limit exceeded
	UPE Flags = 0x800000 // upstream protocol error
)

// What ends look like in Envoy, apart from a plain answer of the upstream's (Stream.Status).
var (
	// Timeout is the route's timeout.
	Timeout = End{Status: 504, Flags: UT, Details: "response_timeout", Upstream: Upstream}

	// ConnectFailure is a refused connection.
	ConnectFailure = End{Status: 503, Flags: UF, Upstream: Upstream,
		Details: "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"}

	// UpstreamClosed is a connection that the upstream closed before it answered.
	UpstreamClosed = End{Status: 503, Flags: UC, Upstream: Upstream,
		Details: "upstream_reset_before_response_started{connection_termination}"}

	// BrokenOff is a connection that the upstream closed in mid-body: it follows Respond.
	BrokenOff = End{Flags: UPE, Details: "upstream_reset_after_response_started{protocol_error}", Upstream: Upstream}

	// NoHealthyUpstream is a cluster without endpoints.
	NoHealthyUpstream = End{Status: 503, Flags: UH, Details: "no_healthy_upstream"}

	// Overflow is the cluster's own limit on connections or requests.
	Overflow = End{Status: 503, Flags: UO, Details: "upstream_reset_before_response_started{overflow}"}

	// ClientGone is a client that went away, before or after Respond.
	ClientGone = End{Flags: DC, Details: "downstream_remote_disconnect", Upstream: Upstream}

	// FaultAbort is a local reply of the fault filter.
	FaultAbort = End{Status: 503, Flags: FI, Details: "fault_filter_abort"}

	// DirectResponse is that of a route without a cluster.
	DirectResponse = End{Status: 200, Details: "direct_response"}

	// RetriesExceeded is an upstream that answered 503 to three attempts.
	RetriesExceeded = End{Status: 503, Flags: URX, Upstream: Upstream, Attempts: 3}
)
