package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"
)

// A Config is what a plugin is configured with; README has the reference of its keys.
type Config struct {
	Rules       // for every cluster that no override matches
	Overrides   []Override
	MaxBreakers int
	StatusPath  string // where the status page is; empty for nowhere
}

// Rules are all that can differ from cluster to cluster.
type Rules struct {
	Policy    breaker.Policy
	FailureOn failureSet
	Reject    Reject
	Fallback  Fallback
	Probe     Probe
	// HonorRetryAfter lets the upstream say how long the breaker stays open, by the answer that trips it.
	HonorRetryAfter bool

	// Defaults that give way to a key they would contradict must know whether they were given.
	minRequestsGiven, maxDurationGiven bool
}

// A Fallback marks a request that is not admitted by a header, in place of rejecting it, so that a route which matches
// that header can send it elsewhere. It is off where Header is empty.
type Fallback struct {
	Header, Value string
	Cluster       string // where that route leads, if its breaker is to be asked
}

// A Probe is a call of the plugin's own to a cluster whose breaker is open; Policy has its times. It is off where Path is
// empty.
type Probe struct {
	Method, Path string
	Host         string // the cluster's name where empty
	Headers      [][2]string
	Good         codeSet // the statuses of a good one
}

// An Override has the rules of the clusters that its Match names: an exact name, or a glob in which * stands for any
// text.
type Override struct {
	Match string
	Rules Rules
}

