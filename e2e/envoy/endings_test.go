package envoy_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A row is one way for a request to end: who does what, what the client sees, how Envoy logs it, and what is counted for
// it. Each has a cluster and a route of its own, named like it, so that all run at once on one Envoy.
type row struct {
	name     string
	rules    string           // of the cluster's breaker: JSON members
	cluster  envoy.Cluster    // the upstream of all rows unless it says otherwise
	route    envoy.Route      // from the row's path to its cluster unless it says otherwise
	upstream http.HandlerFunc // nil answers 200
	client   func(*caller) string
	logged   string // rest of the path in the access log, where that is another one than the client's

	sees    string // by the client
	details string // response code details; only their beginning if they end in "*"
	flags   string // response flags, "" for none
	counts  envoy.BreakerStats
	other   envoy.BreakerStats // for the cluster NAME-other, where the row's route has one
}

// What one request can be counted as.
var (
	success     = envoy.BreakerStats{breaker.Calls: 1}
	failure     = envoy.BreakerStats{breaker.Calls: 1, breaker.Failures: 1}
	slow        = envoy.BreakerStats{breaker.Calls: 1, breaker.SlowCalls: 1}
	slowFailure = envoy.BreakerStats{breaker.Calls: 1, breaker.Failures: 1, breaker.SlowCalls: 1}
	neutral     = envoy.BreakerStats{breaker.Neutrals: 1}
	forcedOpen  = envoy.BreakerStats{breaker.Rejected: 1, breaker.StateGauge: uint64(breaker.Open)}
	fellBack    = envoy.BreakerStats{breaker.FellBack: 1, breaker.StateGauge: uint64(breaker.Open)} // of one forced open
	nothing     = envoy.BreakerStats{}
)

