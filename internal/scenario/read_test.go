package scenario

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func parsed(t testing.TB, text string) *Scenario {
	t.Helper()
	s, err := Read("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Scenario
	}{
		"all": {
			"cluster: payments\ninstances: 1000\ntimeout: 2s\nphases:\n" +
				"- {name: healthy, duration: 5m, rate: 20.5, latency: {p50: 40ms, p99: 200ms}, failures: 0.5, hangs: 1}\n" +
				"- {name: worse, duration: 10m, gradual: true, latency: {p50: 1s, p99: 4s}}\n" +
				"- {name: less, duration: 1s, gradual: false, rate: 0, failures: 60, hangs: 40}\n",
			Scenario{"payments", 1000, 2 * time.Second, []Phase{
				{"healthy", 5 * time.Minute, false, Load{20.5, 40 * ms, 200 * ms, 0.5, 1}},
				{"worse", 10 * time.Minute, true, Load{20.5, time.Second, 4 * time.Second, 0, 0}},
				{"less", time.Second, false, Load{0, time.Second, 4 * time.Second, 60, 40}},
			}},
		},
		"defaults": {
			"phases: [{name: only, duration: 24h, rate: 1, latency: {p50: 1ms, p99: 1ms}}]",
			Scenario{"service", 1, 15 * time.Second, []Phase{{"only", 24 * time.Hour, false, Load{1, ms, ms, 0, 0}}}},
		},
		"JSON": {
			`{"phases": [{"name": "only", "duration": "90s", "rate": 10000, "latency": {"p50": "250us", "p99": "1h"}, "gradual": false}]}`,
			Scenario{"service", 1, 15 * time.Second, []Phase{{"only", 90 * time.Second, false, Load{1e4, 250 * time.Microsecond, time.Hour, 0, 0}}}},
		},
		"aliases": {
			"phases:\n- {name: a, duration: 1s, rate: 1, latency: &usual {p50: 2ms, p99: 3ms}}\n- {name: b, duration: 1s, latency: {p50: 4ms, p99: 5ms}}\n" +
				"- {name: c, duration: 1s, latency: *usual}",
			Scenario{"service", 1, 15 * time.Second, []Phase{
				{"a", time.Second, false, Load{1, 2 * ms, 3 * ms, 0, 0}},
				{"b", time.Second, false, Load{1, 4 * ms, 5 * ms, 0, 0}},
				{"c", time.Second, false, Load{1, 2 * ms, 3 * ms, 0, 0}},
			}},
		},
	} {
		if got := parsed(t, c.text); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %+v\nwant %+v", name, *got, c.want)
		}
	}
}

