// Package envoy_test tests the compiled plugin on a real Envoy, which the environment variable ENVOY names.
package envoy_test

import (
	"fmt"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// shop is an Envoy with two workers in front of two upstreams, payments and catalog.
type shop struct {
	*envoytest.Envoy
	t                 *testing.T
	payments, catalog *envoytest.Upstream
}

func openShop(t *testing.T, config string) *shop {
	t.Helper()
	s := &shop{t: t, payments: envoytest.NewUpstream(t), catalog: envoytest.NewUpstream(t)}
	s.Envoy = envoytest.Start(t, envoy.Bootstrap{
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
	s.payments.Handle(envoytest.Status(500))
	for i := range failures {
		if status, _ := s.pay(); status != 500 {
			s.t.Fatalf("request %d of %d got %d, want the upstream's 500", i+1, failures, status)
		}
	}
	s.wantState(breaker.Open)
}

func (s *shop) wantState(state breaker.State) {
	s.t.Helper()
	if got := s.Breaker("payments").State(); got != state {
		s.t.Fatalf("the breaker's state is %v, want %v", got, state)
	}
}

// awaitTrial sends requests until one is admitted, and returns its status.
func (s *shop) awaitTrial() (status int) {
	s.t.Helper()
	envoytest.Eventually(s.t, 30*time.Second, func() error {
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
	envoytest.Eventually(s.t, 10*time.Second, func() error { // some may be in flight still
		b := s.Breaker("payments")
		if sum := b.Sum(); sum != uint64(requests) || b[breaker.Errors] != 0 {
			return fmt.Errorf("calls + late + neutral + rejected = %d, want %d: %+v", sum, requests, b)
		}
		return nil
	})
}
