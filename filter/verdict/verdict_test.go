package verdict_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
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
		"":                   verdict.Elsewhere,
		"fault_filter_abort": verdict.Elsewhere,
		"rbac_access_denied_matched_policy[nobody]": verdict.Elsewhere,
		"jwt_authn_access_denied{Jwt_is_missing}":   verdict.Elsewhere,
		"ext_authz_denied":                          verdict.Elsewhere,
		"ext_authz_error":                           verdict.Elsewhere,
		"local_rate_limited":                        verdict.Elsewhere,
		"request_rate_limited":                      verdict.Elsewhere,
		"lua_response":                              verdict.Elsewhere,
		"direct_response":                           verdict.Elsewhere,
		"cluster_not_found":                         verdict.Elsewhere,
		"route_not_found":                           verdict.Elsewhere,
		"maintenance_mode":                          verdict.Elsewhere,
		"missing_host_header":                       verdict.Elsewhere,
		"upgrade_failed":                            verdict.Elsewhere,
		"request_overall_timeout":                   verdict.Elsewhere,
		"request_header_timeout":                    verdict.Elsewhere,
		"downstream_local_disconnect":               verdict.Elsewhere,
		"circuit_breaker_open":                      verdict.Elsewhere,
	} {
		if got := verdict.OriginOf([]byte(details)); got != want {
			t.Errorf("%s: %v, want %v", details, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	success := breaker.Outcome{Result: breaker.Success}
	failure := breaker.Outcome{Result: breaker.Failure}
	neutral := breaker.Outcome{Result: breaker.Neutral}
	slow := func(o breaker.Outcome) breaker.Outcome { o.Slow = true; return o }
	const defaults = ``
	const all = `{"slow_call": {"duration": "1s"}, "failure_on": ["gateway-error", "429", "overflow", "resource-exhausted"]}`
	const slowCalls = `{"slow_call": {"duration": "1s"}}`

	for _, c := range []struct {
		config string
		e      verdict.Ending
		want   breaker.Outcome
		reason string
	}{
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: -1}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 404, GRPC: -1}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 429, GRPC: -1}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 500, GRPC: -1}, failure, "status"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 599, GRPC: -1}, failure, "status"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: -1, GRPC: -1}, success, "answered"},
		{all, verdict.Ending{Origin: verdict.Answered, Status: 500, GRPC: -1}, success, "answered"},
		{all, verdict.Ending{Origin: verdict.Answered, Status: 502, GRPC: -1}, failure, "status"},
		{all, verdict.Ending{Origin: verdict.Answered, Status: 504, GRPC: -1}, failure, "status"},
		{all, verdict.Ending{Origin: verdict.Answered, Status: 505, GRPC: -1}, success, "answered"},
		{all, verdict.Ending{Origin: verdict.Answered, Status: 429, GRPC: -1}, failure, "status"},

		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 0}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 14}, failure, "grpc_status"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 4}, failure, "grpc_status"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 13}, failure, "grpc_status"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 15}, failure, "grpc_status"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 5}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 1}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 99}, success, "answered"},
		{all, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: 8}, failure, "grpc_status"},

		{defaults, verdict.Ending{Origin: verdict.ConnectFailure, Status: 503}, failure, "connect-failure"},
		{defaults, verdict.Ending{Origin: verdict.Reset, Status: 503}, failure, "reset"},
		{defaults, verdict.Ending{Origin: verdict.Timeout, Status: 504}, failure, "timeout"},
		{defaults, verdict.Ending{Origin: verdict.NoHealthyUpstream, Status: 503}, failure, "no-healthy-upstream"},
		{defaults, verdict.Ending{Origin: verdict.Overflow, Status: 503}, neutral, "overflow"},
		{all, verdict.Ending{Origin: verdict.Overflow, Status: 503}, failure, "overflow"},
		{all, verdict.Ending{Origin: verdict.Timeout, Status: 504}, neutral, "timeout"},
		{defaults, verdict.Ending{Origin: verdict.ClientGone, Status: -1, GRPC: -1}, neutral, "client_gone"},
		{defaults, verdict.Ending{Origin: verdict.ClientGone, Status: 200, GRPC: -1}, neutral, "client_gone"},

		// A limit of Envoy's on streams is the upstream's doing only if Envoy had to answer in its place.
		{defaults, verdict.Ending{Origin: verdict.Outlived, Status: 504, GRPC: -1}, failure, "timeout"},
		{defaults, verdict.Ending{Origin: verdict.Outlived, Status: 408, GRPC: -1}, neutral, "elsewhere"},
		{defaults, verdict.Ending{Origin: verdict.Outlived, Status: 200, GRPC: -1}, neutral, "elsewhere"},
		{defaults, verdict.Ending{Origin: verdict.Outlived, Status: 200, GRPC: 14}, failure, "timeout"},
		{defaults, verdict.Ending{Origin: verdict.Outlived, Status: 200, GRPC: 4}, failure, "timeout"},
		{defaults, verdict.Ending{Origin: verdict.Outlived, Status: 200, GRPC: 2}, neutral, "elsewhere"},
		{all, verdict.Ending{Origin: verdict.Outlived, Status: 504, GRPC: -1}, neutral, "timeout"},
		{slowCalls, verdict.Ending{Origin: verdict.Outlived, Status: 504, GRPC: -1, Took: 2 * time.Second}, slow(failure), "timeout"},
		{slowCalls, verdict.Ending{Origin: verdict.Outlived, Status: 408, GRPC: -1, Took: 2 * time.Second}, neutral, "elsewhere"},

		// A tunnel is judged by its handshake.
		{defaults, verdict.Ending{Origin: verdict.Answered, Status: 101, GRPC: -1, Tunnel: true}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.ClientGone, Status: 101, GRPC: -1, Tunnel: true}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Reset, Status: 101, GRPC: -1, Tunnel: true}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.Outlived, Status: 101, GRPC: -1, Tunnel: true}, success, "answered"},
		{defaults, verdict.Ending{Origin: verdict.ClientGone, Status: 200, GRPC: -1, Tunnel: true}, success, "answered"},
		{slowCalls, verdict.Ending{Origin: verdict.ClientGone, Status: 101, GRPC: -1, Tunnel: true, Took: 2 * time.Second}, slow(success), "answered"},
		{defaults, verdict.Ending{Origin: verdict.Elsewhere, Status: 503}, neutral, "elsewhere"},

		{slowCalls, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: -1, Took: time.Second}, success, "answered"},
		{slowCalls, verdict.Ending{Origin: verdict.Answered, Status: 200, GRPC: -1, Took: time.Second + 1}, slow(success), "answered"},
		{slowCalls, verdict.Ending{Origin: verdict.Answered, Status: 500, GRPC: -1, Took: 2 * time.Second}, slow(failure), "status"},
		{slowCalls, verdict.Ending{Origin: verdict.Timeout, Status: 504, Took: 2 * time.Second}, slow(failure), "timeout"},
		{slowCalls, verdict.Ending{Origin: verdict.ClientGone, Took: 2 * time.Second}, slow(success), "client_gone"},
		{slowCalls, verdict.Ending{Origin: verdict.ClientGone, Took: time.Second}, neutral, "client_gone"},
		{slowCalls, verdict.Ending{Origin: verdict.Elsewhere, Status: 503, Took: 2 * time.Second}, neutral, "elsewhere"},
		{all, verdict.Ending{Origin: verdict.Timeout, Status: 504, Took: 2 * time.Second}, slow(success), "timeout"},
	} {
		rules, err := config.Parse([]byte(c.config))
		if err != nil {
			t.Fatal(err)
		}
		got, reason := rules.Judge(c.e)
		if got != c.want || reason != c.reason {
			t.Errorf("%s %+v: %+v (%s), want %+v (%s)", c.config, c.e, got, reason, c.want, c.reason)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"120":                             2 * time.Minute,
		"-5":                              0,
		"1.5":                             0,
		"soon":                            0,
		"99999999999999999999":            0,
		"Tue, 24 Nov 2026 10:00:30 GMT":   30 * time.Second,
		"Tuesday, 24-Nov-26 10:00:30 GMT": 30 * time.Second,
		"Tue Nov 24 10:00:30 2026":        30 * time.Second,
		"Tue, 24 Nov 2026 09:00:00 GMT":   0,
	} {
		if got := verdict.ParseRetryAfter([]byte(value), now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if got := verdict.ParsePushback([]byte("2500")); got != 2500*time.Millisecond {
		t.Errorf("pushback: %v", got)
	}
	if got := verdict.ParsePushback([]byte("-1")); got != 0 {
		t.Errorf("pushback that forbids a retry: %v", got)
	}
}
