//go:build wasip1

package main

import (
	"strings"

	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/internal/smallfmt"
)

// Whose breaker a request has: its cluster's or, where the configuration says so, that of its route to the cluster. The route is asked
// for only where it matters.

// routeName is the property that has the name of the route; empty where it has none.
const routeName = "xds\x00route_name"

// An owner is whose breaker it is.
type owner struct {
	name  string // of the cluster
	route string // the route's name; empty where the breaker is the cluster's
}

// id is what the owner is called in the registry and in keys of shared data. NUL is in no name.
func (o owner) id() string {
	if o.route == "" {
		return o.name
	}
	return o.name + "\x00" + o.route
}

func ownerOf(id string) owner {
	name, route, _ := strings.Cut(id, "\x00")
	return owner{name, route}
}

// String is what the log calls the owner.
func (o owner) String() string {
	if o.route == "" {
		return smallfmt.Sprintf("cluster %q", o.name)
	}
	return smallfmt.Sprintf("cluster %q route %q", o.name, o.route)
}

// routes are the breakers of a cluster that has some by route.
type routes struct {
	cluster  string
	breakers map[string]*cluster // by the route's name
}

// cluster finds the breaker of a request by the name of its cluster, or makes it. It returns nil where there is none to be had for now.
func (p *plugin) cluster(name []byte) *cluster {
	if p.last != nil && p.last.name == string(name) {
		return p.last
	}
	r := p.routes[string(name)]
	if r == nil {
		if c := p.registry.clusters[string(name)].cluster; c != nil {
			p.last = c
			return c
		}
		own := string(name) // which the next call of the host overwrites
		if !p.config.HasRoutes() {
			return p.addCluster(owner{name: own})
		}
		o := owner{own, string(bridge.Property(routeName))}
		switch {
		case p.isLeftOut(o):
			return nil
		case !p.config.ByRoute(own):
			return p.addCluster(owner{name: own})
		}
		return p.addRoute(o.name, o.route)
	}
	route := bridge.Property(routeName)
	if c := r.breakers[string(route)]; c != nil {
		return c
	}
	return p.addRoute(r.cluster, string(route))
}

// serves reports whether a request to the cluster of that name, whose stream the host is asked about, has this breaker.
func (c *cluster) serves(name []byte) bool {
	r := c.plugin.routes[c.name]
	if c.name != string(name) || c.route == "" && r == nil {
		return c.name == string(name)
	}
	route := bridge.Property(routeName)
	if c.route != "" {
		return c.route == string(route)
	}
	if known := r.breakers[string(route)]; known != nil {
		return known.route == ""
	}
	return c.plugin.config.OwnRoute(c.name, string(route)) == ""
}

// clusterOf finds the breaker of requests that have not come yet, as cluster does. Where their route matters and is not known, there is
// none.
func (p *plugin) clusterOf(o owner) *cluster {
	r := p.routes[o.name]
	switch {
	case r != nil && r.breakers[o.route] != nil && o.route != "":
		return r.breakers[o.route]
	case p.isLeftOut(o):
		return nil
	case r == nil && (p.registry.clusters[o.name].cluster != nil || !p.config.ByRoute(o.name)):
		return p.cluster([]byte(o.name))
	case o.route == "":
		return nil
	}
	return p.addRoute(o.name, o.route)
}

// addRoute finds the breaker of a route that this worker has not met.
func (p *plugin) addRoute(name, route string) *cluster {
	if p.isLeftOut(owner{name, route}) {
		return nil
	}
	o := owner{name, p.config.OwnRoute(name, route)}
	c := p.registry.clusters[o.id()].cluster
	if c == nil {
		c = p.addCluster(o)
	}
	if r := p.routes[name]; c != nil && len(r.breakers) < p.config.MaxBreakers { // of those that share the cluster's there may be many
		r.breakers[route] = c
	}
	return c
}

// isLeftOut reports whether a route to a cluster has no breaker for now, whosever it would be, since there are no places. Where there are
// many overrides, that is known much sooner than whose it would be.
func (p *plugin) isLeftOut(o owner) bool {
	return clock{}.Coarse() < p.fullUntil && !p.registry.has(o.name) && !p.registry.has(o.id())
}
