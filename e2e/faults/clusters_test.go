//go:build faults

package faults_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// Ten thousand clusters have a breaker each. One is sick, and no other notices.
func TestTenThousandClusters(t *testing.T) {
	t.Parallel()
	const n, clients = 10_000, 8
	const sickOne = "cluster-7777"
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(accounted(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("connection", "close") // or there would be 20,000 open ones
		asTold(w, r)
	}))
	clusters := make([]envoy.Cluster, n)
	for i := range clusters {
		clusters[i] = envoy.Cluster{Name: "cluster-" + strconv.Itoa(i), Address: upstream.Address}
	}
	start := time.Now()
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: clusters,
		Listeners: []envoy.Listener{
			{Routes: byHeader, Plugin: &envoy.Plugin{Config: `{"max_breakers": 20000, "min_requests": 10, "open": {"duration": "1h", "max_duration": "1h"}}`}},
			{Name: "status", Plugin: &envoy.Plugin{Config: `{"status": {"path": "/status"}}`}},
		},
	})
	started, without := time.Since(start), residentKB(t, e.PID)/1024
	healthy := newCustomer(t, e, "")
	// round sends a request to each of the clusters.
	round := func() {
		next := make(chan int)
		var workers sync.WaitGroup
		for range clients {
			workers.Go(func() {
				for i := range next {
					healthy.get(healthy.url, clusterHeader, clusters[i].Name)
				}
			})
		}
		for i := range n {
			if clusters[i].Name != sickOne {
				next <- i
			}
		}
		close(next)
		workers.Wait()
	}
	round()
	sick := newCustomer(t, e, sickOne, failHeader, "1")
	sick.reason(true)
	for i := range tripAt {
		if a := sick.sick(); a.Status != 500 {
			t.Errorf("failure %d: %+v", i+1, a)
		}
	}
	if a := sick.good(); a.Header.Get("x-circuit-breaker") != "open" {
		t.Errorf("after %d failures: %+v", tripAt, a)
	}
	round()
	with := residentKB(t, e.PID) / 1024
	h, s := healthy.end(), sick.end()
	if h.Upstream != h.Requests || s.Upstream != tripAt {
		t.Errorf("healthy: %v\nsick: %v", h, s)
	}

	if made := e.Stat("wasmcustom.circuit_breaker.breaker.breakers"); made != n {
		t.Errorf("%d breakers, want %d", made, n)
	}
	opened := 0
	for _, b := range e.Breakers() {
		if b.State() != breaker.Closed || b[breaker.Opened] != 0 {
			opened++
		}
	}
	if opened != 1 {
		t.Errorf("%d breakers have opened, want the sick one's alone", opened)
	}
	// Each worker reads the names ahead.
	var page time.Duration
	envoytest.Eventually(t, 60*time.Second, func() error {
		asked := time.Now()
		if s, err := readStatus(e); err != nil || s.Total != n {
			return fmt.Errorf("%d clusters on the status page, %v", s.Total, err)
		}
		page = time.Since(asked)
		return nil
	})
	report(t, row{"Envoy", "10,000 clusters, one of them sick", h.plus(s), 1, fmt.Sprintf(
		"starts in %.1f s; %d MB resident, %d MB after two requests for each cluster; the status page answers in %d ms",
		started.Seconds(), without, with, page.Milliseconds())})
}
