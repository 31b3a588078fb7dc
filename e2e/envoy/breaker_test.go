package envoy_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// The breaker opens at the request that makes it ten, rejects all others on both workers while the upstream sees nothing,
// opens again for twice as long when a trial fails, and closes when enough succeed. The other cluster never notices.
func TestOpenRejectRecover(t *testing.T) {
	const open = 500 * time.Millisecond
	s := openShop(t, `{"failure_rate": 50, "min_requests": 10,
		"open": {"duration": "500ms", "multiplier": 2, "jitter": 0}, "half_open": {"success_threshold": 2}}`)
	var requests atomic.Int64
	pay := func() (int, string) {
		requests.Add(1)
		return s.pay()
	}

	stop := make(chan struct{})
	var customers sync.WaitGroup
	customers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a := s.Get("/catalog"); a.Status != 200 {
				t.Errorf("catalog: %d %v", a.Status, a.Err)
				return
			}
		}
	})

	asked := time.Now() // it opens after this, and before its client has the answer
	s.trip(10)
	requests.Add(10)
	opened := time.Now()
	for opens, wait := 1, open; opens <= 3; opens, wait = opens+1, wait*2 {
		s.payments.Reset()
		rejected := 0
		for time.Since(opened) < wait-100*time.Millisecond {
			status, refused := pay()
			if status != 503 || refused != "open" {
				t.Fatalf("open for %v of %v: %d %q", time.Since(opened), wait, status, refused)
			}
			rejected++
		}
		if n := s.payments.Requests(); n != 0 || rejected < 10 {
			t.Errorf("open %d times: the upstream saw %d of %d requests, want none of many", opens, n, rejected)
		}
		if opens == 3 {
			s.payments.Handle(envoytest.Status(200))
		}
		var trial time.Time
		envoytest.Eventually(t, 30*time.Second, func() error {
			trial = time.Now()
			if status, refused := pay(); refused != "" {
				return fmt.Errorf("still rejected with %d", status)
			}
			return nil
		})
		if most, least := time.Since(asked), time.Since(opened); most < wait || least > wait+400*time.Millisecond {
			t.Errorf("the first trial came between %v and %v after opening, want %v", least, most, wait)
		}
		t.Logf("open %d times in a row: %d requests rejected in %v, then a trial", opens, rejected, time.Since(opened).Round(time.Millisecond))
		asked, opened = trial, time.Now()
	}
	if status, refused := pay(); status != 200 || refused != "" {
		t.Errorf("the second trial: %d %q", status, refused)
	}
	s.wantState(breaker.Closed)
	for range 20 {
		if status, _ := pay(); status != 200 {
			t.Fatalf("closed again, but a request got %d", status)
		}
	}
	close(stop)
	customers.Wait()

	b := s.Breaker("payments")
	if b[breaker.Transitions] != 7 || b[breaker.Opened] != 3 || b[breaker.OpenedFailureRate] != 1 || b[breaker.OpenedHalfOpenFailure] != 2 {
		t.Errorf("transitions: %+v", b)
	}
	if c := s.Breaker("catalog"); c[breaker.Calls] == 0 || c[breaker.Failures] != 0 || c[breaker.Transitions] != 0 {
		t.Errorf("catalog's breaker: %+v", c)
	}
	s.wantSum(int(requests.Load()))
	if n := strings.Count(s.Log(), `cluster "payments": closed -> open: 10/10 failed in 10s, threshold 50%; open for 500ms`); n != 1 {
		t.Errorf("the log tells %d times of the trip", n)
	}
}

