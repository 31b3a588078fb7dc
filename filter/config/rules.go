package config

import (
	"slices"
	"strings"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/reply"
	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/time"
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
func (r *Rules) Verdicts() uint64 { return r.FailureOn.Hash() }

// other tells, in the way that the policy's String does, what is beside the policy.
func (r *Rules) other() string {
	s := " failure_on=" + r.FailureOn.String()
	s += smallfmt.Sprintf(" reject=%d %s", r.Reject.Status, show(r.Reject.Body.String()))
	if s += " fallback=off"; r.Fallback.Header != "" {
		s = strings.TrimSuffix(s, "off") + cut(r.Fallback.Header)
		if r.Fallback.Cluster != "" {
			s += " to " + cut(r.Fallback.Cluster)
			if r.Fallback.Route != "" {
				s += " route " + cut(r.Fallback.Route)
			}
		}
	}
	if r.PerRoute {
		s += " per=route"
	}
	if r.Probe.Path != "" {
		s += " probe=" + cut(r.Probe.Method) + " " + cut(r.Probe.Path)
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
	readWindow(o, p)
	r.minRequestsGiven = o.integer("min_requests", &p.MinRequests) || r.minRequestsGiven
	if !r.minRequestsGiven && p.WindowRequests > 0 {
		p.MinRequests = min(breaker.DefaultPolicy().MinRequests, p.WindowRequests)
	}
	o.number("failure_rate", &p.FailureRate)
	o.integer("consecutive_failures", &p.ConsecutiveFailures)
	known, given := len(o.report.errors), false
	if s := o.object("slow_call"); s != nil {
		given = s.duration("duration", &p.SlowCallDuration)
		s.number("rate", &p.SlowCallRate)
		s.end()
	}
	if len(o.report.errors) > known && !given {
		p.SlowCallDuration = 1 // it may be meant to be on, and then failure_on may be empty
	}
	known, given = len(o.report.errors), false
	if s := o.object("open"); s != nil {
		given = s.duration("duration", &p.OpenDuration)
		s.number("multiplier", &p.OpenMultiplier)
		r.maxDurationGiven = s.duration("max_duration", &p.OpenMaxDuration) || r.maxDurationGiven
		s.number("jitter", &p.OpenJitter)
		s.flag("honor_retry_after", &r.HonorRetryAfter)
		s.end()
	}
	if len(o.report.errors) > known && !given {
		p.OpenDuration = 10 * time.Millisecond // the least, and then max_duration may be so too
	}
	if !r.maxDurationGiven { // within its own range: a duration that is too long is told by itself
		p.OpenMaxDuration = min(max(60*time.Second, p.OpenDuration), 24*time.Hour)
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
	if r.Fallback.read(fallback, off); o.isWrong("fallback") {
		r.Fallback.Header = "?" // so that who inherits it is not told that it is missing
	}
	probe, off := o.switchable("probe")
	if r.Probe.read(probe, off, p); o.isWrong("probe") {
		r.Probe.Path = "?"
	}
	if r.FailureOn == (verdict.FailureSet{}) && p.SlowCallDuration == 0 {
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
		o.report.error(join(o.path, index("failure_on", i)), show(v)+" is not allowed: must be "+allowed)
		r.FailureOn.Add("5xx") // so that it is not said to be empty
	}
}

func readWindow(o *object, p *breaker.Policy) {
	known := len(o.report.errors)
	w := o.object("window")
	var duration time.Duration
	var requests int
	if w != nil {
		w.duration("duration", &duration)
		w.integer("requests", &requests)
		w.end()
		if len(o.report.errors) == known && len(w.keys) != 1 {
			o.fail("window", w.keys, `either {"duration": "1s" to "1h"} or {"requests": 10 to 100000}`)
		}
	}
	switch {
	case len(o.report.errors) > known:
		p.WindowDuration, p.WindowRequests = breaker.DefaultPolicy().WindowDuration, 0 // for which no min_requests is too many
	case w != nil:
		p.WindowDuration, p.WindowRequests = duration, requests
	}
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
		// That there are too many for a window follows where either number is wrong by itself.
		follows := strings.HasPrefix(e.Allowed, "at most window.requests") && slices.ContainsFunc(wrong, func(before *breaker.PolicyError) bool {
			return before.Field == "window.requests" || before.Field == e.Field
		})
		if follows {
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
