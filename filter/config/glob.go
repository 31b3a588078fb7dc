package config

import "strings"

// A matcher finds the first override that names a cluster, or a route to it. It is made once: thousands of overrides must not hold
// a worker up at every new cluster.
type matcher struct {
	exact   map[string]int // where a name without * is first, of those for all routes
	globs   []glob         // the others, in their order
	byRoute bool           // some are for routes
}

type glob struct {
	pattern string
	route   string // another pattern; empty for all routes, and for requests on a route without a name
	pairs   uint64 // that a name must have, or it need not be compared
	at      int    // which override
}

func (m *matcher) add(pattern, route string, at int) {
	if route != "" || strings.Contains(pattern, "*") {
		m.globs = append(m.globs, glob{pattern, route, pairs(pattern), at})
		m.byRoute = m.byRoute || route != ""
	} else if _, before := m.exact[pattern]; !before {
		if m.exact == nil {
			m.exact = map[string]int{}
		}
		m.exact[pattern] = at
	}
}

// find returns which override is the first that matches a cluster and a route to it, or -1. What is for routes matches none without a
// name.
func (m *matcher) find(name, route string) int {
	exact, ok := m.exact[name]
	if !ok {
		exact = -1
	}
	has := pairs(name)
	for i := range m.globs {
		g := &m.globs[i]
		if ok && g.at > exact {
			break
		}
		if g.pairs&^has == 0 && match(g.pattern, name) && (g.route == "" || route != "" && match(g.route, route)) {
			return g.at
		}
	}
	return exact
}

// hasRoutes reports whether a route of that cluster can have an override of its own.
func (m *matcher) hasRoutes(name string) bool {
	if !m.byRoute {
		return false
	}
	first := m.find(name, "") // what comes after it never counts
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
