// Package config reads what the plugin is configured with, from JSON text or a google.protobuf.Struct, and says which rules a
// cluster has by it. README has the reference of its keys.
package config

import (
	"fmt"
	"strings"
)

// A Config is what a plugin is configured with.
type Config struct {
	Rules                  // for every cluster that no override matches
	Overrides   []Override // the first one that matches counts
	MaxBreakers int        // how many clusters may have a breaker in a worker, 1 to 1,000,000
	StatusPath  string     // where the status page is; empty for nowhere

	matches matcher // of Overrides
}

// An Override has the rules of the clusters that its Match names: an exact name, or a glob in which * stands for any
// text.
type Override struct {
	Match string
	Rules Rules
}

// Parse reads a plugin configuration: JSON text or a google.protobuf.Struct. Its errors name the key, its value,
// and what is allowed.
func Parse(configuration []byte) (*Config, error) {
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
		if !page.text("path", &c.StatusPath) || !isPath(c.StatusPath) {
			page.fail("path", page.keys["path"], `a path such as "/circuit-breakers"`)
		}
		page.end()
	}
	var invalid string // what to do where a configuration does not hold: see Invalid
	if o.text("invalid_config", &invalid) && invalid != "refuse" && invalid != "keep" {
		o.fail("invalid_config", invalid, `one of "refuse", "keep"`)
	}
	items, _ := o.list("clusters")
	o.end()
	c.Overrides = make([]Override, len(items))
	for i, item := range items {
		c.Overrides[i] = readOverride(item, index("clusters", i), c.Rules, &err)
		c.matches.add(c.Overrides[i].Match, i)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// isPath reports whether the status page can be there.
func isPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "?#")
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
	for _, key := range []string{"max_breakers", "status", "invalid_config", "clusters"} {
		if v, given := keys[key]; given && *err == nil {
			*err = fmt.Errorf("%s: %s is not allowed: must be at the top level only", join(path, key), show(v))
		}
	}
	o.end()
	return over
}

// For returns the rules of a cluster: those of the first override that matches it.
func (c *Config) For(cluster string) *Rules {
	if i := c.matches.find(cluster); i >= 0 {
		return &c.Overrides[i].Rules
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
