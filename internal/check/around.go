package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"envoy-circuit-breaker/filter/config"
)

// lookAround warns of what a plugin's configuration does not show by itself: routes, clusters, other filters.
func (p *Plugin) lookAround() {
	p.lookAtProbes()
	p.lookAtClusters()
	if p.chain == nil {
		return
	}
	p.lookAtChain()
	p.lookAtNames()
	table, rules := p.routes(), p.rules()
	told := map[string]bool{}
	for _, r := range table.routes {
		for _, cluster := range r.clusters {
			p.lookAtTimeout(r, cluster, rules[p.Config.Match(cluster, r.name)+1], told)
		}
	}
	for _, s := range rules {
		if s.own("fallback") && s.Fallback.Header != "" && len(table.routes) > 0 {
			p.lookAtFallback(s, table)
		}
	}
}

// lookAtChain warns of what stands around the filter. Behind it may be breakers of another name, one per route and one per cluster.
func (p *Plugin) lookAtChain() {
	filters, at := p.chain.manager.get("http_filters").list(), p.chain.at
	if slices.ContainsFunc(filters[:at], isRouter) {
		p.file.add(p.Line, true, "the filter is behind the router: it never runs, and Envoy refuses a router that is not the last")
	}
	told := false
	for i := at + 1; i < len(filters)-1; i++ {
		behind := p.file.pluginAt(chain{p.chain.manager, i})
		switch {
		case behind == nil && !told:
			told = true
			p.file.add(p.Line, true, fmt.Sprintf("the filter is not the last before the router: %s stands behind it", filters[i].get("name").string()))
		case behind != nil && behind.Name == p.Name:
			p.file.add(behind.Line, true, fmt.Sprintf("the plugin %q is in the chain before (line %d), and would count each request twice: "+
				"take one of the two out, or give it another name", p.Name, p.Line))
		}
	}
}

// pluginAt returns the plugin that stands there, nil if it is none of the breaker's.
func (f *File) pluginAt(at chain) *Plugin {
	for _, p := range f.Plugins {
		if p.chain != nil && *p.chain == at {
			return p
		}
	}
	return nil
}

func isRouter(filter *node) bool {
	return strings.HasSuffix(filter.at("typed_config", "@type").string(), ".http.router.v3.Router") ||
		strings.HasSuffix(filter.get("name").string(), "http.router")
}

// scope are rules with the path at which they stand: those of the top level, or of an override.
type scope struct {
	*config.Rules
	plugin *Plugin
	path   string // "" or "clusters[0]."
	match  string // empty at the top level
}

// rules returns those of the top level, and of each override.
func (p *Plugin) rules() []scope {
	all := []scope{{&p.Config.Rules, p, "", ""}}
	for i := range p.Config.Overrides {
		over := &p.Config.Overrides[i]
		all = append(all, scope{&over.Rules, p, fmt.Sprintf("clusters[%d].", i), over.Match})
	}
	return all
}

// own reports whether a key is given at that place, rather than inherited.
func (s *scope) own(key string) bool {
	_, given := s.plugin.lines[s.path+key]
	return given
}

// given returns the path at which rules have a key from, empty if nobody has given it.
func (s *scope) given(key string) string {
	if s.own(key) {
		return s.path + key
	}
	if _, given := s.plugin.lines[key]; given {
		return key
	}
	return ""
}

func (p *Plugin) warn(path, format string, args ...any) {
	p.file.add(p.line(path), true, path+": "+fmt.Sprintf(format, args...))
}

// lookAtProbes warns where a probe has no host: of Istio's names it is what follows the last |.
func (p *Plugin) lookAtProbes() {
	for _, s := range p.rules() {
		if s.Probe.Path == "" || s.Probe.Host != "" || !strings.HasSuffix(s.match, "|") {
			continue
		}
		if path := s.given("probe"); path != "" {
			p.warn(path, "the cluster's name ends without a host that the probe could ask for: set host")
		}
	}
}

// lookAtClusters warns of clusters that are not there, where the file has all of them.
func (p *Plugin) lookAtClusters() {
	known := map[string]bool{}
	for _, document := range p.file.documents {
		if document.at("dynamic_resources", "cds_config") != nil || document.at("dynamic_resources", "ads_config") != nil {
			return
		}
		for _, cluster := range document.at("static_resources", "clusters").list() {
			known[cluster.get("name").string()] = true
		}
	}
	if len(known) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(known))
	isNone := func(name string) string {
		text := fmt.Sprintf("%q is no cluster of this file", name)
		if meant := config.Nearest(name, names); meant != "" {
			text += fmt.Sprintf(": did you mean %q?", meant)
		}
		return text
	}
	for _, s := range p.rules() {
		if to := s.Fallback.Cluster; to != "" && !known[to] && s.own("fallback.cluster") {
			p.warn(s.path+"fallback.cluster", "%s", isNone(to))
		}
	}
	for i := range p.Config.Overrides {
		over, path := &p.Config.Overrides[i], fmt.Sprintf("clusters[%d].match", i)
		switch {
		case slices.ContainsFunc(names, over.Names):
		case strings.Contains(over.Match, "*"):
			p.warn(path, "%q matches no cluster of this file: they are %s", over.Match, some(names))
		default:
			p.warn(path, "%s", isNone(over.Match))
		}
	}
}

// lookAtTimeout compares a route's timeout with what the rules of a cluster wait for. Of many routes the first is told.
func (p *Plugin) lookAtTimeout(r route, cluster string, s scope, told map[string]bool) {
	if r.timeout <= 0 {
		return
	}
	timeout := fmt.Sprintf("the timeout of the route to %q (line %d), %v", cluster, r.line, r.timeout)
	if !r.given {
		timeout += " by default"
	}
	slow, path := s.Policy.SlowCallDuration, s.given("slow_call.duration")
	if slow >= r.timeout && !told[path] {
		told[path] = true
		p.warn(path, "%v is not less than %s: no call is ever slow", slow, timeout)
	}
	permit, path := s.Policy.HalfOpenPermitTimeout, s.given("half_open.permit_timeout")
	if path != "" && permit < r.timeout && !told[path] {
		told[path] = true
		p.warn(path, "%v is less than %s: a trial gives its place up while it may still be answered", permit, timeout)
	}
}

// lookAtFallback warns of a header that leads nowhere, or that clients may send themselves.
func (p *Plugin) lookAtFallback(s scope, table routeTable) {
	header, path := s.Fallback.Header, s.given("fallback.header")
	isMatched, names := false, []string{} // of the routes that may lead to the fallback's cluster
	for _, r := range table.routes {
		if !slices.Contains(r.headers, header) {
			continue
		}
		isMatched = true
		if r.leadsTo(s.Fallback.Cluster) {
			names = append(names, r.name)
		}
	}
	if !isMatched {
		p.warn(path, "no route of this file matches %q, so that requests are rejected all the same", header)
	} else if name := s.Fallback.Route; name != "" && !table.isPartial && !slices.Contains(names, name) {
		p.warn(s.given("fallback.route"), "no route of this file that matches %q and leads to %q has the name %q", header, s.Fallback.Cluster, name)
	}
	for _, extension := range p.chain.manager.get("early_header_mutation_extensions").list() {
		for _, mutation := range extension.at("typed_config", "mutations").list() {
			if strings.EqualFold(mutation.get("remove").string(), header) {
				return
			}
		}
	}
	p.warn(path, "clients can send %q themselves: remove it in early_header_mutation_extensions", header)
}
