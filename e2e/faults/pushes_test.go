//go:build faults

package faults_test

import (
	"fmt"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// Two hundred configurations pushed under load lose no request, and none is answered by anybody but its upstream.
func TestConfigurationPushes(t *testing.T) {
	t.Parallel()
	const pushes = 200
	upstream, l := envoytest.NewUpstream(t), newLoad(t)
	upstream.Handle(l.upstream(envoytest.Status(200)))
	live := envoytest.NewLive(t, `{"min_requests": 100}`)
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters:  []envoy.Cluster{{Name: "payments", Address: upstream.Address}},
		Listeners: []envoy.Listener{{FiltersBefore: live.Filter()}},
	})
	l.start(4, 10*time.Millisecond, e.URL("/payments"))
	taken, _ := e.Updates()
	for i := range pushes {
		live.Push(fmt.Sprintf(`{"min_requests": %d}`, 101+i))
		e.AwaitUpdates(taken + uint64(i) + 1)
	}
	seen := l.end()
	if seen.Upstream != seen.Requests {
		t.Errorf("%v", seen)
	}
	wantSum(t, e, "payments", seen.Requests)
	report(t, row{"Envoy", "configuration pushed by ECDS", seen, pushes, ""})
}