// endings returns the table, for clients that will be among callers. Where a rule turns on a time, the times on either side
// of it are far apart.
func endings(t *testing.T, callers map[string]*caller) []row {
	const (
		slowFrom  = `"slow_call": {"duration": "200ms"}` // and slow ones take
		slowTime  = 500 * time.Millisecond
		fastUntil = `"slow_call": {"duration": "3s"}` // and those that are not slow for being long last
		longTime  = 3500 * time.Millisecond
		neverSlow = `"slow_call": {"duration": "1h"}`
	)
	http2 := envoy.Cluster{HTTP2: true}
	overGRPC := envoy.Cluster{HTTP2: true, Address: serveGRPC(t, callers)}
	silent := envoytest.SilentAddress(t)
	refusing := envoy.Cluster{Address: envoytest.RefusingAddress(t)}
	action := func(raw string) envoy.Route { return envoy.Route{Action: raw} }

	rows := []row{
		// The upstream answers.
		{name: "200", sees: "200", details: "via_upstream", counts: success},
		{name: "204", upstream: envoytest.Status(204), sees: "204", details: "via_upstream", counts: success},
		{name: "304", upstream: envoytest.Status(304), sees: "304", details: "via_upstream", counts: success},
		{name: "404", upstream: envoytest.Status(404), sees: "404", details: "via_upstream", counts: success},
		{name: "429", upstream: envoytest.Status(429), sees: "429", details: "via_upstream", counts: success},
		{name: "500", upstream: envoytest.Status(500), sees: "500", details: "via_upstream", counts: failure},
		{name: "503", upstream: envoytest.Status(503), sees: "503", details: "via_upstream", counts: failure},
		{name: "599", upstream: envoytest.Status(599), sees: "599", details: "via_upstream", counts: failure},
		{name: "h2-200", cluster: http2, sees: "200", details: "via_upstream", counts: success},
		{name: "h2-404", cluster: http2, upstream: envoytest.Status(404), sees: "404", details: "via_upstream", counts: success},
		{name: "h2-500", cluster: http2, upstream: envoytest.Status(500), sees: "500", details: "via_upstream", counts: failure},
		{name: "h2-503", cluster: http2, upstream: envoytest.Status(503), client: getHTTP2, sees: "503", details: "via_upstream", counts: failure},

		// The same by another failure_on.
		{name: "429-listed", rules: `"failure_on": ["429"]`, upstream: envoytest.Status(429), sees: "429", details: "via_upstream", counts: failure},
		{name: "500-unlisted", rules: `"failure_on": ["429"]`, upstream: envoytest.Status(500), sees: "500", details: "via_upstream", counts: success},
		{name: "504-in-range", rules: `"failure_on": ["500-504"]`, upstream: envoytest.Status(504), sees: "504", details: "via_upstream", counts: failure},
		{name: "505-out-of-range", rules: `"failure_on": ["500-504"]`, upstream: envoytest.Status(505), sees: "505", details: "via_upstream", counts: success},
		{name: "503-gateway-error", rules: `"failure_on": ["gateway-error"]`, upstream: envoytest.Status(503), sees: "503", details: "via_upstream", counts: failure},
		{name: "500-gateway-error", rules: `"failure_on": ["gateway-error"]`, upstream: envoytest.Status(500), sees: "500", details: "via_upstream", counts: success},
		{name: "504-of-its-own", rules: `"failure_on": ["timeout"]`, upstream: envoytest.Status(504), sees: "504", details: "via_upstream", counts: success},

		// Answers of many shapes.
		{name: "empty", upstream: envoytest.Status(200), sees: "200", details: "via_upstream", counts: success},
		{name: "chunked", upstream: chunks(3, 10), sees: "200", details: "via_upstream", counts: success},
		{name: "large", upstream: chunks(100, 100_000), sees: "200", details: "via_upstream", counts: success},
		{name: "h2-large", cluster: http2, upstream: chunks(100, 100_000), client: getHTTP2, sees: "200", details: "via_upstream", counts: success},
		{name: "trailers", cluster: http2, upstream: trailers, client: getHTTP2, sees: "200", details: "via_upstream", counts: success},
		{name: "head", upstream: envoytest.Status(200), client: head, sees: "200", details: "via_upstream", counts: success},
		{name: "head-500", upstream: envoytest.Status(500), client: head, sees: "500", details: "via_upstream", counts: failure},
		{name: "upload", upstream: readAll, client: post(5_000_000), sees: "200", details: "via_upstream", counts: success},
		{name: "upload-refused", upstream: envoytest.Status(413), client: post(100_000), sees: "413", details: "via_upstream", counts: success},
		{name: "100-continue", upstream: readAll, client: post(10, "Expect", "100-continue"), sees: "200", details: "via_upstream", counts: success},
		{name: "103", upstream: earlyHints(200), sees: "200", details: "via_upstream", counts: success},
		{name: "103-and-500", cluster: http2, upstream: earlyHints(500), client: getHTTP2, sees: "500", details: "via_upstream", counts: failure},

		// No connection, or one that breaks.
		{name: "refused", cluster: refusing, sees: "503", details: "upstream_reset_before_response_started{remote_connection_failure|*", flags: "UF", counts: failure},
		{name: "h2-refused", cluster: envoy.Cluster{HTTP2: true, Address: refusing.Address}, sees: "503", details: "upstream_reset_before_response_started{remote_connection_failure|*", flags: "UF", counts: failure},
		{name: "refused-unlisted", rules: `"failure_on": ["5xx"]`, cluster: refusing, sees: "503", details: "upstream_reset_before_response_started{remote_connection_failure|*", flags: "UF", counts: neutral},
		{name: "connect-timeout", cluster: envoy.Cluster{Address: silent, Extra: "connect_timeout: 0.3s"}, sees: "503", details: "upstream_reset_before_response_started{connection_timeout}", flags: "UF", counts: failure},
		{name: "closed", upstream: envoytest.Abort, sees: "503", details: "upstream_reset_before_response_started{connection_termination}", flags: "UC", counts: failure},
		{name: "h2-reset", cluster: http2, upstream: envoytest.Abort, sees: "503", details: "upstream_reset_before_response_started{remote_reset}", flags: "UR", counts: failure},
		{name: "closed-unlisted", rules: `"failure_on": ["5xx"]`, upstream: envoytest.Abort, sees: "503", details: "upstream_reset_before_response_started{connection_termination}", flags: "UC", counts: neutral},
		{name: "closed-in-headers", upstream: says("HTTP/1.1 200 OK\r\ncontent-le"), sees: "502", details: "upstream_reset_before_response_started{protocol_error}", flags: "UPE", counts: failure},
		{name: "garbage", upstream: says("garbage\r\n\r\n"), sees: "502", details: "upstream_reset_before_response_started{protocol_error}", flags: "UPE", counts: failure},
		{name: "broken", upstream: envoytest.BreakOff, sees: "200 broken", details: "upstream_reset_after_response_started{*", flags: "UPE", counts: failure},
		{name: "broken-chunks", upstream: breaksChunks, sees: "200 broken", details: "upstream_reset_after_response_started{*", flags: "UPE", counts: failure},
		{name: "h2-broken", cluster: http2, upstream: envoytest.BreakOff, client: getHTTP2, sees: "200 broken", details: "upstream_reset_after_response_started{remote_reset}", flags: "UR", counts: failure},
		{name: "broken-unlisted", rules: `"failure_on": ["5xx"]`, upstream: envoytest.BreakOff, sees: "200 broken", details: "upstream_reset_after_response_started{*", flags: "UPE", counts: neutral},
		{name: "broken-100-mb", upstream: breaksDownload, sees: "200 broken", details: "upstream_reset_after_response_started{*", flags: "UPE", counts: failure},
		{name: "h2-broken-100-mb", cluster: http2, upstream: breaksDownload, sees: "200 broken", details: "upstream_reset_after_response_started{remote_reset}", flags: "UR", counts: failure},

		// Envoy gives up waiting.
		{name: "timeout", route: action("timeout: 0.3s"), upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: failure},
		{name: "h2-timeout", cluster: http2, route: action("timeout: 0.3s"), upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: failure},
		{name: "timeout-only", rules: `"failure_on": ["timeout"]`, route: action("timeout: 0.3s"), upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: failure},
		{name: "timeout-unlisted", rules: `"failure_on": ["5xx"]`, route: action("timeout: 0.3s"), upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: neutral},
		{name: "timeout-in-body", route: action("timeout: 1.5s"), upstream: stalls, sees: "200 broken", details: "response_timeout", flags: "UT", counts: neutral},
		{name: "timeout-in-body-listed", rules: `"failure_on": ["body-timeout"]`, route: action("timeout: 1.5s"), upstream: stalls, sees: "200 broken", details: "response_timeout", flags: "UT", counts: failure},
		{name: "h2-timeout-in-body-listed", rules: `"failure_on": ["body-timeout"]`, cluster: http2, route: action("timeout: 1.5s"), upstream: stalls, client: getHTTP2, sees: "200 broken", details: "response_timeout", flags: "UT", counts: failure},
		{name: "timeout-body-listed", rules: `"failure_on": ["body-timeout"]`, route: action("timeout: 0.3s"), upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: neutral},
		{name: "per-try-timeout", route: action("retry_policy: { retry_on: 5xx, num_retries: 1, per_try_timeout: 0.2s }"), upstream: envoytest.Hang(nil), sees: "504", details: "upstream_per_try_timeout", flags: "URX,UT", counts: failure},
		{name: "per-try-idle-timeout", route: action("retry_policy: { retry_on: 5xx, num_retries: 1, per_try_idle_timeout: 0.2s }"), upstream: envoytest.Hang(nil), sees: "504", details: "upstream_per_try_idle_timeout", flags: "URX,UT", counts: failure},
		{name: "per-try-idle-in-body", route: action("retry_policy: { retry_on: 5xx, num_retries: 1, per_try_idle_timeout: 1.5s }"), upstream: stalls, sees: "200 broken", details: "upstream_per_try_idle_timeout", flags: "UT", counts: neutral},
		{name: "per-try-idle-in-body-listed", rules: `"failure_on": ["body-timeout"]`, route: action("retry_policy: { retry_on: 5xx, num_retries: 1, per_try_idle_timeout: 1.5s }"), upstream: stalls, sees: "200 broken", details: "upstream_per_try_idle_timeout", flags: "UT", counts: failure},
		{name: "idle", route: action("idle_timeout: 0.3s"), upstream: envoytest.Hang(nil), sees: "504", details: "stream_idle_timeout", flags: "SI", counts: failure},
		{name: "idle-in-body", route: action("idle_timeout: 1.5s"), upstream: stalls, sees: "200 broken", details: "stream_idle_timeout", flags: "SI", counts: neutral},
		{name: "idle-in-upload", route: action("idle_timeout: 0.3s"), upstream: envoytest.Hang(nil), client: stallsUpload, sees: "408", details: "stream_idle_timeout", flags: "SI", counts: neutral},
		{name: "max-stream", route: action("max_stream_duration: { max_stream_duration: 0.3s }"), upstream: envoytest.Hang(nil), sees: "504", details: "max_duration_timeout", counts: failure},
		{name: "max-stream-in-body", route: action("max_stream_duration: { max_stream_duration: 1.5s }"), upstream: stalls, sees: "200 broken", details: "max_duration_timeout", counts: neutral},
		{name: "max-stream-in-upload", route: action("max_stream_duration: { max_stream_duration: 0.3s }"), upstream: envoytest.Hang(nil), client: stallsUpload, sees: "408", details: "max_duration_timeout", counts: neutral},
		{name: "max-upstream", cluster: maxUpstream("0.3s"), upstream: envoytest.Hang(nil), sees: "504", details: "upstream_max_stream_duration_reached", flags: "UMSDR", counts: failure},
		{name: "max-upstream-in-body", cluster: maxUpstream("1.5s"), upstream: stalls, sees: "200 broken", details: "upstream_max_stream_duration_reached", flags: "UMSDR", counts: neutral},

		// Nobody to ask.
		{name: "no-endpoints", cluster: envoy.Cluster{Address: "none"}, sees: "503", details: "no_healthy_upstream", flags: "UH", counts: failure},
		{name: "no-endpoints-unlisted", rules: `"failure_on": ["5xx"]`, cluster: envoy.Cluster{Address: "none"}, sees: "503", details: "no_healthy_upstream", flags: "UH", counts: neutral},
		{name: "overflow", cluster: thresholds(false), sees: "503", details: "upstream_reset_before_response_started{overflow}", flags: "UO", counts: neutral},
		{name: "overflow-listed", rules: `"failure_on": ["overflow"]`, cluster: thresholds(false), sees: "503", details: "upstream_reset_before_response_started{overflow}", flags: "UO", counts: failure},
		{name: "h2-overflow", cluster: thresholds(true), sees: "503", details: "upstream_reset_before_response_started{overflow}", flags: "UO", counts: neutral},
		{name: "h2-overflow-listed", rules: `"failure_on": ["overflow"]`, cluster: thresholds(true), sees: "503", details: "upstream_reset_before_response_started{overflow}", flags: "UO", counts: failure},
		{name: "maintenance", sees: "503", details: "maintenance_mode", flags: "UO", counts: neutral},

		// The client gives up.
		{name: "client-gone", upstream: envoytest.Hang(nil), client: givesUp(false, 0), sees: "gone", details: "downstream_remote_disconnect", flags: "DC", counts: neutral},
		{name: "h2-client-gone", cluster: http2, upstream: envoytest.Hang(nil), client: givesUp(true, 0), sees: "gone", details: "http2.remote_reset", flags: "DR", counts: neutral},
		{name: "client-gone-in-body", upstream: stalls, client: leavesBody(false), sees: "200 gone", details: "downstream_remote_disconnect", flags: "DC", counts: neutral},
		{name: "h2-client-gone-in-body", cluster: http2, upstream: stalls, client: leavesBody(true), sees: "200 gone", details: "http2.remote_reset", flags: "DR", counts: neutral},
		{name: "client-gone-in-upload", upstream: readAll, client: leavesUpload, sees: "gone", details: "downstream_remote_disconnect", flags: "DC", counts: neutral},

		// The route answers, or there is none.
		{name: "direct", route: envoy.Route{Cluster: noCluster, Extra: "direct_response: { status: 202 }"}, sees: "202", details: "direct_response", counts: nothing},
		{name: "redirect", route: envoy.Route{Cluster: noCluster, Extra: "redirect: { path_redirect: /200/ }"}, sees: "301", details: "direct_response", counts: nothing},
		{name: "no-cluster", route: envoy.Route{Cluster: noCluster, Action: "cluster_header: row"}, sees: "503", details: "cluster_not_found", flags: "NC", counts: nothing},
		{name: "no-route", route: envoy.Route{Match: "headers: [{ name: none, present_match: true }]"}, sees: "404", details: "route_not_found", flags: "NR", counts: nothing},
		{name: "bad-request", client: noHost, sees: "400", details: "missing_host_header", counts: nothing},
		{name: "internal-redirect", route: action("internal_redirect_policy: { max_internal_redirects: 1 }"), upstream: redirects, logged: "target", sees: "200", details: "internal_redirect", counts: envoy.BreakerStats{breaker.Calls: 2}},

		// Retries.
		{name: "retried-in-vain", route: action("retry_policy: { retry_on: 5xx, num_retries: 2 }"), upstream: envoytest.Status(503), sees: "503", details: "via_upstream", flags: "URX", counts: failure},
		{name: "retried-well", route: action("retry_policy: { retry_on: 5xx, num_retries: 2 }"), upstream: failsFirst(2), sees: "200", details: "via_upstream", counts: success},
		{name: "retried-resets", route: action("retry_policy: { retry_on: reset, num_retries: 2 }"), upstream: envoytest.Abort, sees: "503", details: "upstream_reset_before_response_started{connection_termination}", flags: "URX,UC", counts: failure},

		// The breaker itself.
		{name: "rejected", rules: `"mode": "force_open"`, sees: "503", details: "circuit_breaker_forced_open", counts: forcedOpen},
		{name: "disabled", rules: `"mode": "disabled"`, upstream: envoytest.Status(500), sees: "500", details: "via_upstream", counts: nothing},
		{name: "fallback", rules: `"mode": "force_open", "fallback": {"header": "x-other"}`, route: otherwise("x-other"), sees: "200", details: "via_upstream",
			counts: fellBack, other: success},
		{name: "fallback-fails", rules: `"mode": "force_open", "fallback": {"header": "x-other", "cluster": "fallback-fails-other"}`, route: otherwise("x-other"),
			upstream: envoytest.Status(500), sees: "500", details: "via_upstream", counts: fellBack, other: failure},
		{name: "fallback-client-gone", rules: `"mode": "force_open", "fallback": {"header": "x-other", "cluster": "fallback-client-gone-other"}`, route: otherwise("x-other"),
			upstream: envoytest.Hang(nil), client: givesUp(false, 0), sees: "gone", details: "downstream_remote_disconnect", flags: "DC", counts: fellBack, other: neutral},
		// A filter after the breaker changes the route: the outcome is still of the cluster that was asked, if one was.
		{name: "rerouted", route: reroutedAfter, upstream: envoytest.Status(500), sees: "500", details: "via_upstream", counts: failure, other: nothing},

		// Slow calls, by the time to response headers.
		{name: "slow", rules: slowFrom, upstream: waits(slowTime, 200), sees: "200", details: "via_upstream", counts: slow},
		{name: "slow-and-fails", rules: slowFrom, upstream: waits(slowTime, 500), sees: "500", details: "via_upstream", counts: slowFailure},
		{name: "slow-off", upstream: waits(slowTime, 200), sees: "200", details: "via_upstream", counts: success},
		{name: "slow-timeout", rules: slowFrom, route: action("timeout: 0.5s"), upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: slowFailure},
		{name: "slow-timeout-unlisted", rules: slowFrom + `, "failure_on": ["5xx"]`, route: action("timeout: 0.5s"), upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: slow},
		{name: "slow-then-closed", rules: slowFrom, upstream: waits(slowTime, 0), sees: "503", details: "upstream_reset_before_response_started{connection_termination}", flags: "UC", counts: slowFailure},
		{name: "slow-retries", rules: slowFrom, route: action("retry_policy: { retry_on: 5xx, num_retries: 1, retry_back_off: { base_interval: 0.001s } }"),
			upstream: waits(slowTime/4, 503), sees: "503", details: "via_upstream", flags: "URX", counts: slowFailure},
		{name: "slow-client-gone", rules: slowFrom, upstream: envoytest.Hang(nil), client: givesUp(false, slowTime), sees: "gone", details: "downstream_remote_disconnect", flags: "DC", counts: slow},
		{name: "h2-slow-client-gone", rules: slowFrom, cluster: http2, upstream: envoytest.Hang(nil), client: givesUp(true, slowTime), sees: "gone", details: "http2.remote_reset", flags: "DR", counts: slow},
		{name: "impatient-client", rules: neverSlow, upstream: envoytest.Hang(nil), client: givesUp(false, 0), sees: "gone", details: "downstream_remote_disconnect", flags: "DC", counts: neutral},
		{name: "slow-client-gone-in-body", rules: slowFrom, upstream: waitsAndStalls(slowTime), client: leavesBody(false), sees: "200 gone", details: "downstream_remote_disconnect", flags: "DC", counts: slow},
		{name: "slow-filter", rules: slowFrom, route: filter("fault-after", `
			"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
			delay: { fixed_delay: 0.5s, percentage: { numerator: 100 } }
			abort: { http_status: 418, percentage: { numerator: 100 } }`), sees: "418", details: "fault_filter_abort", flags: "DI,FI", counts: neutral},
		{name: "slow-filter-client-gone", rules: slowFrom, route: filter("fault-after", `
			"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
			delay: { fixed_delay: 3600s, percentage: { numerator: 100 } }`),
			client: waitsFor(slowTime), sees: "gone", details: "downstream_remote_disconnect", flags: "DI,DC", counts: neutral},
		{name: "slow-connect-client-gone", rules: slowFrom, cluster: envoy.Cluster{Address: silent, Extra: "connect_timeout: 60s"}, client: waitsFor(slowTime),
			sees: "gone", details: "downstream_remote_disconnect", flags: "DC", counts: slow},

		// What is long without being slow.
		{name: "long-download", rules: fastUntil, upstream: lasts(longTime), sees: "200", details: "via_upstream", counts: success},
		{name: "long-download-left", rules: fastUntil, upstream: lasts(time.Hour), client: leavesBodyAfter(longTime), sees: "200 gone", details: "downstream_remote_disconnect", flags: "DC", counts: neutral},
		{name: "websocket", rules: neverSlow, route: upgrade, upstream: echoWebSocket, client: webSocket(0), sees: "101", details: "downstream_remote_disconnect", flags: "DC", counts: success},
		{name: "websocket-long", rules: fastUntil, route: upgrade, upstream: echoWebSocket, client: webSocket(longTime), sees: "101", details: "downstream_remote_disconnect", flags: "DC", counts: success},
		{name: "websocket-idle", route: action("upgrade_configs: [{ upgrade_type: websocket }]\nidle_timeout: 1.5s"), upstream: echoWebSocket, client: webSocket(time.Hour), sees: "101 broken", details: "stream_idle_timeout", flags: "SI", counts: success},
		{name: "websocket-refused", route: upgrade, upstream: envoytest.Status(403), client: webSocket(0), sees: "403", details: "via_upstream", counts: success},
		{name: "websocket-fails", route: upgrade, upstream: envoytest.Status(503), client: webSocket(0), sees: "503", details: "via_upstream", counts: failure},
		{name: "websocket-dropped", route: upgrade, upstream: dropsWebSocket, client: webSocket(time.Hour), sees: "101 broken", details: "upstream_reset_after_response_started{connection_termination}", flags: "UC", counts: success},
		{name: "websocket-not-allowed", upstream: echoWebSocket, client: webSocket(0), sees: "403", details: "upgrade_failed", counts: nothing},
		{name: "connect", rules: fastUntil, cluster: envoy.Cluster{Address: echoTCP(t)}, route: connect, client: tunnel(longTime), sees: "200", details: "downstream_remote_disconnect", flags: "DC", counts: success},

		// gRPC.
		{name: "grpc-unary", rules: neverSlow, cluster: overGRPC, client: unary(0), sees: "OK", details: "via_upstream", counts: success},
		{name: "grpc-unavailable", cluster: overGRPC, client: unary(14), sees: "Unavailable", details: "via_upstream", counts: failure},
		{name: "grpc-internal", cluster: overGRPC, client: unary(13), sees: "Internal", details: "via_upstream", counts: failure},
		{name: "grpc-data-loss", cluster: overGRPC, client: unary(15), sees: "DataLoss", details: "via_upstream", counts: failure},
		{name: "grpc-deadline-exceeded", cluster: overGRPC, client: unary(4), sees: "DeadlineExceeded", details: "via_upstream", counts: failure},
		{name: "grpc-not-found", cluster: overGRPC, client: unary(5), sees: "NotFound", details: "via_upstream", counts: success},
		{name: "grpc-cancelled", cluster: overGRPC, client: unary(1), sees: "Canceled", details: "via_upstream", counts: success},
		{name: "grpc-exhausted", cluster: overGRPC, client: unary(8), sees: "ResourceExhausted", details: "via_upstream", counts: success},
		{name: "grpc-exhausted-listed", rules: `"failure_on": ["resource-exhausted"]`, cluster: overGRPC, client: unary(8), sees: "ResourceExhausted", details: "via_upstream", counts: failure},
		{name: "grpc-unavailable-unlisted", rules: `"failure_on": ["5xx"]`, cluster: overGRPC, client: unary(14), sees: "Unavailable", details: "via_upstream", counts: success},
		{name: "grpc-unavailable-in-trailers", cluster: overGRPC, client: unary(14, "do", "headers"), sees: "Unavailable", details: "via_upstream", counts: failure},
		{name: "grpc-unimplemented", cluster: overGRPC, client: unimplemented, sees: "Unimplemented", details: "via_upstream", counts: success},
		{name: "grpc-server-stream", cluster: overGRPC, client: serverStream(3, 0), sees: "3 OK", details: "via_upstream", counts: success},
		{name: "grpc-server-stream-fails", cluster: overGRPC, client: serverStream(3, 14), sees: "3 Unavailable", details: "via_upstream", counts: failure},
		{name: "grpc-server-stream-left", cluster: overGRPC, client: serverStream(3, -1), sees: "3 Canceled", details: "http2.remote_reset", flags: "DR", counts: neutral},
		{name: "grpc-server-stream-long", rules: fastUntil, cluster: overGRPC, client: longServerStream(longTime), sees: "2 OK", details: "via_upstream", counts: success},
		{name: "grpc-bidi", cluster: overGRPC, client: bidi(3, 0), sees: "3 OK", details: "via_upstream", counts: success},
		{name: "grpc-bidi-fails", cluster: overGRPC, client: bidi(3, 14), sees: "3 Unavailable", details: "via_upstream", counts: failure},
		{name: "grpc-bidi-fails-at-once", cluster: overGRPC, client: bidi(0, 14), sees: "0 Unavailable", details: "via_upstream", counts: failure},
		{name: "grpc-bidi-left", cluster: overGRPC, client: bidi(3, -1), sees: "3 Canceled", details: "http2.remote_reset", flags: "DR", counts: neutral},
		// Not by the gRPC server: Envoy tells it of the limit, and it would end the call at the same moment.
		{name: "grpc-route-timeout", cluster: http2, route: action("timeout: 0.3s"), upstream: envoytest.Hang(nil), client: unary(0), sees: "Unavailable", details: "response_timeout", flags: "UT", counts: failure},
		{name: "grpc-slow", rules: slowFrom, cluster: overGRPC, client: unary(0, "do", "wait"), sees: "OK", details: "via_upstream", counts: slow},
		{name: "grpc-slow-timeout", rules: slowFrom, cluster: http2, route: action("timeout: 0.5s"), upstream: envoytest.Hang(nil), client: unary(0), sees: "Unavailable", details: "response_timeout", flags: "UT", counts: slowFailure},
		{name: "grpc-idle", cluster: http2, route: action("idle_timeout: 0.3s"), upstream: envoytest.Hang(nil), client: unary(0), sees: "Unavailable", details: "stream_idle_timeout", flags: "SI", counts: failure},
		{name: "grpc-idle-in-stream", cluster: http2, route: action("idle_timeout: 1.5s"), upstream: stallsGRPC, client: bidi(0, -2), sees: "0 broken", details: "stream_idle_timeout", flags: "SI", counts: neutral},
		{name: "grpc-max-stream", cluster: http2, route: action("max_stream_duration: { max_stream_duration: 2s }"), upstream: envoytest.Hang(nil), client: unaryNoDeadline(), sees: "DeadlineExceeded", details: "max_duration_timeout", counts: failure},
		// Envoy's connection manager writes the route's max_stream_duration into the request's grpc-timeout, whether or not the client
		// has sent one. So a deadline that the route chose cannot be told from one that the caller did, which is what it is taken for
		// until the upstream has had a second.
		{name: "grpc-max-stream-short", cluster: http2, route: action("max_stream_duration: { max_stream_duration: 0.3s }"), upstream: envoytest.Hang(nil), client: unaryNoDeadline(), sees: "DeadlineExceeded", details: "max_duration_timeout", counts: neutral},
		{name: "grpc-max-stream-short-deadline", cluster: http2, route: action("max_stream_duration: { max_stream_duration: 0.3s }"), upstream: envoytest.Hang(nil), client: unary(0), sees: "DeadlineExceeded", details: "max_duration_timeout", counts: neutral},
		{name: "grpc-max-stream-in-stream", cluster: http2, route: action("max_stream_duration: { max_stream_duration: 1.5s }"), upstream: stallsGRPC, client: bidi(0, -2), sees: "0 broken", details: "max_duration_timeout", counts: neutral},
		{name: "grpc-client-gone", cluster: overGRPC, client: cancelsUnary(0), sees: "Canceled", details: "http2.remote_reset", flags: "DR", counts: neutral},
		{name: "grpc-slow-client-gone", rules: slowFrom, cluster: overGRPC, client: cancelsUnary(slowTime), sees: "Canceled", details: "http2.remote_reset", flags: "DR", counts: slow},
		{name: "grpc-refused", cluster: envoy.Cluster{HTTP2: true, Address: refusing.Address}, client: unary(0), sees: "Unavailable", details: "upstream_reset_before_response_started{remote_connection_failure|*", flags: "UF", counts: failure},
		{name: "grpc-503", cluster: http2, upstream: envoytest.Status(503), client: unary(0), sees: "Unavailable", details: "via_upstream", counts: failure},
		{name: "grpc-404", cluster: http2, upstream: envoytest.Status(404), client: unary(0), sees: "Unimplemented", details: "via_upstream", counts: success},
		{name: "grpc-reset", cluster: http2, upstream: resetsGRPC, client: unary(0), sees: "Internal", details: "upstream_reset_after_response_started{remote_reset}", flags: "UR", counts: failure},
		{name: "grpc-fault", cluster: overGRPC, route: filter("fault-after", abort403), client: unary(0), sees: "PermissionDenied", details: "fault_filter_abort", flags: "FI", counts: neutral},
		{name: "grpc-rejected", rules: `"mode": "force_open"`, cluster: overGRPC, client: unary(0), sees: "Unavailable", details: "circuit_breaker_forced_open", counts: forcedOpen},
		{name: "web-grpc", upstream: grpcWebUnavailable, client: post(5, "content-type", "application/grpc-web"), sees: "200", details: "via_upstream", counts: failure},
		{name: "get-with-grpc-status", upstream: grpcWebUnavailable, sees: "200", details: "via_upstream", counts: success},
	}

	// Other filters' replies: before the breaker it never hears of the request, after it the end is neutral.
	for _, f := range filters {
		for _, place := range []string{"before", "after"} {
			r := row{name: f.name + "-" + place, route: filter(f.name+"-"+place, f.enable), client: f.client,
				sees: f.sees, details: f.details, flags: f.flags, counts: nothing}
			if place == "after" {
				r.counts = neutral
			}
			if f.name == "ratelimit" { // which the first of two requests passes
				r.counts[breaker.Calls]++
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// Every way for a request to end is counted as what it is, once, and nothing else is counted.
func TestEndings(t *testing.T) {
	t.Parallel()
	t.Run("asked", func(t *testing.T) { testEndings(t, false) })
	t.Run("calm", func(t *testing.T) { testEndings(t, true) })
}

// whileCalm is what comes of those rows where requests are not asked for their cluster, as they are wherever force_open is. It leaves one
// out: whether the cluster that redirects is known depends on how long that takes.
func whileCalm(rows []row) []row {
	rows = slices.DeleteFunc(rows, func(r row) bool { return strings.Contains(r.rules, "force_open") || r.name == "internal-redirect" })
	for i := range rows {
		if r := &rows[i]; r.name == "rerouted" {
			r.counts, r.other = r.other, r.counts
		}
	}
	return rows
}

// testEndings lets all rows end. All is calm from before the first on where it is to be, as none opens a breaker.
func testEndings(t *testing.T, calm bool) {
	callers := make(map[string]*caller)
	rows := endings(t, callers)
	if calm {
		rows = whileCalm(rows)
	}
	upstream := envoytest.NewUpstream(t)
	bootstrap := envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "authz", Address: upstream.Address}},
		Extra: `
			layered_runtime:
			  layers: [{ name: static, static_layer: { upstream.maintenance_mode.maintenance: 100 } }]`,
	}
	main := envoy.Listener{FiltersBefore: filterChain("before"), FiltersAfter: filterChain("after")}
	var rules []json.RawMessage
	for i := range rows {
		r := &rows[i]
		if callers[r.name] != nil {
			t.Fatalf("two rows are called %s", r.name)
		}
		callers[r.name] = newCaller(r)
		cluster := r.cluster
		switch cluster.Address {
		case "":
			cluster.Address = upstream.Address
		case "none":
			cluster.Address = ""
		}
		cluster.Name = r.name
		bootstrap.Clusters = append(bootstrap.Clusters, cluster)
		if r.rules != "" {
			rules = append(rules, json.RawMessage(fmt.Sprintf(`{"match": %q, %s}`, r.name, r.rules)))
		}
		if r.route.Cluster == theOther {
			cluster.Name += "-other"
			bootstrap.Clusters = append(bootstrap.Clusters, cluster)
		}
		main.Routes = append(main.Routes, r.routes()...)
	}
	config, err := json.Marshal(map[string]any{"clusters": rules})
	if err != nil {
		t.Fatal(err)
	}
	if calm {
		bootstrap.Clusters = append(bootstrap.Clusters, envoy.Cluster{Name: "warm", Address: upstream.Address}, envoy.Cluster{Name: "warm-other", Address: upstream.Address})
		main.Routes = append(main.Routes, (&row{name: "warm", route: reroutedAfter}).routes()...)
	}
	main.Plugin = &envoy.Plugin{Config: string(config)}
	bootstrap.Listeners = []envoy.Listener{main}

	e := envoytest.Start(t, bootstrap)
	if calm {
		awaitCalm(t, e, "/warm/up", "warm", "warm-other")
	}
	upstream.Handle(func(w http.ResponseWriter, r *http.Request) { serveRow(callers, w, r) })

	// All clients at once, but not so many that a busy machine would make requests slow.
	var clients sync.WaitGroup
	places := make(chan struct{}, 16)
	for _, c := range callers {
		c.address = e.Address("main")
		clients.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c.call()
		})
	}
	clients.Wait()

	logged := loggedRows(e, rows)
	stats := breakers(e)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if got := callers[r.name].saw; got != r.sees {
				t.Errorf("the client saw %q, want %q", got, r.sees)
			}
			entry := logged[r.name]
			t.Logf("client: %s; Envoy: %d %s %s; %+v", callers[r.name].saw, entry.Status, entry.Details, entry.Flags, stats[r.name])
			want, open := strings.CutSuffix(r.details, "*")
			if open && !strings.HasPrefix(entry.Details, want) || !open && entry.Details != want {
				t.Errorf("response code details %q, want %q", entry.Details, r.details)
			}
			if flags := strings.TrimPrefix(entry.Flags, "-"); flags != r.flags {
				t.Errorf("response flags %q, want %q", flags, r.flags)
			}
			if got := stats[r.name]; got != r.counts {
				t.Errorf("counted %+v\n   want %+v", got, r.counts)
			}
			if got := stats[r.name+"-other"]; got != r.other {
				t.Errorf("the other cluster counted %+v\n   want %+v", got, r.other)
			}
		})
	}
	for _, r := range rows {
		delete(stats, r.name)
		delete(stats, r.name+"-other")
	}
	delete(stats, "warm")
	delete(stats, "warm-other")
	if len(stats) != 0 {
		t.Errorf("counted for clusters that no row is about: %+v", stats)
	}
}

