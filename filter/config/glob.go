package config

import "strings"

// A matcher finds the first override that names a cluster, or a route to it. It is made once: thousands of overrides must not hold
// a worker up at every new cluster or route.
type matcher struct {
	exact  map[string]int     // where a name without * is first, of those for all routes
	routed map[string]*routed // those for routes whose clusters' names have no *
	globs  []glob             // the others, in their order
	routes bool               // some of globs are for routes
}

// routed are the overrides for routes to one cluster.
type routed struct {
	first int            // the first of them
	exact map[string]int // where a route's name without * is first
	globs []glob         // the others, by their routes, in their order
}

type glob struct {
	pattern string
	route   string // another pattern; empty for all routes, and for requests on a route without a name
	pairs   uint64 // that a name must have, or it need not be compared
	at      int    // which override
}

// add adds an override, which comes after all that have been added.
func (m *matcher) add(pattern, route string, at int) {
	switch {
	case strings.Contains(pattern, "*"):
		m.globs = append(m.globs, glob{pattern, route, pairs(pattern), at})
		m.routes = m.routes || route != ""
	case route != "":
		r := m.routed[pattern]
		if r == nil {
			r = &routed{first: at}
			if m.routed == nil {
				m.routed = map[string]*routed{}
			}
			m.routed[pattern] = r
		}
		if strings.Contains(route, "*") {
			r.globs = append(r.globs, glob{pattern: route, pairs: pairs(route), at: at})
		} else {
			addFirst(&r.exact, route, at)
		}
	default:
		addFirst(&m.exact, pattern, at)
	}
}

func addFirst(m *map[string]int, name string, at int) {
	if *m == nil {
		*m = map[string]int{}
	}
	if _, before := (*m)[name]; !before {
		(*m)[name] = at
	}
}

// find returns which override is the first that matches a cluster and a route to it, or -1. What is for routes matches none without a
// name.
func (m *matcher) find(name, route string) int {
	first := firstOf(m.exact, m.globs, name, route)
	if r := m.routed[name]; r != nil && route != "" {
		if at := firstOf(r.exact, r.globs, route, ""); first < 0 || at >= 0 && at < first {
			first = at
		}
	}
	return first
}

func firstOf(exact map[string]int, globs []glob, name, route string) int {
	first, ok := exact[name]
	if !ok {
		first = -1
	}
	has := pairs(name)
	for i := range globs {
		g := &globs[i]
		if ok && g.at > first {
			break
		}
		if g.pairs&^has == 0 && match(g.pattern, name) && (g.route == "" || route != "" && match(g.route, route)) {
			return g.at
		}
	}
	return first
}

// hasRoutes reports whether a route of that cluster can have an override of its own.
func (m *matcher) hasRoutes(name string) bool {
	r := m.routed[name]
	if r == nil && !m.routes {
		return false
	}
	first := m.find(name, "") // what comes after it never counts
	if r != nil && (first < 0 || r.first < first) {
		return true
	}
	for i := range m.globs {
		if g := &m.globs[i]; g.route != "" && (first < 0 || g.at < first) && match(g.pattern, name) {
			return true
		}
	}
	return false
}

// pairs is the set of a text's pairs of neighbouring bytes other than *, in so few bits that different pairs may share one.
func pairs(text string) (set uint64) {
	for i := 1; i < len(text); i++ {
		if text[i-1] != '*' && text[i] != '*' {
			set |= 1 << ((text[i-1]*7 + text[i]) % 64)
		}
	}
	return set
}

// match reports whether name matches pattern, in which * stands for any text, also for none.
func match(pattern, name string) bool {
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
