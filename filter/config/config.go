// Package config reads what the plugin is configured with, from JSON text or a google.protobuf.Struct, and says which rules a
// cluster has by it. README has the reference of its keys.
package config

import (
	"strings"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/time"
)

// A Config is what a plugin is configured with.
type Config struct {
	Rules                  // for every cluster that no override matches
	Overrides   []Override // the first one that matches counts
	MaxBreakers int        // how many clusters may have a breaker in a worker, 1 to 1,000,000
	StatusPath  string     // where the status page is; empty for nowhere

	matches     matcher // of Overrides
	anyPerRoute bool
	anyForced   bool
	leastSlow   time.Duration
	warnings    Errors
}

// An Override has the rules of the clusters that its Match names: an exact name, or a glob in which * stands for any
// text. Where its Route is given, which is another such, it has those of the routes of that name alone, and each has its own breaker.
type Override struct {
	Match string
	Route string // empty for all, and for those without a name
	Rules Rules
}

// Parse reads a plugin configuration: JSON text or a google.protobuf.Struct. Its error is [Errors], all that is wrong, each
// with the key, its value, and what is allowed.
func Parse(configuration []byte) (*Config, error) {
	root, twice, err := parseTree(configuration)
	if err != nil {
		if e, ok := err.(*Error); ok {
			return nil, Errors{e}
		}
		return nil, Errors{{Text: err.Error()}}
	}
	return read(root, twice)
}

// Read reads a plugin configuration that has been parsed: a tree of nil, bool, float64, string, []any and map[string]any.
func Read(tree map[string]any) (*Config, error) { return read(tree, nil) }

func read(root map[string]any, wrong Errors) (*Config, error) {
	c := &Config{Rules: defaultRules(), MaxBreakers: 4096}
	o := &object{keys: root, report: &report{errors: wrong}}
	c.take(o)
	if len(o.report.errors) > 0 {
		return nil, o.report.errors
	}
	c.warnAtTop(o)
	c.warnings = o.report.warnings
	return c, nil
}

// mostOverrides is as many as a worker can read, compare and tell of without holding up its requests.
const mostOverrides = 10_000

func (c *Config) take(o *object) {
	inherited := c.Rules.read(o, nil)
	if o.integer("max_breakers", &c.MaxBreakers) && (c.MaxBreakers < 1 || c.MaxBreakers > 1_000_000) {
		o.fail("max_breakers", o.keys["max_breakers"], "from 1 to 1000000")
	}
	if page := o.object("status"); page != nil {
		page.required("path", &c.StatusPath, isPath, `a path such as "/circuit-breakers"`)
		page.end()
	}
	var invalid string // what to do where a configuration does not hold: see Invalid
	if o.text("invalid_config", &invalid) && invalid != "refuse" && invalid != "keep" {
		o.fail("invalid_config", invalid, `one of "refuse", "keep"`)
	}
	items, _ := o.list("clusters")
	o.end()
	if len(items) > mostOverrides {
		o.fail("clusters", items, smallfmt.Sprintf("at most %d overrides", mostOverrides))
		return
	}
	c.Overrides, c.anyPerRoute = make([]Override, len(items)), c.Rules.PerRoute
	c.sum(&c.Rules.Policy)
	for i, item := range items {
		if o.report.isFull() {
			return
		}
		c.Overrides[i] = readOverride(item, index("clusters", i), &c.Rules, inherited, o.report)
		c.anyPerRoute = c.anyPerRoute || c.Overrides[i].Rules.PerRoute
		c.sum(&c.Overrides[i].Rules.Policy)
		c.matches.add(c.Overrides[i].Match, c.Overrides[i].Route, i)
	}
}

// sum adds a policy to what holds for all of them together.
func (c *Config) sum(p *breaker.Policy) {
	c.anyForced = c.anyForced || p.Mode == breaker.ForceOpen
	if slow := p.SlowCallDuration; slow > 0 && (c.leastSlow == 0 || slow < c.leastSlow) {
		c.leastSlow = slow
	}
}

// isPath reports whether the status page can be there.
func isPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "?#")
}

func readOverride(item any, path string, base *Rules, inherited []*breaker.PolicyError, report *report) Override {
	keys, ok := item.(map[string]any)
	if !ok {
		report.error(path, show(item)+` is not allowed: must be an object such as {"match": "payments*"}`)
		return Override{}
	}
	o := &object{path: path, keys: keys, report: report}
	over := Override{Rules: *base}
	o.required("match", &over.Match, func(name string) bool { return name != "" }, `the name of a cluster, or a glob such as "payments*"`)
	if o.text("route", &over.Route) {
		if over.Rules.PerRoute = true; over.Route == "" {
			o.fail("route", over.Route, `the name of a route, or a glob such as "reports*"; left out for all routes`)
		}
	}
	over.Rules.read(o, inherited)
	if v, given := keys["per"]; given && over.Route != "" && v == "cluster" {
		o.fail("per", v, `"route", or left out, beside "route"`)
	}
	for _, key := range []string{"max_breakers", "status", "invalid_config", "clusters"} {
		if v, given := keys[key]; given {
			o.fail(key, v, "at the top level only")
		}
	}
	o.end()
	over.warn(o)
	return over
}

// For returns the rules of a cluster and a route to it, which may have no name: those of the first override that matches them.
func (c *Config) For(cluster, route string) *Rules {
	if i := c.Match(cluster, route); i >= 0 {
		return &c.Overrides[i].Rules
	}
	return &c.Rules
}

// Match returns which override a cluster and a route to it have their rules from, -1 if it is none.
func (c *Config) Match(cluster, route string) int { return c.matches.find(cluster, route) }

// OwnRoute tells whose breaker a request has: that of the route, which it returns, or the cluster's, for which it returns "".
func (c *Config) OwnRoute(cluster, route string) string {
	if route != "" && !c.For(cluster, route).PerRoute {
		return ""
	}
	return route
}

// ByRoute reports whether the route matters to whose breaker a request of that cluster has: see [Config.OwnRoute].
func (c *Config) ByRoute(cluster string) bool {
	return c.HasRoutes() && (c.For(cluster, "").PerRoute || c.matches.hasRoutes(cluster))
}

// HasRoutes reports whether any breaker can be that of a route.
func (c *Config) HasRoutes() bool { return c.anyPerRoute }

// ForcesOpen reports whether the mode of any breaker can be force_open.
func (c *Config) ForcesOpen() bool { return c.anyForced }

// LeastSlow returns the least that a slow call takes, of whatever breaker; 0 where slow calls are off.
func (c *Config) LeastSlow() time.Duration { return c.leastSlow }

// Names reports whether the override's Match names a cluster.
func (over *Override) Names(cluster string) bool { return match(over.Match, cluster) }

// Name tells which clusters and routes an override is for, in the words of the log.
func (over *Override) Name() string {
	if over.Route == "" {
		return show(over.Match)
	}
	return show(over.Match) + " route " + show(over.Route)
}

// String tells the effective policy of each override, and of everything else.
func (c *Config) String() string {
	var s strings.Builder
	usual := c.Rules.other()
	for _, over := range c.Overrides {
		s.WriteString(over.Name() + ": " + over.Rules.Policy.String())
		if other := over.Rules.other(); other != usual {
			s.WriteString(other)
		}
		s.WriteString("; ")
	}
	s.WriteString("other clusters: " + c.Rules.Policy.String() + usual)
	return s.String()
}
