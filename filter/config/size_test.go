package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Whatever is in a configuration of 256 KB, it is refused soon, and in few words.
func TestHugeConfigurations(t *testing.T) {
	many := func(before, item, after string) string {
		var b strings.Builder
		for i := 0; b.Len() < 256<<10; i++ {
			fmt.Fprintf(&b, item, i)
			b.WriteByte(',')
		}
		return before + strings.TrimSuffix(b.String(), ",") + after
	}
	deep := strings.Repeat(`{"`+strings.Repeat("k", 80)+`":`, 30)
	for name, text := range map[string]string{
		"twice":     many(deep+"{", `"a":%.0d1`, "}"+strings.Repeat("}", 30)),
		"overrides": many(`{"clusters":[`, `{"match":"a%d"}`, "]}"),
		"globs":     many(`{"clusters":[`, `{"match":"a%06dx*"}`, "]}"),
	} {
		began := time.Now()
		c, err := Parse([]byte(text))
		line := 0
		if err == nil {
			line = len(c.String())
			c.Warnings()
		} else {
			line = len(err.Error())
			if name != "twice" && !strings.Contains(err.Error(), "must be at most 10000 overrides") {
				t.Errorf("%s: %.200v", name, err)
			}
			if n := len(err.(Errors)); n > mostErrors+1 {
				t.Errorf("%s: %d errors", name, n)
			}
		}
		if took := time.Since(began); took > 10*time.Second || line > 64<<10 {
			t.Errorf("%s: %v, and a line of %d KB", name, took, line>>10)
		}
	}
}
