package envoy_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// do sends a request of any kind and returns its answer, body read.
func do(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("\x00\x00\x00\x00\x00") // an empty message of gRPC
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	response, err := envoytest.Client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

// Every protocol gets the reject that its clients understand.
func TestRejectByProtocol(t *testing.T) {
	t.Parallel()
	s := openShop(t, `{"mode": "force_open", "open": {"duration": "3500ms"}, "reject": {"status": 429, "body": "{cluster} rests: 100 %, ü, {state}, {retry_after}", "headers": {"X-Why": "{cluster} is {state}"}}}`)
	const message = "payments rests: 100 %, ü, forced_open, 4"

	plain, body := do(t, "GET", s.URL("/payments"), nil)
	if plain.StatusCode != 429 || body != message || plain.Header.Get("content-type") != "text/plain" ||
		plain.Header.Get("retry-after") != "4" || plain.Header.Get("x-envoy-overloaded") != "true" ||
		plain.Header.Get("x-circuit-breaker") != "forced_open" || plain.Header.Get("x-why") != "payments is forced_open" {
		t.Errorf("GET: %d %q %v", plain.StatusCode, body, plain.Header)
	}

	head, body := do(t, "HEAD", s.URL("/payments"), nil)
	if head.StatusCode != 429 || body != "" || head.Header.Get("x-circuit-breaker") != "forced_open" {
		t.Errorf("HEAD: %d %q %v", head.StatusCode, body, head.Header)
	}

	web, body := do(t, "POST", s.URL("/payments"), http.Header{"Content-Type": {"application/grpc-web+proto"}})
	const trailers = "grpc-status: 14\r\ngrpc-message: payments rests: 100 %25, %C3%BC, forced_open, 4\r\n"
	if web.StatusCode != 200 || body != "\x80\x00\x00\x00"+string(rune(len(trailers)))+trailers || web.Header.Get("content-type") != "application/grpc-web+proto" ||
		web.Header.Get("grpc-status") != "14" || web.Header.Get("grpc-message") != "payments rests: 100 %25, %C3%BC, forced_open, 4" {
		t.Errorf("gRPC-Web: %d %q %v", web.StatusCode, body, web.Header)
	}

	text, body := do(t, "POST", s.URL("/payments"), http.Header{"Content-Type": {"application/grpc-web-text"}})
	if frame, err := base64.StdEncoding.DecodeString(body); err != nil || text.StatusCode != 200 || !strings.HasSuffix(string(frame), trailers) {
		t.Errorf("gRPC-Web as text: %d %q %v", text.StatusCode, body, err)
	}

	connection, err := grpc.NewClient(s.Address("main"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	// The route is by path, and gRPC's paths begin with the service: any method under /payments will do.
	err = connection.Invoke(t.Context(), "/payments/Check", &grpc_health_v1.HealthCheckRequest{}, &grpc_health_v1.HealthCheckResponse{})
	if got := status.Convert(err); got.Code() != codes.Unavailable || got.Message() != message {
		t.Errorf("gRPC: %v, want Unavailable with the message %q", err, message)
	}
	if n := s.payments.Requests(); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

// The switches of a reject switch.
func TestRejectSwitches(t *testing.T) {
	t.Parallel()
	s := openShop(t, `{"mode": "force_open", "reject": {"body": "", "retry_after": false, "overloaded": false}}`)
	r, body := do(t, "GET", s.URL("/payments"), nil)
	if r.StatusCode != 503 || body != "" || r.Header.Get("retry-after") != "" || r.Header.Get("x-envoy-overloaded") != "" {
		t.Errorf("%d %q %v", r.StatusCode, body, r.Header)
	}
}

// An Envoy in front that retries on 5xx does not retry a reject.
func TestFrontEnvoyDoesNotRetry(t *testing.T) {
	t.Parallel()
	back := openShop(t, `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}}`)
	back.trip(5)
	front := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "back", Address: back.Address("main")}},
		Listeners: []envoy.Listener{{Routes: []envoy.Route{
			{Prefix: "/", Cluster: "back", Action: `retry_policy: { retry_on: 5xx, num_retries: 3 }`},
		}}},
	})
	for i := range 20 {
		path := fmt.Sprintf("/payments/%d", i)
		if a := front.Get(path); a.Status != 503 || a.Header.Get("x-circuit-breaker") != "open" {
			t.Errorf("%s: %d %v", path, a.Status, a.Header)
		}
	}
	if got := back.Breaker("payments")[breaker.Rejected]; got != 20 {
		t.Errorf("20 requests became %d rejects", got)
	}
}