// ParseConfig reads a plugin configuration: JSON text or a google.protobuf.Struct. Its errors name the key, its value,
// and what is allowed.
func ParseConfig(configuration []byte) (*Config, error) {
	root, err := parseTree(configuration)
	if err != nil {
		return nil, err
	}
	c := &Config{Rules: defaultRules(), MaxBreakers: 4096}
	o := &object{keys: root, err: &err}
	c.Rules.read(o)
	if o.integer("max_breakers", &c.MaxBreakers) && (c.MaxBreakers < 1 || c.MaxBreakers > 1_000_000) {
		o.fail("max_breakers", c.MaxBreakers, "from 1 to 1000000")
	}
	if page := o.object("status"); page != nil {
		if !page.text("path", &c.StatusPath) || !strings.HasPrefix(c.StatusPath, "/") || strings.ContainsAny(c.StatusPath, "?#") {
			page.fail("path", page.keys["path"], `a path such as "/circuit-breakers"`)
		}
		page.end()
	}
	items, _ := o.list("clusters")
	o.end()
	for i, item := range items {
		c.Overrides = append(c.Overrides, readOverride(item, index("clusters", i), c.Rules, &err))
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// For returns the rules of a cluster: those of the first override that matches it.
func (c *Config) For(cluster string) *Rules {
	for i := range c.Overrides {
		if glob(c.Overrides[i].Match, cluster) {
			return &c.Overrides[i].Rules
		}
	}
	return &c.Rules
}

// String tells the effective policy of each override, and of everything else.
func (c *Config) String() string {
	var s strings.Builder
	for _, over := range c.Overrides {
		fmt.Fprintf(&s, "%q: %s; ", over.Match, over.Rules.Policy)
	}
	fmt.Fprintf(&s, "other clusters: %s", c.Rules.Policy)
	return s.String()
}

func defaultRules() Rules {
	r := Rules{
		Policy: breaker.DefaultPolicy(),
		Reject: Reject{
			Status:      503,
			Body:        template{{placeholder: "cluster"}, {text: " is unavailable: circuit breaker "}, {placeholder: "state"}, {text: "\n"}},
			ContentType: "text/plain", RetryAfter: true, Overloaded: true,
		},
	}
	for _, name := range defaultFailureOn {
		r.FailureOn.add(name)
	}
	return r
}

func readOverride(item any, path string, base Rules, err *error) Override {
	keys, ok := item.(map[string]any)
	if !ok {
		if *err == nil {
			*err = fmt.Errorf("%s: %s is not allowed: must be an object", path, show(item))
		}
		return Override{}
	}
	o := &object{path: path, keys: keys, err: err}
	over := Override{Rules: base}
	if !o.text("match", &over.Match) || over.Match == "" {
		o.fail("match", keys["match"], `the name of a cluster, or a glob such as "payments*"`)
	}
	over.Rules.read(o)
	for _, key := range []string{"max_breakers", "status", "clusters"} {
		if v, given := keys[key]; given && *err == nil {
			*err = fmt.Errorf("%s: %s is not allowed: must be at the top level only", join(path, key), show(v))
		}
	}
	o.end()
	return over
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
		set, bad, ok := parseFailureOn(names)
		if !ok {
			o.fail(index("failure_on", bad), names[bad], allowedFailures)
		}
		r.FailureOn = set
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
	r.Reject.read(o.object("reject"))
	r.Fallback.read(o.object("fallback"))
	r.Probe.read(o.object("probe"), p)
	if err := p.Validate(); err != nil && *o.err == nil {
		var field *breaker.PolicyError
		if errors.As(err, &field) {
			err = &breaker.PolicyError{Field: join(o.path, field.Field), Value: field.Value, Allowed: field.Allowed}
		}
		*o.err = err
	}
}

func (r *Reject) read(o *object) {
	if o == nil {
		return
	}
	if o.integer("status", &r.Status) && (r.Status < 400 || r.Status > 599) {
		o.fail("status", r.Status, "from 400 to 599")
	}
	o.template("body", &r.Body)
	if o.text("content_type", &r.ContentType) && !validHeaderValue(r.ContentType) {
		o.fail("content_type", r.ContentType, "a media type such as \"application/json\"")
	}
	if headers := o.object("headers"); headers != nil {
		r.Headers = nil
		names := slices.Sorted(maps.Keys(headers.keys)) // the same reply from every worker
		for _, name := range names {
			h := header{name: strings.ToLower(name)}
			headers.template(name, &h.value)
			switch {
			case !validHeaderName(h.name):
				headers.fail(name, headers.keys[name], "under the name of a header: letters, digits and -")
			case slices.Contains(ownHeaders, h.name):
				headers.fail(name, headers.keys[name], "left out: the reply has that header from other keys")
			case !validHeaderValue(fmt.Sprint(headers.keys[name])):
				headers.fail(name, headers.keys[name], "text without control characters")
			}
			r.Headers = append(r.Headers, h)
		}
	}
	o.flag("retry_after", &r.RetryAfter)
	o.flag("overloaded", &r.Overloaded)
	o.end()
}

// ownHeaders are headers of a reject that have keys of their own, or none because Envoy sets them.
var ownHeaders = []string{"content-type", "content-length", "retry-after", "x-envoy-overloaded", "x-envoy-ratelimited", "x-circuit-breaker"}

func (f *Fallback) read(o *object) {
	if o == nil {
		return
	}
	*f = Fallback{Value: "true"}
	if !o.text("header", &f.Header) || !validHeaderName(f.Header) {
		o.fail("header", o.keys["header"], "the name of a request header: letters, digits and -")
	}
	if f.Header = strings.ToLower(f.Header); o.text("value", &f.Value) && !validHeaderValue(f.Value) {
		o.fail("value", f.Value, "text without control characters")
	}
	o.text("cluster", &f.Cluster)
	o.end()
}

func (pr *Probe) read(o *object, p *breaker.Policy) {
	if o == nil {
		return
	}
	*pr = Probe{Method: "GET"}
	p.ProbeInterval, p.ProbeTimeout, p.ProbeCloses = time.Second, time.Second, false
	if !o.text("path", &pr.Path) || !strings.HasPrefix(pr.Path, "/") || !validHeaderValue(pr.Path) {
		o.fail("path", o.keys["path"], `a path such as "/healthz"`)
	}
	if o.text("method", &pr.Method) && (!validHeaderName(pr.Method) || strings.ToUpper(pr.Method) != pr.Method) {
		o.fail("method", pr.Method, `a method such as "GET"`)
	}
	if o.text("host", &pr.Host) && (pr.Host == "" || !validHeaderValue(pr.Host)) {
		o.fail("host", pr.Host, "a host, or left out for the cluster's name")
	}
	if headers := o.object("headers"); headers != nil {
		for _, name := range slices.Sorted(maps.Keys(headers.keys)) {
			var value string
			headers.text(name, &value)
			if !validHeaderName(name) || !validHeaderValue(value) {
				headers.fail(name, headers.keys[name], "a header's value, under its name: letters, digits and -")
			}
			pr.Headers = append(pr.Headers, [2]string{strings.ToLower(name), value})
		}
	}
	o.duration("interval", &p.ProbeInterval)
	o.duration("timeout", &p.ProbeTimeout)
	if p.ProbeInterval == 0 { // which means off to the policy
		o.fail("interval", o.keys["interval"], "from 100ms to 1h0m0s; to do without probes leave probe out")
	}
	good := "200-299"
	o.text("status", &good)
	if !pr.Good.parse(good) {
		o.fail("status", good, `a status code such as "204" or a range such as "200-299"`)
	}
	success := "half_open"
	o.text("on_success", &success)
	if p.ProbeCloses = success == "close"; !p.ProbeCloses && success != "half_open" {
		o.fail("on_success", success, `"half_open" or "close"`)
	}
	o.end()
}

// template reads a text with placeholders.
func (o *object) template(key string, to *template) {
	var text string
	if !o.text(key, &text) {
		return
	}
	t, err := parseTemplate(text)
	if err != nil {
		o.fail(key, text, "text with no placeholder but "+placeholders)
	}
	*to = t
}

// validHeaderName is stricter than HTTP, which allows a few signs that nobody uses; pseudo-headers are out.
func validHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if !(c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return name != ""
}

func validHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func modeOf(name string) int {
	for i, n := range breaker.Modes {
		if n == name {
			return i
		}
	}
	return len(breaker.Modes)
}

// glob reports whether name matches pattern, in which * stands for any text, also for none.
func glob(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, rest)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}
