//go:build wasip1

package main

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/time"
)

// onLog is the end of a stream, however it came.
//
//go:wasmexport proxy_on_log
func onLog(id uint32) {
	s := find(id)
	if s == nil {
		return
	}
	unknown := s.cluster == nil
	if !s.findCluster() {
		forget(s) // it went to no cluster, or its request headers were never seen
		return
	}
	if unknown && isRedirected() {
		o := breaker.Outcome{Result: breaker.Neutral}
		s.cluster.breaker.Done(s.permit, o)
		noteOutcome(s, o, verdict.Elsewhere.String())
		forget(s)
		return
	}
	done(s)
}

// isRedirected reports whether Envoy has followed the answer, a redirect, by another stream. By now this one has that one's route, so a
// cluster that is found only here is not the one that has answered.
func isRedirected() bool { return string(bridge.Property(codeDetails)) == "internal_redirect" }

// done gives the verdict on a stream that has ended.
func done(s *stream) {
	switch {
	case s.told:
	case s.marked != nil:
		s.served(s.ending())
	default:
		s.judged(s.ending())
	}
	forget(s)
}

// tell gives the verdict on a trial before its stream ends, once: nothing that comes of it can change that.
func (s *stream) tell() {
	// Who serves a marked one is known at the end, and so is whether a deadline was the caller's.
	if s.told || s.marked != nil || s.answer.grpc == verdict.DeadlineExceeded {
		return
	}
	s.judged(s.answered())
	s.told = true
	s.plugin.dropTrial(s)
}

// judged tells the breaker, and whoever reads the access log.
func (s *stream) judged(e verdict.Ending) {
	o, reason := s.cluster.judge(e, s.answer.retryAfter)
	s.cluster.breaker.Done(s.permit, o)
	if o != (breaker.Outcome{}) || s.permit.State() != "closed" {
		noteOutcome(s, o, reason)
	}
}

// served gives the verdict on a request that was marked for the fallback: it belongs to the cluster that served it, which
// is known by now, and to its route. A fallback cluster that was asked and not used gets its permit back.
func (s *stream) served(e verdict.Ending) {
	name := []byte(string(bridge.Property(clusterName))) // which the next call of the host overwrites
	s.marked.fellBack(s.marked.serves(name), string(bridge.Property(codeDetails)))
	if s.permit.Admitted() {
		outcome := breaker.Outcome{Result: breaker.Neutral}
		if s.cluster.serves(name) {
			outcome, _ = s.cluster.judge(e, s.answer.retryAfter)
		}
		s.cluster.breaker.Done(s.permit, outcome)
		return
	}
	if len(name) == 0 {
		return // a direct response
	}
	if c := s.plugin.cluster(name); c != nil {
		o, _ := c.judge(e, s.answer.retryAfter)
		c.breaker.Observe(o)
	}
}

// judge gives the verdict on a request as the cluster's and its reason, and adds the upstream's word on when to come back
// where that may be asked for.
func (c *cluster) judge(e verdict.Ending, retryAfter time.Duration) (o breaker.Outcome, reason string) {
	o, reason = c.rules.Judge(e)
	if c.rules.HonorRetryAfter && o.Result == breaker.Failure {
		o.RetryAfter = retryAfter
	}
	return o, reason
}
