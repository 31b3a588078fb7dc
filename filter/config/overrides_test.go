package config

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/verdict"
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
			c.For(meshName, "")
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
				c.For(meshName, "")
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
			if rnd.IntN(3) == 0 {
				over.Route = text("cd*", 3)
			}
			c.Overrides = append(c.Overrides, over)
			c.matches.add(over.Match, over.Route, i)
		}
		for range 20 {
			name, route := text("ab", 7), text("cd", 4)
			want := &c.Rules
			for i, over := range c.Overrides {
				if matches(over.Match, name) && (over.Route == "" || route != "" && matches(over.Route, route)) {
					want = &c.Overrides[i].Rules
					break
				}
			}
			if got := c.For(name, route); got != want {
				t.Fatalf("%q, %q does not get the first that matches of %+v", name, route, c.Overrides)
			}
			found[want != &c.Rules]++
		}
	}
	if found[true] < 1000 || found[false] < 1000 {
		t.Errorf("lopsided: %v", found)
	}
}

func matches(glob, name string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, ".*") + "$").MatchString(name)
}

// An override changes what it names and inherits the rest, in objects too; null switches a probe or a fallback off.
func TestOverridesMerge(t *testing.T) {
	c, err := Parse([]byte(`{
		"slow_call": {"duration": "1s"},
		"failure_on": ["5xx"],
		"fallback": {"header": "X-Fallback", "value": "yes", "cluster": "spare"},
		"probe": {"path": "/healthz", "method": "HEAD", "host": "pay.example", "headers": {"x-a": "1"}, "interval": "2s", "timeout": "250ms",
			"status": "204", "on_success": "close"},
		"clusters": [
			{"match": "same", "probe": {}, "fallback": {}},
			{"match": "some", "probe": {"path": "/live", "interval": "3s"}, "fallback": {"cluster": "other"}},
			{"match": "rest", "probe": {"method": "GET", "headers": {"x-b": "2"}, "timeout": "1s", "status": "200-299", "on_success": "half_open",
				"host": ""}, "fallback": {"header": "x-other", "value": "no"}},
			{"match": "off", "probe": null, "fallback": null},
			{"match": "slow", "failure_on": []},
			{"match": "twice", "failure_on": ["429", "429"]}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	base := c.For("another", "")
	if got := c.For("same", ""); !reflect.DeepEqual(got, base) {
		t.Errorf("empty objects: %+v, want %+v", got, base)
	}
	some := *base
	some.Probe.Path, some.Policy.ProbeInterval, some.Fallback.Cluster = "/live", 3*time.Second, "other"
	if got := c.For("some", ""); !reflect.DeepEqual(got, &some) {
		t.Errorf("some keys: %+v, want %+v", got, some)
	}
	rest := *base
	rest.Probe = Probe{Method: "GET", Path: "/healthz", Headers: [][2]string{{"x-b", "2"}}}
	rest.Probe.Good.Add("200-299")
	rest.Policy.ProbeTimeout, rest.Policy.ProbeCloses = time.Second, false
	rest.Fallback = Fallback{"x-other", "no", "spare", ""}
	if got := c.For("rest", ""); !reflect.DeepEqual(got, &rest) {
		t.Errorf("the other keys: %+v, want %+v", got, rest)
	}
	off := *base
	off.Probe, off.Fallback = Probe{}, Fallback{}
	never := breaker.DefaultPolicy()
	off.Policy.ProbeInterval, off.Policy.ProbeTimeout, off.Policy.ProbeCloses = never.ProbeInterval, never.ProbeTimeout, never.ProbeCloses
	if got := c.For("off", ""); !reflect.DeepEqual(got, &off) {
		t.Errorf("null: %+v, want %+v", got, off)
	}
	if got := c.For("slow", "").FailureOn; got != (verdict.FailureSet{}) {
		t.Errorf("no failures, but slow calls: %+v", got)
	}
	var only429 verdict.FailureSet
	only429.Add("429")
	if got := c.For("twice", "").FailureOn; got != only429 {
		t.Errorf("a name given twice: %+v", got)
	}

	c, err = Parse([]byte(`{"probe": null, "fallback": null, "clusters": [{"match": "on", "probe": {"path": "/"}, "fallback": {"header": "x-a"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	plain := defaultRules()
	if !reflect.DeepEqual(&c.Rules, &plain) {
		t.Errorf("null at the top level: %+v, want the defaults", c.Rules)
	}
	on := c.For("on", "")
	if p := on.Policy; p.ProbeInterval != time.Second || p.ProbeTimeout != time.Second || on.Probe.Method != "GET" || !on.Probe.Good.Has(299) || on.Fallback.Value != "true" {
		t.Errorf("on where it was off: %+v", on)
	}
}
