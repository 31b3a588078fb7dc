package config

import "strings"

// A matcher finds the first override that names a cluster. It is made once: thousands of overrides must not hold a worker
// up at every new cluster.
type matcher struct {
	exact map[string]int // where a name without * is first
	globs []glob         // in their order
}

type glob struct {
	pattern string
	pairs   uint64 // that a name must have, or it need not be compared
	at      int    // which override
}

func (m *matcher) add(pattern string, at int) {
	if strings.Contains(pattern, "*") {
		m.globs = append(m.globs, glob{pattern, pairs(pattern), at})
	} else if _, before := m.exact[pattern]; !before {
		if m.exact == nil {
			m.exact = map[string]int{}
		}
		m.exact[pattern] = at
	}
}

// find returns which override is the first that matches a name, or -1.
func (m *matcher) find(name string) int {
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
		if g.pairs&^has == 0 && match(g.pattern, name) {
			return g.at
		}
	}
	return exact
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
