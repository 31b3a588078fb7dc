package suggest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/check"
)

func baseOf(t *testing.T, text string) *Base {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	b, err := NewBase(tree)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const second = float64(time.Second)

// An override has what is not inherited, keeps what is not searched, and stands where it counts.
func TestOverride(t *testing.T) {
	usual := breaker.DefaultPolicy()
	defaults := settingsOf(&usual)
	changed := settings{30, 50, 30 * second, 0.5 * second, 60, 10, 90 * second, 90 * second}
	long := defaults
	long[openMost] = 90 * second
	for _, c := range []struct {
		base     string
		settings settings
		want     string // its override
		clusters string // what the configuration has then
	}{
		{`{}`, defaults, `{"match": "payments"}`, `{"match": "payments"}`},
		{`{}`, changed, `{"match": "payments", "failure_rate": 30, "min_requests": 50, "window": {"duration": "30s"}, ` +
			`"slow_call": {"duration": "500ms", "rate": 60}, "consecutive_failures": 10, "open": {"duration": "1m30s", "max_duration": "1m30s"}}`, ""},
		{`{"open": {"duration": "90s"}}`, defaults, `{"match": "payments", "open": {"duration": "5s", "max_duration": "1m"}}`, ""},
		{`{"open": {"duration": "90s"}}`, long, `{"match": "payments", "open": {"duration": "5s", "max_duration": "1m30s"}}`, ""},
		{`{"open": {"max_duration": "90s"}}`, long, `{"match": "payments"}`, ""},
		{`{"failure_rate": 30, "min_requests": 50, "window": {"duration": "30s"}, "slow_call": {"duration": "500ms", "rate": 60}, "consecutive_failures": 10,
			"open": {"duration": "90s"}}`, changed, `{"match": "payments"}`, ""},
		{`{"slow_call": {"duration": "500ms", "rate": 60}, "window": {"requests": 100}}`, defaults,
			`{"match": "payments", "window": {"duration": "10s"}, "slow_call": {"duration": "0s"}}`, ""},
		{`{"clusters": [{"match": "search"}, {"match": "payments", "window": {"requests": 100}, "failure_on": ["5xx"], "open": {"duration": "2s", "jitter": 0.5}}]}`,
			defaults, `{"match": "payments", "open": {"jitter": 0.5}, "failure_on": ["5xx"]}`,
			`{"match": "search"} {"match": "payments", "open": {"jitter": 0.5}, "failure_on": ["5xx"]}`},
		{`{"clusters": [{"match": "search"}, {"match": "pay*", "ramp": "5s"}]}`, defaults, `{"match": "payments", "ramp": "5s"}`,
			`{"match": "search"} {"match": "payments", "ramp": "5s"} {"match": "pay*", "ramp": "5s"}`},
		{`{"mode": "disabled"}`, defaults, `{"match": "payments", "mode": "shadow"}`, ""},
		{`{"mode": "shadow"}`, defaults, `{"match": "payments"}`, ""},
	} {
		b := baseOf(t, c.base)
		override := b.override("payments", c.settings)
		if got := string(appendJSON(nil, override)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.base, got, c.want)
		}
		whole := b.with([]map[string]any{override})
		for _, text := range [][]byte{b.alone(override), whole} {
			parsed, err := config.Parse(text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			rules := parsed.For("payments", "")
			if got := settingsOf(&rules.Policy); got != c.settings.settled(got) {
				t.Errorf("%s: it has %v, want %v", text, got, c.settings)
			}
			if want := b.rules("payments"); rules.FailureOn != want.FailureOn || rules.Policy.OpenJitter != want.Policy.OpenJitter || rules.Policy.Ramp != want.Policy.Ramp {
				t.Errorf("%s: other keys have changed", text)
			}
		}
		if findings := check.Read("whole", whole).Findings; len(findings) > 0 {
			t.Errorf("%s: %v", whole, findings)
		}
		if c.clusters != "" {
			var got []string
			for line := range strings.Lines(string(whole)) {
				if line = strings.Trim(line, " ,\n"); strings.HasPrefix(line, `{"match"`) {
					got = append(got, line)
				}
			}
			if strings.Join(got, " ") != c.clusters {
				t.Errorf("%s:\ngot  %s\nwant %s", c.base, strings.Join(got, " "), c.clusters)
			}
		}
		if after := baseOf(t, c.base); !reflect.DeepEqual(after.tree, b.tree) {
			t.Errorf("the base has changed: %v", b.tree)
		}
	}
}

// An override whose name matches other clusters takes nothing from these, wherever it must stand.
func TestGlobsComeLast(t *testing.T) {
	for base, want := range map[string]string{
		`{}`: `["a-search","b","a*"]`,
		`{"clusters": [{"match": "a*"}, {"match": "b"}]}`:                 `["a-search","b","a*"]`,
		`{"clusters": [{"match": "a*c"}, {"match": "a*"}]}`:               `["a*c","a-search","b","a*"]`,
		`{"clusters": [{"match": "?"}, {"match": "**"}, {"match": "b"}]}`: `["?","a-search","b","a*","**","b"]`,
	} {
		b := baseOf(t, base)
		var overrides []map[string]any
		for _, cluster := range []string{"a*", "a-search", "b"} {
			overrides = append(overrides, map[string]any{"match": cluster})
		}
		var whole struct{ Clusters []struct{ Match string } }
		if err := json.Unmarshal(b.with(overrides), &whole); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range whole.Clusters {
			names = append(names, o.Match)
		}
		if got, _ := json.Marshal(names); string(got) != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
}

// What is printed is valid JSON in which nothing but text reaches a terminal.
func TestQuoted(t *testing.T) {
	const name = "pay\u202ements\U000e0001\x1b é \u2764"
	got := string(appendJSON(nil, map[string]any{name: name}))
	if want := `"pay\u202ements\udb40\udc01\u001b é ❤"`; got != "{"+want+": "+want+"}" {
		t.Errorf("%s", got)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(got), &back); err != nil || back[name] != name {
		t.Errorf("%q, %v", back, err)
	}
}

// What is off stands behind the highest value, since that is what it is like.
func TestGrid(t *testing.T) {
	usual := breaker.DefaultPolicy()
	start := settingsOf(&usual)
	start[failureRate], start[open] = 55, 3*second
	g := newGrid(start, 600*time.Millisecond, 1)
	for a, want := range map[axis][]float64{
		failureRate: {10, 20, 30, 40, 50, 55, 60, 70, 80, 0},
		minRequests: {5, 10, 20, 50},
		slowCall:    {0.6 * second, 0.75 * second, 0.9 * second, 1.2 * second, 0},
		streak:      {5, 10, 20, 50, 100, 0},
		open:        {1 * second, 2 * second, 3 * second, 5 * second, 10 * second, 20 * second, 30 * second, 60 * second},
	} {
		if !reflect.DeepEqual(g[a], want) {
			t.Errorf("axis %d: %v, want %v", a, g[a], want)
		}
	}
	if without := newGrid(start, 0, 1); len(without[slowCall]) != 1 || len(without[slowRate]) != 1 {
		t.Errorf("slow calls: %v, %v", without[slowCall], without[slowRate])
	}
	if exact := newGrid(start, 1234*time.Millisecond, 1); exact[slowCall][0] != 1.234*second {
		t.Errorf("slow calls: %v", exact[slowCall])
	}
	for _, next := range g.around(start) {
		if next.distance(start) > 1 || next[streak] != 0 && next[streak] != 100 || next[failureRate] != 55 && next[failureRate] != 50 && next[failureRate] != 60 {
			t.Errorf("%v is not beside %v", next, start)
		}
	}
	if n, want := len(g.around(start)), 2+2+1+1+1+1+2+1; n != want {
		t.Errorf("%d neighbours, want %d", n, want)
	}
	seen := map[settings]bool{}
	values := map[[2]float64]int{}
	for _, s := range g.spread(64) {
		seen[s] = true
		for a, v := range s {
			values[[2]float64{float64(a), v}]++
		}
	}
	for a := range g {
		for _, v := range g[a] {
			if n := values[[2]float64{float64(a), v}]; n < 64/len(g[a])/2 {
				t.Errorf("axis %d: %v comes %d times", a, v, n)
			}
		}
	}
	if len(seen) < 60 {
		t.Errorf("%d different ones", len(seen))
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", time.Hour + time.Minute: "1h1m", 10 * time.Second: "10s", 480 * time.Millisecond: "480ms", 0: "0s",
		10 * time.Minute: "10m", 20 * time.Hour: "20h",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
