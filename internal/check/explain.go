package check

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
)

// A row is a key, and what it is in force as. A nil value is off, or the other of two.
type row struct {
	key   string
	value func(*config.Rules) any
}

var rows = []row{
	{"mode", func(r *config.Rules) any { return r.Policy.Mode }},
	{"per", func(r *config.Rules) any {
		if r.PerRoute {
			return "route"
		}
		return "cluster"
	}},
	{"failure_on", func(r *config.Rules) any { return r.FailureOn.String() }},
	{"window.duration", func(r *config.Rules) any { return positive(r.Policy.WindowDuration) }},
	{"window.requests", func(r *config.Rules) any { return positive(r.Policy.WindowRequests) }},
	{"min_requests", func(r *config.Rules) any { return r.Policy.MinRequests }},
	{"failure_rate", func(r *config.Rules) any { return r.Policy.FailureRate }},
	{"consecutive_failures", func(r *config.Rules) any { return r.Policy.ConsecutiveFailures }},
	{"slow_call.duration", func(r *config.Rules) any { return r.Policy.SlowCallDuration }},
	{"slow_call.rate", func(r *config.Rules) any { return r.Policy.SlowCallRate }},
	{"open.duration", func(r *config.Rules) any { return r.Policy.OpenDuration }},
	{"open.multiplier", func(r *config.Rules) any { return r.Policy.OpenMultiplier }},
	{"open.max_duration", func(r *config.Rules) any { return r.Policy.OpenMaxDuration }},
	{"open.jitter", func(r *config.Rules) any { return r.Policy.OpenJitter }},
	{"open.honor_retry_after", func(r *config.Rules) any { return r.HonorRetryAfter }},
	{"half_open.max_requests", func(r *config.Rules) any { return r.Policy.HalfOpenMaxRequests }},
	{"half_open.success_threshold", func(r *config.Rules) any { return r.Policy.HalfOpenSuccessThreshold }},
	{"half_open.permit_timeout", func(r *config.Rules) any { return r.Policy.HalfOpenPermitTimeout }},
	{"ramp", func(r *config.Rules) any { return r.Policy.Ramp }},
	{"probe", func(r *config.Rules) any { return shownIf(r.Probe.Path == "", "off") }},
	{"probe.path", probe(func(r *config.Rules) any { return r.Probe.Path })},
	{"probe.method", probe(func(r *config.Rules) any { return r.Probe.Method })},
	{"probe.host", probe(func(r *config.Rules) any { return strconv.Quote(r.Probe.Host) })},
	{"probe.headers", probe(func(r *config.Rules) any {
		var headers []string
		for _, h := range r.Probe.Headers {
			headers = append(headers, h[0]+": "+h[1])
		}
		return shownIf(len(headers) > 0, strings.Join(headers, ", "))
	})},
	{"probe.interval", probe(func(r *config.Rules) any { return r.Policy.ProbeInterval })},
	{"probe.timeout", probe(func(r *config.Rules) any { return r.Policy.ProbeTimeout })},
	{"probe.status", probe(func(r *config.Rules) any { return r.Probe.Good.String() })},
	{"probe.on_success", probe(func(r *config.Rules) any {
		if r.Policy.ProbeCloses {
			return "close"
		}
		return "half_open"
	})},
	{"reject.status", func(r *config.Rules) any { return r.Reject.Status }},
	{"reject.body", func(r *config.Rules) any { return strconv.Quote(r.Reject.Body.String()) }},
	{"reject.content_type", func(r *config.Rules) any { return r.Reject.ContentType }},
	{"reject.headers", func(r *config.Rules) any {
		var headers []string
		for _, h := range r.Reject.Headers {
			headers = append(headers, h.Name+": "+h.Value.String())
		}
		return shownIf(len(headers) > 0, strings.Join(headers, ", "))
	}},
	{"reject.retry_after", func(r *config.Rules) any { return r.Reject.RetryAfter }},
	{"reject.overloaded", func(r *config.Rules) any { return r.Reject.Overloaded }},
	{"fallback", func(r *config.Rules) any { return shownIf(r.Fallback.Header == "", "off") }},
	{"fallback.header", fallback(func(r *config.Rules) any { return r.Fallback.Header })},
	{"fallback.value", fallback(func(r *config.Rules) any { return r.Fallback.Value })},
	{"fallback.cluster", fallback(func(r *config.Rules) any { return strconv.Quote(r.Fallback.Cluster) })},
	{"fallback.route", fallback(func(r *config.Rules) any { return strconv.Quote(r.Fallback.Route) })},
}

func positive[T int | time.Duration](v T) any { return shownIf(v > 0, v) }

func shownIf(shown bool, v any) any {
	if !shown {
		return nil
	}
	return v
}

func probe(value func(*config.Rules) any) func(*config.Rules) any {
	return func(r *config.Rules) any {
		if r.Probe.Path == "" {
			return nil
		}
		return value(r)
	}
}

func fallback(value func(*config.Rules) any) func(*config.Rules) any {
	return func(r *config.Rules) any {
		if r.Fallback.Header == "" {
			return nil
		}
		return value(r)
	}
}

// Explain writes which rules a cluster has, and from where each of them is: those of its own breaker, or with the name of a route those
// of the breaker that requests on that route have. Of a cluster that has breakers by route it tells which routes have other rules.
func (p *Plugin) Explain(w io.Writer, cluster, route string) {
	at, rules := p.Config.Match(cluster, route), p.rules()
	s := rules[at+1]
	name := cluster
	if route != "" {
		name += fmt.Sprintf(" route %q", route)
	}
	fmt.Fprintf(w, "%s: %s\n", name, p.where(at))
	if whose := p.whose(s, cluster, route); whose != "" {
		fmt.Fprintf(w, "  %s\n", whose)
	}
	for _, row := range rows {
		if v := row.value(s.Rules); v != nil {
			fmt.Fprintf(w, "  %-27s  %-20v  %s\n", row.key, v, p.source(s, row.key))
		}
	}
	overrides := p.forRoutes(cluster)
	if route != "" || len(overrides) == 0 {
		return
	}
	fmt.Fprintln(w, "  routes with rules of their own (-route ROUTE shows all of them):")
	for _, i := range overrides {
		p.summarize(w, i, rules[i+1])
	}
}

