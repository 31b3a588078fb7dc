//go:build faults

package faults_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// epochHeader is that of the answers of the new process.
const epochHeader = "x-epoch"

// A hot restart loses no request. All breakers of the new process begin closed, and what the old one has counted opens none of them.
func TestHotRestart(t *testing.T) {
	t.Parallel()
	const minRequests, streak = 20, 7
	upstream := envoytest.NewUpstream(t)
	var clusters []envoy.Cluster
	for _, name := range []string{"healthy", "open", "half-open", "streak"} {
		clusters = append(clusters, envoy.Cluster{Name: name, Address: upstream.Address})
	}
	options := envoy.Options{
		Workers: 2,
		Bootstrap: envoy.Bootstrap{
			Clusters: clusters,
			Listeners: []envoy.Listener{{Port: freePort(t), Routes: byHeader, Plugin: &envoy.Plugin{Config: fmt.Sprintf(`{"min_requests": %d,
				"open": {"duration": "1h", "max_duration": "1h", "jitter": 0}, "clusters": [
				{"match": "half-open", "open": {"duration": "100ms"}, "half_open": {"max_requests": 1, "success_threshold": 1000}},
				{"match": "streak", "failure_rate": 0, "consecutive_failures": %d}]}`, minRequests, streak)}}},
		},
		Restart: &envoy.Restart{BaseID: os.Getpid()},
		Flags:   []string{"--drain-time-s", "1", "--parent-shutdown-time-s", "12"},
	}
	release := make(chan struct{})
	upstream.Handle(accounted(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-hang") != "" {
			envoytest.Hang(release)(w, r)
			return
		}
		asTold(w, r)
	}))

	parent := envoytest.StartWith(t, options)
	healthy := newCustomer(t, parent, "healthy")
	healthy.keepAsking(2)
	open, halfOpen := newCustomer(t, parent, "open", failHeader, "1"), newCustomer(t, parent, "half-open", failHeader, "1")
	open.reason(true)
	halfOpen.reason(true)
	for range minRequests {
		open.sick()
		halfOpen.sick()
	}
	awaitState(t, parent, "open", breaker.Open)
	trial := make(chan struct{})
	go func() {
		defer close(trial)
		for halfOpen.get(halfOpen.url, clusterHeader, "half-open", "x-hang", "1").Header.Get("x-circuit-breaker") != "" {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	awaitState(t, parent, "half-open", breaker.HalfOpen)
	streaky := newCustomer(t, parent, "streak", failHeader, "1")
	for range streak - 1 {
		streaky.sick()
	}
	if b := parent.Breaker("streak"); b[breaker.Streak] != streak-1 || b.State() != breaker.Closed {
		t.Fatalf("the parent's streak: %v", b)
	}

	before := healthy.sofar()
	options.Restart.Epoch = 1
	options.Bootstrap.Listeners[0].Routes = []envoy.Route{{Prefix: "/", Action: byHeader[0].Action,
		Extra: "response_headers_to_add: [{ header: { key: " + epochHeader + ", value: \"1\" } }]"}}
	child := envoytest.StartWith(t, options)
	envoytest.Eventually(t, 30*time.Second, func() error { // the old process gets no new connections any more
		for range 20 {
			if a := healthy.good(); a.Header.Get(epochHeader) != "1" {
				return fmt.Errorf("answered by the old process: %+v", a)
			}
		}
		return nil
	})

	// While the old process lives, what it counts and its gauges are added to the new one's.
	// Six of seven there, none here.
	failures := 0
	for streaky.sick().Header.Get(answeredHeader) != "" {
		failures++
		if failures > 3*streak {
			t.Fatalf("%d failures in a row do not open a breaker that opens at %d: %v", failures, streak, child.Breaker("streak"))
		}
		if failures == streak {
			streaky.reason(true)
		}
	}
	if failures < streak {
		t.Errorf("%d failures in the new process opened its breaker, want %d", failures, streak)
	}
	// Open there, and its upstream is still sick: it is found out anew.
	reached := 0
	for open.sick().Header.Get(answeredHeader) != "" {
		if reached++; reached > 2*minRequests {
			t.Fatalf("%d failures do not open the breaker: %v", reached, child.Breaker("open"))
		}
	}
	// Half-open there, closed here: all requests pass.
	halfOpen.reason(false)
	for range 50 {
		if a := halfOpen.good(); a.Status != http.StatusOK {
			t.Errorf("half-open: %+v", a)
		}
	}
	close(release)
	<-trial
	parent.AwaitEnd(60 * time.Second)
	healthy.await(100)
	h := healthy.end()
	if h.Upstream != h.Requests {
		t.Errorf("healthy: %v", h)
	}
	if b := child.Breaker("healthy"); b.State() != breaker.Closed || b[breaker.Opened] != 0 {
		t.Errorf("healthy: %v", b)
	}
	for _, r := range []struct {
		state string
		view
		note string
	}{
		{"healthy", h, fmt.Sprintf("%d requests from the restart on", h.Requests-before.Requests)},
		{"open", open.end(), fmt.Sprintf("begins closed; %d requests reach the sick upstream until it is open again, `min_requests` %d", reached, minRequests)},
		{"half-open, one trial in flight", halfOpen.end(), "begins closed"},
		{"6 failures in a row of 7", streaky.end(), fmt.Sprintf("begins anew: the %dth failure in the new process opens it", failures)},
	} {
		if r.Lost() != 0 || r.Wrong != 0 {
			t.Errorf("%s: %v", r.state, r.view)
		}
		report(t, row{"Envoy", "hot restart, " + r.state, r.view, 1, r.note})
	}
}

// freePort returns a port that nobody has at this time.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}
