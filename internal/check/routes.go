package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A routeTable is what a file tells of routes.
type routeTable struct {
	routes    []route
	isPartial bool // there may be more of them
}

// A route leads to clusters.
type route struct {
	name     string // empty for none
	line     int
	headers  []string // that it asks for
	clusters []string
	isOpen   bool          // it leads to any cluster: a header or an extension says to which
	timeout  time.Duration // 0 for none
	given    bool          // the timeout is
}

// leadsTo reports whether requests on the route may go to a cluster.
func (r *route) leadsTo(cluster string) bool { return r.isOpen || slices.Contains(r.clusters, cluster) }

// add adds the routes of a RouteConfiguration, nil if that is elsewhere.
func (t *routeTable) add(configuration *node) {
	if configuration == nil || configuration.get("vhds") != nil {
		t.isPartial = true
	}
	for _, host := range configuration.get("virtual_hosts").list() {
		if host.get("matcher") != nil { // which has routes in a tree of its own
			t.isPartial = true
		}
		for _, n := range host.get("routes").list() {
			t.routes = append(t.routes, readRoute(n))
		}
	}
}

func readRoute(n *node) route {
	to := n.get("route")
	r := route{name: n.get("name").string(), line: n.line, timeout: 15 * time.Second} // Envoy's own
	for _, header := range n.at("match", "headers").list() {
		r.headers = append(r.headers, strings.ToLower(header.get("name").string()))
	}
	weighted := to.at("weighted_clusters", "clusters").list()
	r.isOpen = to != nil && to.get("cluster") == nil && len(weighted) == 0
	if name := to.get("cluster").string(); name != "" {
		r.clusters = append(r.clusters, name)
	}
	for _, one := range weighted {
		if name := one.get("name").string(); name != "" {
			r.clusters = append(r.clusters, name)
		} else {
			r.isOpen = true
		}
	}
	if timeout, err := time.ParseDuration(to.get("timeout").string()); err == nil {
		r.timeout, r.given = timeout, true
	}
	return r
}

// clusters returns those that routes are known to lead to, in order.
func (t *routeTable) clusters() []string {
	known := map[string]bool{}
	for _, r := range t.routes {
		for _, cluster := range r.clusters {
			known[cluster] = true
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// names returns those of the routes to a cluster, in order.
func (t *routeTable) names(cluster string) []string {
	known := map[string]bool{}
	for _, r := range t.routes {
		if r.name != "" && r.leadsTo(cluster) {
			known[r.name] = true
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// routes returns those of the plugin's connection manager, as far as the file has them.
func (p *Plugin) routes() (t routeTable) {
	manager := p.chain.manager
	configuration := manager.get("route_config")
	if name := manager.at("rds", "route_config_name").string(); name != "" {
		for _, document := range p.file.documents {
			if configuration == nil {
				configuration = findRoutes(document, name)
			}
		}
	}
	t.add(configuration)
	return t
}

// findRoutes finds the route table of a name, nil if there is none.
func findRoutes(n *node, name string) *node {
	if n.get("virtual_hosts") != nil && n.get("name").string() == name {
		return n
	}
	for _, f := range n.fields {
		if found := findRoutes(f.value, name); found != nil {
			return found
		}
	}
	for _, item := range n.items {
		if found := findRoutes(item, name); found != nil {
			return found
		}
	}
	return nil
}

// sharedRoutes returns those of all connection managers of the file that have a plugin of this name, and so share its breakers.
func (p *Plugin) sharedRoutes() (all routeTable) {
	for _, other := range p.file.Plugins {
		if other.Name != p.Name {
			continue
		}
		if other.chain == nil {
			return routeTable{isPartial: true}
		}
		t := other.routes()
		all.routes, all.isPartial = append(all.routes, t.routes...), all.isPartial || t.isPartial
	}
	return all
}

// forRoutes returns the overrides that are for routes to a cluster and can count.
func (p *Plugin) forRoutes(cluster string) (overrides []int) {
	for i := range p.Config.Overrides {
		over := &p.Config.Overrides[i]
		mayMatch := over.Match == cluster || strings.Contains(over.Match, "*") // or else thousands are compared with each other
		// As if it were a name, a glob is matched by itself, and by what matches all that it does: that must not come before it.
		if over.Route != "" && mayMatch && p.Config.Match(cluster, over.Route) == i {
			overrides = append(overrides, i)
		}
	}
	return overrides
}

// lookAtNames warns of breakers by route where routes have no names, or others.
func (p *Plugin) lookAtNames() {
	if !p.Config.HasRoutes() {
		return
	}
	t := p.sharedRoutes()
	if t.isPartial {
		return
	}
	rules := p.rules()
	unnamed := map[string][]string{} // clusters to which no route has a name, by the path that wants one
	wanted, names, counts := map[int][]string{}, map[int][]string{}, map[int]bool{}
	for _, cluster := range t.clusters() {
		named := t.names(cluster)
		if s := rules[p.Config.Match(cluster, "")+1]; s.PerRoute && len(named) == 0 {
			unnamed[s.given("per")] = append(unnamed[s.given("per")], cluster)
		}
		for _, i := range p.forRoutes(cluster) {
			wanted[i], names[i] = append(wanted[i], cluster), append(names[i], named...)
		}
		for _, name := range named {
			counts[p.Config.Match(cluster, name)] = true
		}
	}
	for _, i := range slices.Sorted(maps.Keys(wanted)) {
		clusters, path := wanted[i], fmt.Sprintf("clusters[%d].route", i)
		if len(names[i]) == 0 {
			unnamed[path] = clusters
		} else if !counts[i] {
			slices.Sort(names[i])
			p.warn(path, "%q counts for no route of this file to %s: there the names are %s", p.Config.Overrides[i].Route,
				some(clusters), some(slices.Compact(names[i])))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(unnamed)) {
		p.warn(path, "no route of this file to %s has a name: routes without one share their cluster's breaker", some(unnamed[path]))
	}
}

// some shows names, the first few of many.
func some(names []string) string {
	const few = 5
	var shown []string
	for _, name := range names[:min(few, len(names))] {
		shown = append(shown, fmt.Sprintf("%q", name))
	}
	s := strings.Join(shown, ", ")
	if more := len(names) - few; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
