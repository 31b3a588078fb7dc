package main

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
)

func TestEndedBy(t *testing.T) {
	for details, want := range map[string]origin{
		"via_upstream":                         answered,
		"internal_redirect":                    answered,
		"response_timeout":                     timedOut,
		"upstream_per_try_timeout":             timedOut,
		"upstream_per_try_idle_timeout":        timedOut,
		"stream_idle_timeout":                  outlived,
		"max_duration_timeout":                 outlived,
		"upstream_max_stream_duration_reached": outlived,
		"no_healthy_upstream":                  noHealthy,
		"no_healthy_upstream{no_host}":         noHealthy,
		"downstream_remote_disconnect":         clientGone,
		"http2.remote_reset":                   clientGone,
		"http3.remote_reset":                   clientGone,
		"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}": connectFailure,
		"upstream_reset_before_response_started{local_connection_failure}":                                            connectFailure,
		"upstream_reset_before_response_started{connection_timeout}":                                                  connectFailure,
		"upstream_reset_before_response_started{connection_termination}":                                              reset,
		"upstream_reset_before_response_started{remote_reset}":                                                        reset,
		"upstream_reset_before_response_started{remote_refused_stream_reset}":                                         reset,
		"upstream_reset_before_response_started{protocol_error}":                                                      reset,
		"upstream_reset_before_response_started":                                                                      reset,
		"upstream_reset_before_response_started{overflow}":                                                            overflow,
		"upstream_reset_after_response_started{connection_termination}":                                               reset,
		"upstream_reset_after_response_started{protocol_error}":                                                       reset,
		"":                   elsewhere,
		"fault_filter_abort": elsewhere,
		"rbac_access_denied_matched_policy[nobody]": elsewhere,
		"jwt_authn_access_denied{Jwt_is_missing}":   elsewhere,
		"ext_authz_denied":                          elsewhere,
		"ext_authz_error":                           elsewhere,
		"local_rate_limited":                        elsewhere,
		"request_rate_limited":                      elsewhere,
		"lua_response":                              elsewhere,
		"direct_response":                           elsewhere,
		"cluster_not_found":                         elsewhere,
		"route_not_found":                           elsewhere,
		"maintenance_mode":                          elsewhere,
		"missing_host_header":                       elsewhere,
		"upgrade_failed":                            elsewhere,
		"request_overall_timeout":                   elsewhere,
		"request_header_timeout":                    elsewhere,
		"downstream_local_disconnect":               elsewhere,
		"circuit_breaker_open":                      elsewhere,
	} {
		if got := endedBy([]byte(details)); got != want {
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
		e      ending
		want   breaker.Outcome
		reason string
	}{
		{defaults, ending{origin: answered, status: 200, grpc: -1}, success, "answered"},
		{defaults, ending{origin: answered, status: 404, grpc: -1}, success, "answered"},
		{defaults, ending{origin: answered, status: 429, grpc: -1}, success, "answered"},
		{defaults, ending{origin: answered, status: 500, grpc: -1}, failure, "status"},
		{defaults, ending{origin: answered, status: 599, grpc: -1}, failure, "status"},
		{defaults, ending{origin: answered, status: -1, grpc: -1}, success, "answered"},
		{all, ending{origin: answered, status: 500, grpc: -1}, success, "answered"},
		{all, ending{origin: answered, status: 502, grpc: -1}, failure, "status"},
		{all, ending{origin: answered, status: 504, grpc: -1}, failure, "status"},
		{all, ending{origin: answered, status: 505, grpc: -1}, success, "answered"},
		{all, ending{origin: answered, status: 429, grpc: -1}, failure, "status"},

		{defaults, ending{origin: answered, status: 200, grpc: 0}, success, "answered"},
		{defaults, ending{origin: answered, status: 200, grpc: 14}, failure, "grpc_status"},
		{defaults, ending{origin: answered, status: 200, grpc: 4}, failure, "grpc_status"},
		{defaults, ending{origin: answered, status: 200, grpc: 13}, failure, "grpc_status"},
		{defaults, ending{origin: answered, status: 200, grpc: 15}, failure, "grpc_status"},
		{defaults, ending{origin: answered, status: 200, grpc: 5}, success, "answered"},
		{defaults, ending{origin: answered, status: 200, grpc: 1}, success, "answered"},
		{defaults, ending{origin: answered, status: 200, grpc: 99}, success, "answered"},
		{all, ending{origin: answered, status: 200, grpc: 8}, failure, "grpc_status"},

		{defaults, ending{origin: connectFailure, status: 503}, failure, "connect-failure"},
		{defaults, ending{origin: reset, status: 503}, failure, "reset"},
		{defaults, ending{origin: timedOut, status: 504}, failure, "timeout"},
		{defaults, ending{origin: noHealthy, status: 503}, failure, "no-healthy-upstream"},
		{defaults, ending{origin: overflow, status: 503}, neutral, "overflow"},
		{all, ending{origin: overflow, status: 503}, failure, "overflow"},
		{all, ending{origin: timedOut, status: 504}, neutral, "timeout"},
		{defaults, ending{origin: clientGone, status: -1, grpc: -1}, neutral, "client_gone"},
		{defaults, ending{origin: clientGone, status: 200, grpc: -1}, neutral, "client_gone"},

		// A limit of Envoy's on streams is the upstream's doing only if Envoy had to answer in its place.
		{defaults, ending{origin: outlived, status: 504, grpc: -1}, failure, "timeout"},
		{defaults, ending{origin: outlived, status: 408, grpc: -1}, neutral, "elsewhere"},
		{defaults, ending{origin: outlived, status: 200, grpc: -1}, neutral, "elsewhere"},
		{defaults, ending{origin: outlived, status: 200, grpc: 14}, failure, "timeout"},
		{defaults, ending{origin: outlived, status: 200, grpc: 4}, failure, "timeout"},
		{defaults, ending{origin: outlived, status: 200, grpc: 2}, neutral, "elsewhere"},
		{all, ending{origin: outlived, status: 504, grpc: -1}, neutral, "timeout"},
		{slowCalls, ending{origin: outlived, status: 504, grpc: -1, took: 2 * time.Second}, slow(failure), "timeout"},
		{slowCalls, ending{origin: outlived, status: 408, grpc: -1, took: 2 * time.Second}, neutral, "elsewhere"},

		// A tunnel is judged by its handshake.
		{defaults, ending{origin: answered, status: 101, grpc: -1, tunnel: true}, success, "answered"},
		{defaults, ending{origin: clientGone, status: 101, grpc: -1, tunnel: true}, success, "answered"},
		{defaults, ending{origin: reset, status: 101, grpc: -1, tunnel: true}, success, "answered"},
		{defaults, ending{origin: outlived, status: 101, grpc: -1, tunnel: true}, success, "answered"},
		{defaults, ending{origin: clientGone, status: 200, grpc: -1, tunnel: true}, success, "answered"},
		{slowCalls, ending{origin: clientGone, status: 101, grpc: -1, tunnel: true, took: 2 * time.Second}, slow(success), "answered"},
		{defaults, ending{origin: elsewhere, status: 503}, neutral, "elsewhere"},

		{slowCalls, ending{origin: answered, status: 200, grpc: -1, took: time.Second}, success, "answered"},
		{slowCalls, ending{origin: answered, status: 200, grpc: -1, took: time.Second + 1}, slow(success), "answered"},
		{slowCalls, ending{origin: answered, status: 500, grpc: -1, took: 2 * time.Second}, slow(failure), "status"},
		{slowCalls, ending{origin: timedOut, status: 504, took: 2 * time.Second}, slow(failure), "timeout"},
		{slowCalls, ending{origin: clientGone, took: 2 * time.Second}, slow(success), "client_gone"},
		{slowCalls, ending{origin: clientGone, took: time.Second}, neutral, "client_gone"},
		{slowCalls, ending{origin: elsewhere, status: 503, took: 2 * time.Second}, neutral, "elsewhere"},
		{all, ending{origin: timedOut, status: 504, took: 2 * time.Second}, slow(success), "timeout"},
	} {
		config, err := ParseConfig([]byte(c.config))
		if err != nil {
			t.Fatal(err)
		}
		got, reason := config.Rules.judge(c.e)
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
		if got := parseRetryAfter([]byte(value), now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if got := parsePushback([]byte("2500")); got != 2500*time.Millisecond {
		t.Errorf("pushback: %v", got)
	}
	if got := parsePushback([]byte("-1")); got != 0 {
		t.Errorf("pushback that forbids a retry: %v", got)
	}
}
