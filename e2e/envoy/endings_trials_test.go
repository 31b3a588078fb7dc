package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A trialRow is a cluster whose breaker one failure opens for a moment, and which admits one trial at a time then. Two good
// ones close it.
type trialRow struct {
	*caller
	*envoytest.Upstream
	t *testing.T
	e *envoytest.Envoy
}

// trip opens the breaker.
func (r *trialRow) trip() {
	r.t.Helper()
	r.Handle(envoytest.Status(500))
	if saw := get(r.caller); saw != "500" {
		r.t.Fatalf("tripping: %s", saw)
	}
	r.want(breaker.Open, failure)
}

// admitted sends requests until one is not rejected.
func (r *trialRow) admitted(client *http.Client, ctx context.Context, header string) *http.Response {
	r.t.Helper()
	var response *http.Response
	envoytest.Eventually(r.t, patience, func() error {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, r.url(), nil)
		if header != "" {
			request.Header.Set(header, "1")
		}
		var err error
		if response, err = client.Do(request); err != nil {
			r.t.Fatal(err)
		}
		if response.Header.Get("x-circuit-breaker") != "" {
			response.Body.Close()
			return fmt.Errorf("rejected")
		}
		return nil
	})
	r.t.Cleanup(func() { response.Body.Close() })
	return response
}

// want checks the state and what has been counted so far, rejects aside.
func (r *trialRow) want(state breaker.State, counts envoy.BreakerStats) {
	r.t.Helper()
	counts[breaker.StateGauge] = uint64(state)
	envoytest.Eventually(r.t, patience, func() error {
		var got envoy.BreakerStats
		all := r.e.Breaker(r.row.name)
		for _, s := range []breaker.Stat{breaker.StateGauge, breaker.Calls, breaker.Failures, breaker.SlowCalls, breaker.Late,
			breaker.Neutrals, breaker.PermitsExpired, breaker.Errors} {
			got[s] = all[s]
		}
		if got != counts {
			return fmt.Errorf("counted %+v\n   want %+v", got, counts)
		}
		return nil
	})
}

// rejects checks that a request finds no permit.
func (r *trialRow) rejects() {
	r.t.Helper()
	if a := r.e.Get("/" + r.row.name + "/"); a.Header.Get("x-circuit-breaker") != "half_open" {
		r.t.Errorf("a request beside the trial: %+v", a)
	}
}

// succeeds sends a request that the upstream answers well, at once.
func (r *trialRow) succeeds() {
	r.t.Helper()
	r.Handle(envoytest.Status(200))
	if saw := get(r.caller); saw != "200" {
		r.t.Errorf("the next request got %s, want 200", saw)
	}
}

