//go:build faults

package faults_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// panicHeader makes the faulty build of the plugin crash.
const panicHeader = "x-test-only-panic"

const faultyPlugin = "build/plugin-faulty.wasm"

// startFaulty starts an Envoy with one worker, so that whatever a crash takes away is taken from all requests.
func startFaulty(t *testing.T, upstream *envoytest.Upstream, policy, config string) *envoytest.Envoy {
	t.Helper()
	return envoytest.StartWorkers(t, 1, envoy.Bootstrap{
		Clusters:  []envoy.Cluster{{Name: "payments", Address: upstream.Address}},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{File: faultyPlugin, FailurePolicy: policy, Config: config}}},
	})
}

// A crash of the plugin loses the request that crashes it. What becomes of those that follow is up to Envoy and its failure policy.
func TestPanic(t *testing.T) {
	for _, policy := range []string{"FAIL_CLOSED", "FAIL_OPEN", "FAIL_RELOAD"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			upstream, l := envoytest.NewUpstream(t), newLoad(t)
			upstream.Handle(l.upstream(envoytest.Status(200)))
			e := startFaulty(t, upstream, policy, "{}")
			url := e.URL("/payments")
			for range 100 {
				l.get(url)
			}
			if seen := l.sofar(); seen.Upstream != 100 {
				t.Fatalf("before the crash: %v", seen)
			}

			// Requests that are with the upstream when the plugin crashes.
			release := make(chan struct{})
			upstream.Handle(l.upstream(envoytest.Hang(release)))
			inFlight := make(chan envoytest.Answer)
			const hanging = 5
			for range hanging {
				go func() { inFlight <- l.get(url) }()
			}
			envoytest.Eventually(t, 20*time.Second, func() error {
				if n := upstream.InFlight(); n != hanging {
					return fmt.Errorf("%d requests in flight, want %d", n, hanging)
				}
				return nil
			})
			if a := l.get(url, panicHeader, "1"); a.Status != 503 {
				t.Errorf("the request that crashes the plugin got %+v, want 503", a)
			}
			crashed := time.Now()
			upstream.Handle(l.upstream(envoytest.Status(200)))
			close(release)
			ended := map[int]int{} // by status
			for range hanging {
				ended[(<-inFlight).Status]++
			}

			var back time.Duration
			served := 0
			for time.Since(crashed) < 4*time.Second {
				if a := l.get(url); a.Header.Get(answeredHeader) != "" {
					if served++; served == 1 {
						back = time.Since(crashed)
					}
				} else if a.Status != 503 || served > 0 {
					t.Errorf("after %v, %d served: %+v", time.Since(crashed), served, a)
				}
				time.Sleep(5 * time.Millisecond)
			}
			seen := l.end()
			note := "503 for later ones on that worker until Envoy restarts"
			switch policy {
			case "FAIL_OPEN":
				note = "the worker goes on without a breaker"
				if lost := seen.Lost() - ended[503] - ended[0]; lost != 1 {
					t.Errorf("%d requests lost, want the one that crashed it: %v", lost, seen)
				}
			case "FAIL_RELOAD":
				note = fmt.Sprintf("503 for %.1f s on that worker, then all is well", back.Seconds())
				if back == 0 || back > 3*time.Second {
					t.Errorf("served again after %v", back)
				}
			case "FAIL_CLOSED":
				if served != 0 {
					t.Errorf("%d requests were served after the crash", served)
				}
			}
			note += fmt.Sprintf("; of %d requests that were with the upstream %d were answered by it", hanging, ended[200])
			if n := strings.Count(e.Log(), "a request asked for it"); n != 1 {
				t.Errorf("%d crashes in the log, want 1", n)
			}
			report(t, row{"Envoy", "the plugin crashes, `" + policy + "`", seen, 1, note})
		})
	}
}