// TestMistakes has a phase that is right at the end of those that are wrong in one thing. Of several all are told, by their lines.
func TestMistakes(t *testing.T) {
	const right = "{name: a, duration: 1s, rate: 1, latency: {p50: 2ms, p99: 3ms}"
	for text, want := range map[string]string{
		"":                                  "1: the file is empty: must be an object with phases",
		"# nothing":                         "1: the file is empty: must be an object with phases",
		"5":                                 "1: 5 is not allowed: must be an object with phases",
		"- a":                               "1: a list is not allowed: must be an object with phases",
		"cluster: [":                        "1: not valid YAML: did not find expected node content",
		"phases:\n\t- name: a":              "2: not valid YAML: a tab at the beginning of the line: YAML is indented by spaces",
		"phases: *a":                        "1: not valid YAML: unknown anchor 'a' referenced",
		"phases: [" + right + "}]\n---\na:": "2: a second document is not allowed: must be one scenario in a file",
		"{}":                                "1: phases: is missing: must be a list with at least one phase",
		"phases: []":                        "1: phases: a list is not allowed: must be a list with at least one phase",
		"phases:":                           "1: phases: nothing is not allowed: must be a list with at least one phase",
		"phases: {a: b}":                    "1: phases: an object is not allowed: must be a list with at least one phase",
		"phases:\n- 5":                      "2: phases[0]: 5 is not allowed: must be a phase",
		"phases: &a [*a]":                   "1: phases[0]: a list is not allowed: must be a phase",
		"phases:\n- {}": "2: phases[0].name: is missing: must be a text that no other phase has\n" +
			"2: phases[0].duration: is missing: must be a duration such as \"5m\"\n" +
			"2: phases[0].rate: is missing: must be given in the first phase, such as 20\n" +
			"2: phases[0].latency: is missing: must be given in the first phase, such as {\"p50\": \"40ms\", \"p99\": \"200ms\"}",

		"phases:\n- " + right + "}\n- {duration: 1s}\n- {duration: 1s}": "3: phases[1].name: is missing: must be a text that no other phase has\n" +
			"4: phases[2].name: is missing: must be a text that no other phase has",

		"phase: []\nphases: [" + right + "}]":                      "1: phase: unknown key with value a list: did you mean phases?",
		"? [a]\n: 5\nphases: [" + right + "}]":                     "1: a list is not allowed as a key: must be a text",
		"envoys: 5\nphases: [" + right + "}]":                      "1: envoys: unknown key with value 5: must be one of cluster, instances, timeout, phases",
		"cluster: 5\nphases: [" + right + "}]":                     "1: cluster: 5 is not allowed: must be a text in quotes",
		"cluster: []\nphases: [" + right + "}]":                    "1: cluster: a list is not allowed: must be a text",
		"cluster: ''\nphases: [" + right + "}]":                    "1: cluster: \"\" is not allowed: must be a printable text of 1 to 100 bytes",
		"cluster: \"a\\n\"\nphases: [" + right + "}]":              "1: cluster: \"a\\n\" is not allowed: must be a printable text of 1 to 100 bytes",
		"cluster: '-'\nphases: [" + right + "}]":                   "1: cluster: \"-\" is not allowed: must be another name, since \"-\" is none in a log",
		"cluster: a\ncluster: b\nphases: [" + right + "}]":         "2: cluster: \"b\" is not allowed: the key is given twice",
		"instances: 0\nphases: [" + right + "}]":                   "1: instances: 0 is not allowed: must be a number from 1 to 100000",
		"instances: 100001\nphases: [" + right + "}]":              "1: instances: 100001 is not allowed: must be a number from 1 to 100000",
		"instances: 2.5\nphases: [" + right + "}]":                 "1: instances: 2.5 is not allowed: must be a whole number",
		"instances: '3'\nphases: [" + right + "}]":                 "1: instances: \"3\" is not allowed: must be a number from 1 to 100000",
		"timeout: 15\nphases: [" + right + "}]":                    "1: timeout: 15 is not allowed: must be a duration such as \"250ms\", \"5s\" or \"1m30s\"",
		"timeout: 0s\nphases: [" + right + "}]":                    "1: timeout: \"0s\" is not allowed: must be 1ms to 1h",
		"timeout: 61m\nphases: [" + right + "}]":                   "1: timeout: \"61m\" is not allowed: must be 1ms to 1h",
		"phases:\n- " + right + "}\n- {name: b, duration: 1500ms}": "3: phases[1].duration: \"1500ms\" is not allowed: must be whole seconds",
		"phases: [" + strings.Repeat("{}, ", 100) + "{}]":          "1: phases: a list is not allowed: must be at most 100 phases, and there are 101",
		"timeout: 1.5ms\nphases: [" + right + "}]":                 "1: timeout: \"1.5ms\" is not allowed: must be whole milliseconds",

		"phases: [" + right + ", gradual: true}]":           "1: phases[0].gradual: true is not allowed: must be false in the first phase, since there is nothing before it to go on from",
		"phases: [" + right + ", gradual: yes}]":            "1: phases[0].gradual: \"yes\" is not allowed: must be true or false",
		"phases: [" + right + ", failures: 5%}]":            "1: phases[0].failures: \"5%\" is not allowed: must be a number from 0 to 100",
		"phases: [" + right + ", failures: -1}]":            "1: phases[0].failures: -1 is not allowed: must be a number from 0 to 100",
		"phases: [" + right + ", failures: .nan}]":          "1: phases[0].failures: .nan is not allowed: must be a number from 0 to 100",
		"phases: [" + right + ", hangs: 101}]":              "1: phases[0].hangs: 101 is not allowed: must be a number from 0 to 100",
		"phases: [" + right + ", hangs: 41, failures: 60}]": "1: phases[0].hangs: 41 is not allowed: must be at most 40, since failures is 60 and both together are at most 100",
		"phases: [" + right + ", failure: 1}]":              "1: phases[0].failure: unknown key with value 1: did you mean failures?",
		"phases:\n- " + right + "}\n- " + right + "}":       "3: phases[1].name: \"a\" is not allowed: must be another name, since phases[0] has it",
		"phases:\n- " + right + "}\n- {name: b}":            "3: phases[1].duration: is missing: must be a duration such as \"5m\"",

		"phases: [{name: a, duration: 999ms, rate: 1, latency: {p50: 2ms, p99: 3ms}}]":     "1: phases[0].duration: \"999ms\" is not allowed: must be 1s to 24h",
		"phases: [{name: a, duration: 24h1s, rate: 1, latency: {p50: 2ms, p99: 3ms}}]":     "1: phases[0].duration: \"24h1s\" is not allowed: must be 1s to 24h",
		"phases: [{name: a, duration: 1s, rate: 10001, latency: {p50: 2ms, p99: 3ms}}]":    "1: phases[0].rate: 10001 is not allowed: must be a number from 0 to 10000",
		"phases: [{name: a, duration: 1s, rate: 1, latency: 40ms}]":                        "1: phases[0].latency: \"40ms\" is not allowed: must be an object, such as {\"p50\": \"40ms\", \"p99\": \"200ms\"}",
		"phases: [{name: a, duration: 1s, rate: 1, latency: {p50: 2ms}}]":                  "1: phases[0].latency.p99: is missing: must be given with p50",
		"phases: [{name: a, duration: 1s, rate: 1, latency: {p99: 2ms}}]":                  "1: phases[0].latency.p50: is missing: must be given with p99",
		"phases: [{name: a, duration: 1s, rate: 1, latency: {p50: 3ms, p99: 2ms}}]":        "1: phases[0].latency.p99: \"2ms\" is not allowed: must be at least p50, which is 3ms",
		"phases: [{name: a, duration: 1s, rate: 1, latency: {p50: 0s, p99: 2ms}}]":         "1: phases[0].latency.p50: \"0s\" is not allowed: must be 1µs to 1h",
		"phases: [{name: a, duration: 1s, rate: 1, latency: {p50: 1ms, p99: 2h}}]":         "1: phases[0].latency.p99: \"2h\" is not allowed: must be 1µs to 1h",
		"phases: [{name: a, duration: 1s, rate: 1, latency: {p50: 1ms, p99: 2ms, p9: 1}}]": "1: phases[0].latency.p9: unknown key with value 1: did you mean p99?",

		"phases:\n- {name: a, duration: 23h, rate: 1, latency: {p50: 1ms, p99: 2ms}}\n- {name: b, duration: 61m}": "3: phases: 24h1m0s up to the end of phases[1] is not allowed: must be at most 24h in all",
		"phases:\n- {name: a, duration: 400s, rate: 10000, latency: {p50: 1ms, p99: 2ms}}\n- {name: b, duration: 1000s, rate: 1, gradual: true}": "3: phases: 9,000,500 requests of each Envoy up to the end of phases[1] are not allowed: " +
			"must be at most 5,000,000 in all: lower rate, or duration",

		"phases:\n- " + right + ", hangs: x}\n- {name: b, duration: 1s, rate: y}\nclaster: z": "2: phases[0].hangs: \"x\" is not allowed: must be a number from 0 to 100\n" +
			"3: phases[1].rate: \"y\" is not allowed: must be a number from 0 to 10000\n" +
			"4: claster: unknown key with value \"z\": did you mean cluster?",
	} {
		want = "f.yaml:" + strings.ReplaceAll(want, "\n", "\nf.yaml:")
		if s, err := Read("f.yaml", []byte(text)); err == nil || err.Error() != want || s != nil {
			t.Errorf("%q\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// The examples are what they say: how long they are, and for how many seconds of that a service is bad.
func TestExamples(t *testing.T) {
	type sums struct {
		all                       time.Duration
		failing, hanging, slow, n int
	}
	want := map[string]sums{
		"outage.yaml":  {20 * time.Minute, 600, 600, 0, 24000},
		"slow.yaml":    {27 * time.Minute, 0, 0, 300 + 152 + 31, 32400}, // a quarter of the way up and down is above 1 s
		"blips.yaml":   {30 * time.Minute, 10, 0, 0, 36000},
		"partial.yaml": {20 * time.Minute, 600, 0, 0, 24000},
		"fleet.yaml":   {17 * time.Minute, 600, 0, 0, 10200},
		"outages.yaml": {4530 * time.Second, 3750, 0, 0, 45300},
		"mixed.yaml":   {61*time.Minute + 9*time.Second, 180 + 9, 240, 180 + 53, 183450},
	}
	files, err := filepath.Glob("../../examples/scenarios/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Read(file, text)
		if err != nil {
			t.Error(err)
			continue
		}
		got := sums{all: s.Duration()}
		n := 0.0
		for i := range s.Phases {
			n += s.expected(i)
		}
		got.n = int(n)
		for since := time.Duration(0); since < s.Duration(); since += time.Second {
			load := s.At(since)
			if load.Failures >= 30 {
				got.failing++
			}
			if load.Hangs >= 30 {
				got.hanging++
			}
			if load.P50 > time.Second {
				got.slow++
			}
		}
		if name := filepath.Base(file); got != want[name] {
			t.Errorf("%s: %+v, want %+v", name, got, want[name])
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not say what it shows", file)
		}
		delete(want, filepath.Base(file))
	}
	for name := range want {
		t.Errorf("there is no %s", name)
	}
}

// FuzzRead reads arbitrary scenarios. Whatever it takes has a log, the beginning of which is written.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("../../examples/scenarios/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"phases": [{"name": "a", "duration": "1s", "rate": 1e-300, "latency": {"p50": "1us", "p99": "1h"}}, {"name": "b", "duration": "1s", "rate": 1e4, "gradual": true}]}`))
	f.Add([]byte("a: &a {b: *a, <<: *a}\nphases: &p [*p, *a, ~, !x y]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Read("f", text)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "f:") {
					t.Errorf("an error has the line %q: %v", line, err)
				}
			}
			return
		}
		if s.Duration() < time.Second || s.Duration() > 24*time.Hour {
			t.Errorf("it takes %v", s.Duration())
		}
		n := 0
		for e := range s.Requests(1, s.Instances-1) {
			if since := e.Start - Begin.UnixNano(); since < 0 || since >= int64(s.Duration()) || e.Duration < 0 || e.Duration > s.Timeout {
				t.Fatalf("%+v", e)
			}
			if n++; n == 1000 {
				break
			}
		}
		s.Instances = min(3, s.Instances)
		if err := s.WriteLog(&fullWriter{left: 1 << 18}, 1); err != nil && err != errFull {
			t.Error(err)
		}
	})
}

var errFull = errors.New("full")

// A fullWriter takes so many bytes.
type fullWriter struct{ left int }

func (w *fullWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var _ io.Writer = &fullWriter{}

// The documentation's scenario is one.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "```yml\n")
	text, _, found := strings.Cut(after, "```\n")
	if s := parsed(t, text); !found || len(s.Phases) != 3 {
		t.Errorf("%+v of\n%s", s, text)
	}
}