// A trial is judged as soon as its end is sure, once, and its permit is free from then on.
func TestEndingsOfTrials(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		rules string
		route envoy.Route
		run   func(*trialRow)
	}{
		{name: "download", run: func(r *trialRow) {
			cut := make(chan struct{})
			r.Handle(func(w http.ResponseWriter, q *http.Request) {
				chunks(1, 10)(w, q)
				<-cut
				panic(http.ErrAbortHandler)
			})
			response := r.admitted(overHTTP1, r.t.Context(), "")
			// The body is flowing still, and the next trial is welcome.
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1})
			r.succeeds()
			r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: 3, breaker.Failures: 1})
			close(cut)
			if _, err := io.Copy(io.Discard, response.Body); err == nil {
				r.t.Error("the body did not break off")
			}
			r.wantLogged("upstream_reset_after_response_started{")
			r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: 3, breaker.Failures: 1})
		}},
		{name: "failing-download", run: func(r *trialRow) {
			r.Handle(func(w http.ResponseWriter, q *http.Request) {
				w.WriteHeader(500)
				stalls(w, q)
			})
			response := r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
			response.Body.Close()
			r.wantLogged("downstream_remote_disconnect")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
		}},
		{name: "early-hints", run: func(r *trialRow) {
			r.Handle(earlyHints(500))
			r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
		}},
		{name: "other-filter", run: func(r *trialRow) {
			if response := r.admitted(overHTTP1, r.t.Context(), "x-abort"); response.StatusCode != 418 {
				r.t.Errorf("the filter's reply: %s", response.Status)
			}
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 1, breaker.Failures: 1, breaker.Neutrals: 1})
			r.succeeds()
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1, breaker.Neutrals: 1})
		}},
		{name: "client-gone", run: func(r *trialRow) {
			r.Handle(envoytest.Hang(nil))
			r.Reset()
			ctx, cancel := context.WithCancel(r.t.Context())
			defer cancel()
			go func() {
				for ctx.Err() == nil {
					request, _ := http.NewRequestWithContext(ctx, http.MethodGet, r.url(), nil)
					if response, err := overHTTP2.Do(request); err == nil {
						response.Body.Close() // a reject
					}
				}
			}()
			envoytest.Eventually(r.t, patience, func() error {
				if n := r.InFlight(); n != 1 {
					return fmt.Errorf("%d trials in flight, want 1", n)
				}
				return nil
			})
			r.rejects()
			cancel()
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 1, breaker.Failures: 1, breaker.Neutrals: 1})
			r.succeeds()
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1, breaker.Neutrals: 1})
		}},
		{name: "timeout", route: envoy.Route{Action: "timeout: 1.5s"}, run: func(r *trialRow) {
			r.Handle(envoytest.Hang(nil))
			r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
		}},
		{name: "slow", rules: `, "slow_call": {"duration": "2s"}`, run: func(r *trialRow) {
			r.Handle(waits(2500*time.Millisecond, 200))
			r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1, breaker.SlowCalls: 1})
		}},
		{name: "retried", route: envoy.Route{Action: "retry_policy: { retry_on: reset, num_retries: 2 }"}, run: func(r *trialRow) {
			r.Handle(envoytest.Abort)
			r.Reset()
			r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
			if n := r.Requests(); n != 3 {
				r.t.Errorf("%d tries, want 3", n)
			}
		}},
		{name: "internal-redirect", route: envoy.Route{Action: "internal_redirect_policy: { max_internal_redirects: 1 }"}, run: func(r *trialRow) {
			r.Handle(redirects)
			r.admitted(overHTTP1, r.t.Context(), "") // and where that leads is the second trial
			r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: 3, breaker.Failures: 1})
		}},
		{name: "websocket", route: upgrade, run: func(r *trialRow) {
			r.Handle(echoWebSocket)
			var ws *websocket.Conn
			var conn net.Conn
			envoytest.Eventually(r.t, patience, func() error {
				var saw string
				if ws, conn, saw = r.dialWebSocket(); ws != nil {
					return nil
				}
				if conn != nil {
					conn.Close()
				}
				return fmt.Errorf("the handshake got %s", saw)
			})
			defer conn.Close()
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1})
			r.succeeds()
			r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: 3, breaker.Failures: 1})
			if broken := converse(ws, 0); broken != "" {
				r.t.Error("the WebSocket does not echo")
			}
			conn.Close()
			r.wantLogged("downstream_remote_disconnect")
			r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: 3, breaker.Failures: 1})
		}},
		{name: "grpc-succeeds", run: func(r *trialRow) {
			r.stream(0)
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1})
		}},
		{name: "grpc-fails", run: func(r *trialRow) {
			r.stream(14)
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
		}},
		{name: "grpc-left", run: func(r *trialRow) {
			r.stream(-1)
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 1, breaker.Failures: 1, breaker.Neutrals: 1})
			if saw := unary(0)(r.caller); saw != "OK" {
				r.t.Errorf("the next call: %s", saw)
			}
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1, breaker.Neutrals: 1})
		}},
	}

	rows := make([]*trialRow, len(tests))
	grpcServer := serveGRPC(t, nil)
	var bootstrap envoy.Bootstrap
	var routes []envoy.Route
	config := `{"clusters": [`
	for i, test := range tests {
		r := &trialRow{caller: newCaller(&row{name: test.name}), Upstream: envoytest.NewUpstream(t)}
		rows[i] = r
		if i > 0 {
			config += ","
		}
		config += fmt.Sprintf(`{"match": %q, "consecutive_failures": 1, "open": {"duration": "10ms", "multiplier": 1, "jitter": 0},
			"half_open": {"max_requests": 1, "success_threshold": 2, "permit_timeout": "1h"}%s}`, test.name, test.rules)
		cluster := envoy.Cluster{Name: test.name, Address: r.Address}
		if strings.HasPrefix(test.name, "grpc-") {
			cluster.Address, cluster.HTTP2 = grpcServer, true
		}
		bootstrap.Clusters = append(bootstrap.Clusters, cluster)
		routes = append(routes, (&row{name: test.name, route: test.route}).routes()...)
	}
	bootstrap.Listeners = []envoy.Listener{{
		Plugin: &envoy.Plugin{Config: config + `]}`}, Routes: routes, FiltersAfter: `
			- name: envoy.filters.http.fault
			  typed_config:
			    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
			    abort: { http_status: 418, percentage: { numerator: 100 } }
			    headers: [{ name: x-abort, present_match: true }]`,
	}}
	e := envoytest.Start(t, bootstrap)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := rows[i]
			r.t, r.e, r.address = t, e, e.Address("main")
			if strings.HasPrefix(test.name, "grpc-") {
				if saw := unary(14)(r.caller); saw != "Unavailable" {
					t.Fatalf("tripping: %s", saw)
				}
				r.want(breaker.Open, failure)
			} else {
				r.trip()
			}
			test.run(r)
		})
	}
}

// wantLogged waits until a request of the row has ended so.
func (r *trialRow) wantLogged(details string) {
	r.t.Helper()
	envoytest.Eventually(r.t, patience, func() error {
		for _, entry := range r.e.AccessLog() {
			if entry.Cluster == r.row.name && strings.HasPrefix(entry.Details, details) {
				return nil
			}
		}
		return fmt.Errorf("no request ended with %s", details)
	})
}

// stream is a trial by a gRPC stream, with a look at the breaker when the stream has begun and before it ends as in bidi.
func (r *trialRow) stream(code int32) {
	r.t.Helper()
	saw := r.withGRPC(func(ctx context.Context, client testpb.TestServiceClient) string {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var stream testpb.TestService_FullDuplexCallClient
		envoytest.Eventually(r.t, patience, func() (err error) {
			if stream, err = client.FullDuplexCall(ctx); err != nil {
				return err
			}
			_ = stream.Send(&testpb.StreamingOutputCallRequest{})
			_, err = stream.Recv() // rejected, or its headers have come
			return err
		})
		r.want(breaker.HalfOpen, failure)
		if saw := unary(0)(r.caller); saw != "Unavailable" {
			r.t.Errorf("a call beside the trial: %s", saw)
		}
		r.want(breaker.HalfOpen, failure)
		return endStream(stream, code, cancel)
	})
	if want := map[int32]string{0: "OK", 14: "Unavailable", -1: "Canceled"}[code]; saw != want {
		r.t.Errorf("the stream ended with %s, want %s", saw, want)
	}
}
