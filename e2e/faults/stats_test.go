//go:build faults

package faults_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

const tripAt = 10

// conditions are what a breaker can trip by: each takes ten bad requests.
var conditions = []struct {
	name, policy string
	bad          []string
}{
	{"rate", `"min_requests": 10`, []string{failHeader, "1"}},
	{"streak", `"failure_rate": 0, "consecutive_failures": 10`, []string{failHeader, "1"}},
	{"slow", `"failure_rate": 0, "min_requests": 10, "window": {"duration": "60s"}, "slow_call": {"duration": "700ms"}`, []string{slowHeader, "900ms"}},
}

// hiddenStats are clusters by condition, each with a name that tells which of its stats are hidden, and the stats_matcher that hides them.
func hiddenStats() (clusters []envoy.Cluster, patterns string) {
	hide := func(cluster, stats string) {
		patterns += fmt.Sprintf("\n- safe_regex: { regex: 'wasmcustom\\.circuit_breaker\\.breaker\\.cluster\\.%s\\.%s' }", cluster, stats)
	}
	for _, c := range conditions {
		add := func(what, stats string) {
			name := c.name + "-without-" + what
			clusters = append(clusters, envoy.Cluster{Name: name})
			if stats != "" {
				hide(name, stats)
			}
		}
		add("nothing", "")
		add("any", ".*")
		counters, gauges := "", ""
		for s := range breaker.NumStats {
			add(s.String(), s.String())
			if s.Gauge() {
				gauges += "|" + s.String()
			} else {
				counters += "|" + s.String()
			}
		}
		add("counters", "("+counters[1:]+")")
		add("gauges", "("+gauges[1:]+")")
	}
	return clusters, patterns
}

// Whatever a stats_matcher hides, a breaker opens at the request that makes it ten, and recovers.
func TestStatsMatchers(t *testing.T) {
	config := `{"open": {"duration": "3s", "jitter": 0}, "half_open": {"success_threshold": 2}, "clusters": [`
	for i, c := range conditions {
		if i > 0 {
			config += ","
		}
		config += fmt.Sprintf(`{"match": "%s-*", %s}`, c.name, c.policy)
	}
	config += "]}"
	each, patterns := hiddenStats()
	var everything []envoy.Cluster
	for _, c := range conditions {
		everything = append(everything, envoy.Cluster{Name: c.name + "-everything"})
	}
	for _, test := range []struct {
		name     string
		fault    string
		clusters []envoy.Cluster
		matcher  string
	}{
		{"single", "a `stats_matcher` hides each of the plugin's stats, all counters, all gauges, or all of them", each,
			"exclusion_list:\n  patterns:" + envoy.Indent(2, patterns)},
		{"everything", "a `stats_matcher` hides all of Envoy's stats", everything, "reject_all: true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			upstream := envoytest.NewUpstream(t)
			upstream.Handle(accounted(asTold))
			for i := range test.clusters {
				test.clusters[i].Address = upstream.Address
			}
			e := envoytest.Start(t, envoy.Bootstrap{
				Clusters:  test.clusters,
				Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: config}, Routes: byHeader}},
				Extra:     "stats_config:\n  stats_matcher:" + envoy.Indent(4, test.matcher),
			})
			var customers sync.WaitGroup
			var mu sync.Mutex
			var seen view
			for i, cluster := range test.clusters {
				c := conditions[i*len(conditions)/len(test.clusters)]
				p := newCustomer(t, e, cluster.Name, c.bad...)
				customers.Go(func() {
					if err := p.cycle(tripAt); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					seen = seen.plus(p.end())
				})
			}
			customers.Wait()
			if seen.Lost() != 0 || seen.Wrong != 0 {
				t.Errorf("%v", seen)
			}
			report(t, row{"Envoy", test.fault, seen, len(test.clusters),
				fmt.Sprintf("%d breakers open at the %dth bad request and recover", len(test.clusters), tripAt)})
		})
	}
}

// Counters that are set back all the time make no breaker open, none close, and keep none from opening.
func TestResetCounters(t *testing.T) {
	t.Parallel()
	const lasts = 10 * time.Second
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(accounted(asTold))
	names := []string{"healthy", "open", "failing", "failing-in-a-row"}
	var clusters []envoy.Cluster
	for _, name := range names {
		clusters = append(clusters, envoy.Cluster{Name: name, Address: upstream.Address})
	}
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: clusters,
		Listeners: []envoy.Listener{{Routes: byHeader, Plugin: &envoy.Plugin{Config: `{"min_requests": 20, "open": {"duration": "1h", "max_duration": "1h"},
			"clusters": [{"match": "failing-*", "failure_rate": 0, "consecutive_failures": 20}]}`}}},
	})
	healthy, open := newCustomer(t, e, "healthy"), newCustomer(t, e, "open", failHeader, "1")
	failing := []*customer{newCustomer(t, e, "failing", failHeader, "1"), newCustomer(t, e, "failing-in-a-row", failHeader, "1")}
	open.reason(true)
	for open.sick().Header.Get("x-circuit-breaker") == "" {
	}
	tripped := open.sofar()

	ctx, stop := context.WithCancel(t.Context())
	resets := make(chan int)
	go func() {
		n := 0
		defer func() { resets <- n }()
		every := time.NewTicker(10 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				if _, err := e.Ask(ctx, "POST", "/reset_counters"); err == nil {
					n++
				}
			}
		}
	}()
	var clients sync.WaitGroup
	deadline := time.Now().Add(lasts)
	until := func(done func() bool) {
		clients.Go(func() {
			for time.Now().Before(deadline) && !done() {
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	until(func() bool { healthy.good(); return false })
	until(func() bool { open.good(); return false })
	opened := make([]int, len(failing)) // after so many requests
	for i, p := range failing {
		p.reason(true)
		until(func() bool {
			if p.sick().Header.Get("x-circuit-breaker") != "" {
				opened[i] = p.sofar().Upstream
			}
			return opened[i] > 0
		})
	}
	clients.Wait()
	stop()
	n := <-resets

	h, o := healthy.end(), open.end()
	if h.Upstream != h.Requests {
		t.Errorf("healthy: %v", h)
	}
	if reached := o.Upstream - tripped.Upstream; reached != 0 {
		t.Errorf("%d requests reached the upstream of the open breaker", reached)
	}
	for i, p := range failing {
		if opened[i] == 0 {
			t.Errorf("%s: not open after %v: %v", p.cluster, lasts, p.end())
		}
	}
	seen := h.plus(o).plus(failing[0].end()).plus(failing[1].end())
	report(t, row{"Envoy", "`/reset_counters` every 10 ms", seen, n, fmt.Sprintf(
		"healthy stays closed, open stays open; what fails opens after %d requests by rate, %d in a row (20 without)", opened[0], opened[1])})
}
