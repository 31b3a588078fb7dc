package envoy_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// An upstream that comes back is in use again within interval + 1 s, and no request before that reached it but probes.
func TestProbe(t *testing.T) {
	for _, on := range []string{"half_open", "close"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, fmt.Sprintf(`{"min_requests": 5, "open": {"duration": "1s"}, "half_open": {"success_threshold": 1},
				"probe": {"path": "/healthz", "host": "pay.example", "headers": {"x-probe": "1"}, "interval": "500ms", "status": "204", "on_success": %q}}`, on))
			s.trip(5)

			var healthy atomic.Bool
			var probes, requests, wrong atomic.Int64
			s.payments.Handle(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path != "/healthz":
					requests.Add(1)
					return
				case r.Method != "GET" || r.Host != "pay.example" || r.Header.Get("x-probe") != "1":
					wrong.Add(1)
				}
				probes.Add(1)
				if healthy.Load() {
					w.WriteHeader(204)
				} else {
					w.WriteHeader(200) // good for others, not here
				}
			})
			// Well beyond the open time, nothing but probes has come.
			envoytest.Eventually(t, 30*time.Second, func() error {
				if status, refused := s.pay(); status != 503 || refused != "open" {
					t.Fatalf("while probes fail a request got %d %q", status, refused)
				}
				if n := probes.Load(); n < 6 {
					return fmt.Errorf("%d probes", n)
				}
				return nil
			})
			if n := requests.Load(); n != 0 {
				t.Errorf("the upstream saw %d requests before it was healthy", n)
			}
			b := s.Breaker("payments")
			if b[breaker.Probes] < 6 || b[breaker.ProbeFailures] < 5 || b[breaker.Calls] != 5 || wrong.Load() != 0 {
				t.Errorf("%d wrong probes, %+v", wrong.Load(), b)
			}

			healthy.Store(true)
			back := time.Now()
			envoytest.Eventually(t, 30*time.Second, func() error {
				if status, _ := s.pay(); status != 200 {
					return fmt.Errorf("still %d", status)
				}
				return nil
			})
			took := time.Since(back)
			if took > 500*time.Millisecond+time.Second {
				t.Errorf("in use again after %v, want at most 1.5s", took)
			}
			t.Logf("in use again %v after it came back", took.Round(time.Millisecond))
			s.wantState(breaker.Closed)
		})
	}
}

// A probe that cannot be made is a failure, logged once, and no crash.
func TestProbeOfNothing(t *testing.T) {
	t.Parallel()
	up := envoytest.NewUpstream(t)
	up.Handle(envoytest.Status(500))
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: envoytest.RefusingAddress(t)}},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{
			Config: `{"min_requests": 1, "open": {"duration": "1s"}, "probe": {"path": "/", "interval": "100ms", "timeout": "50ms"}}`,
		}}},
	})
	e.Get("/payments")
	envoytest.Eventually(t, 20*time.Second, func() error {
		if b := e.Breaker("payments"); b[breaker.ProbeFailures] < 3 {
			return fmt.Errorf("%+v", b)
		}
		return nil
	})
	if a := e.Get("/payments"); a.Status != 503 || a.Header.Get("x-circuit-breaker") == "" {
		t.Errorf("while probes are refused: %+v", a)
	}
}

// After closing, the admitted share grows along a line, whatever the clients ask for.
func TestRamp(t *testing.T) {
	const ramp = 4 * time.Second
	s := openShop(t, `{"min_requests": 10, "ramp": "4s", "open": {"duration": "200ms"}, "half_open": {"success_threshold": 1}}`)
	s.trip(10)
	s.payments.Handle(envoytest.Status(200))
	for s.Breaker("payments").State() != breaker.Closed {
		s.pay()
	}
	closed := time.Now()
	const slices = 4
	var asked, admitted [slices]atomic.Int64
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			for {
				at := time.Since(closed)
				if at >= ramp {
					return
				}
				a := s.Get("/payments")
				slice := int(at * slices / ramp)
				asked[slice].Add(1)
				switch {
				case a.Status == 200:
					admitted[slice].Add(1)
				case a.Status != 503 || a.Header.Get("x-circuit-breaker") != "ramp" || a.Header.Get("retry-after") != "1":
					t.Errorf("in the ramp: %+v", a)
				}
			}
		})
	}
	clients.Wait()
	for i := range slices {
		middle := (float64(i) + 0.5) / slices
		want := 100 * (0.05 + 0.95*middle)
		got := 100 * float64(admitted[i].Load()) / float64(asked[i].Load())
		t.Logf("around %.2f of the ramp: %.1f %% of %d requests admitted, the line says %.1f %%", middle, got, asked[i].Load(), want)
		if got < want-10 || got > want+10 {
			t.Errorf("around %.2f of the ramp %.1f %% of requests were admitted, want %.1f ± 10", middle, got, want)
		}
	}
	if status, refused := s.pay(); status != 200 {
		t.Errorf("after the ramp: %d %s", status, refused)
	}
}

