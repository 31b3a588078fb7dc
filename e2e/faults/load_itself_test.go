//go:build faults

package faults_test

import (
	"net/http"
	"testing"

	"envoy-circuit-breaker/internal/envoytest"
)

// The load tells who has answered, and which rejects are wrong.
func TestLoad(t *testing.T) {
	upstream, l := envoytest.NewUpstream(t), newLoad(t)
	url := "http://" + upstream.Address
	rejects := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-circuit-breaker", "open")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for _, handler := range []http.HandlerFunc{
		l.upstream(envoytest.Status(http.StatusOK)), l.upstream(envoytest.Status(http.StatusInternalServerError)), // the upstream's
		envoytest.Status(http.StatusServiceUnavailable), // Envoy's own
		l.upstream(envoytest.Abort), envoytest.BreakOff, // nobody's
		rejects, // wrong
	} {
		upstream.Handle(handler)
		l.get(url)
	}
	l.reason(true)
	l.get(url)
	upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		l.reason(false)
		rejects(w, r)
	})
	l.get(url) // the reason has gone while the request was on its way
	l.get(url) // wrong
	v := l.end()
	if v.Requests != 9 || v.Upstream != 2 || v.Envoy != 1 || v.None != 2 || v.Breaker != 4 || v.Wrong != 2 || v.Lost() != 3 {
		t.Errorf("%v", v)
	}
	if v.Statuses[200] != 1 || v.Statuses[500] != 1 || v.Statuses[503] != 1 {
		t.Errorf("%v", v.Statuses)
	}
}
