//go:build faults

package faults_test

import (
	"errors"
	"fmt"
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

// hostileRules make breakers as nervous as they can be: one failure opens them.
const hostileRules = `{
	"failure_rate": 1, "min_requests": 1, "consecutive_failures": 1, "open": {"duration": "200ms", "multiplier": 1, "jitter": 0},
	"status": {"path": "/circuit-breakers"}, "clusters": [%s]
}`

// roomy clusters turn nobody away by Envoy's own thresholds.
const roomy = `
	connect_timeout: 30s
	circuit_breakers: { thresholds: [{ max_connections: 100000, max_pending_requests: 100000, max_requests: 100000 }] }`

// Clients that mean harm, each kind with a cluster of its own, and beside them a polite one of the same cluster. They open no breaker, leave
// no permit, and the polite one is never the worse for them.
func TestHostileClients(t *testing.T) {
	kinds := hostiles()
	fallback := envoytest.NewUpstream(t)
	bootstrap := envoy.Bootstrap{Clusters: []envoy.Cluster{{Name: "fallback", Address: fallback.Address}}}
	var rules []string
	var routes []envoy.Route
	arrived := make([]atomic.Int64, len(kinds)) // requests of intruders, by kind
	for i, k := range kinds {
		upstream := envoytest.NewUpstream(t)
		upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("user-agent") == polite {
				return
			}
			arrived[i].Add(1)
			if k.upstream != nil {
				k.upstream(w, r)
			}
		})
		bootstrap.Clusters = append(bootstrap.Clusters, envoy.Cluster{Name: k.name, Address: upstream.Address, Extra: roomy})
		if k.rules != "" {
			rules = append(rules, fmt.Sprintf(`{"match": %q, %s}`, k.name, k.rules))
			routes = append(routes, envoy.Route{Prefix: "/" + k.name + "/", Match: "headers: [{ name: x-fallback, present_match: true }]", Cluster: "fallback"})
		}
		routes = append(routes, envoy.Route{Prefix: "/" + k.name + "/", Cluster: k.name, Action: "timeout: 60s\n" + k.action})
	}
	routes = append(routes, envoy.Route{Prefix: "/choose", Extra: "route: { cluster_header: x-cluster }"})
	plugin := &envoy.Plugin{Config: fmt.Sprintf(hostileRules, strings.Join(rules, ", "))}
	const strip = `
		early_header_mutation_extensions:
		- name: envoy.http.early_header_mutation.header_mutation
		  typed_config:
		    "@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
		    mutations: [{ remove: x-fallback }]`
	bootstrap.Listeners = []envoy.Listener{
		{Plugin: plugin, Routes: routes, ConnectionManager: strip},
		{Name: "inside", Plugin: plugin, Routes: routes, ConnectionManager: "internal_address_config: { cidr_ranges: [{ address_prefix: 127.0.0.0, prefix_len: 8 }] }"},
	}
	e := envoytest.Start(t, bootstrap)

	views := make([]view, len(kinds))
	errs := make([]error, len(kinds))
	var attacks sync.WaitGroup
	for i, k := range kinds {
		stop := make(chan struct{})
		var intruders sync.WaitGroup
		var lock sync.Mutex
		for n := range 2 {
			listener := k.listener
			if listener == "" {
				listener = "main"
			}
			in := &intruder{address: e.Address(listener), path: "/" + k.name + "/", random: rand.New(rand.NewPCG(uint64(i), uint64(n)))}
			intruders.Go(func() {
				for range k.rounds {
					if err := k.round(in); err != nil {
						lock.Lock()
						defer lock.Unlock()
						errs[i] = err
						return
					}
				}
			})
		}
		attacks.Go(func() { intruders.Wait(); close(stop) })
		attacks.Go(func() { views[i] = beside(e, k, stop) })
	}
	attacks.Wait()

	envoytest.Eventually(t, patience, func() error {
		if n := e.Stat("http.main.downstream_rq_active") + e.Stat("http.inside.downstream_rq_active"); n > 1 {
			return fmt.Errorf("%d requests are in flight", n)
		}
		return nil
	})
	trials, breakers, logged := statusOf(t, e), map[string]envoy.BreakerStats{}, map[string]int{}
	envoytest.Eventually(t, patience, func() error { // what the log lacks is about to be written
		breakers = e.Breakers()
		clear(logged)
		for _, entry := range e.AccessLog() {
			logged[entry.Cluster]++
		}
		var errs []error
		for _, k := range kinds {
			if b := breakers[k.name]; b.Sum() != uint64(logged[k.name]) || b[breaker.Errors] != 0 {
				errs = append(errs, fmt.Errorf("%s: %d requests are counted, and %d in the access log: %v", k.name, b.Sum(), logged[k.name], b))
			}
		}
		return errors.Join(errs...)
	})
	for i, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			b, v := breakers[k.name], views[i]
			if errs[i] != nil {
				t.Error(errs[i])
			}
			if !k.forced && (b[breaker.Opened] != 0 || b[breaker.Failures] != 0 && !k.timed || v.Upstream != v.Requests) {
				t.Errorf("the polite client: %v; %v", v, b)
			}
			if n, known := trials[k.name]; n != 0 || !known {
				t.Errorf("%d trials in flight, known: %v", n, known)
			}
			if n := int(arrived[i].Load()); k.reaches && n == 0 {
				t.Error("no request has reached the upstream")
			}
			faults := logged[k.name] - v.Requests
			v.Requests = logged[k.name]
			report(t, row{Part: "Clients", Fault: k.name, view: v, Faults: faults, Note: fmt.Sprintf("%d neutral", b[breaker.Neutrals])})
		})
	}
	if n := fallback.Requests(); n != 0 {
		t.Errorf("clients have got %d requests to the fallback", n)
	}
	if n, want := e.Stat("wasmcustom.circuit_breaker.breaker.breakers"), len(kinds); n != uint64(want) {
		t.Errorf("there are %d breakers, want %d: one for each cluster that there is", n, want)
	}
	if strings.Contains(e.Log(), "panic") || strings.Contains(e.Log(), "wasm failed") {
		t.Error("the plugin has crashed")
	}
}

