//go:build soak

package faults_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

var soakFor = flag.Duration("soak", 30*time.Minute, "how long the soak lasts")

const (
	cycleEvery = 15 * time.Second
	outageFor  = 3 * time.Second
	// maxGrowth is by how much Envoy may have grown in the second half of the time.
	maxGrowthKB = 2 << 10
)

// outages are what befalls the upstream, in turn.
var outages = []struct {
	name    string
	handler http.HandlerFunc
}{
	{"500", envoytest.Status(http.StatusInternalServerError)},
	{"hangs", envoytest.Hang(nil)},
	{"resets", envoytest.Abort},
	{"breaks off", envoytest.BreakOff},
	{"half of it fails", func(w http.ResponseWriter, _ *http.Request) {
		if rand.IntN(10) < 7 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}},
}

// An outage every 15 seconds, for long: each opens the breaker, which closes after it. Memory stays flat, no permit is lost, and the
// stats are what the clients have seen.
func TestSoak(t *testing.T) {
	upstream, l := envoytest.NewUpstream(t), newLoad(t)
	healthy := l.upstream(envoytest.Status(http.StatusOK))
	upstream.Handle(healthy)
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: upstream.Address}},
		Listeners: []envoy.Listener{
			{
				Routes: []envoy.Route{{Prefix: "/payments", Cluster: "payments", Action: "timeout: 1s"}},
				Plugin: &envoy.Plugin{Config: `{"window": {"duration": "3s"}, "min_requests": 20, "slow_call": {"duration": "500ms", "rate": 50},
					"consecutive_failures": 30, "open": {"duration": "500ms", "max_duration": "1s"},
					"half_open": {"permit_timeout": "3s"}}`},
			},
			{Name: "status", Plugin: &envoy.Plugin{Config: `{"status": {"path": "/status"}}`}},
		},
	})
	l.start(4, 10*time.Millisecond, e.URL("/payments"))

	cycles := int(*soakFor / cycleEvery)
	var sizes []int // KB, after each cycle
	recovered := 0
	t.Logf("%8s %10s %8s %8s %8s %7s %9s", "outages", "requests", "upstream", "rejected", "envoy's", "wrong", "resident")
	for i := range cycles {
		cycle := time.NewTimer(cycleEvery)
		outage := outages[i%len(outages)]
		opened := e.Breaker("payments")[breaker.Opened]
		l.reason(true)
		upstream.Handle(l.upstream(outage.handler))
		time.Sleep(outageFor)
		envoytest.Eventually(t, 30*time.Second, func() error {
			if b := e.Breaker("payments"); b[breaker.Opened] == opened {
				return fmt.Errorf("outage %d (%s) does not open the breaker: %v", i+1, outage.name, b)
			}
			return nil
		})
		upstream.Handle(healthy)
		awaitState(t, e, "payments", breaker.Closed)
		recovered++
		l.reason(false)
		<-cycle.C
		sizes = append(sizes, residentKB(t, e.PID))
		if i%4 == 3 || i == cycles-1 {
			v := l.sofar()
			t.Logf("%8d %10d %8d %8d %8d %7d %6.1f MB", i+1, v.Requests, v.Upstream, v.Breaker, v.Envoy, v.Wrong, float64(sizes[i])/1024)
		}
		if t.Failed() {
			return
		}
	}
	seen := l.end()
	b := wantSum(t, e, "payments", seen.Requests)
	if int(b[breaker.Rejected]) != seen.Breaker || seen.Wrong != 0 {
		t.Errorf("clients saw %v; stats: %v", seen, b)
	}
	if s, err := readStatus(e); err != nil || len(s.Clusters) != 1 || s.Clusters[0].Trials != 0 || b[breaker.Waiting] != 0 {
		t.Errorf("permits or slow calls are left: %+v, %v, %v", s, err, b)
	}
	if strings.Contains(e.Log(), "panic") {
		t.Error("the plugin has crashed")
	}
	grown := typical(sizes[3*len(sizes)/4:]) - typical(sizes[len(sizes)/2:3*len(sizes)/4])
	if grown > maxGrowthKB {
		t.Errorf("grown by %d KB in the second half: %v", grown, sizes)
	}
	report(t, row{soakPart, fmt.Sprintf("%v, an outage every %v", *soakFor, cycleEvery), seen, cycles, fmt.Sprintf(
		"%d times open, %d of %d outages recovered from; %.1f MB resident, grown by %.1f MB in the second half; no permit left; sums exact",
		b[breaker.Opened], recovered, cycles, float64(sizes[len(sizes)-1])/1024, float64(grown)/1024)})
}

// typical is the median.
func typical(sizes []int) int {
	sorted := slices.Sorted(slices.Values(sizes))
	return sorted[len(sorted)/2]
}
