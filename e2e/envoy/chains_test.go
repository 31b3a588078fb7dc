package envoy_test

import (
	"fmt"
	"strings"
	"testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A chainRow is an answer, or the lack of one, that comes back through other filters. What the breaker makes of it is what the
// upstream did, whatever the client sees, and a trial gets the same verdict as any other request.
type chainRow struct {
	row
	through string // the chain that its requests come through; "plain" unless it says otherwise

	// A trial is judged by its headers, and stays judged where the body breaks off later. So these are the only rows on which
	// it may differ.
	trial *envoy.BreakerStats
}

// chainRows returns the table. Names are CHAIN-WHAT, so that a failure says where it is.
func chainRows(t *testing.T) []chainRow {
	http2 := envoy.Cluster{HTTP2: true}
	refusing := envoy.Cluster{Address: envoytest.RefusingAddress(t)}
	nobody := envoy.Cluster{Address: "none"}
	action := func(raw string) envoy.Route { return envoy.Route{Action: raw} }
	timeout := action("timeout: 0.3s")
	abort503 := filter("fault-after", `
		"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
		abort: { http_status: 503, percentage: { numerator: 100 } }`)
	luaResponds := filter("lua-after", `
		"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
		source_code:
		  inline_string: 'function envoy_on_request(handle) handle:respond({[":status"] = "503"}, "no") end'`)
	web := postGRPC("application/grpc-web+proto")
	bridged := postGRPC("application/grpc")
	const refused = "upstream_reset_before_response_started{remote_connection_failure|*"
	const brokenOff = "upstream_reset_after_response_started{*"

	var rows []chainRow
	// add adds rows of one chain.
	add := func(through string, more ...chainRow) {
		for _, r := range more {
			r.through = through
			if strings.HasPrefix(r.name, "grpc-") {
				r.name = "grpc-" + through + "-" + strings.TrimPrefix(r.name, "grpc-")
			} else {
				r.name = through + "-" + r.name
			}
			rows = append(rows, r)
		}
	}

	// grpc_web takes the trailers away, and writes them into the body.
	add("web",
		chainRow{row: row{name: "0", cluster: http2, upstream: answersGRPC(0), client: web, sees: "200 0", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "5", cluster: http2, upstream: answersGRPC(5), client: web, sees: "200 5", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "14", cluster: http2, upstream: answersGRPC(14), client: web, sees: "200 14", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "text-14", cluster: http2, upstream: answersGRPC(14), client: postGRPC("application/grpc-web-text"), sees: "200 14", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "trailers-only-14", cluster: http2, upstream: trailersOnly(14), client: web, sees: "200 14", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "trailers-only-5", cluster: http2, upstream: trailersOnly(5), client: web, sees: "200 5", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "503", cluster: http2, upstream: envoytest.Status(503), client: web, sees: "503 ", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "refused", cluster: refusing, client: web, sees: "503 14", details: refused, flags: "UF", counts: failure}},
	)

	// grpc_http1_bridge makes 503 of every error in trailers, and lets pass what is in headers.
	for code, verdict := range map[int]envoy.BreakerStats{1: success, 2: success, 4: failure, 5: success, 12: success, 13: failure, 14: failure} {
		add("bridge",
			chainRow{row: row{name: fmt.Sprint(code), cluster: http2, upstream: answersGRPC(code), client: bridged,
				sees: fmt.Sprint("503 ", code), details: "via_upstream", counts: verdict}},
			chainRow{row: row{name: fmt.Sprint("trailers-only-", code), cluster: http2, upstream: trailersOnly(code), client: bridged,
				sees: fmt.Sprint("200 ", code), details: "via_upstream", counts: verdict}},
		)
	}
	add("bridge",
		chainRow{row: row{name: "0", cluster: http2, upstream: answersGRPC(0), client: bridged, sees: "200 0", details: "via_upstream", counts: success}})

	// custom_response puts an answer of its own in the place of each 5xx, whose details are empty then.
	add("custom-response",
		chainRow{row: row{name: "200", sees: "200", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "404", upstream: envoytest.Status(404), sees: "404", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "500", upstream: envoytest.Status(500), sees: "500", counts: failure}},
		chainRow{row: row{name: "503", upstream: envoytest.Status(503), sees: "503", counts: failure}},
		chainRow{row: row{name: "503-unlisted", rules: `"failure_on": ["500"]`, upstream: envoytest.Status(503), sees: "503", counts: success}},
		chainRow{row: row{name: "h2-503", cluster: http2, upstream: envoytest.Status(503), client: getHTTP2, sees: "503", counts: failure}},
		chainRow{row: row{name: "head-503", upstream: envoytest.Status(503), client: head, sees: "503", counts: failure}},
		chainRow{row: row{name: "large-503", upstream: texts(503), sees: "503", counts: failure}},
		chainRow{row: row{name: "refused", cluster: refusing, sees: "503", flags: "UF", counts: failure}},
		chainRow{row: row{name: "no-endpoints", cluster: nobody, sees: "503", flags: "UH", counts: failure}},
		chainRow{row: row{name: "closed", upstream: envoytest.Abort, sees: "503", flags: "UC", counts: failure}},
		chainRow{row: row{name: "h2-reset", cluster: http2, upstream: envoytest.Abort, sees: "503", flags: "UR", counts: failure}},
		chainRow{row: row{name: "timeout", route: timeout, upstream: envoytest.Hang(nil), sees: "504", flags: "UT", counts: failure}},
		chainRow{row: row{name: "per-try-timeout", route: action("retry_policy: { retry_on: 5xx, num_retries: 1, per_try_timeout: 0.2s }"), upstream: envoytest.Hang(nil), sees: "504", flags: "URX,UT", counts: failure}},
		// Its body is in flight when the answer is replaced.
		chainRow{row: row{name: "503-in-body", upstream: begins(503), sees: "503", counts: failure}},
		chainRow{row: row{name: "h2-503-in-body", cluster: http2, upstream: endless(503), sees: "503", counts: failure}},
		// It lets a good answer pass, which breaks off.
		chainRow{row: row{name: "broken", upstream: envoytest.BreakOff, sees: "200 broken", details: brokenOff, flags: "UPE", counts: failure}, trial: &success},
		chainRow{row: row{name: "h2-broken", cluster: http2, upstream: envoytest.BreakOff, client: getHTTP2, sees: "200 broken", details: brokenOff, flags: "UR", counts: failure}, trial: &success},
		// A filter between the breaker and the router has answered.
		chainRow{row: row{name: "fault-between", route: abort503, sees: "503", flags: "FI", counts: neutral}},
		chainRow{row: row{name: "lua-between", route: luaResponds, sees: "503", counts: neutral}},
	)

	// Lua changes the status.
	add("lua",
		chainRow{row: row{name: "503-to-200", route: becomes(200), upstream: envoytest.Status(503), sees: "200", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "404-to-500", route: becomes(500), upstream: envoytest.Status(404), sees: "500", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "200-to-503", route: becomes(503), sees: "503", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "h2-503-to-200", cluster: http2, route: becomes(200), upstream: envoytest.Status(503), client: getHTTP2, sees: "200", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "h2-200-to-503", cluster: http2, route: becomes(503), client: getHTTP2, sees: "503", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "head-503-to-200", route: becomes(200), upstream: envoytest.Status(503), client: head, sees: "200", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "head-200-to-503", route: becomes(503), client: head, sees: "503", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "204-to-503", route: becomes(503), upstream: envoytest.Status(204), sees: "503", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "304-to-500", route: becomes(500), upstream: envoytest.Status(304), sees: "500", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "503-to-204", route: becomes(204), upstream: envoytest.Status(503), sees: "204", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "large-503-to-200", route: becomes(200), upstream: texts(503), sees: "200", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "refused-to-200", cluster: refusing, route: becomes(200), sees: "200", details: refused, flags: "UF", counts: failure}},
		chainRow{row: row{name: "no-endpoints-to-200", cluster: nobody, route: becomes(200), sees: "200", details: "no_healthy_upstream", flags: "UH", counts: failure}},
		chainRow{row: row{name: "timeout-to-200", route: timeoutOn(becomes(200)), upstream: envoytest.Hang(nil), sees: "200", details: "response_timeout", flags: "UT", counts: failure}},
		chainRow{row: row{name: "broken-to-503", route: becomes(503), upstream: envoytest.BreakOff, sees: "503 broken", details: brokenOff, flags: "UPE", counts: failure}, trial: &success},
		// To read a body Lua has Envoy hold it back. One that does not fit is replaced, in the middle.
		chainRow{row: row{name: "too-large-200", route: onResponse("handle:body()"), upstream: endless(200), sees: "500", details: "response_payload_too_large", counts: success}},
		chainRow{row: row{name: "grpc-too-large", cluster: http2, route: onResponse("handle:body()"), upstream: endlessGRPC, client: unary(0), sees: "Unknown", details: "response_payload_too_large", counts: success}},
		chainRow{row: row{name: "too-large-503", route: onResponse("handle:body()"), upstream: endless(503), sees: "500", details: "response_payload_too_large", counts: failure}},
		// And it changes the status of gRPC.
		chainRow{row: row{name: "grpc-14-to-0", cluster: http2, route: onResponse(`local t = handle:trailers() if t then t:replace("grpc-status", "0") end`), upstream: answersGRPC(14), client: unary(0), sees: "OK", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-0-to-14", cluster: http2, route: onResponse(`local t = handle:trailers() if t then t:replace("grpc-status", "14") end`), upstream: answersGRPC(0), client: unary(0), sees: "Unavailable", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-trailers-only-14-to-5", cluster: http2, route: onResponse(`handle:headers():replace("grpc-status", "5")`), upstream: trailersOnly(14), client: unary(0), sees: "NotFound", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-trailers-only-5-to-14", cluster: http2, route: onResponse(`handle:headers():replace("grpc-status", "14")`), upstream: trailersOnly(5), client: unary(0), sees: "Unavailable", details: "via_upstream", counts: success}},
	)

	// ext_proc changes the status, or puts an answer of its own in the place of one when it cannot reach its server.
	add("ext-proc",
		chainRow{row: row{name: "503-to-200", upstream: asksFor(503, "200"), sees: "200", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "404-to-500", upstream: asksFor(404, "500"), sees: "500", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "200-to-503", upstream: asksFor(200, "503"), sees: "503", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "h2-503-to-200", cluster: http2, upstream: asksFor(503, "200"), client: getHTTP2, sees: "200", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "h2-200-to-503", cluster: http2, upstream: asksFor(200, "503"), client: getHTTP2, sees: "503", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "fails-200", upstream: asksFor(200, "fail"), sees: "500", details: "ext_proc_error_HTTP_ERROR", counts: success}},
		chainRow{row: row{name: "fails-503", upstream: asksFor(503, "fail"), sees: "500", details: "ext_proc_error_HTTP_ERROR", counts: failure}},
	)

	// header_mutation may not touch the status, but that of gRPC, and by what a gRPC answer is known.
	add("header-mutation",
		chainRow{row: row{name: "grpc-14-removed", cluster: http2, route: mutated("{ response_trailers_mutations: [{ remove: grpc-status }] }"), upstream: answersGRPC(14), client: unary(0), sees: "Internal", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-14-to-0", cluster: http2, route: mutated("{ response_trailers_mutations: " + setHeader("grpc-status", "0") + " }"), upstream: answersGRPC(14), client: unary(0), sees: "OK", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-0-to-14", cluster: http2, route: mutated("{ response_trailers_mutations: " + setHeader("grpc-status", "14") + " }"), upstream: answersGRPC(0), client: unary(0), sees: "Unavailable", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-trailers-only-14-removed", cluster: http2, route: mutated("{ response_mutations: [{ remove: grpc-status }] }"), upstream: trailersOnly(14), client: unary(0), sees: "Unknown", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-trailers-only-5-to-14", cluster: http2, route: mutated("{ response_mutations: " + setHeader("grpc-status", "14") + " }"), upstream: trailersOnly(5), client: unary(0), sees: "Unavailable", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-type-removed-14", cluster: http2, route: mutated("{ response_mutations: [{ remove: content-type }] }"), upstream: answersGRPC(14), client: unary(0), sees: "Unknown", details: "via_upstream", counts: failure}},
	)

	// grpc_json_transcoder makes a status of HTTP's of that of gRPC, or says nothing of it where the body has begun.
	add("transcoder",
		chainRow{row: row{name: "grpc-0", cluster: http2, upstream: answersGRPC(0), client: postJSON("UnaryCall"), sees: "200", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-5", cluster: http2, upstream: answersGRPC(5), client: postJSON("UnaryCall"), sees: "404", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-2", cluster: http2, upstream: answersGRPC(2), client: postJSON("UnaryCall"), sees: "500", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-14", cluster: http2, upstream: answersGRPC(14), client: postJSON("UnaryCall"), sees: "503", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-trailers-only-5", cluster: http2, upstream: trailersOnly(5), client: postJSON("UnaryCall"), sees: "404", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-trailers-only-12", cluster: http2, upstream: trailersOnly(12), client: postJSON("UnaryCall"), sees: "501", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-trailers-only-14", cluster: http2, upstream: trailersOnly(14), client: postJSON("UnaryCall"), sees: "503", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-stream-14", cluster: http2, upstream: answersGRPC(14), client: postJSON("StreamingOutputCall"), sees: "200", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-stream-5", cluster: http2, upstream: answersGRPC(5), client: postJSON("StreamingOutputCall"), sees: "200", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-refused", cluster: envoy.Cluster{HTTP2: true, Address: refusing.Address}, client: postJSON("UnaryCall"), sees: "503", details: refused, flags: "UF", counts: failure}},
	)

	// The compressor changes the body.
	add("compressor",
		chainRow{row: row{name: "200", upstream: texts(200), client: getGzip, sees: "200 gzip", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "500", upstream: texts(500), client: getGzip, sees: "500 gzip", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "h2-200", cluster: http2, upstream: texts(200), client: getGzip, sees: "200 gzip", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "h2-500", cluster: http2, upstream: texts(500), client: getGzip, sees: "500 gzip", details: "via_upstream", counts: failure}},
	)

	// local_reply_config gives Envoy's own replies another status. It does not change who was at fault.
	inGRPC := map[string]string{"200": "Unknown", "500": "Unknown", "503": "Unavailable", "504": "Unavailable"}
	for _, to := range []string{"503", "500", "200"} {
		grpc := inGRPC[to]
		client := getMapped(to)
		hang := envoytest.Hang(nil)
		overGRPC := unaryNoDeadline("map", to)
		add("mapped",
			chainRow{row: row{name: "timeout-" + to, route: timeout, upstream: hang, client: client, sees: to, details: "response_timeout", flags: "UT", counts: failure}},
			chainRow{row: row{name: "per-try-timeout-" + to, route: action("retry_policy: { retry_on: reset, num_retries: 1, per_try_timeout: 0.2s }"), upstream: hang, client: client, sees: to, details: "upstream_per_try_timeout", flags: "URX,UT", counts: failure}},
			chainRow{row: row{name: "per-try-idle-" + to, route: action("retry_policy: { retry_on: reset, num_retries: 1, per_try_idle_timeout: 0.2s }"), upstream: hang, client: client, sees: to, details: "upstream_per_try_idle_timeout", flags: "URX,UT", counts: failure}},
			chainRow{row: row{name: "idle-" + to, route: action("idle_timeout: 0.3s"), upstream: hang, client: client, sees: to, details: "stream_idle_timeout", flags: "SI", counts: failure}},
			chainRow{row: row{name: "max-stream-" + to, route: action("max_stream_duration: { max_stream_duration: 0.3s }"), upstream: hang, client: client, sees: to, details: "max_duration_timeout", counts: failure}},
			chainRow{row: row{name: "max-upstream-" + to, cluster: maxUpstream("0.3s"), upstream: hang, client: client, sees: to, details: "upstream_max_stream_duration_reached", flags: "UMSDR", counts: failure}},
			chainRow{row: row{name: "h2-idle-" + to, cluster: http2, route: action("idle_timeout: 0.3s"), upstream: hang, client: client, sees: to, details: "stream_idle_timeout", flags: "SI", counts: failure}},
			chainRow{row: row{name: "refused-" + to, cluster: refusing, client: client, sees: to, details: refused, flags: "UF", counts: failure}},
			chainRow{row: row{name: "no-endpoints-" + to, cluster: nobody, client: client, sees: to, details: "no_healthy_upstream", flags: "UH", counts: failure}},
			chainRow{row: row{name: "fault-between-" + to, route: abort503, client: client, sees: to, details: "fault_filter_abort", flags: "FI", counts: neutral}},
			chainRow{row: row{name: "grpc-timeout-" + to, cluster: http2, route: timeout, upstream: hang, client: overGRPC, sees: grpc, details: "response_timeout", flags: "UT", counts: failure}},
			chainRow{row: row{name: "grpc-idle-" + to, cluster: http2, route: action("idle_timeout: 0.3s"), upstream: hang, client: overGRPC, sees: grpc, details: "stream_idle_timeout", flags: "SI", counts: failure}},
			chainRow{row: row{name: "grpc-max-stream-" + to, cluster: http2, route: action("max_stream_duration: { max_stream_duration: 2s }"), upstream: hang, client: overGRPC, sees: "DeadlineExceeded", details: "max_duration_timeout", counts: failure}},
			chainRow{row: row{name: "grpc-max-upstream-" + to, cluster: maxUpstreamHTTP2("0.3s"), upstream: hang, client: overGRPC, sees: grpc, details: "upstream_max_stream_duration_reached", flags: "UMSDR", counts: failure}},
			chainRow{row: row{name: "grpc-refused-" + to, cluster: envoy.Cluster{HTTP2: true, Address: refusing.Address}, client: overGRPC, sees: grpc, details: refused, flags: "UF", counts: failure}},
		)
	}
	// The request had not ended: it was the client who kept everybody waiting.
	for _, to := range []string{"504", "503", "200"} {
		grpc := inGRPC[to]
		add("mapped",
			chainRow{row: row{name: "idle-in-upload-" + to, route: action("idle_timeout: 0.3s"), upstream: envoytest.Hang(nil), client: stallsMappedUpload(to), sees: to, details: "stream_idle_timeout", flags: "SI", counts: neutral}},
			chainRow{row: row{name: "max-stream-in-upload-" + to, route: action("max_stream_duration: { max_stream_duration: 0.3s }"), upstream: envoytest.Hang(nil), client: stallsMappedUpload(to), sees: to, details: "max_duration_timeout", counts: neutral}},
			chainRow{row: row{name: "grpc-idle-in-upload-" + to, cluster: http2, route: action("idle_timeout: 0.3s"), upstream: envoytest.Hang(nil), client: stallsMappedStream(to), sees: grpc, details: "stream_idle_timeout", flags: "SI", counts: neutral}},
			chainRow{row: row{name: "grpc-max-stream-in-upload-" + to, cluster: http2, route: action("max_stream_duration: { max_stream_duration: 2s }"), upstream: envoytest.Hang(nil), client: stallsMappedStream(to), sees: "DeadlineExceeded", details: "max_duration_timeout", counts: neutral}},
		)
	}
	// What the upstream itself says is not mapped.
	add("mapped",
		chainRow{row: row{name: "answer-503", upstream: envoytest.Status(503), client: getMapped("200"), sees: "503", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "answer-200", client: getMapped("503"), sees: "200", details: "via_upstream", counts: success}},
	)

	// The connection manager limits all streams. A caller's deadline that is further off has not ended them.
	add("limited",
		chainRow{row: row{name: "hang", upstream: envoytest.Hang(nil), sees: "504", details: "max_duration_timeout", counts: failure}},
		chainRow{row: row{name: "in-upload", upstream: envoytest.Hang(nil), client: stallsUpload, sees: "408", details: "max_duration_timeout", counts: neutral}},
		chainRow{row: row{name: "grpc-hang", cluster: http2, upstream: envoytest.Hang(nil), client: unaryNoDeadline(), sees: "DeadlineExceeded", details: "max_duration_timeout", counts: failure}},
		chainRow{row: row{name: "grpc-hang-deadline", cluster: http2, upstream: envoytest.Hang(nil), client: unary(0), sees: "DeadlineExceeded", details: "max_duration_timeout", counts: failure}},
	)

	// No filter on the way back: answers of all shapes, and those that break off in the middle.
	const bodyTimeout = `"failure_on": ["5xx", "body-timeout"]`
	perTryIdle := action("retry_policy: { retry_on: 5xx, num_retries: 1, per_try_idle_timeout: 1.5s }")
	lateTimeout := action("timeout: 1.5s") // the headers have come long before
	add("plain",
		chainRow{row: row{name: "204", upstream: envoytest.Status(204), sees: "204", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "304", upstream: envoytest.Status(304), sees: "304", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "head", client: head, sees: "200", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "head-503", upstream: envoytest.Status(503), client: head, sees: "503", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "h2-head-503", cluster: http2, upstream: envoytest.Status(503), client: head, sees: "503", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "h2-204", cluster: http2, upstream: envoytest.Status(204), client: getHTTP2, sees: "204", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "fault-between", route: abort503, sees: "503", details: "fault_filter_abort", flags: "FI", counts: neutral}},
		chainRow{row: row{name: "lua-between", route: luaResponds, sees: "503", details: "lua_response", counts: neutral}},
		chainRow{row: row{name: "grpc-14", cluster: http2, upstream: answersGRPC(14), client: unary(0), sees: "Unavailable", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-5", cluster: http2, upstream: answersGRPC(5), client: unary(0), sees: "NotFound", details: "via_upstream", counts: success}},
		chainRow{row: row{name: "grpc-trailers-only-14", cluster: http2, upstream: trailersOnly(14), client: unary(0), sees: "Unavailable", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "grpc-trailers-only-5", cluster: http2, upstream: trailersOnly(5), client: unary(0), sees: "NotFound", details: "via_upstream", counts: success}},
		// What a filter between the breaker and the router makes of an answer is what passes the breaker.
		chainRow{row: row{name: "between-200-to-503", route: becomesBetween(503), sees: "503", details: "via_upstream", counts: failure}},
		chainRow{row: row{name: "between-503-to-200", route: becomesBetween(200), upstream: envoytest.Status(503), sees: "200", details: "via_upstream", counts: success}},
		// A trial of gRPC waits for its trailers.
		chainRow{row: row{name: "grpc-reset", cluster: http2, upstream: resetsGRPC, client: unary(0), sees: "Internal", details: "upstream_reset_after_response_started{remote_reset}", flags: "UR", counts: failure}},
		chainRow{row: row{name: "grpc-timeout-in-body", cluster: http2, route: lateTimeout, upstream: stallsGRPC, client: unaryNoDeadline(), sees: "Internal", details: "response_timeout", flags: "UT", counts: neutral}},
		chainRow{row: row{name: "grpc-timeout-in-body-listed", rules: bodyTimeout, cluster: http2, route: lateTimeout, upstream: stallsGRPC, client: unaryNoDeadline(), sees: "Internal", details: "response_timeout", flags: "UT", counts: failure}},

		chainRow{row: row{name: "broken", upstream: envoytest.BreakOff, sees: "200 broken", details: brokenOff, flags: "UPE", counts: failure}, trial: &success},
		chainRow{row: row{name: "h2-broken", cluster: http2, upstream: envoytest.BreakOff, client: getHTTP2, sees: "200 broken", details: brokenOff, flags: "UR", counts: failure}, trial: &success},
		chainRow{row: row{name: "timeout-in-body", route: lateTimeout, upstream: stalls, sees: "200 broken", details: "response_timeout", flags: "UT", counts: neutral}, trial: &success},
		chainRow{row: row{name: "timeout-in-body-listed", rules: bodyTimeout, route: lateTimeout, upstream: stalls, sees: "200 broken", details: "response_timeout", flags: "UT", counts: failure}, trial: &success},
		chainRow{row: row{name: "h2-timeout-in-body-listed", rules: bodyTimeout, cluster: http2, route: lateTimeout, upstream: stalls, client: getHTTP2, sees: "200 broken", details: "response_timeout", flags: "UT", counts: failure}, trial: &success},
		chainRow{row: row{name: "per-try-idle-in-body", route: perTryIdle, upstream: stalls, sees: "200 broken", details: "upstream_per_try_idle_timeout", flags: "UT", counts: neutral}, trial: &success},
		chainRow{row: row{name: "per-try-idle-in-body-listed", rules: bodyTimeout, route: perTryIdle, upstream: stalls, sees: "200 broken", details: "upstream_per_try_idle_timeout", flags: "UT", counts: failure}, trial: &success},
		chainRow{row: row{name: "timeout-in-503-body", route: lateTimeout, upstream: begins(503), sees: "503 broken", details: "response_timeout", flags: "UT", counts: failure}},
		chainRow{row: row{name: "left-in-body", upstream: stalls, client: leavesBody(false), sees: "200 gone", details: "downstream_remote_disconnect", flags: "DC", counts: neutral}, trial: &success},
		// Until headers come, it is a timeout of the old kind.
		chainRow{row: row{name: "timeout-body-listed", rules: bodyTimeout, route: timeout, upstream: envoytest.Hang(nil), sees: "504", details: "response_timeout", flags: "UT", counts: neutral}},
	)
	return rows
}

// What the upstream did is what counts, whatever filters make of its answer, and for a trial as for any other request.
func TestChains(t *testing.T) {
	t.Parallel()
	c := startChains(t, chainRows(t))

	// Each row first while its breaker is closed; then as a trial, after a failure that has come past the filters.
	inCrowd(c.rows, func(r *chainRow) { c.callers[r.name].call() })
	inCrowd(c.rows, func(r *chainRow) { c.aside(r, "fail") })
	c.awaitOpen()
	c.before = breakers(c.e)
	c.trials()
	c.awaitLog()
	c.after = breakers(c.e)

	// A neutral end has given its permit back; a success counts toward closing.
	inCrowd(c.rows, func(r *chainRow) {
		switch r.verdictOnTrial() {
		case success:
			c.callers[r.name+trial].call()
		case neutral:
			c.aside(r, "succeed")
		}
	})
	c.last = breakers(c.e)

	logged := c.logged()
	for _, r := range c.rows {
		t.Run(r.name, func(t *testing.T) {
			r.checkEnd(t, "closed", c.callers[r.name].saw, logged[r.name][0])
			if got := c.after[r.name]; got != r.counts {
				t.Errorf("closed: counted %s, want %s", counted(got), counted(r.counts))
			}
			r.checkEnd(t, "trial", c.callers[r.name+trial].saw, logged[r.name+trial][0])
			c.checkTrial(t, &r)
		})
	}
}

// checkEnd checks that a request has come through its chain in the way that the row is about.
func (r *chainRow) checkEnd(t *testing.T, what, saw string, entry envoytest.Entry) {
	t.Logf("%s: the client saw %s; Envoy logged %d %s %s", what, saw, entry.Status, entry.Details, entry.Flags)
	if saw != r.sees {
		t.Errorf("%s: the client saw %q, want %q", what, saw, r.sees)
	}
	details, flags := strings.TrimPrefix(entry.Details, "-"), strings.TrimPrefix(entry.Flags, "-")
	want, open := strings.CutSuffix(r.details, "*")
	if open && !strings.HasPrefix(details, want) || !open && details != want {
		t.Errorf("%s: response code details %q, want %q", what, details, r.details)
	}
	if flags != r.flags {
		t.Errorf("%s: response flags %q, want %q", what, flags, r.flags)
	}
}

// checkTrial checks what the trial was counted as, and what the breaker has made of that.
func (c *chainRun) checkTrial(t *testing.T, r *chainRow) {
	name, verdict := r.name+trial, r.verdictOnTrial()
	check := func(what string, before, after, want envoy.BreakerStats, state string) {
		if got := countedBetween(before, after); got != want {
			t.Errorf("%s: counted %s, want %s", what, counted(got), counted(want))
		}
		if after.State().String() != state {
			t.Errorf("%s: the breaker's state is %v after it, want %s", what, after.State(), state)
		}
	}
	switch before, after, last := c.before[name], c.after[name], c.last[name]; verdict {
	case failure:
		check("trial", before, after, failure, "open")
	case success:
		check("trial", before, after, success, "half_open")
		check("the trial after it", after, last, success, "closed")
	case neutral:
		check("trial", before, after, neutral, "half_open")
		check("the trial after it", after, last, success, "half_open")
	}
}

// trial is what the names of clusters end in whose requests are trials, by these rules: one failure opens the breaker for a
// moment, one trial at a time is admitted then, and two good ones close it.
const (
	trial      = "-trial"
	trialRules = `"consecutive_failures": 1, "open": {"duration": "10ms", "multiplier": 1, "jitter": 0},
		"half_open": {"max_requests": 1, "success_threshold": 2, "permit_timeout": "1h"}`
)

func (r *chainRow) verdictOnTrial() envoy.BreakerStats {
	if r.trial != nil {
		return *r.trial
	}
	return r.counts
}

// countedBetween returns what has been counted between two looks at a breaker, rejects aside.
func countedBetween(before, after envoy.BreakerStats) envoy.BreakerStats {
	return envoy.BreakerStats{
		breaker.Calls: after[breaker.Calls] - before[breaker.Calls], breaker.Failures: after[breaker.Failures] - before[breaker.Failures], breaker.SlowCalls: after[breaker.SlowCalls] - before[breaker.SlowCalls],
		breaker.Late: after[breaker.Late] - before[breaker.Late], breaker.Neutrals: after[breaker.Neutrals] - before[breaker.Neutrals], breaker.PermitsExpired: after[breaker.PermitsExpired] - before[breaker.PermitsExpired],
		breaker.Errors: after[breaker.Errors] - before[breaker.Errors],
	}
}

// counted makes readable what was counted for one request.
func counted(b envoy.BreakerStats) string {
	switch b {
	case success:
		return "a success"
	case failure:
		return "a failure"
	case neutral:
		return "a neutral end"
	case nothing:
		return "nothing"
	}
	return fmt.Sprintf("%+v", b)
}
