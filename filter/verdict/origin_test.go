package verdict_test

import (
	"bytes"
	"testing"

	"envoy-circuit-breaker/filter/verdict"
)

func TestOriginOf(t *testing.T) {
	for details, want := range map[string]verdict.Origin{
		"via_upstream":                         verdict.Answered,
		"internal_redirect":                    verdict.Answered,
		"response_timeout":                     verdict.Timeout,
		"upstream_per_try_timeout":             verdict.Timeout,
		"upstream_per_try_idle_timeout":        verdict.Timeout,
		"stream_idle_timeout":                  verdict.Outlived,
		"max_duration_timeout":                 verdict.Outlived,
		"upstream_max_stream_duration_reached": verdict.Outlived,
		"no_healthy_upstream":                  verdict.NoHealthyUpstream,
		"no_healthy_upstream{no_host}":         verdict.NoHealthyUpstream,
		"downstream_remote_disconnect":         verdict.ClientGone,
		"http2.remote_reset":                   verdict.ClientGone,
		"http3.remote_reset":                   verdict.ClientGone,
		"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}": verdict.ConnectFailure,
		"upstream_reset_before_response_started{local_connection_failure}":                                            verdict.ConnectFailure,
		"upstream_reset_before_response_started{connection_timeout}":                                                  verdict.ConnectFailure,
		"upstream_reset_before_response_started{connection_termination}":                                              verdict.Reset,
		"upstream_reset_before_response_started{remote_reset}":                                                        verdict.Reset,
		"upstream_reset_before_response_started{remote_refused_stream_reset}":                                         verdict.Reset,
		"upstream_reset_before_response_started{protocol_error}":                                                      verdict.Reset,
		"upstream_reset_before_response_started":                                                                      verdict.Reset,
		"upstream_reset_before_response_started{overflow}":                                                            verdict.Overflow,
		"upstream_reset_after_response_started{connection_termination}":                                               verdict.Reset,
		"upstream_reset_after_response_started{protocol_error}":                                                       verdict.Reset,
		"upstream_reset_before_response_started{connection_failure}":                                                  verdict.ConnectFailure,
		"upstream_reset_before_response_started{overflow|limit}":                                                      verdict.Overflow,
		"upstream_reset_after_response_started":                                                                       verdict.Reset,
		"":                                                                                                            verdict.Elsewhere,
		"{overflow}":                                                                                                  verdict.Elsewhere,
		"via_upstream2":                                                                                               verdict.Elsewhere,
		"fault_filter_abort":                                                                                          verdict.Elsewhere,
		"rbac_access_denied_matched_policy[nobody]":                                                                   verdict.Elsewhere,
		"jwt_authn_access_denied{Jwt_is_missing}":                                                                     verdict.Elsewhere,
		"ext_authz_denied":                                                                                            verdict.Elsewhere,
		"ext_authz_error":                                                                                             verdict.Elsewhere,
		"local_rate_limited":                                                                                          verdict.Elsewhere,
		"request_rate_limited":                                                                                        verdict.Elsewhere,
		"lua_response":                                                                                                verdict.Elsewhere,
		"direct_response":                                                                                             verdict.Elsewhere,
		"cluster_not_found":                                                                                           verdict.Elsewhere,
		"route_not_found":                                                                                             verdict.Elsewhere,
		"maintenance_mode":                                                                                            verdict.Elsewhere,
		"missing_host_header":                                                                                         verdict.Elsewhere,
		"upgrade_failed":                                                                                              verdict.Elsewhere,
		"request_overall_timeout":                                                                                     verdict.Elsewhere,
		"request_header_timeout":                                                                                      verdict.Elsewhere,
		"downstream_local_disconnect":                                                                                 verdict.Elsewhere,
		"circuit_breaker_open":                                                                                        verdict.Elsewhere,
	} {
		if got := verdict.OriginOf([]byte(details)); got != want {
			t.Errorf("%s: %v, want %v", details, got, want)
		}
	}
}

// An origin is named as in failure_on, where it is listed there.
func TestOriginString(t *testing.T) {
	seen := make(map[string]bool)
	for o := verdict.Elsewhere; o <= verdict.Overflow; o++ {
		name := o.String()
		if name == "" || seen[name] {
			t.Errorf("origin %d is called %q", o, name)
		}
		seen[name] = true
	}
}

// FuzzOriginOf gives it details that other filters may have made up.
func FuzzOriginOf(f *testing.F) {
	for _, seed := range []string{"", "via_upstream", "response_timeout", "no_healthy_upstream{no_host}", "fault_filter_abort",
		"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
		"upstream_reset_after_response_started{overflow}", "upstream_reset_before_response_started{", "{", "|}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, details []byte) {
		given := bytes.Clone(details)
		origin := verdict.OriginOf(details)
		switch origin {
		case verdict.Elsewhere, verdict.Answered, verdict.ClientGone, verdict.ConnectFailure, verdict.Reset, verdict.Timeout,
			verdict.Outlived, verdict.NoHealthyUpstream, verdict.Overflow:
		default:
			t.Errorf("%q: %v, which no details say", details, origin)
		}
		if !bytes.Equal(details, given) {
			t.Errorf("%q was changed to %q", given, details)
		}
		// What comes behind the cause, in words of the system's, changes nothing.
		for _, more := range []string{"|", "|overflow}", "}|{remote_connection_failure"} {
			if open := bytes.IndexByte(given, '{'); open > 0 && bytes.IndexAny(given[open:], "|}") < 0 {
				if longer := verdict.OriginOf(append(bytes.Clone(given), more...)); longer != origin {
					t.Errorf("%q: %v, but with %q behind it %v", given, origin, more, longer)
				}
			}
		}
	})
}