// fallbackShop has payments with a fallback to the cluster backup, and search with a static one.
func fallbackShop(t *testing.T) (e *envoytest.Envoy, payments, search, backup *envoytest.Upstream) {
	t.Helper()
	payments, search, backup = envoytest.NewUpstream(t), envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	backup.Handle(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "from backup") })
	const marked = `headers: [{ name: x-fallback, string_match: { exact: "true" } }]`
	e = envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{
			{Name: "payments", Address: payments.Address}, {Name: "search", Address: search.Address}, {Name: "backup", Address: backup.Address},
		},
		Listeners: []envoy.Listener{{
			Plugin: &envoy.Plugin{Config: `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}, "clusters": [
				{"match": "payments", "fallback": {"header": "x-fallback", "cluster": "backup"}},
				{"match": "search", "fallback": {"header": "x-fallback"}}]}`},
			ConnectionManager: `
				early_header_mutation_extensions:
				- name: envoy.http.early_header_mutation.header_mutation
				  typed_config:
				    "@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
				    mutations: [{ remove: x-fallback }]`,
			Routes: []envoy.Route{
				{Prefix: "/payments", Match: marked, Cluster: "backup"},
				{Prefix: "/payments", Cluster: "payments"},
				{Prefix: "/search", Match: marked, Extra: `direct_response: { status: 200, body: { inline_string: "nothing found" } }`},
				{Prefix: "/search", Cluster: "search"},
			},
		}},
	})
	return e, payments, search, backup
}

// What is not admitted goes to the fallback, whose own breaker has the last word.
func TestFallback(t *testing.T) {
	t.Parallel()
	e, payments, search, backup := fallbackShop(t)
	marked := http.Header{"X-Fallback": {"true"}}

	// Closed, a client cannot choose the fallback.
	if r, body := do(t, "GET", e.URL("/payments"), marked); r.StatusCode != 200 || body != "" {
		t.Errorf("closed, with a header of the client's own: %d %q", r.StatusCode, body)
	}
	payments.Handle(envoytest.Status(500))
	search.Handle(envoytest.Status(500))
	for range 4 {
		e.Get("/payments")
		e.Get("/search")
	}
	e.Get("/search")

	payments.Reset()
	search.Reset()
	for range 10 {
		if r, body := do(t, "GET", e.URL("/payments"), nil); r.StatusCode != 200 || body != "from backup" {
			t.Errorf("payments open: %d %q", r.StatusCode, body)
		}
		// Open, a client cannot get round the breaker either: its header is gone before the first route is looked for.
		if r, body := do(t, "GET", e.URL("/payments"), marked); r.StatusCode != 200 || body != "from backup" {
			t.Errorf("payments open, with a header of the client's own: %d %q", r.StatusCode, body)
		}
		if r, body := do(t, "GET", e.URL("/search"), nil); r.StatusCode != 200 || body != "nothing found" {
			t.Errorf("search open: %d %q", r.StatusCode, body)
		}
	}
	if payments.Requests() != 0 || search.Requests() != 0 {
		t.Errorf("the upstreams saw %d and %d requests", payments.Requests(), search.Requests())
	}
	if b := e.Breaker("payments"); b[breaker.FellBack] != 20 || b[breaker.Rejected] != 0 || b[breaker.Calls] != 5 {
		t.Errorf("payments: %+v", b)
	}
	if b := e.Breaker("search"); b[breaker.FellBack] != 10 || b[breaker.Rejected] != 0 || b[breaker.Calls] != 5 {
		t.Errorf("search: %+v", b)
	}
	if b := e.Breaker("backup"); b[breaker.Calls] != 20 || b[breaker.Failures] != 0 {
		t.Errorf("backup: %+v", b)
	}

	// The fallback fails as well: its breaker opens by its own count, and then the client gets the reject of the first.
	backup.Handle(envoytest.Status(500))
	envoytest.Eventually(t, 20*time.Second, func() error {
		e.Get("/payments")
		if b := e.Breaker("backup"); b.State() != breaker.Open {
			return fmt.Errorf("backup: %+v", b)
		}
		return nil
	})
	before := e.Breaker("backup")
	r, body := do(t, "GET", e.URL("/payments"), nil)
	if r.StatusCode != 503 || !strings.Contains(body, "payments is unavailable") {
		t.Errorf("both open: %d %q", r.StatusCode, body)
	}
	if b := e.Breaker("payments"); b[breaker.Rejected] != 1 {
		t.Errorf("payments: %+v", b)
	}
	if b := e.Breaker("backup"); b != before {
		t.Errorf("a request that backup did not get was counted there: %+v, before %+v", b, before)
	}
}