// What a row's route has in the place of a cluster.
const (
	noCluster = "none"  // it answers by itself
	theOther  = "other" // where it matches it leads to the cluster NAME-other, and elsewhere to the row's
)

// routes returns the routes of a row. gRPC's have a header to tell them apart, as the paths are given.
func (r *row) routes() []envoy.Route {
	route := r.route
	switch {
	case strings.HasPrefix(r.name, "grpc-"):
		route.Prefix = "/grpc.testing.TestService/"
		route.Match = fmt.Sprintf("headers: [{ name: row, string_match: { exact: %q } }]", r.name)
	case route.Match != connect.Match:
		route.Prefix = "/" + r.name + "/"
	}
	switch route.Cluster {
	case noCluster:
		route.Cluster = ""
	case theOther:
		other := envoy.Route{Prefix: route.Prefix, Match: route.Match, Cluster: r.name + "-other"}
		route.Match, route.Cluster = "", r.name
		return []envoy.Route{other, route}
	default:
		route.Cluster = r.name
	}
	return []envoy.Route{route}
}

// loggedRows waits until the requests of all rows have ended, and returns their entries in the access log.
func loggedRows(e *envoytest.Envoy, rows []row) map[string]envoytest.Entry {
	paths := make(map[string]string)
	for _, r := range rows {
		paths[r.name] = r.logged
	}
	logged := make(map[string]envoytest.Entry)
	for deadline := time.Now().Add(patience); len(logged) < len(rows) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, entry := range e.AccessLog() {
			name, rest, _ := strings.Cut(strings.TrimPrefix(entry.Path, "/"), "/")
			if entry.Method == http.MethodConnect || strings.HasPrefix(name, "grpc.") {
				name, rest = entry.Cluster, ""
			}
			if _, known := logged[name]; !known && rest == paths[name] {
				logged[name] = entry
			}
		}
	}
	return logged
}

// breakers returns what was counted for each cluster, without what tells of the breaker's own doings.
func breakers(e *envoytest.Envoy) map[string]envoy.BreakerStats {
	all := e.Breakers()
	for cluster, b := range all {
		b[breaker.Changes] = 0
		if all[cluster] = b; b == nothing {
			delete(all, cluster)
		}
	}
	return all
}

// echoTCP starts a server that sends back whatever it gets, and returns its address.
func echoTCP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(conn)
		}
	}()
	return listener.Addr().String()
}
