package config

import (
	"strings"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/time"
)

// Warnings are about what is valid, and surely not meant, as far as the configuration alone shows it. To find them takes as long as
// 5,000 globs take to be compared with each other, half a second in the plugin: so one worker does it, once.
func (c *Config) Warnings() Errors {
	var shadowed report
	var before matcher
	for i, over := range c.Overrides {
		// That * in the name can only be matched by * in a glob, so whatever the name matches, the glob does.
		if first := before.find(over.Match, over.Route); first >= 0 {
			shadowed.warn(index("clusters", i)+".match", "%s never counts: clusters[%d] (%s) matches it before",
				over.Name(), first, c.Overrides[first].Name())
		}
		before.add(over.Match, over.Route, i)
	}
	return append(append(shadowed.warnings, c.warnings...), c.aboutFallbacks()...)
}

// aboutFallbacks warns of fallbacks whose own breaker is not asked, or has no routes.
func (c *Config) aboutFallbacks() Errors {
	var told report
	about := func(f *Fallback, path string) {
		byRoute := c.ByRoute(f.Cluster)
		switch {
		case f.Cluster == "":
		case strings.Contains(f.Route, "*"):
			told.warn(join(path, "fallback.route"), "%s is a route's name, in which * has no meaning", show(f.Route))
		case byRoute && f.Route == "":
			told.warn(join(path, "fallback.cluster"), "%s has breakers of its routes, and none is asked without fallback.route", show(f.Cluster))
		case !byRoute && f.Route != "":
			told.warn(join(path, "fallback.route"), "%s has no effect, since %s has one breaker for all routes", show(f.Route), show(f.Cluster))
		}
	}
	about(&c.Rules.Fallback, "")
	for i := range c.Overrides {
		if f := &c.Overrides[i].Rules.Fallback; *f != c.Rules.Fallback {
			about(f, index("clusters", i))
		}
	}
	return told.warnings
}

func (c *Config) warnAtTop(o *object) {
	c.Rules.warn(o)
	c.Rules.warnOfProbe(o, "")
	slow, trips := c.Rules.Policy.SlowCallDuration > 0, c.Rules.canTrip()
	for _, over := range c.Overrides {
		slow = slow || over.Rules.Policy.SlowCallDuration > 0
		trips = trips || over.Rules.canTrip()
	}
	if rate, given := o.given("slow_call.rate"); given && !slow {
		o.warn("slow_call.rate", "%s has no effect without slow_call.duration", show(rate))
	}
	if !trips && c.Rules.isJudged() {
		o.warn("failure_rate", noTrip)
	}
}

func (over *Override) warn(o *object) {
	r := &over.Rules
	r.warn(o)
	r.warnOfProbe(o, over.Route)
	if rate, given := o.given("slow_call.rate"); given && r.Policy.SlowCallDuration == 0 {
		o.warn("slow_call.rate", "%s has no effect without slow_call.duration", show(rate))
	}
	for _, key := range []string{"failure_rate", "consecutive_failures", "slow_call", "mode"} {
		if _, given := o.keys[key]; given && !r.canTrip() && r.isJudged() {
			o.warn(key, noTrip)
			break
		}
	}
	for _, glob := range [][2]string{{"match", over.Match}, {"route", over.Route}} {
		if sign := regularExpression(glob[1]); sign != "" {
			o.warn(glob[0], "%s looks like a regular expression, for its %s: it is a glob, in which only * has a meaning", show(glob[1]), sign)
		}
	}
}

const noTrip = "this breaker never opens: failure_rate, consecutive_failures and slow_call.duration are all off; " +
	`to do without a breaker use {"mode": "disabled"}`

// warn is about what holds for the rules of overrides and of all other clusters.
func (r *Rules) warn(o *object) {
	p := &r.Policy
	if _, given := o.keys["failure_rate"]; given && p.FailureRate > 0 && p.FailureRate < 1 {
		o.warn("failure_rate", "%v is less than one percent: did you mean %v?", p.FailureRate, p.FailureRate*100)
	}
	// No Envoy sends so many to one cluster.
	const mostPerSecond = 50_000
	if float64(p.MinRequests) >= mostPerSecond*p.WindowDuration.Seconds() && p.WindowDuration > 0 {
		if key := o.firstGiven("min_requests", "window"); key != "" {
			o.warn(key, "%d requests in %v are more than a window ever has, so that no rate is judged", p.MinRequests, p.WindowDuration)
		}
	}
	permit := p.HalfOpenPermitTimeout
	if key := o.firstGiven("half_open.permit_timeout", "slow_call.duration"); key != "" && permit < p.SlowCallDuration {
		o.warn(key, "a trial has %v, and a call is slow after %v: it gives its place up before it is slow",
			permit, p.SlowCallDuration)
	} else if key == "half_open.permit_timeout" && permit < time.Second {
		o.warn(key, "%v may be less than an answer takes, and then the breaker never closes", permit)
	}
}

// warnOfProbe is about breakers of several routes that are all probed at one path, which tells nothing of the single route.
func (r *Rules) warnOfProbe(o *object, route string) {
	isOne := route != "" && !strings.Contains(route, "*")
	if key := o.firstGiven("probe", "route", "per"); key != "" && r.PerRoute && r.Probe.Path != "" && !isOne {
		o.warn(key, "the breakers of several routes are probed at one path, %s: give each route an override with a path of its own", show(r.Probe.Path))
	}
}

// canTrip reports whether a trip condition is on.
func (r *Rules) canTrip() bool {
	p := &r.Policy
	return p.FailureRate > 0 || p.ConsecutiveFailures > 0 || p.SlowCallDuration > 0
}

// isJudged reports whether the mode is one in which trip conditions matter.
func (r *Rules) isJudged() bool {
	return r.Policy.Mode == breaker.Enforce || r.Policy.Mode == breaker.Shadow
}

// regularExpression returns what no glob, but many a regular expression has.
func regularExpression(match string) string {
	match = withoutAddresses(match)
	for _, sign := range []string{`\`, ".+", "]*", "]+", ")*", ")+", ")$", "[^"} {
		if strings.Contains(match, sign) {
			return sign
		}
	}
	switch {
	case strings.HasPrefix(match, "^"):
		return "^"
	case strings.HasSuffix(match, "$"):
		return "$"
	case strings.HasPrefix(match, ".*"):
		return ".*"
	}
	_, group, _ := strings.Cut(match, "(")
	if group, _, closed := strings.Cut(group, ")"); closed && strings.Contains(group, "|") {
		return "(|)"
	}
	return ""
}

// withoutAddresses leaves IPv6 addresses in brackets out, and globs of such.
func withoutAddresses(match string) string {
	var rest strings.Builder
	for {
		before, behind, _ := strings.Cut(match, "[")
		inside, after, closed := strings.Cut(behind, "]")
		if !closed {
			rest.WriteString(match)
			return rest.String()
		}
		rest.WriteString(before)
		if address, _, _ := strings.Cut(inside, "%"); !strings.Contains(address, ":") || strings.TrimLeft(address, "0123456789abcdefABCDEF:.*") != "" {
			rest.WriteString("[" + inside + "]")
		}
		match = after
	}
}

func (o *object) warn(key, format string, args ...any) {
	o.report.warn(join(o.path, key), format, args...)
}

// firstGiven returns the first of the paths that has a value; empty if none has.
func (o *object) firstGiven(paths ...string) string {
	for _, path := range paths {
		if _, given := o.given(path); given {
			return path
		}
	}
	return ""
}
