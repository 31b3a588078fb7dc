package envoy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// One Envoy, and an end of each kind that upstreams of the harness can bring about.
func TestEnds(t *testing.T) {
	upstream, overHTTP2 := envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{
			{Name: "http1", Address: upstream.Address},
			{Name: "http2", Address: overHTTP2.Address, HTTP2: true},
			{Name: "refusing", Address: envoytest.RefusingAddress(t)},
			{Name: "empty"},
		},
		Listeners: []envoy.Listener{{
			FiltersBefore: `
				- name: envoy.filters.http.fault
				  typed_config:
				    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
				    abort: { http_status: 418, percentage: { numerator: 100 } }
				    headers: [{ name: x-abort, present_match: true }]`,
			Routes: []envoy.Route{
				{Prefix: "/http1/hang", Cluster: "http1", Action: "timeout: 0.1s"},
				{Prefix: "/http1/retried", Cluster: "http1", Action: "retry_policy: { retry_on: 5xx, num_retries: 2 }"},
				{Prefix: "/http1", Cluster: "http1"},
				{Prefix: "/http2", Cluster: "http2"},
				{Prefix: "/refusing", Cluster: "refusing"},
				{Prefix: "/empty", Cluster: "empty"},
				{Prefix: "/direct", Extra: "direct_response: { status: 202 }"},
			},
		}},
	})

	tests := []struct {
		path    string
		handler http.HandlerFunc // of both upstreams
		want    envoytest.Entry  // Method and Path are filled in below
		details string           // how the details start
	}{
		{"/http1/ok", envoytest.Status(200), envoytest.Entry{Status: 200, Flags: "-", Cluster: "http1", Attempts: 1}, "via_upstream"},
		{"/http2/ok", envoytest.Status(200), envoytest.Entry{Status: 200, Flags: "-", Cluster: "http2", Attempts: 1}, "via_upstream"},
		{"/http1/fail", envoytest.Status(500), envoytest.Entry{Status: 500, Flags: "-", Cluster: "http1", Attempts: 1}, "via_upstream"},
		{"/http1/retried", envoytest.Status(503), envoytest.Entry{Status: 503, Flags: "URX", Cluster: "http1", Attempts: 3}, "via_upstream"},
		{"/http1/hang", envoytest.Hang(nil), envoytest.Entry{Status: 504, Flags: "UT", Cluster: "http1", Attempts: 1}, "response_timeout"},
		{"/http1/abort", envoytest.Abort, envoytest.Entry{Status: 503, Flags: "UC", Cluster: "http1", Attempts: 1},
			"upstream_reset_before_response_started{connection_termination}"},
		{"/http2/abort", envoytest.Abort, envoytest.Entry{Status: 503, Flags: "UR", Cluster: "http2", Attempts: 1},
			"upstream_reset_before_response_started{remote_reset}"},
		{"/http1/broken", envoytest.BreakOff, envoytest.Entry{Status: 200, Flags: "UPE", Cluster: "http1", Attempts: 1},
			"upstream_reset_after_response_started{"},
		{"/http2/broken", envoytest.BreakOff, envoytest.Entry{Status: 200, Flags: "UR", Cluster: "http2", Attempts: 1},
			"upstream_reset_after_response_started{"},
		{"/refusing", nil, envoytest.Entry{Status: 503, Flags: "UF", Cluster: "refusing", Attempts: 1},
			"upstream_reset_before_response_started{remote_connection_failure|"},
		{"/empty", nil, envoytest.Entry{Status: 503, Flags: "UH", Cluster: "empty", Attempts: 1}, "no_healthy_upstream"},
		{"/direct", nil, envoytest.Entry{Status: 202, Flags: "-"}, "direct_response"},
		{"/nowhere", nil, envoytest.Entry{Status: 404, Flags: "NR"}, "route_not_found"},
	}
	for _, test := range tests {
		t.Run(strings.TrimPrefix(test.path, "/"), func(t *testing.T) {
			upstream.Handle(test.handler)
			overHTTP2.Handle(test.handler)
			answer := e.Get(test.path)
			if answer.Status != test.want.Status {
				t.Errorf("answer %+v, want status %d", answer, test.want.Status)
			}
			if broken := strings.HasSuffix(test.path, "broken"); broken != (answer.Err != nil) {
				t.Errorf("answer %+v, want an error: %v", answer, broken)
			}

			got := e.Logged(test.path)
			if !strings.HasPrefix(got.Details, test.details) {
				t.Errorf("details %q, want them to start with %q", got.Details, test.details)
			}
			want := test.want
			want.Method, want.Path = "GET", test.path
			got.Details, got.DurationMS = "", 0
			if got != want {
				t.Errorf("access log: got  %+v\n            want %+v", got, want)
			}
		})
	}

	t.Run("filter", func(t *testing.T) {
		request, _ := http.NewRequest(http.MethodGet, e.URL("/http1/filter"), nil)
		request.Header.Set("x-abort", "1")
		response, err := envoytest.Client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := e.Logged("/http1/filter"); got.Details != "fault_filter_abort" || got.Status != 418 {
			t.Errorf("access log: %+v", got)
		}
	})

	if got := e.Stat("cluster.http1.upstream_rq_timeout"); got != 1 {
		t.Errorf("Envoy counted %d timeouts, want 1", got)
	}
	if got := e.Breaker("http1"); got != (envoy.BreakerStats{}) {
		t.Errorf("there is no breaker, but it has stats: %+v", got)
	}
}

