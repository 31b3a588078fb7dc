package accesslog

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLine reads arbitrary lines in each format: what is taken is an entry that holds together.
func FuzzLine(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			f.Add(bytes.TrimSpace(line))
		}
	}
	f.Add([]byte(`{"time":1,"status":0,"circuit_breaker":"decision=fallback state=open cluster=a route=b c outcome=failure reason=x"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		p := &parser{options: &Options{Cluster: "fixed"}}
		for _, format := range []*Format{defaultJSON, envoyText, istioText} {
			var e Entry
			if p.entry(format, line, &e) != nil {
				continue
			}
			for _, d := range []int64{int64(e.Duration), int64(e.Request), int64(e.Response)} {
				if d < -1 || d > 2*int64(longest) {
					t.Errorf("a duration of %d in %+v", d, e)
				}
			}
			if e.Start < 0 || e.End() < e.Start || e.Status < 0 || e.Status > 999 || e.GRPC < -1 || e.Attempts < -1 || e.Unsent && e.Request >= 0 {
				t.Errorf("%+v", e)
			}
			if strings.ContainsAny(e.Decision, " ") || e.Method == "-" || e.Flags == "-" {
				t.Errorf("%+v", e)
			}
		}
	})
}
