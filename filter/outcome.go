//go:build wasip1

package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// onResponseHeaders takes the time where slow calls are on, and gives a trial its verdict where that is final already, so
// that a long download does not hold recovery up.
//
//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, _, _ uint32) uint32 {
	s := find(id)
	if s == nil || s.cluster == nil {
		return uint32(types.ActionContinue)
	}
	if s.began != 0 {
		s.headers = clock{}.Now()
	}
	if s.permit.Trial() && final() {
		done(s)
	}
	return uint32(types.ActionContinue)
}

// onLog is the end of a stream, however it came.
//
//go:wasmexport proxy_on_log
func onLog(id uint32) {
	s := find(id)
	if s == nil {
		return
	}
	if s.cluster == nil {
		forget(s) // its request headers were never seen
		return
	}
	done(s)
}

// done gives the verdict on a stream to the breaker.
func done(s *stream) {
	e := s.ending()
	if s.marked {
		served(s, e)
	} else {
		o, reason := s.cluster.judge(e)
		s.cluster.breaker.Done(s.permit, o)
		if o != (breaker.Outcome{}) || s.permit.State() != "closed" {
			noteOutcome(s, o, reason)
		}
	}
	forget(s)
}

// served gives the verdict on a request that was marked for the fallback: it belongs to the cluster that served it, which
// is known by now. A fallback cluster that was asked and not used gets its permit back.
func served(s *stream, e verdict.Ending) {
	name := bridge.Property(clusterName)
	if s.permit.Admitted() {
		outcome := breaker.Outcome{Result: breaker.Neutral}
		if string(name) == s.cluster.name {
			outcome, _ = s.cluster.judge(e)
		}
		s.cluster.breaker.Done(s.permit, outcome)
		return
	}
	if len(name) == 0 {
		return // a direct response
	}
	if c := s.plugin.cluster(name); c != nil {
		o, _ := c.judge(e)
		c.breaker.Observe(o)
	}
}

// judge gives the verdict on a request as the cluster's and its reason, and adds the upstream's word on when to come back
// where that may be asked for.
func (c *cluster) judge(e verdict.Ending) (o breaker.Outcome, reason string) {
	o, reason = c.rules.Judge(e)
	if c.rules.HonorRetryAfter && e.Origin == verdict.Answered && o.Result == breaker.Failure {
		o.RetryAfter = retryAfter(e)
	}
	return o, reason
}