// polite is the user agent of clients that mean no harm.
const polite = "polite"

// beside is a polite client beside those of a kind, until stop.
func beside(e *envoytest.Envoy, k hostile, stop chan struct{}) (v view) {
	v.Statuses = map[int]int{}
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for {
		request, err := http.NewRequest(http.MethodGet, e.URL("/"+k.name+"/"), nil)
		if err != nil {
			panic(err)
		}
		request.Header.Set("user-agent", polite)
		began := time.Now()
		a := envoytest.Do(request)
		v.Requests++
		v.Slowest = max(v.Slowest, time.Since(began))
		v.Statuses[a.Status]++
		switch {
		case a.Err != nil:
			v.None++
		case a.Header.Get("x-circuit-breaker") != "":
			v.Breaker++
			if !k.forced {
				v.Wrong++
			}
		case a.Status == http.StatusOK:
			v.Upstream++
		default:
			v.Envoy++
		}
		select {
		case <-stop:
			return v
		case <-ticks.C:
		}
	}
}

// Clients that hang up, while the breaker is open and while its trials are on the way, do not move it, and keep no permit: none expires.
func TestAbortsWhileOpen(t *testing.T) {
	const clients, aborts = 10, 200
	upstream := envoytest.NewUpstream(t)
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "a", Address: upstream.Address}},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: `{
			"consecutive_failures": 5, "open": {"duration": "300ms", "jitter": 0}, "half_open": {"permit_timeout": "1h"}, "status": {"path": "/circuit-breakers"}
		}`}}},
	})
	upstream.Handle(envoytest.Status(500))
	for range 5 {
		e.Get("/a")
	}
	awaitState(t, e, "a", breaker.Open)
	upstream.Handle(envoytest.Hang(nil))

	var all sync.WaitGroup
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop); all.Wait() })
	defer end()
	for n := range clients {
		in := &intruder{address: e.Address("main"), random: rand.New(rand.NewPCG(7, uint64(n)))}
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				text := []string{"GET /a HTTP/1.1\r\nhost: test\r\n\r\n", "POST /a HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf"}[in.random.IntN(2)]
				if err := in.leave(text); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	envoytest.Eventually(t, patience, func() error {
		if b := e.Breaker("a"); b[breaker.Neutrals] < aborts {
			return fmt.Errorf("%d trials were broken off, want %d: %v", b[breaker.Neutrals], aborts, b)
		}
		return nil
	})
	end()
	if b := e.Breaker("a"); b.State() != breaker.HalfOpen || b[breaker.Opened] != 1 || b[breaker.Rejected] == 0 {
		t.Errorf("those who hang up have moved the breaker, or met none: %v", b)
	}

	upstream.Handle(envoytest.Status(200))
	envoytest.Eventually(t, patience, func() error {
		if a := e.Get("/a"); a.Status != 200 || e.Breaker("a").State() != breaker.Closed {
			return fmt.Errorf("answer %+v; %v", a, e.Breaker("a"))
		}
		return nil
	})
	var b envoy.BreakerStats
	requests := 0
	envoytest.Eventually(t, patience, func() error {
		requests = 0
		for _, entry := range e.AccessLog() {
			if entry.Cluster == "a" {
				requests++
			}
		}
		if b = e.Breaker("a"); b.Sum() != uint64(requests) || b[breaker.Errors] != 0 {
			return fmt.Errorf("%d requests in the access log: %v", requests, b)
		}
		return nil
	})
	if b[breaker.PermitsExpired] != 0 || statusOf(t, e)["a"] != 0 {
		t.Errorf("permits are left, or have expired: %v", b)
	}
	report(t, row{Part: "Clients", Fault: "aborts while open and half-open", view: view{Requests: requests, Breaker: int(b[breaker.Rejected])},
		Faults: requests, Note: fmt.Sprintf("%d neutral", b[breaker.Neutrals])})
}
