package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"envoy-circuit-breaker/breaker"

	"sigs.k8s.io/yaml"
)

const ms = time.Millisecond

// history makes up what one side's users got.
func history(get func(at time.Duration) (outcome, time.Duration)) []request {
	var all []request
	for at := time.Duration(0); at < wholeLength(); at += time.Second / rate {
		o, took := get(at)
		all = append(all, request{at, took, o})
	}
	return all
}

// withoutBreaker is what users get from the service as it is.
func withoutBreaker(at time.Duration) (outcome, time.Duration) {
	switch p, _ := phaseAt(at); p.health {
	case hanging:
		return timedOut, routeTimeout
	case failing:
		return failed, 2 * ms
	}
	return answered, 2 * ms
}

// withBreaker is what they get through a breaker that opens half a second into the outage, tries once a second and notices
// the end of it a second late.
func withBreaker(at time.Duration) (outcome, time.Duration) {
	if at < 6500*ms || at >= backAt()+time.Second || at%time.Second == 0 {
		return withoutBreaker(at)
	}
	return rejected, ms
}

func TestReport(t *testing.T) {
	r, err := newReport(history(withoutBreaker), history(withBreaker))
	if err != nil {
		t.Fatal(err)
	}
	r.without.sickCalls, r.with.sickCalls = 4000, 119
	// While open: from 6.5 s to 26.995 s, of which it hangs for 11.5 s.
	want := report{
		opened: 6500 * ms, recovered: 26995 * ms,
		without: summary{requests: 7200, errors: 4000, median: routeTimeout, p99: routeTimeout, sickCalls: 4000},
		with:    summary{requests: 7200, errors: 4199, rejects: 4080, median: ms, p99: ms, sickCalls: 119, recovery: 995 * ms},
	}
	if *r != want {
		t.Errorf("got  %+v\nwant %+v", *r, want)
	}
	text := r.String()
	for _, line := range []string{
		"without   with the breaker\n", "requests       7200               7200\n", "99th percentile   250.0 ms             1.0 ms\n",
		"time to recover      0.0 s              1.0 s\n",
		"34 times fewer calls to the sick service, and a 99th percentile 250 times lower.",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the report lacks %q:\n%s", line, text)
		}
	}
}

func TestReportOfBreakerThatNeverOpened(t *testing.T) {
	if r, err := newReport(history(withoutBreaker), history(withoutBreaker)); err == nil {
		t.Errorf("no error, but %+v", r)
	}
}

func TestQuantile(t *testing.T) {
	upTo := func(n time.Duration) (values []time.Duration) {
		for v := n; v > 0; v-- { // in the wrong order
			values = append(values, v)
		}
		return values
	}
	for _, c := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.99, 0},
		{upTo(1), 0.5, 1},
		{upTo(2), 0.5, 1},
		{upTo(3), 0.5, 2},
		{upTo(100), 0.99, 99},
		{upTo(101), 0.99, 100},
		{upTo(10), 0, 1},
		{upTo(10), 1, 10},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %g of %d values: %d, want %d", c.q, len(c.values), got, c.want)
		}
	}
}

func TestSpans(t *testing.T) {
	got := spans([]sample{
		{0, breaker.Closed, 0}, {1, breaker.Closed, 0}, {2, breaker.Open, 0}, {3, breaker.Open, 0},
		{4, breaker.Open, 1}, // it was half-open in between
		{5, breaker.HalfOpen, 1}, {6, breaker.Open, 2}, {7, breaker.Closed, 2}, {8, breaker.Closed, 2},
	})
	want := []span{{0, 2, breaker.Closed}, {2, 4, breaker.Open}, {4, 4, breaker.HalfOpen}, {4, 5, breaker.Open}, {5, 6, breaker.HalfOpen}, {6, 7, breaker.Open}, {7, 8, breaker.Closed}}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestRates(t *testing.T) {
	rates := ratesOf(history(withoutBreaker))
	if got := time.Duration(len(rates)) * slice; got != wholeLength() {
		t.Errorf("the rates are those of %v", got)
	}
	for i, r := range rates {
		o, _ := withoutBreaker(time.Duration(i) * slice)
		want := [outcomes]float64{}
		want[o] = rate
		if r != want {
			t.Errorf("slice %d: %v, want %v", i, r, want)
		}
	}
}

// The picture is well-formed, and says what it must.
func TestPicture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "demo.svg")
	states := []span{{0, 6500 * ms, breaker.Closed}, {6500 * ms, 27 * time.Second, breaker.Open}, {27 * time.Second, 27 * time.Second, breaker.HalfOpen}, {27 * time.Second, wholeLength(), breaker.Closed}}
	if err := drawPicture(file, history(withoutBreaker), history(withBreaker), states); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	texts := slices.Concat(outcomeNames[:], stateNames[:], []string{"requests / s", "seconds", "hangs", "fails", "back"})
	for _, text := range texts {
		if !strings.Contains(string(svg), ">"+text+"</text>") {
			t.Errorf("the picture does not say %q", text)
		}
	}
	if strings.Contains(string(svg), "NaN") || !strings.Contains(string(svg), "font-family:Liberation Sans,Arial") {
		t.Error("the picture has a number that is none, or only one font")
	}
}

// No line of the live view is wider than the terminal must be, or it would wrap.
func TestScreenFits(t *testing.T) {
	for at := time.Duration(0); at <= wholeLength()+time.Second; at += time.Second {
		s := second{[outcomes]int{1000, 1000, 1000, 1000}, 5 * time.Second}
		for _, line := range strings.Split(screen(frame{at, breaker.HalfOpen, s, s}), "\n") {
			for _, escape := range append(stateEscapes[:], bold, plain) {
				line = strings.ReplaceAll(line, escape, "")
			}
			if n := utf8.RuneCountInString(line); n >= leastWidth {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

func TestConfigIsYAML(t *testing.T) {
	text, err := bootstrap("127.0.0.1:1111", "127.0.0.1:2222").YAML()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := yaml.YAMLToJSONStrict([]byte(text)); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	for _, part := range []string{"port_value: 1111", "port_value: 2222", "timeout: 0.25s", `\"consecutive_failures\": 10`} {
		if strings.Count(text, part) == 0 {
			t.Errorf("the configuration lacks %s:\n%s", part, text)
		}
	}
}
