package check

import (
	"strings"
	"testing"
)

// Whatever a file has in it, it is read, and what is said of it is about one of its lines.
func FuzzRead(f *testing.F) {
	for _, m := range mistakes {
		f.Add([]byte(m.text))
	}
	f.Add([]byte(bootstrap))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("---\n...\n--- # nothing\n"))
	f.Add([]byte("&a : *a"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := 1 + strings.Count(string(text), "\n") + strings.Count(string(text), "\r")
		for _, name := range []string{"a.yaml", "a.json"} {
			for _, finding := range Read(name, text).Findings {
				if finding.Line < 0 || finding.Line > lines+1 {
					t.Errorf("%q as %s: %s", text, name, finding)
				}
			}
		}
	})
}
