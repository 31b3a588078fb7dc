package config

import (
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/reply"
	"envoy-circuit-breaker/filter/verdict"
)

// Rules are all that can differ from cluster to cluster.
type Rules struct {
	// Policy is when the breaker opens, and how it recovers.
	Policy breaker.Policy
	// FailureOn says which endings are failures.
	FailureOn verdict.FailureSet
	// Reject is the reply to a request that is not admitted, unless there is a fallback.
	Reject   reply.Reject
	Fallback Fallback
	Probe    Probe
	// HonorRetryAfter lets the upstream say how long the breaker stays open, by the answer that trips it.
	HonorRetryAfter bool

	// Defaults that give way to a key they would contradict must know whether they were given.
	minRequestsGiven, maxDurationGiven bool
}

// Judge gives the verdict of these rules on how a request ended, as [verdict.Judge] does.
func (r *Rules) Judge(e verdict.Ending) (o breaker.Outcome, reason string) {
	return verdict.Judge(e, &r.FailureOn, r.Policy.SlowCallDuration)
}

// Verdicts is a hash of all but the policy that a verdict depends on.
func (r *Rules) Verdicts() uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v", r.FailureOn)
	return h.Sum64()
}

func defaultRules() Rules {
	return Rules{Policy: breaker.DefaultPolicy(), FailureOn: verdict.DefaultFailureOn(), Reject: reply.Default()}
}

// read changes the rules by the keys that are given.
func (r *Rules) read(o *object) {
	p := &r.Policy
	var mode string
	if o.text("mode", &mode) {
		if p.Mode = breaker.Mode(modeOf(mode)); int(p.Mode) == len(breaker.Modes) {
			o.fail("mode", mode, `one of "enforce", "shadow", "force_open", "disabled"`)
		}
	}
	if names, given := o.list("failure_on"); given {
		r.FailureOn = verdict.FailureSet{}
		for i, v := range names {
			if name, ok := v.(string); !ok || !r.FailureOn.Add(name) {
				o.fail(index("failure_on", i), v, verdict.FailureNames)
			}
		}
	}
	if w := o.object("window"); w != nil {
		p.WindowDuration, p.WindowRequests = 0, 0
		w.duration("duration", &p.WindowDuration)
		w.integer("requests", &p.WindowRequests)
		w.end()
		if len(w.keys) != 1 {
			o.fail("window", w.keys, `either {"duration": "1s" to "1h"} or {"requests": 10 to 100000}`)
		}
	}
	r.minRequestsGiven = o.integer("min_requests", &p.MinRequests) || r.minRequestsGiven
	if !r.minRequestsGiven && p.WindowRequests > 0 {
		p.MinRequests = min(breaker.DefaultPolicy().MinRequests, p.WindowRequests)
	}
	o.number("failure_rate", &p.FailureRate)
	o.integer("consecutive_failures", &p.ConsecutiveFailures)
	if s := o.object("slow_call"); s != nil {
		s.duration("duration", &p.SlowCallDuration)
		s.number("rate", &p.SlowCallRate)
		s.end()
	}
	if s := o.object("open"); s != nil {
		s.duration("duration", &p.OpenDuration)
		s.number("multiplier", &p.OpenMultiplier)
		r.maxDurationGiven = s.duration("max_duration", &p.OpenMaxDuration) || r.maxDurationGiven
		s.number("jitter", &p.OpenJitter)
		s.flag("honor_retry_after", &r.HonorRetryAfter)
		s.end()
	}
	if !r.maxDurationGiven {
		p.OpenMaxDuration = max(60*time.Second, p.OpenDuration)
	}
	if s := o.object("half_open"); s != nil {
		s.integer("max_requests", &p.HalfOpenMaxRequests)
		s.integer("success_threshold", &p.HalfOpenSuccessThreshold)
		s.duration("permit_timeout", &p.HalfOpenPermitTimeout)
		s.end()
	}
	o.duration("ramp", &p.Ramp)
	readReject(&r.Reject, o.object("reject"))
	fallback, off := o.switchable("fallback")
	r.Fallback.read(fallback, off)
	probe, off := o.switchable("probe")
	r.Probe.read(probe, off, p)
	if r.FailureOn == (verdict.FailureSet{}) && p.SlowCallDuration == 0 {
		o.fail("failure_on", []any{}, "at least one name, in any mode, unless slow_call.duration is on: "+
			"a breaker without failures and slow calls never opens")
	}
	if err := p.Validate(); err != nil && *o.err == nil {
		var field *breaker.PolicyError
		if errors.As(err, &field) {
			err = &breaker.PolicyError{Field: join(o.path, field.Field), Value: field.Value, Allowed: field.Allowed}
		}
		*o.err = err
	}
}

func modeOf(name string) int {
	for i, n := range breaker.Modes {
		if n == name {
			return i
		}
	}
	return len(breaker.Modes)
}
