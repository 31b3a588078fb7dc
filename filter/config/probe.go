package config

import (
	"strings"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/time"
)

// A Probe is a call of the plugin's own to a cluster whose breaker is open; Policy has its times. It is off where Path is
// empty.
type Probe struct {
	Method, Path string
	Host         string // where empty: the cluster's name, of Istio's what follows the last |
	Headers      [][2]string
	Good         verdict.CodeSet // the statuses of a good one
}

// read changes the probe by the keys that are given; null switches it off.
func (pr *Probe) read(o *object, off bool, p *breaker.Policy) {
	if off {
		*pr = Probe{}
		p.ProbeInterval, p.ProbeTimeout, p.ProbeCloses = 0, breaker.DefaultPolicy().ProbeTimeout, false
	}
	if o == nil {
		return
	}
	if pr.Path == "" {
		pr.Method, p.ProbeInterval = "GET", time.Second
		pr.Good.Add("200-299")
	}
	o.required("path", &pr.Path, func(path string) bool { return strings.HasPrefix(path, "/") && validHeaderValue(path) },
		`a path such as "/healthz"`)
	if o.text("method", &pr.Method) && (!validHeaderName(pr.Method) || strings.ContainsAny(pr.Method, "abcdefghijklmnopqrstuvwxyz")) {
		o.fail("method", pr.Method, `a method such as "GET"`)
	}
	if o.text("host", &pr.Host) && !validHeaderValue(pr.Host) {
		o.fail("host", pr.Host, "a host, or empty for the cluster's name")
	}
	if headers := o.object("headers"); headers != nil {
		pr.Headers = nil
		for _, name := range headers.headerNames() {
			var value string
			headers.text(name, &value)
			if !validHeaderName(name) || !validHeaderValue(value) {
				headers.fail(name, headers.keys[name], "a header's value, under its name: letters, digits and -")
			}
			pr.Headers = append(pr.Headers, [2]string{lower(name), value})
		}
	}
	o.duration("interval", &p.ProbeInterval)
	o.duration("timeout", &p.ProbeTimeout)
	if _, given := o.keys["interval"]; given && p.ProbeInterval == 0 { // which means off to the policy
		o.fail("interval", o.keys["interval"], "from 100ms to 1h0m0s; null in place of the probe switches it off")
	}
	var good, success string
	if o.text("status", &good) {
		pr.Good = verdict.CodeSet{}
		if !pr.Good.Add(good) {
			o.fail("status", good, `a status code such as "204" or a range such as "200-299"`)
		}
	}
	if o.text("on_success", &success) {
		if p.ProbeCloses = success == "close"; !p.ProbeCloses && success != "half_open" {
			o.fail("on_success", success, `"half_open" or "close"`)
		}
	}
	o.end()
}