// The upstream's own word on when to come back is how long the breaker stays open, up to max_duration.
func TestHonorRetryAfter(t *testing.T) {
	answer := func(status int, header, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(status)
		}
	}
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		want     int // seconds
	}{
		"seconds, 429": {answer(429, "retry-after", "40"), 40},
		"seconds, 503": {answer(503, "retry-after", "40"), 40},
		"a date": {func(w http.ResponseWriter, r *http.Request) {
			answer(503, "retry-after", time.Now().Add(40*time.Second).UTC().Format(http.TimeFormat))(w, r)
		}, 40},
		"beyond max_duration":   {answer(503, "retry-after", "4000"), 60},
		"not on a 500":          {answer(500, "retry-after", "40"), 20},
		"no word":               {envoytest.Status(503), 20},
		"nonsense":              {answer(503, "retry-after", "soon"), 20},
		"gRPC, trailers only":   {grpcPushback("40000", false), 40},
		"gRPC, in its trailers": {grpcPushback("40000", true), 40},
		"gRPC, never":           {grpcPushback("-1", false), 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := envoytest.NewUpstream(t)
			up.Handle(c.upstream)
			e := envoytest.Start(t, envoy.Bootstrap{
				Clusters: []envoy.Cluster{{Name: "payments", Address: up.Address, HTTP2: true}},
				Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: `{"min_requests": 3, "failure_on": ["500", "503", "429", "unavailable"],
					"open": {"duration": "20s", "max_duration": "1m", "jitter": 0, "honor_retry_after": true}}`}}},
			})
			for range 3 {
				e.Post("/payments", "text/plain", "ping")
			}
			// A client can have its answer before the request is logged, which is when gRPC is judged.
			envoytest.Eventually(t, 10*time.Second, func() error {
				if opened := e.Breaker("payments")[breaker.Opened]; opened != 1 {
					return fmt.Errorf("opened is %d", opened)
				}
				return nil
			})
			a := e.Get("/payments")
			after, err := strconv.Atoi(a.Header.Get("retry-after"))
			if err != nil || a.Header.Get("x-circuit-breaker") != "open" || after > c.want || after < c.want*3/4 {
				t.Errorf("retry-after of the reject is %d, want about %d: %+v", after, c.want, a)
			}
		})
	}
}

// grpcPushback answers as a gRPC server that is unavailable and says after how many milliseconds to try again.
func grpcPushback(milliseconds string, afterBody bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("content-type", "application/grpc")
		prefix := ""
		if afterBody {
			prefix = http.TrailerPrefix
		}
		header.Set(prefix+"grpc-status", "14")
		header.Set(prefix+"grpc-retry-pushback-ms", milliseconds)
		if afterBody {
			w.Write([]byte{0, 0, 0, 0, 0})
		}
	}
}

// In shadow mode everything is decided and counted, and nothing rejected; a forced-open cluster is always rejected, and a
// disabled one never.
func TestModes(t *testing.T) {
	t.Parallel()
	up := envoytest.NewUpstream(t)
	up.Handle(envoytest.Status(500))
	var clusters []envoy.Cluster
	for _, name := range []string{"shadow", "forced", "disabled"} {
		clusters = append(clusters, envoy.Cluster{Name: name, Address: up.Address})
	}
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: clusters,
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: `{"min_requests": 10, "open": {"duration": "1h", "max_duration": "1h"}, "clusters": [
			{"match": "shadow", "mode": "shadow"}, {"match": "forced", "mode": "force_open"}, {"match": "disabled", "mode": "disabled"}]}`}}},
	})
	for range 30 {
		for path, want := range map[string]int{"/shadow": 500, "/forced": 503, "/disabled": 500} {
			if a := e.Get(path); a.Status != want {
				t.Errorf("%s: %d, want %d", path, a.Status, want)
			}
		}
	}
	if b := e.Breaker("shadow"); b.State() != breaker.Open || b[breaker.Calls] != 10 || b[breaker.ShadowRejected] != 20 || b[breaker.Late] != 20 || b[breaker.Rejected] != 0 {
		t.Errorf("shadow: %+v", b)
	}
	if b := e.Breaker("forced"); b[breaker.Rejected] != 30 || b[breaker.Calls] != 0 {
		t.Errorf("forced: %+v", b)
	}
	if b := e.Breaker("disabled"); b != (envoy.BreakerStats{}) {
		t.Errorf("disabled: %+v", b)
	}
	a := e.Get("/forced")
	if a.Header.Get("x-circuit-breaker") != "forced_open" || a.Header.Get("x-envoy-overloaded") != "true" {
		t.Errorf("a forced reject: %+v", a)
	}
}
