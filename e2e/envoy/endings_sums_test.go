package envoy_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// Clients that give up, in crowds and at the worst moment.
func TestEndingsCancelled(t *testing.T) {
	silent, prompt := envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{
			{Name: "silent1", Address: silent.Address}, {Name: "silent2", Address: silent.Address, HTTP2: true},
			{Name: "prompt1", Address: prompt.Address}, {Name: "prompt2", Address: prompt.Address, HTTP2: true},
			{Name: "trials", Address: prompt.Address},
		},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: `{"clusters": [
			{"match": "silent*", "min_requests": 1, "failure_rate": 1, "consecutive_failures": 1, "slow_call": {"duration": "1h", "rate": 1}},
			{"match": "trials", "consecutive_failures": 1, "open": {"duration": "10ms"},
				"half_open": {"max_requests": 20, "success_threshold": 1000, "permit_timeout": "1h"}}
		]}`}}},
	})
	t.Run("all", func(t *testing.T) { allCancelled(t, e, silent) })
	t.Run("at the answer", func(t *testing.T) { cancelledAtTheAnswer(t, e, prompt) })
}

// allCancelled has clients that all give up, before the headers or in the body: they do not move even the most nervous
// breaker.
func allCancelled(t *testing.T, e *envoytest.Envoy, upstream *envoytest.Upstream) {
	const clients = 200
	var waiting atomic.Int32
	upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/body") {
			chunks(1, 10)(w, r)
		}
		waiting.Add(1)
		<-r.Context().Done()
		waiting.Add(-1)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for i := range clients {
		client := httpClient(i%2 == 1)
		path := []string{"/silent1/", "/silent1/body", "/silent2/", "/silent2/body"}[i/2%4]
		wg.Go(func() {
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, e.URL(path), nil)
			if response, err := client.Do(request); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		})
	}
	await := func(want int32) {
		t.Helper()
		envoytest.Eventually(t, patience, func() error {
			if n := waiting.Load(); n != want {
				return fmt.Errorf("%d requests are with the upstream, want %d", n, want)
			}
			return nil
		})
	}
	await(clients)
	cancel()
	wg.Wait()
	await(0)
	for _, cluster := range []string{"silent1", "silent2"} {
		want := envoy.BreakerStats{breaker.Neutrals: clients / 2}
		envoytest.Eventually(t, patience, func() error {
			got := e.Breaker(cluster)
			got[breaker.Changes] = 0 // some, for the record's creation
			if got != want {
				return fmt.Errorf("%s: counted %+v\n   want %+v", cluster, got, want)
			}
			return nil
		})
	}
}

// cancelledAtTheAnswer has clients that give up at the very moment the answer comes: each request is counted once, as one
// or the other. A client homes in on that moment: it waits longer when it gave up before the answer, and shorter when the
// answer was there.
func cancelledAtTheAnswer(t *testing.T, e *envoytest.Envoy, upstream *envoytest.Upstream) {
	const clients, each = 8, 120 // which is less than would close the trials' breaker
	upstream.Handle(envoytest.Status(500))
	if a := e.Get("/trials"); a.Status != 500 {
		t.Fatalf("tripping: %+v", a)
	}
	upstream.Handle(chunks(1, 1000))

	var wg sync.WaitGroup
	answered := map[string]*atomic.Int32{"prompt1": {}, "prompt2": {}, "trials": {}}
	for cluster, answered := range answered {
		for i := range clients {
			wg.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				if i%2 == 1 {
					client.Transport = &http.Transport{Protocols: onlyHTTP2()}
				}
				defer client.CloseIdleConnections()
				random := rand.New(rand.NewPCG(uint64(i), 5))
				wait := 2 * time.Millisecond
				for range each {
					ctx, cancel := context.WithCancel(t.Context())
					request, _ := http.NewRequestWithContext(ctx, http.MethodGet, e.URL("/"+cluster), nil)
					timer := time.AfterFunc(wait+time.Duration(random.Int64N(int64(wait/4+1))), cancel)
					response, err := client.Do(request)
					if err == nil {
						_, err = io.Copy(io.Discard, response.Body)
						response.Body.Close()
					}
					if err == nil {
						wait -= wait / 10
						answered.Add(1)
					} else {
						wait += wait/10 + time.Microsecond
					}
					timer.Stop()
					cancel()
				}
			})
		}
	}
	wg.Wait()

	for cluster, answered := range answered {
		b := wantSumOfLog(t, e, cluster)
		got := answered.Load()
		t.Logf("%s: of %d requests %d got there and %d were answered in full; %d calls, %d neutral, %d late, %d rejected", cluster,
			clients*each, b.Sum(), got, b[breaker.Calls], b[breaker.Neutrals], b[breaker.Late], b[breaker.Rejected])
		if got < clients*each/10 || got > clients*each*9/10 || b[breaker.Neutrals] == 0 {
			t.Errorf("%s: the moment was missed", cluster)
		}
		if b[breaker.PermitsExpired] != 0 {
			t.Errorf("%s: %d permits expired", cluster, b[breaker.PermitsExpired])
		}
	}

	// No permit was lost: there is room for as many trials as ever.
	if state := e.Breaker("trials").State(); state != breaker.HalfOpen {
		t.Fatalf("the state of the trials' breaker is %d, want half-open", state)
	}
	upstream.Reset()
	upstream.Handle(envoytest.Hang(nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 20 {
		wg.Go(func() {
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, e.URL("/trials"), nil)
			if response, err := overHTTP1.Do(request); err == nil {
				t.Errorf("a trial that is to hang got %s", response.Status)
				response.Body.Close()
			}
		})
	}
	envoytest.Eventually(t, patience, func() error {
		if n := upstream.InFlight(); n != 20 {
			return fmt.Errorf("%d trials in flight, want 20", n)
		}
		return nil
	})
	cancel()
	wg.Wait()
}

