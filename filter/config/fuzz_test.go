package config

import "testing"

// FuzzFor looks arbitrary names up among arbitrary overrides: the first that matches is found, as by trying them one by one.
func FuzzFor(f *testing.F) {
	f.Add("payments", "outbound|*|payments.*", "*s", "outbound|80||payments.prod")
	f.Add("*", "**", "a*b*c", "aXbXc")
	f.Add("a*a", "ab", "", "a")
	f.Add("\xff*", "\x00", "é*", "\xff\x00")
	f.Fuzz(func(t *testing.T, first, second, third, name string) {
		var m matcher
		want := -1
		for i, pattern := range []string{first, second, third} {
			m.add(pattern, i)
			if want < 0 && matchesSlowly(pattern, name) {
				want = i
			}
		}
		if got := m.find(name); got != want {
			t.Errorf("%q among %q, %q, %q: %d, want %d", name, first, second, third, got, want)
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
