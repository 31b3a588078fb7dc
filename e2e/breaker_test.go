// Package e2e tests the whole: the compiled plugin on a host of ours that counts its calls, and on a real Envoy.
package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/e2e/envoy"
)

// shop is an Envoy with two workers in front of two upstreams, payments and catalog.
type shop struct {
	*envoy.Envoy
	t                 *testing.T
	payments, catalog *envoy.Upstream
}

func openShop(t *testing.T, config string) *shop {
	t.Helper()
	s := &shop{t: t, payments: envoy.NewUpstream(t), catalog: envoy.NewUpstream(t)}
	s.Envoy = envoy.Start(t, envoy.Options{
		Clusters: []envoy.Cluster{
			{Name: "payments", Address: s.payments.Address},
			{Name: "catalog", Address: s.catalog.Address},
		},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: config}}},
	})
	return s
}

// pay sends a request to payments and returns its status and what the breaker said of it, "" where it was admitted.
func (s *shop) pay() (int, string) {
	s.t.Helper()
	a := s.Get("/payments")
	if a.Err != nil {
		s.t.Fatal(a.Err)
	}
	return a.Status, a.Header.Get("x-circuit-breaker")
}

// trip lets payments fail until the breaker opens, which takes exactly so many requests.
func (s *shop) trip(failures int) {
	s.t.Helper()
	s.payments.Handle(envoy.Status(500))
	for i := range failures {
		if status, _ := s.pay(); status != 500 {
			s.t.Fatalf("request %d of %d got %d, want the upstream's 500", i+1, failures, status)
		}
	}
	s.wantState("open")
}

var states = map[string]uint64{"closed": 0, "open": 1, "half_open": 2}

func (s *shop) wantState(state string) {
	s.t.Helper()
	if got := s.Breaker("payments").State; got != states[state] {
		s.t.Fatalf("the breaker's state is %d, want %s (%d)", got, state, states[state])
	}
}

// awaitTrial sends requests until one is admitted, and returns its status.
func (s *shop) awaitTrial() (status int) {
	s.t.Helper()
	envoy.Eventually(s.t, 30*time.Second, func() error {
		if got, refused := s.pay(); refused == "" {
			status = got
			return nil
		}
		return fmt.Errorf("still rejected")
	})
	return status
}

// wantSum checks that each of so many requests to payments ended up in one stat.
func (s *shop) wantSum(requests int) {
	s.t.Helper()
	envoy.Eventually(s.t, 10*time.Second, func() error { // some may be in flight still
		b := s.Breaker("payments")
		if sum := b.Calls + b.Late + b.Neutral + b.Rejected; sum != uint64(requests) || b.Errors != 0 {
			return fmt.Errorf("calls + late + neutral + rejected = %d, want %d: %+v", sum, requests, b)
		}
		return nil
	})
}

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
			s.payments.Handle(envoy.Status(200))
		}
		var trial time.Time
		envoy.Eventually(t, 30*time.Second, func() error {
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
	s.wantState("closed")
	for range 20 {
		if status, _ := pay(); status != 200 {
			t.Fatalf("closed again, but a request got %d", status)
		}
	}
	close(stop)
	customers.Wait()

	b := s.Breaker("payments")
	if b.Transitions != 7 || b.Opened != 3 || b.OpenedFailureRate != 1 || b.OpenedHalfOpenFailure != 2 {
		t.Errorf("transitions: %+v", b)
	}
	if c := s.Breaker("catalog"); c.Calls == 0 || c.Failures != 0 || c.Transitions != 0 {
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

// However many clients there are on both workers, the upstream never has more trials in flight than max_requests.
func TestTrialsInFlight(t *testing.T) {
	s := openShop(t, `{"min_requests": 10, "open": {"duration": "200ms"}, "half_open": {"max_requests": 3, "success_threshold": 30}}`)
	s.trip(10)
	gate := make(chan struct{}, 1000)
	s.payments.Handle(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	})
	s.payments.Reset()

	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.Get("/payments")
				}
			}
		})
	}
	defer clients.Wait()
	defer close(stop)
	// Three trials hang at a time; each one let go makes room for the next.
	for good := range 29 {
		envoy.Eventually(t, 20*time.Second, func() error {
			if n := s.payments.InFlight(); n != 3 {
				return fmt.Errorf("after %d good trials %d are in flight, want 3", good, n)
			}
			return nil
		})
		gate <- struct{}{}
	}
	if n := s.payments.MaxInFlight(); n != 3 {
		t.Errorf("%d trials were in flight at once, want 3", n)
	}
	s.wantState("half_open")
	for range cap(gate) - len(gate) {
		gate <- struct{}{}
	}
	envoy.Eventually(t, 20*time.Second, func() error {
		if b := s.Breaker("payments"); b.State != states["closed"] {
			return fmt.Errorf("not closed: %+v", b)
		}
		return nil
	})
	t.Logf("30 good trials, at most %d in flight; %d requests of 100 clients were rejected meanwhile", s.payments.MaxInFlight(), s.Breaker("payments").Rejected)
	s.payments.Handle(envoy.Status(200))
}

