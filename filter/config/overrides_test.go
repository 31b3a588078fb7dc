package config

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// thousands has 5,000 overrides: all globs but every tenth.
func thousands(tb testing.TB, glob string) *Config {
	tb.Helper()
	var text strings.Builder
	for i := range 5000 {
		match := fmt.Sprintf(glob, i)
		if i%10 == 0 {
			match = strings.ReplaceAll(match, "*", "")
		}
		fmt.Fprintf(&text, `,{"match": %q, "failure_rate": %d}`, match, 1+i%100)
	}
	c, err := Parse([]byte(`{"clusters": [` + text.String()[1:] + `]}`))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

var manyGlobs = []string{"service-%d-*", "outbound|*|service-%d.*", "*service-%d*.*"}

const meshName = "outbound|8443|v2|checkout.payments.svc.cluster.local"

// A new cluster must not hold a worker up, however many overrides there are. In the plugin it takes about four times as
// long as here.
func TestForIsQuick(t *testing.T) {
	for _, glob := range manyGlobs {
		c := thousands(t, glob)
		best := time.Hour
		for range 50 { // the machine may be busy with something else
			start := time.Now()
			c.For(meshName)
			best = min(best, time.Since(start))
		}
		if best > 150*time.Microsecond {
			t.Errorf("5,000 overrides such as %q take %v", glob, best)
		}
	}
}

func BenchmarkFor(b *testing.B) {
	for _, glob := range manyGlobs {
		c := thousands(b, glob)
		b.Run(glob, func(b *testing.B) {
			for b.Loop() {
				c.For(meshName)
			}
		})
	}
}

// Whatever is looked up in whichever order, the first override that matches counts.
func TestFirstMatchCounts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func(letters string, most int) string {
		b := make([]byte, rnd.IntN(most+1))
		for i := range b {
			b[i] = letters[rnd.IntN(len(letters))]
		}
		return string(b)
	}
	found := map[bool]int{}
	for range 2000 {
		c := &Config{}
		for i := range 1 + rnd.IntN(12) {
			over := Override{Match: text("ab*", 5)}
			c.Overrides = append(c.Overrides, over)
			c.matches.add(over.Match, i)
		}
		for range 20 {
			name := text("ab", 7)
			want := &c.Rules
			for i, over := range c.Overrides {
				pattern := strings.ReplaceAll(regexp.QuoteMeta(over.Match), `\*`, ".*")
				if regexp.MustCompile("^" + pattern + "$").MatchString(name) {
					want = &c.Overrides[i].Rules
					break
				}
			}
			if got := c.For(name); got != want {
				t.Fatalf("%q does not get the first that matches of %+v", name, c.Overrides)
			}
			found[want != &c.Rules]++
		}
	}
	if found[true] < 1000 || found[false] < 1000 {
		t.Errorf("lopsided: %v", found)
	}
}
