package config

import "testing"

// FuzzFor looks arbitrary names up among arbitrary overrides: the first that matches is found, as by trying them one by one.
func FuzzFor(f *testing.F) {
	f.Add("payments", "outbound|*|payments.*", "*s", "outbound|80||payments.prod", "", "re*", "reports")
	f.Add("*", "**", "a*b*c", "aXbXc", "", "", "")
	f.Add("a*a", "ab", "", "a", "*", "a", "a")
	f.Add("\xff*", "\x00", "é*", "\xff\x00", "", "\x00", "\x00")
	f.Fuzz(func(t *testing.T, first, second, third, name, firstRoute, thirdRoute, route string) {
		var m matcher
		want, forAll, routes := -1, false, false
		for i, over := range []Override{{Match: first, Route: firstRoute}, {Match: second}, {Match: third, Route: thirdRoute}} {
			m.add(over.Match, over.Route, i)
			if !matchesSlowly(over.Match, name) {
				continue
			}
			if want < 0 && (over.Route == "" || route != "" && matchesSlowly(over.Route, route)) {
				want = i
			}
			routes = routes || over.Route != "" && !forAll
			forAll = forAll || over.Route == ""
		}
		if got := m.hasRoutes(name); got != routes {
			t.Errorf("routes of %q: %v, want %v", name, got, routes)
		}
		if got := m.find(name, route); got != want {
			t.Errorf("%q, %q among %q, %q, %q for %q and %q: %d, want %d", name, route, first, second, third, firstRoute, thirdRoute, got, want)
		}
	})
}

// matchesSlowly fills in a table of which beginnings match which.
func matchesSlowly(pattern, name string) bool {
	row := make([]bool, len(name)+1) // whether the pattern so far matches so much of the name
	row[0] = true
	for i := range len(pattern) {
		next := make([]bool, len(name)+1)
		for j := range next {
			switch {
			case pattern[i] == '*':
				next[j] = row[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = row[j-1] && pattern[i] == name[j-1]
			}
		}
		row = next
	}
	return row[len(name)]
}