func TestRequestsInFlight(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	e := envoytest.Start(t, envoy.Bootstrap{Clusters: []envoy.Cluster{{Name: "a", Address: upstream.Address}}})
	inFlight := func(want int) {
		t.Helper()
		envoytest.Eventually(t, 10*time.Second, func() error {
			if got := upstream.InFlight(); got != want {
				return fmt.Errorf("%d requests in flight, want %d", got, want)
			}
			return nil
		})
	}

	// Three are answered once they are all there.
	release := make(chan struct{})
	upstream.Handle(envoytest.Hang(release))
	answers := make(chan envoytest.Answer)
	for range 3 {
		go func() { answers <- e.Get("/a") }()
	}
	inFlight(3)
	close(release)
	for range 3 {
		if answer := <-answers; answer.Status != 200 {
			t.Errorf("answer %+v, want 200", answer)
		}
	}
	if got := upstream.InFlight(); got != 0 {
		t.Errorf("%d in flight after all were answered", got)
	}
	if requests, most := upstream.Requests(), upstream.MaxInFlight(); requests != 3 || most != 3 {
		t.Errorf("%d requests, at most %d in flight, want 3 and 3", requests, most)
	}

	// A client that gives up.
	upstream.Reset()
	upstream.Handle(envoytest.Hang(nil))
	ctx, giveUp := context.WithCancel(t.Context())
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, e.URL("/a?gone"), nil)
	go func() {
		_, err := envoytest.Client.Do(request)
		answers <- envoytest.Answer{Err: err}
	}()
	inFlight(1)
	giveUp()
	<-answers
	inFlight(0)
	if got := e.Logged("/a?gone"); got.Flags != "DC" || got.Details != "downstream_remote_disconnect" {
		t.Errorf("access log: %+v", got)
	}
	if requests, most := upstream.Requests(), upstream.MaxInFlight(); requests != 1 || most != 1 {
		t.Errorf("%d requests, at most %d in flight, want 1 and 1", requests, most)
	}
}

// A request passes two Envoys, and on the way two listeners of the first.
func TestEnvoysInARow(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	back := envoytest.Start(t, envoy.Bootstrap{
		Clusters:  []envoy.Cluster{{Name: "a", Address: upstream.Address}},
		Listeners: []envoy.Listener{{}, {Name: "other"}},
	})
	front := envoytest.Start(t, envoy.Bootstrap{
		Clusters:  []envoy.Cluster{{Name: "a", Address: back.Address("main")}, {Name: "b", Address: back.Address("other")}},
		Listeners: []envoy.Listener{{Routes: []envoy.Route{{Prefix: "/a", Cluster: "a"}, {Prefix: "/b", Cluster: "b", Action: "prefix_rewrite: /a"}}}},
	})
	for _, path := range []string{"/a", "/b"} {
		if answer := front.Get(path); answer.Status != 200 {
			t.Errorf("%s: answer %+v, want 200", path, answer)
		}
	}
	if got := upstream.Requests(); got != 2 {
		t.Errorf("the upstream got %d requests, want 2", got)
	}
}

func TestStartExpectFailure(t *testing.T) {
	log := envoytest.StartExpectFailure(t, envoy.Bootstrap{Extra: "no_such_field: 1"})
	if !strings.Contains(log, "no_such_field") {
		t.Errorf("Envoy's log does not name the field:\n%s", log)
	}
}
