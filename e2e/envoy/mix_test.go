package envoy_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// mixed is a breaker that opens easily, behind filters that rewrite answers, for clients of every kind.
const mixed = `{"min_requests": 20, "failure_rate": 50, "slow_call": {"duration": "2s", "rate": 20}, "consecutive_failures": 50}`

// Whatever clients and other filters do, an upstream that is well never opens its breaker.
func TestMixOfAHealthyUpstream(t *testing.T) {
	t.Parallel()
	e, b := mix(t, 0, 10_000)
	if b[breaker.Opened] != 0 || b[breaker.Failures] != 0 {
		t.Errorf("opened %d times, %d failures; the log:\n%s", b[breaker.Opened], b[breaker.Failures], e.Log())
	}
	if b[breaker.Calls] < 3000 {
		t.Errorf("only %d requests were judged", b[breaker.Calls])
	}
	if b[breaker.Neutrals] < 2000 {
		t.Errorf("only %d requests were neutral: the mix is none", b[breaker.Neutrals])
	}
}

// Among the same clients, one that fails 70 % of the time does.
func TestMixOfAFailingUpstream(t *testing.T) {
	t.Parallel()
	if _, b := mix(t, 0.7, 1000); b[breaker.Opened] == 0 {
		t.Errorf("never opened: %+v", b)
	}
}

// mix sends so many requests to an upstream of which a share of the answers are failures, and returns what was counted.
func mix(t *testing.T, failing float64, requests int) (*envoytest.Envoy, envoy.BreakerStats) {
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sleep(r.Context(), time.Duration(rand.IntN(30))*time.Millisecond)
		grpc := strings.HasPrefix(r.Header.Get("content-type"), "application/grpc")
		fails := rand.Float64() < failing
		switch {
		case fails && grpc:
			failsGRPC(w, r)
		case fails:
			w.WriteHeader(503)
		case grpc:
			w.Header().Set("trailer", "grpc-status")
			beginsGRPC(w)
			w.Header().Set("grpc-status", "5")
		case r.URL.Query().Has("large"):
			chunks(30, 1_000_000)(w, r)
		case r.URL.Query().Has("stalls"):
			stalls(w, r)
		case r.URL.Query().Has("missing"):
			w.WriteHeader(404)
		default:
			chunks(2, 1000)(w, r)
		}
	})
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "mixed", Address: upstream.Address, HTTP2: true}},
		Listeners: []envoy.Listener{{
			Plugin: &envoy.Plugin{Config: mixed},
			Routes: []envoy.Route{{Prefix: "/", Cluster: "mixed",
				Action: "timeout: 1.5s\nmax_stream_duration: { max_stream_duration: 60s, grpc_timeout_header_max: 0s }"}},
			FiltersBefore: rewriters,
			ConnectionManager: `
				internal_address_config: { cidr_ranges: [{ address_prefix: 10.0.0.0, prefix_len: 8 }] }`,
		}},
	})

	todo := make(chan int)
	var clients sync.WaitGroup
	for i := range 64 {
		random := rand.New(rand.NewPCG(uint64(i), 13))
		clients.Go(func() {
			for range todo {
				c := &caller{row: &row{name: "mixed"}, address: e.Address("main"), arrived: make(chan struct{})}
				mixedClient(c, random)
			}
		})
	}
	for i := range requests {
		todo <- i
	}
	close(todo)
	clients.Wait()
	b := wantSumOfLog(t, e, "mixed")
	t.Logf("of %d requests %d calls, %d failures, %d slow, %d neutral, %d late, %d rejected; opened %d times",
		requests, b[breaker.Calls], b[breaker.Failures], b[breaker.SlowCalls], b[breaker.Neutrals], b[breaker.Late], b[breaker.Rejected], b[breaker.Opened])
	return e, b
}

// rewriters make something else of answers.
const rewriters = sorry + `
	- name: envoy.filters.http.grpc_web
	  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb }
	- name: envoy.filters.http.lua
	  typed_config:
	    "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
	    default_source_code:
	      inline_string: |
	        function envoy_on_request(handle)
	          handle:streamInfo():dynamicMetadata():set("test", "status", handle:headers():get("x-rewrite"))
	        end
	        function envoy_on_response(handle)
	          local meta = handle:streamInfo():dynamicMetadata():get("test")
	          if meta ~= nil and meta["status"] ~= nil then
	            handle:headers():replace(":status", meta["status"])
	          end
	        end`

// mixedClient is a client of some kind.
func mixedClient(c *caller, random *rand.Rand) {
	moment := func(most int) time.Duration { return time.Duration(random.IntN(most)) * time.Millisecond }
	internal := []string{"x-forwarded-for", "10.0.0.1", "x-envoy-upstream-rq-timeout-ms", "10"}
	switch n := random.IntN(100); {
	case n < 30:
		get(c)
	case n < 40: // uploads slowly
		c.upload(10, moment(60), false)
	case n < 48: // leaves in the middle of that
		c.upload(random.IntN(10), moment(30), true)
	case n < 56: // leaves before the answer
		c.cancelled(httpClient(n%2 == 0), func() { time.Sleep(moment(25)) })
	case n < 62: // leaves in the middle of it
		c.fetchSome("?stalls")
	case n < 63: // does not read it
		c.readNothing("?large", 1700*time.Millisecond)
	case n < 74: // has no time
		c.fetch(httpClient(n%2 == 0), http.MethodGet, "", nil, internal...)
	case n < 82:
		c.withDeadline(10 * time.Millisecond)
	case n < 90: // a filter makes a failure of it
		c.fetch(overHTTP1, http.MethodGet, "", nil, "x-rewrite", "503")
	case n < 95:
		c.fetch(overHTTP1, http.MethodGet, "?missing", nil, "x-rewrite", "500")
	default: // gRPC-Web, by HTTP/1
		c.fetch(overHTTP1, http.MethodPost, "", strings.NewReader("\x00\x00\x00\x00\x00"), "content-type", "application/grpc-web")
	}
}

// upload sends some of ten bytes, each after a pause, and leaves or awaits the answer.
func (c *caller) upload(bytes int, pause time.Duration, leave bool) {
	conn, err := c.raw("POST /mixed/ HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 10\r\n\r\n")
	if err != nil {
		return
	}
	defer conn.Close()
	for range bytes {
		time.Sleep(pause)
		_, _ = io.WriteString(conn, "x")
	}
	if !leave {
		_, _ = io.Copy(io.Discard, conn)
	}
}

// fetchSome reads the first byte of a body.
func (c *caller) fetchSome(path string) {
	request, _ := http.NewRequest(http.MethodGet, c.url()+path, nil)
	if response, err := overHTTP1.Do(request); err == nil {
		_, _ = response.Body.Read(make([]byte, 1))
		response.Body.Close()
	}
}

// readNothing leaves a body in its connection until the route's timeout is over.
func (c *caller) readNothing(path string, wait time.Duration) {
	conn, err := c.raw("GET /mixed/" + path + " HTTP/1.1\r\nhost: test\r\n\r\n")
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	time.Sleep(wait)
}

// withDeadline is a gRPC call that has so much time.
func (c *caller) withDeadline(d time.Duration) {
	c.withGRPC(func(ctx context.Context, client testpb.TestServiceClient) string {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
		return fmt.Sprint(err)
	})
}
