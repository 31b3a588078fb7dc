package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoytest"
)

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
		envoytest.Eventually(t, 20*time.Second, func() error {
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
	s.wantState(breaker.HalfOpen)
	for range cap(gate) - len(gate) {
		gate <- struct{}{}
	}
	envoytest.Eventually(t, 20*time.Second, func() error {
		if b := s.Breaker("payments"); b.State() != breaker.Closed {
			return fmt.Errorf("not closed: %+v", b)
		}
		return nil
	})
	t.Logf("30 good trials, at most %d in flight; %d requests of 100 clients were rejected meanwhile", s.payments.MaxInFlight(), s.Breaker("payments")[breaker.Rejected])
	s.payments.Handle(envoytest.Status(200))
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
	s.wantState(breaker.HalfOpen)
	s.payments.Handle(envoytest.Status(200))
	for range 2 {
		if status := s.awaitTrial(); status != 200 {
			t.Fatalf("a trial got %d", status)
		}
	}
	s.wantState(breaker.Closed)
	b := s.Breaker("payments")
	if b[breaker.Neutrals] != 50 || b[breaker.PermitsExpired] != 0 {
		t.Errorf("of 50 cancelled trials %d were neutral and %d permits expired", b[breaker.Neutrals], b[breaker.PermitsExpired])
	}
	t.Logf("50 trials cancelled, %d neutral, closed after 2 good ones", b[breaker.Neutrals])
}
