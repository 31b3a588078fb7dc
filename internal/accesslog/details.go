package accesslog

import "strings"

// Response code details that are looked at here, in Envoy's names.
const (
	viaUpstream    = "via_upstream"
	directResponse = "direct_response"
	noRoute        = "route_not_found"
	noCluster      = "cluster_not_found"
)

// flagDetails is what Envoy's response flags say, as response code details.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage#config-access-log-format-response-flags
var flagDetails = map[string]ending{
	"UH":    {"no_healthy_upstream", "no_healthy_upstream"},
	"UF":    reset("connection_failure"),
	"UO":    reset("overflow"),
	"UR":    reset("remote_reset"),
	"UC":    reset("connection_termination"),
	"LR":    reset("local_reset"),
	"UPE":   reset("protocol_error"),
	"UT":    {"response_timeout", "response_timeout"},
	"UMSDR": {"upstream_max_stream_duration_reached", "upstream_max_stream_duration_reached"},
	"DT":    {"max_duration_timeout", "max_duration_timeout"},
	"SI":    {"stream_idle_timeout", "stream_idle_timeout"},
	"DC":    {"downstream_remote_disconnect", "downstream_remote_disconnect"},
	"DR":    {"http2.remote_reset", "http2.remote_reset"},
	"DPE":   {"http1.codec_error", "http1.codec_error"},
	"NR":    {noRoute, noRoute},
	"NC":    {noCluster, noCluster},
	"FI":    {"fault_filter_abort", "fault_filter_abort"},
	"RL":    {"request_rate_limited", "request_rate_limited"},
	"RLSE":  {"rate_limiter_error", "rate_limiter_error"},
	"UAEX":  {"ext_authz_denied", "ext_authz_denied"},
	"OM":    {"overload", "overload"},
	"DO":    {"drop_overload", "drop_overload"},
	"DF":    {"dns_resolution_failure", "dns_resolution_failure"},
}

// An ending is the details of one before and one after the answer's headers.
type ending struct{ before, after string }

func reset(cause string) ending {
	return ending{"upstream_reset_before_response_started{" + cause + "}", "upstream_reset_after_response_started{" + cause + "}"}
}

// detailsOf names what became of a request whose line has no details: what its flags say, in the order that Envoy writes them; if
// they say nothing, the upstream's answer where one came or may have come. A flag that is not known here leaves it open.
func (p *parser) detailsOf(e *Entry) string {
	host, told := &p.values[fieldHost], p.values[fieldDetails].kind != absent
	answered := e.Response >= 0
	unknown := false
	for flag := range strings.SplitSeq(e.Flags, ",") {
		switch flag {
		case "", "URX", "DI": // retries that were used up, and a delay that was injected, say nothing of the end
			continue
		}
		is, ok := flagDetails[flag]
		switch {
		case !ok:
			unknown = true
		case answered:
			return is.after
		default:
			return is.before
		}
	}
	switch {
	case told || unknown || e.Status == 0:
		return ""
	case answered || host.kind != nothing:
		return viaUpstream
	}
	return directResponse
}
