package config

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
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
	// PerRoute gives each route with a name a breaker of its own, in place of one for the whole cluster.
	PerRoute bool
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

// other tells, in the way that the policy's String does, what is beside the policy.
func (r *Rules) other() string {
	s := " failure_on=" + r.FailureOn.String()
	s += fmt.Sprintf(" reject=%d %s", r.Reject.Status, show(r.Reject.Body.String()))
	if s += " fallback=off"; r.Fallback.Header != "" {
		s = strings.TrimSuffix(s, "off") + r.Fallback.Header
		if r.Fallback.Cluster != "" {
			s += " to " + r.Fallback.Cluster
			if r.Fallback.Route != "" {
				s += " route " + r.Fallback.Route
			}
		}
	}
	if r.PerRoute {
		s += " per=route"
	}
	if r.Probe.Path != "" {
		s += " probe=" + r.Probe.Method + " " + r.Probe.Path
	}
	return s
}

func defaultRules() Rules {
	return Rules{Policy: breaker.DefaultPolicy(), FailureOn: verdict.DefaultFailureOn(), Reject: reply.Default()}
}

// read changes the rules by the keys that are given. It returns what is wrong with their policy; what it inherits of that is not
// told again.
func (r *Rules) read(o *object, inherited []*breaker.PolicyError) []*breaker.PolicyError {
	p := &r.Policy
	var mode string
	if o.text("mode", &mode) {
		if p.Mode = breaker.Mode(modeOf(mode)); int(p.Mode) == len(breaker.Modes) {
			p.Mode = breaker.Enforce
			o.fail("mode", mode, `one of "enforce", "shadow", "force_open", "disabled"`)
		}
	}
	var per string
	if o.text("per", &per) {
		if r.PerRoute = per == "route"; !r.PerRoute && per != "cluster" {
			o.fail("per", per, `"cluster" or "route"`)
		}
	}
	r.readFailureOn(o)
	if w := o.object("window"); w != nil {
		readWindow(w, o, p)
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
	if r.FailureOn == (verdict.FailureSet{}) && p.SlowCallDuration == 0 && !o.report.at[join(o.path, "slow_call.duration")] {
		r.FailureOn = verdict.DefaultFailureOn() // so that who inherits it is not told again
		o.fail("failure_on", []any{}, "at least one name, in any mode, unless slow_call.duration is on: "+
			"a breaker without failures and slow calls never opens")
	}
	return r.validate(o, inherited)
}

func (r *Rules) readFailureOn(o *object) {
	names, given := o.list("failure_on")
	if !given {
		return
	}
	r.FailureOn = verdict.FailureSet{}
	for i, v := range names {
		name, ok := v.(string)
		if ok && r.FailureOn.Add(name) || o.report.isFull() {
			continue
		}
		allowed := verdict.FailureNames
		if code, is := v.(float64); is && r.FailureOn.Add(show(code)) {
			allowed = `in quotes: "` + show(code) + `"`
		} else if meant := nearest(name, verdict.Names(), slips(name)); meant != "" && name[0] > '9' { // "4xx" is no slip
			allowed = "a name of a failure: did you mean " + show(meant) + "?"
		}
		o.fail(index("failure_on", i), v, allowed)
		r.FailureOn.Add("5xx") // so that it is not said to be empty
	}
}

func readWindow(w, o *object, p *breaker.Policy) {
	known := len(o.report.errors)
	var duration time.Duration
	var requests int
	w.duration("duration", &duration)
	w.integer("requests", &requests)
	w.end()
	if len(o.report.errors) > known {
		return
	}
	if len(w.keys) != 1 {
		o.fail("window", w.keys, `either {"duration": "1s" to "1h"} or {"requests": 10 to 100000}`)
		return
	}
	p.WindowDuration, p.WindowRequests = duration, requests
}

// validate reports what is wrong with the policy and returns it.
func (r *Rules) validate(o *object, inherited []*breaker.PolicyError) (wrong []*breaker.PolicyError) {
	joined, ok := r.Policy.Validate().(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range joined.Unwrap() {
		e, ok := err.(*breaker.PolicyError)
		if !ok {
			continue
		}
		wrong = append(wrong, e)
		v, given := o.given(e.Field)
		if !given && slices.ContainsFunc(inherited, func(i *breaker.PolicyError) bool { return *i == *e }) {
			continue
		}
		value := e.Value
		if given {
			value = show(v)
		}
		o.report.error(join(o.path, e.Field), value+" is not allowed: must be "+e.Allowed)
	}
	return wrong
}

func modeOf(name string) int {
	for i, n := range breaker.Modes {
		if n == name {
			return i
		}
	}
	return len(breaker.Modes)
}