// A reject has the configured status and body, tells the remaining time, and is told apart in the access log.
func TestRejectReply(t *testing.T) {
	t.Parallel()
	s := openShop(t, `{"min_requests": 5, "open": {"duration": "30s", "jitter": 0}, "reject": {"status": 429, "body": "{\"error\": \"{cluster} rests\"}", "content_type": "application/json"}}`)
	s.trip(5)
	a := s.Get("/payments/1")
	if a.Status != 429 || a.Body != `{"error": "payments rests"}` || a.Header.Get("content-type") != "application/json" {
		t.Errorf("the reject: %d %q %v", a.Status, a.Body, a.Header)
	}
	if after, err := strconv.Atoi(a.Header.Get("retry-after")); err != nil || after < 25 || after > 30 {
		t.Errorf("retry-after: %q, want nearly 30", a.Header.Get("retry-after"))
	}
	if e := s.Logged("/payments/1"); e.Details != "circuit_breaker_open" || e.Status != 429 {
		t.Errorf("the access log: %+v", e)
	}
}

// A request that goes to no cluster passes and moves no stat.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	e := envoytest.Start(t, envoy.Bootstrap{
		Listeners: []envoy.Listener{{
			Plugin: &envoy.Plugin{Config: `{"mode": "force_open"}`},
			Routes: []envoy.Route{
				{Prefix: "/hello", Extra: `direct_response: { status: 200, body: { inline_string: "hello" } }`},
				{Prefix: "/old", Extra: `redirect: { path_redirect: /hello }`},
			},
		}},
	})
	if a := e.Get("/hello"); a.Status != 200 || a.Body != "hello" {
		t.Errorf("a direct response: %+v", a)
	}
	if a := e.Get("/nowhere"); a.Status != 404 {
		t.Errorf("no route: %+v", a)
	}
	if a := e.Get("/old"); a.Status != 200 {
		t.Errorf("a redirect: %+v", a)
	}
	if stats := e.Stats("wasmcustom.circuit_breaker.breaker.cluster."); len(stats) != 0 {
		t.Errorf("stats: %v", stats)
	}
}

// Envoy refuses a bad configuration, with one line that says what is wrong.
func TestBadConfiguration(t *testing.T) {
	for config, want := range map[string]string{
		`{"failure_rate": 140}`:  `configuration refused: failure_rate: 140 is not allowed: must be from 0 to 100`,
		`{"failure_rate": "50"}`: `configuration refused: failure_rate: "50" is not allowed: must be a number`,
		`{"failure_rat": 50}`:    `configuration refused: failure_rat: unknown key with value 50: did you mean failure_rate?`,
		`{"failure_rate": 50`:    `configuration refused: not valid JSON: line 1, column 19: unexpected end of JSON input`,
		`{"failure_rate": 50,}`:  `configuration refused: not valid JSON: line 1, column 21: invalid character '}'`,
	} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			log := envoytest.StartExpectFailure(t, envoy.Bootstrap{
				Clusters:  []envoy.Cluster{{Name: "payments"}},
				Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: config}}},
			})
			if n := strings.Count(log, want); n != 1 {
				t.Errorf("%d lines of the log say %q:\n%s", n, want, log)
			}
		})
	}
}

// A quarter of a million requests get the guest past many garbage collections.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := openShop(t, `{"min_requests": 100}`)
	const clients, each = 25, 10_000
	s.payments.Handle(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/7") {
			w.WriteHeader(500) // one in ten
		}
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: time.Minute}
	var wg sync.WaitGroup
	var unexpected atomic.Int64
	for range clients {
		wg.Go(func() {
			for i := range each {
				response, err := client.Get(s.URL("/payments/" + strconv.Itoa(i%10)))
				if err != nil {
					unexpected.Add(1)
					t.Errorf("a request: %v", err)
					return
				}
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
				want := 200
				if i%10 == 7 {
					want = 500
				}
				if response.StatusCode != want {
					unexpected.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := unexpected.Load(); n != 0 {
		t.Errorf("%d unexpected answers", n)
	}
	s.wantSum(clients * each)
	b := s.Breaker("payments")
	if b[breaker.Failures] != clients*each/10 {
		t.Errorf("%d failures of %d calls", b[breaker.Failures], b[breaker.Calls])
	}
	t.Logf("%d requests, %d failures", b[breaker.Calls], b[breaker.Failures])
}
