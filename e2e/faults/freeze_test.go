//go:build faults

package faults_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A process that stands still for longer than a minute, which is when a plugin that does not tick counts as removed, goes on as if
// nothing had been: two plugins of one machine, as in envoy.yaml, under load.
func TestFreeze(t *testing.T) {
	t.Parallel()
	const lasts = 65 * time.Second
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(accounted(asTold))
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "healthy", Address: upstream.Address}, {Name: "open", Address: upstream.Address}},
		Listeners: []envoy.Listener{
			{Routes: byHeader, Plugin: &envoy.Plugin{Config: `{"min_requests": 10, "open": {"duration": "1h", "max_duration": "1h"}}`}},
			{Name: "status", Plugin: &envoy.Plugin{Config: `{"status": {"path": "/status"}}`}},
		},
	})
	healthy, open := newCustomer(t, e, "healthy"), newCustomer(t, e, "open", failHeader, "1")
	open.reason(true)
	for range tripAt {
		open.sick()
	}
	healthy.keepAsking(4)
	open.keepAsking(4)
	healthy.await(100)
	if err := syscall.Kill(e.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lasts)
	if err := syscall.Kill(e.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	healthy.await(1000) // and some seconds of ticks
	time.Sleep(3 * time.Second)
	h, o := healthy.end(), open.end()
	if h.Upstream != h.Requests || o.Upstream != tripAt {
		t.Errorf("healthy: %v\nopen: %v", h, o)
	}
	if s, err := readStatus(e); err != nil || s.Total != 2 || e.Breaker("open").State() != breaker.Open || e.Breaker("healthy").State() != breaker.Closed {
		t.Errorf("%+v, %v; %v", s, err, e.Breakers())
	}
	if strings.Contains(e.Log(), "panic") {
		t.Error("the plugin has crashed")
	}
	wantSum(t, e, "healthy", h.Requests)
	wantSum(t, e, "open", o.Requests)
	report(t, row{"Envoy", fmt.Sprintf("the process stands still for %v", lasts), h.plus(o), 1, "nothing happens"})
}
