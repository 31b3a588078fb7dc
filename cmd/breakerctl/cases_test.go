package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A call is a way to call breakerctl, and what must come of it: each text in what it writes, and nothing at all where there is none.
type call struct {
	arguments []string
	in        string
	exit      int
	out, errs []string
}

func (c *call) test(t *testing.T) {
	t.Helper()
	var out, errs strings.Builder
	exit := run(c.arguments, strings.NewReader(c.in), &out, &errs)
	lacks := func(text string, want []string) bool {
		for _, part := range want {
			if !strings.Contains(text, part) {
				return true
			}
		}
		return len(want) == 0 && text != ""
	}
	if exit != c.exit || lacks(out.String(), c.out) || lacks(errs.String(), c.errs) {
		t.Errorf("%q: exits with %d\n%s%s", c.arguments, exit, &out, &errs)
	}
}

// writeTo writes a file into a folder.
func writeTo(t *testing.T, folder, name, text string) (file string) {
	t.Helper()
	file = filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