// whose tells which routes have the breaker that is explained; empty where the cluster has one for all of them, and no route is asked for.
func (p *Plugin) whose(s scope, cluster, route string) string {
	isOwn, byRoute := s.PerRoute, p.Config.ByRoute(cluster)
	switch {
	case !byRoute && route == "":
		return ""
	case !byRoute:
		return "the breaker is the cluster's: all routes share it"
	case route != "" && isOwn:
		return "the route has a breaker of its own"
	case route != "":
		return "the breaker is the cluster's: all routes share it, but those that an override is for"
	case isOwn:
		return "each route with a name has a breaker of its own; routes without a name share the cluster's"
	}
	return "the breaker is the cluster's: all routes share it, but those below, each of which has its own"
}

// summarize writes an override and the keys that are its own.
func (p *Plugin) summarize(w io.Writer, override int, s scope) {
	fmt.Fprintf(w, "    %s\n", p.where(override))
	for _, row := range rows {
		if v := row.value(s.Rules); v != nil && s.own(row.key) {
			fmt.Fprintf(w, "      %-23s  %v\n", row.key, v)
		}
	}
}

// where tells which override it is; -1 is none.
func (p *Plugin) where(override int) string {
	if override < 0 {
		return "no override matches"
	}
	path, over := fmt.Sprintf("clusters[%d]", override), &p.Config.Overrides[override]
	matches := fmt.Sprintf("match %q", over.Match)
	if over.Route != "" {
		matches += fmt.Sprintf(", route %q", over.Route)
	}
	return fmt.Sprintf("%s, %s (%s:%d)", path, matches, p.file.Name, p.line(path+".match"))
}

// source tells where a key has its value from.
func (p *Plugin) source(s scope, key string) string {
	path := s.given(key)
	if key == "per" && !s.own(key) && s.own("route") {
		path = s.path + "route" // which implies it
	}
	switch {
	case path != "" && s.path != "" && strings.HasPrefix(path, s.path):
		return fmt.Sprintf("%s, %s:%d", strings.TrimSuffix(s.path, "."), p.file.Name, p.line(path))
	case path != "":
		return fmt.Sprintf("top level, %s:%d", p.file.Name, p.line(path))
	case key == "min_requests" && s.Policy.MinRequests != breaker.DefaultPolicy().MinRequests:
		return "default, lowered to window.requests"
	case key == "open.max_duration" && s.Policy.OpenMaxDuration != breaker.DefaultPolicy().OpenMaxDuration:
		return "default, raised to open.duration"
	}
	return "default"
}

// Unmatched writes which overrides match none of what an Envoy has, and which clusters have no override.
func (p *Plugin) Unmatched(w io.Writer, envoy *Running) {
	have := "have"
	if envoy.unknown != "" {
		have = "may have"
	}
	used := map[int]bool{}
	var without []string
	for _, cluster := range envoy.clusters {
		at, ofRoutes := p.Config.Match(cluster, ""), p.inForce(envoy, cluster)
		used[at] = true
		for _, i := range ofRoutes {
			used[i] = true
		}
		if at < 0 && len(ofRoutes) > 0 {
			without = append(without, fmt.Sprintf("%s (routes to it %s one)", cluster, have))
		} else if at < 0 {
			without = append(without, cluster)
		}
	}
	title := "overrides that are in force for no cluster"
	if slices.ContainsFunc(p.Config.Overrides, func(over config.Override) bool { return over.Route != "" }) {
		title += " or route"
		if envoy.unknown != "" {
			fmt.Fprintf(w, "%s: an override for routes counts as in force where its match is\n", envoy.unknown)
		}
	}
	fmt.Fprintln(w, title+":")
	none := true
	for i := range p.Config.Overrides {
		if !used[i] {
			none = false
			fmt.Fprintf(w, "  %s\n", p.where(i))
		}
	}
	if none {
		fmt.Fprintln(w, "  none")
	}
	fmt.Fprintln(w, "clusters without an override:")
	if len(without) == 0 {
		without = []string{"none"}
	}
	for _, cluster := range without {
		fmt.Fprintf(w, "  %s\n", cluster)
	}
}

// inForce returns the overrides that are in force for routes to a cluster of an Envoy. Where its routes are not known, it may have any.
func (p *Plugin) inForce(envoy *Running, cluster string) (overrides []int) {
	if envoy.unknown != "" {
		return p.forRoutes(cluster)
	}
	for _, name := range envoy.routes.names(cluster) {
		if i := p.Config.Match(cluster, name); i >= 0 && p.Config.Overrides[i].Route != "" {
			overrides = append(overrides, i)
		}
	}
	return overrides
}

// IsStatusPage reports whether a plugin does nothing but show the status page: then it has no breakers of its own.
func (p *Plugin) IsStatusPage() bool {
	if p.Config == nil || p.Config.StatusPath == "" {
		return false
	}
	for path := range p.lines {
		if path != "status" && path != "status.path" {
			return false
		}
	}
	return true
}

// Place tells where the configuration begins.
func (p *Plugin) Place() string {
	place := fmt.Sprintf("%s:%d", p.file.Name, p.Line)
	if p.Name != "" {
		place += ", plugin " + p.Name
	}
	return place
}
