package envoy_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A hang is noticed while it hangs: with a route timeout of 8 s the breaker opens in about the time that a call may take.
func TestHang(t *testing.T) {
	for _, workers := range []int{2, 4} {
		t.Run(fmt.Sprint(workers, " workers"), func(t *testing.T) { hang(t, workers) })
	}
}

func hang(t *testing.T, workers int) {
	const (
		noticed     = 1700 * time.Millisecond // of its beginning
		most        = 50                      // requests that ever reach the hung upstream, until it opens
		maxRequests = 3
		openFor     = 1500 * time.Millisecond
	)
	upstream := envoytest.NewUpstream(t)
	e := envoytest.StartWorkers(t, workers, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: upstream.Address}},
		Listeners: []envoy.Listener{{
			Plugin: &envoy.Plugin{Config: fmt.Sprintf(`{"min_requests": 10, "slow_call": {"duration": "500ms", "rate": 50},
				"open": {"duration": %q, "multiplier": 1, "jitter": 0}, "half_open": {"max_requests": %d}}`, openFor, maxRequests)},
			Routes: []envoy.Route{{Prefix: "/payments", Cluster: "payments", Action: "timeout: 8s"}},
		}},
	})
	for range 20 {
		if a := e.Get("/payments"); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
	}

	// 25 requests a second, whatever becomes of them.
	var clients sync.WaitGroup
	load := time.NewTicker(time.Second / 25)
	stop := make(chan struct{})
	clients.Go(func() {
		for {
			select {
			case <-load.C:
				clients.Go(func() { e.Get("/payments") })
			case <-stop:
				return
			}
		}
	})
	defer clients.Wait()
	defer upstream.Handle(envoytest.Status(200))
	defer close(stop)
	defer load.Stop()

	release := make(chan struct{})
	defer close(release)
	upstream.Reset()
	upstream.Handle(envoytest.Hang(release))
	began := time.Now()
	envoytest.Eventually(t, 10*time.Second, func() error {
		if b := e.Breaker("payments"); b[breaker.Opened] == 0 {
			return fmt.Errorf("not open: %+v", b)
		}
		return nil
	})
	took, reached := time.Since(began), upstream.Requests()
	t.Logf("open after %v; %d requests reached the hung upstream", took, reached)
	if took > noticed || reached > most {
		t.Errorf("want at most %v and %d", noticed, most)
	}
	line := regexp.MustCompile(`cluster "payments": closed -> open: (\d+)/(\d+) slower than 500ms, (\d+) of them still waiting, in 10s`)
	envoytest.Eventually(t, 5*time.Second, func() error { // the log comes after the stats
		text := line.FindString(e.Log())
		if text == "" {
			return errors.New("no line in the log says that it opened on requests still waiting")
		}
		t.Log(text)
		return nil
	})

	// It is tried again and again, each time with no more than the trials.
	for range 3 {
		before, tried := e.Breaker("payments"), upstream.Requests()
		envoytest.Eventually(t, 10*time.Second, func() error {
			if b := e.Breaker("payments"); b[breaker.OpenedHalfOpenFailure] == before[breaker.OpenedHalfOpenFailure] {
				return fmt.Errorf("not opened again: %+v", b)
			}
			return nil
		})
		if n := upstream.Requests() - tried; n == 0 || n > maxRequests {
			t.Errorf("the hung upstream was tried %d times, want 1 to %d", n, maxRequests)
		}
	}
	b := e.Breaker("payments")
	if b[breaker.Errors] != 0 || b[breaker.PermitsExpired] != 0 || b[breaker.Failures] != 0 {
		t.Errorf("%+v", b)
	}
}

// Where requests hang until the route's timeout, they fail in the end: that counts as well.
func TestHangsThatFail(t *testing.T) {
	upstream := envoytest.NewUpstream(t)
	rules := map[string]string{
		"rate":   `"failure_rate": 50, "slow_call": {"duration": "300ms", "rate": 100}`,
		"streak": `"failure_rate": 0, "consecutive_failures": 8, "slow_call": {"duration": "300ms", "rate": 100}, "min_requests": 1000`,
	}
	var options envoy.Bootstrap
	config := `{"clusters": [`
	var routes []envoy.Route
	for _, name := range []string{"rate", "streak"} {
		options.Clusters = append(options.Clusters, envoy.Cluster{Name: name, Address: upstream.Address})
		routes = append(routes, envoy.Route{Prefix: "/" + name, Cluster: name, Action: "timeout: 1s"})
		if name != "rate" {
			config += ","
		}
		config += fmt.Sprintf(`{"match": %q, %s}`, name, rules[name])
	}
	options.Listeners = []envoy.Listener{{Plugin: &envoy.Plugin{Config: config + "]}"}, Routes: routes}}
	e := envoytest.Start(t, options)
	upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("hang") {
			envoytest.Hang(nil)(w, r)
		}
	})
	for name, want := range map[string]func(envoy.BreakerStats) bool{
		// 60 % hang; the slow-call rate, at 100 %, is never reached. Of those that have ended 16 are good, so 16 failures are half.
		"rate": func(b envoy.BreakerStats) bool {
			return b[breaker.OpenedFailureRate] == 1 && b[breaker.Failures] >= 16
		},
		"streak": func(b envoy.BreakerStats) bool { return b[breaker.OpenedConsecutive] == 1 },
	} {
		t.Run(name, func(t *testing.T) {
			var clients sync.WaitGroup
			for i := range 40 {
				path := "/" + name + "?hang"
				if name == "rate" && i%5 < 2 {
					path = "/" + name
				}
				clients.Go(func() { e.Get(path) })
			}
			clients.Wait()
			if b := e.Breaker(name); !want(b) {
				t.Errorf("%+v", b)
			} else if b[breaker.Failures] > b[breaker.Calls] || b[breaker.Calls]+b[breaker.Late]+b[breaker.Neutrals]+b[breaker.Rejected] != 40 {
				t.Errorf("the sums: %+v", b)
			}
		})
	}
}
