package replay

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/accesslog"
)

// What lines say is judged as the plugin would have.
func TestVerdicts(t *testing.T) {
	rules := parse(t, `{"slow_call": {"duration": "2s"}}`).Rules
	ok, failure, neutral := breaker.Outcome{}, breaker.Outcome{Result: breaker.Failure}, breaker.Outcome{Result: breaker.Neutral}
	for name, test := range map[string]struct {
		change func(e *accesslog.Entry)
		want   breaker.Outcome
		reason string
	}{
		"200":                      {func(e *accesslog.Entry) {}, ok, "answered"},
		"503":                      {func(e *accesslog.Entry) { e.Status = 503 }, failure, "status"},
		"404":                      {func(e *accesslog.Entry) { e.Status = 404 }, ok, "answered"},
		"slow":                     {func(e *accesslog.Entry) { e.Duration, e.Response = 3*time.Second, 2500*ms }, breaker.Outcome{Slow: true}, "answered"},
		"upload":                   {func(e *accesslog.Entry) { e.Duration, e.Response, e.Request = 3*time.Second, 2500*ms, 2*time.Second }, ok, "answered"},
		"download":                 {func(e *accesslog.Entry) { e.Duration, e.Response = 30*time.Second, 5*ms }, ok, "answered"},
		"gRPC":                     {func(e *accesslog.Entry) { e.GRPC = 14 }, failure, "grpc_status"},
		"gRPC that failed as HTTP": {func(e *accesslog.Entry) { e.GRPC, e.Status = 14, 404 }, ok, "answered"},
		"gRPC cut off, whose status Envoy makes up": {func(e *accesslog.Entry) {
			e.GRPC, e.Details = 14, "downstream_remote_disconnect"
		}, neutral, "client_gone"},
		"cut off": {func(e *accesslog.Entry) { e.Details = "upstream_reset_after_response_started{remote_reset}" }, failure, "reset"},
		"broken off before": {func(e *accesslog.Entry) {
			e.Details, e.Response, e.Status = "upstream_reset_before_response_started{connection_termination}", -1, 503
		}, failure, "reset"},
		"no connection": {func(e *accesslog.Entry) {
			e.Details, e.Response, e.Status = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}", -1, 503
		}, failure, "connect-failure"},
		"timeout":             {func(e *accesslog.Entry) { e.Details, e.Response, e.Status = "response_timeout", -1, 504 }, failure, "timeout"},
		"timeout in the body": {func(e *accesslog.Entry) { e.Details = "response_timeout" }, neutral, "body-timeout"},
		"timeout of a request that was never whole": {func(e *accesslog.Entry) {
			e.Details, e.Response, e.Status, e.Unsent = "stream_idle_timeout", -1, 408, true
		}, neutral, "elsewhere"},
		"a stream that idled": {func(e *accesslog.Entry) { e.Details, e.Response, e.Status = "stream_idle_timeout", -1, 504 }, failure, "timeout"},
		"client gone": {func(e *accesslog.Entry) {
			e.Details, e.Response, e.Status, e.Duration = "downstream_remote_disconnect", -1, 0, 1500*ms
		}, breaker.Outcome{Result: breaker.Neutral, Unanswered: true}, "client_gone"},
		"client gone, and the upstream was slow": {func(e *accesslog.Entry) {
			e.Details, e.Response, e.Status, e.Duration = "downstream_remote_disconnect", -1, 0, 2500*ms
		}, breaker.Outcome{Slow: true}, "client_gone"},
		"client gone, and the upstream was never asked": {func(e *accesslog.Entry) {
			e.Details, e.Response, e.Status, e.Duration, e.Attempts = "downstream_remote_disconnect", -1, 0, 2500*ms, 0
		}, neutral, "elsewhere"},
		"a WebSocket, hung up": {func(e *accesslog.Entry) {
			e.Details, e.Status = "upstream_reset_after_response_started{connection_termination}", 101
		}, ok, "answered"},
		"CONNECT, hung up": {func(e *accesslog.Entry) {
			e.Details, e.Method = "upstream_reset_after_response_started{connection_termination}", "CONNECT"
		}, ok, "answered"},
		"another filter": {func(e *accesslog.Entry) {
			e.Details, e.Status, e.Response = "rbac_access_denied_matched_policy[none]", 403, -1
		}, neutral, "elsewhere"},
		"no host": {func(e *accesslog.Entry) { e.Details, e.Status, e.Response = "no_healthy_upstream", 503, -1 }, failure, "no-healthy-upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			e := good(0)
			test.change(&e)
			var c call
			c.read(&e)
			if got, reason := rules.Judge(c.ending()); got != test.want || reason != test.reason {
				t.Errorf("%+v, %s, want %+v, %s", got, reason, test.want, test.reason)
			}
		})
	}
}