// wantSumOfLog checks that each request of a cluster in the access log was counted once, and returns the counts. Requests
// that a filter before the breaker answered have a path that ends in "before".
func wantSumOfLog(t *testing.T, e *envoytest.Envoy, cluster string) envoy.BreakerStats {
	t.Helper()
	var b envoy.BreakerStats
	envoytest.Eventually(t, patience, func() error {
		logged := uint64(0)
		for _, entry := range e.AccessLog() {
			if entry.Cluster == cluster && !strings.HasSuffix(entry.Path, "before") {
				logged++
			}
		}
		b = e.Breaker(cluster)
		if sum := b.Sum(); sum != logged || b[breaker.Errors] != 0 {
			return fmt.Errorf("%s: calls + late + neutral + rejected = %d, but %d requests in the access log: %+v", cluster, sum, logged, b)
		}
		return nil
	})
	return b
}

// Whatever the mix, each request is counted once, for one cluster, while breakers open and close on two workers.
func TestEndingsAddUp(t *testing.T) {
	t.Parallel()
	const clients, each, weather = 50, 400, 500
	upstream := envoytest.NewUpstream(t)
	const fault = `
		- name: %s
		  typed_config:
		    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
		    abort: { http_status: 418, percentage: { numerator: 100 } }
		    headers: [{ name: %s, present_match: true }]`
	bootstrap := envoy.Bootstrap{Clusters: []envoy.Cluster{{Name: "empty"}, {Name: "refusing", Address: envoytest.RefusingAddress(t)}}}
	main := envoy.Listener{
		FiltersBefore: fmt.Sprintf(fault, "before", "x-before"),
		FiltersAfter:  fmt.Sprintf(fault, "after", "x-after"),
		Plugin: &envoy.Plugin{Config: `{
			"window": {"duration": "1s"}, "min_requests": 10, "slow_call": {"duration": "100ms", "rate": 90},
			"open": {"duration": "20ms", "multiplier": 1.5, "max_duration": "60ms", "jitter": 0.5},
			"clusters": [
				{"match": "c", "fallback": {"header": "x-fallback"}},
				{"match": "d", "fallback": {"header": "x-fallback", "cluster": "c"}}
			]}`},
		Routes: []envoy.Route{
			{Prefix: "/empty", Cluster: "empty"},
			{Prefix: "/refusing", Cluster: "refusing"},
			{Prefix: "/direct", Extra: "direct_response: { status: 202 }"},
			{Prefix: "/c", Match: "headers: [{ name: x-fallback, present_match: true }]", Cluster: "a"},
			{Prefix: "/d", Match: "headers: [{ name: x-fallback, present_match: true }]", Cluster: "c"},
		},
	}
	for i, name := range []string{"a", "b", "c", "d"} {
		bootstrap.Clusters = append(bootstrap.Clusters, envoy.Cluster{Name: name, Address: upstream.Address, HTTP2: i%2 == 1})
		main.Routes = append(main.Routes,
			envoy.Route{Prefix: "/" + name + "/hang", Cluster: name, Action: "timeout: 0.02s"},
			envoy.Route{Prefix: "/" + name + "/retried", Cluster: name, Action: "retry_policy: { retry_on: 5xx, num_retries: 2 }"},
			envoy.Route{Prefix: "/" + name + "/redirected", Cluster: name, Action: "internal_redirect_policy: { max_internal_redirects: 1 }"},
			envoy.Route{Prefix: "/" + name, Cluster: name})
	}
	bootstrap.Listeners = []envoy.Listener{main}

	// Every so many requests the upstream turns from good to bad and back.
	var requests atomic.Int32
	bad := func() bool { return requests.Load()/weather%2 == 1 }
	kinds := map[string]http.HandlerFunc{
		"ok":         envoytest.Status(200),
		"missing":    envoytest.Status(404),
		"failing":    envoytest.Status(500),
		"grpc":       failsGRPC,
		"chunked":    chunks(3, 100),
		"hang":       envoytest.Hang(nil),
		"cancelled":  envoytest.Hang(nil),
		"closed":     envoytest.Abort,
		"broken":     envoytest.BreakOff,
		"redirected": redirects,
		"retried":    everyOther(503),
	}
	upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		kind := strings.Split(r.URL.Path, "/")[2]
		if kind == "ok" && bad() {
			kind = "failing"
		}
		if handle := kinds[kind]; handle != nil {
			handle(w, r)
		}
	})
	e := envoytest.Start(t, bootstrap)

	// The mix, by weight.
	var mix []string
	for path, weight := range map[string]int{
		"ok": 60, "missing": 3, "failing": 3, "grpc": 3, "chunked": 3, "hang": 2, "cancelled": 4, "closed": 2, "broken": 2,
		"redirected/": 3, "retried": 3, "after": 3, "before": 3,
	} {
		for _, cluster := range []string{"a", "b", "c", "d"} {
			for range weight {
				mix = append(mix, "/"+cluster+"/"+path)
			}
		}
	}
	for _, path := range []string{"/empty/x", "/refusing/x", "/direct/x", "/nowhere/x"} {
		mix = append(mix, path, path, path, path, path)
	}

	began := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(20_000, uint64(i)))
			client := &http.Client{Transport: &http.Transport{}}
			if i%2 == 1 {
				client.Transport = &http.Transport{Protocols: onlyHTTP2()}
			}
			defer client.CloseIdleConnections()
			for range each {
				requests.Add(1)
				path := mix[random.IntN(len(mix))]
				timeout := patience
				if strings.HasSuffix(path, "cancelled") {
					timeout = time.Duration(random.IntN(20_000)) * time.Microsecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				request, _ := http.NewRequestWithContext(ctx, []string{http.MethodGet, http.MethodHead, http.MethodPost}[random.IntN(3)], e.URL(path), nil)
				for _, filter := range []string{"before", "after"} {
					if strings.HasSuffix(path, filter) {
						request.Header.Set("x-"+filter, "1")
					}
				}
				if response, err := client.Do(request); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests in %v", requests.Load(), time.Since(began).Round(time.Millisecond))

	total := 0
	for _, cluster := range []string{"a", "b", "c", "d", "empty", "refusing"} {
		b := wantSumOfLog(t, e, cluster)
		total += int(b.Sum())
		t.Logf("%-8s %5d calls, %4d failures, %3d slow, %4d neutral, %4d rejected, %3d late; %4d to the fallback; opened %d times", cluster,
			b[breaker.Calls], b[breaker.Failures], b[breaker.SlowCalls], b[breaker.Neutrals], b[breaker.Rejected], b[breaker.Late], b[breaker.FellBack], b[breaker.Opened])
		if b[breaker.Opened] < 2 || b[breaker.Calls] == 0 || b[breaker.Failures] > b[breaker.Calls] || b[breaker.SlowCalls] > b[breaker.Calls] {
			t.Errorf("%s: %+v", cluster, b)
		}
	}
	// What went to no cluster, or not past the filter before, is a few percent; what was redirected counts twice.
	if total < clients*each*9/10 {
		t.Errorf("only %d of %d requests reached a breaker", total, clients*each)
	}
}

func everyOther(code int) http.HandlerFunc {
	var requests atomic.Int32
	return func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1)%2 == 0 {
			w.WriteHeader(code)
		}
	}
}