// Clients that give up on their trials leave no permit behind.
func TestCancelledTrials(t *testing.T) {
	s := openShop(t, `{"min_requests": 10, "open": {"duration": "200ms"}, "half_open": {"max_requests": 2, "success_threshold": 2, "permit_timeout": "1h"}}`)
	s.trip(10)

	// A client gives up as soon as its request has reached the upstream.
	const clients = 50
	var giveUp [clients]context.CancelFunc
	var contexts [clients]context.Context
	for i := range clients {
		contexts[i], giveUp[i] = context.WithCancel(t.Context())
	}
	s.payments.Handle(func(_ http.ResponseWriter, r *http.Request) {
		if i, err := strconv.Atoi(r.Header.Get("x-client")); err == nil {
			giveUp[i]()
		}
		<-r.Context().Done()
	})
	var cancelled atomic.Int64
	var wg sync.WaitGroup
	deadline := time.Now().Add(60 * time.Second)
	for i := range clients {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				request, _ := http.NewRequestWithContext(contexts[i], http.MethodGet, s.URL("/payments"), nil)
				request.Header.Set("x-client", strconv.Itoa(i))
				response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
				if err != nil {
					cancelled.Add(1)
					return
				}
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		})
	}
	wg.Wait()
	if n := cancelled.Load(); n != 50 {
		t.Fatalf("%d of 50 clients cancelled a trial", n)
	}
	s.wantState("half_open")
	s.payments.Handle(envoy.Status(200))
	for range 2 {
		if status := s.awaitTrial(); status != 200 {
			t.Fatalf("a trial got %d", status)
		}
	}
	s.wantState("closed")
	b := s.Breaker("payments")
	if b.Neutral != 50 || b.PermitsExpired != 0 {
		t.Errorf("of 50 cancelled trials %d were neutral and %d permits expired", b.Neutral, b.PermitsExpired)
	}
	t.Logf("50 trials cancelled, %d neutral, closed after 2 good ones", b.Neutral)
}

// A request that goes to no cluster passes and moves no stat.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	e := envoy.Start(t, envoy.Options{
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
	if stats := e.Stats("wasmcustom."); len(stats) != 0 {
		t.Errorf("stats: %v", stats)
	}
}

// Envoy refuses a bad configuration, with one line that says what is wrong.
func TestBadConfiguration(t *testing.T) {
	for config, want := range map[string]string{
		`{"failure_rate": 140}`:  `configuration refused: failure_rate: 140 is not allowed: must be from 0 to 100`,
		`{"failure_rate": "50"}`: `configuration refused: failure_rate: "50" is not allowed: must be a number`,
		`{"failure_rat": 50}`:    `configuration refused: failure_rat: unknown key with value 50: must be one of clusters, `,
		`{"failure_rate": 50`:    `configuration refused: not valid JSON: line 1, column 19: unexpected end of JSON input`,
		`{"failure_rate": 50,}`:  `configuration refused: not valid JSON: line 1, column 21: invalid character '}'`,
	} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			log := envoy.StartExpectFailure(t, envoy.Options{
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
	if b.Failures != clients*each/10 {
		t.Errorf("%d failures of %d calls", b.Failures, b.Calls)
	}
	t.Logf("%d requests, %d failures", b.Calls, b.Failures)
}
