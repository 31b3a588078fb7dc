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

// Explain writes which rules a cluster has, and from where each of them is.
func (p *Plugin) Explain(w io.Writer, cluster string) {
	at := p.Config.Match(cluster, "")
	s := p.rules()[at+1]
	fmt.Fprintf(w, "%s: %s\n", cluster, p.where(at))
	for _, row := range rows {
		if v := row.value(s.Rules); v != nil {
			fmt.Fprintf(w, "  %-27s  %-20v  %s\n", row.key, v, p.source(s, row.key))
		}
	}
}

// where tells which override it is; -1 is none.
func (p *Plugin) where(override int) string {
	if override < 0 {
		return "no override matches"
	}
	path := fmt.Sprintf("clusters[%d]", override)
	return fmt.Sprintf("%s, match %q (%s:%d)", path, p.Config.Overrides[override].Match, p.file.Name, p.line(path+".match"))
}

// source tells where a key has its value from.
func (p *Plugin) source(s scope, key string) string {
	path := s.given(key)
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

// Unmatched writes which overrides match none of the clusters, and which clusters have no override.
func (p *Plugin) Unmatched(w io.Writer, clusters []string) {
	used := map[int]bool{}
	var without []string
	for _, cluster := range clusters {
		at := p.Config.Match(cluster, "")
		if used[at] = true; at < 0 {
			without = append(without, cluster)
		}
	}
	fmt.Fprintln(w, "overrides that are in force for no cluster:")
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
	slices.Sort(without)
	for _, cluster := range without {
		fmt.Fprintf(w, "  %s\n", cluster)
	}
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