// An open breaker is open after a crash, too.
func TestPanicWhileOpen(t *testing.T) {
	t.Parallel()
	upstream, l := envoytest.NewUpstream(t), newLoad(t)
	upstream.Handle(l.upstream(envoytest.Status(500)))
	e := startFaulty(t, upstream, "FAIL_RELOAD", `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}}`)
	url := e.URL("/payments")
	l.reason(true)
	for range 5 {
		l.get(url)
	}
	upstream.Handle(l.upstream(envoytest.Status(200)))
	const crashes = 3
	for range crashes {
		awaitRejects(t, l, url)
		if a := l.get(url, panicHeader, "1"); a.Status != 503 || a.Header.Get("x-circuit-breaker") != "" {
			t.Errorf("the request that crashes the plugin got %+v", a)
		}
	}
	awaitRejects(t, l, url)
	seen := l.end()
	if seen.Upstream != 5 {
		t.Errorf("%d requests reached the upstream, want 5: the breaker was not open all the time: %v", seen.Upstream, seen)
	}
	report(t, row{"Envoy", "the plugin crashes while a breaker is open", seen, crashes, "it stays open: no request reaches the upstream"})
}

// awaitRejects waits until the breaker rejects again.
func awaitRejects(t *testing.T, l *load, url string) {
	t.Helper()
	envoytest.Eventually(t, 20*time.Second, func() error {
		if a := l.get(url); a.Header.Get("x-circuit-breaker") != "open" {
			return fmt.Errorf("not rejected: %+v", a)
		}
		return nil
	})
}

// The permits that a crashed machine has given out come back when their time is over, and the breaker recovers.
func TestPanicWithPermits(t *testing.T) {
	t.Parallel()
	const permit = 2 * time.Second
	upstream, l := envoytest.NewUpstream(t), newLoad(t)
	upstream.Handle(l.upstream(envoytest.Status(500)))
	e := startFaulty(t, upstream, "FAIL_RELOAD", fmt.Sprintf(`{"min_requests": 5, "open": {"duration": "200ms", "jitter": 0},
		"half_open": {"max_requests": 1, "success_threshold": 2, "permit_timeout": %q}}`, permit))
	url := e.URL("/payments")
	l.reason(true)
	for range 5 {
		l.get(url)
	}
	upstream.Reset()
	release, trial := make(chan struct{}), make(chan struct{})
	upstream.Handle(l.upstream(envoytest.Hang(release)))
	go func() { // the first that is not rejected is the trial, and hangs
		defer close(trial)
		for l.get(url).Header.Get("x-circuit-breaker") != "" {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	envoytest.Eventually(t, 20*time.Second, func() error {
		if upstream.InFlight() == 0 {
			return errors.New("no trial")
		}
		return nil
	})
	granted := time.Now()
	upstream.Handle(l.upstream(envoytest.Status(200)))
	if a := l.get(url, panicHeader, "1"); a.Status != 503 {
		t.Errorf("the request that crashes the plugin got %+v", a)
	}
	close(release)
	<-trial
	awaitHealthy(t, l, url)
	took := time.Since(granted)
	awaitState(t, e, "payments", breaker.Closed)
	l.reason(false)
	for range 20 {
		l.get(url)
	}
	seen := l.end()
	b := e.Breaker("payments")
	if seen.Wrong != 0 || b[breaker.PermitsExpired] == 0 {
		t.Errorf("%v; %v", seen, b)
	}
	report(t, row{"Envoy", "the plugin crashes with a permit in its hands", seen, 1,
		fmt.Sprintf("closed %.1f s after it was given out, `permit_timeout` 2s; %d expired", took.Seconds(), b[breaker.PermitsExpired])})
}

// awaitHealthy waits until ten requests in a row are answered by the upstream.
func awaitHealthy(t *testing.T, l *load, url string) {
	t.Helper()
	good := 0
	envoytest.Eventually(t, 60*time.Second, func() error {
		a := l.get(url)
		if a.Status != http.StatusOK {
			good = 0
			return fmt.Errorf("%+v", a)
		}
		if good++; good < 10 {
			return fmt.Errorf("%d in a row", good)
		}
		return nil
	})
}
