//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseAnswer(t *testing.T) {
	const answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 12\r\nserver: envoy\r\n\r\nunavailable\n"
	for n := range answer {
		if _, whole, err := parseAnswer([]byte(answer[:n])); whole || err != nil {
			t.Errorf("the first %d bytes: whole %v, error %v", n, whole, err)
		}
	}
	if status, whole, err := parseAnswer([]byte(answer)); status != 503 || !whole || err != nil {
		t.Errorf("the whole answer: status %d, whole %v, error %v", status, whole, err)
	}
	for _, bad := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n"} {
		if _, _, err := parseAnswer([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

// The loop serves itself: its load goes to its own upstream.
func TestLoop(t *testing.T) {
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	w := load{port: l.port, requests: [][]byte{request(okPath, 0), request(halfPath, 0), request(failPath, 0), request(halfPath, 0), request(messagePath, 0), request(failPath, 0)}, connections: 4}
	t.Run("as much as it takes", func(t *testing.T) {
		w := w
		w.count = 4000
		got, err := l.run(w, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ok, failed := got.statuses[200], got.statuses[500]; got.answered < w.count || ok+failed != got.answered || max(ok, failed)-min(ok, failed) > 8 {
			t.Errorf("%d answers, %d ok, %d failed", got.answered, ok, failed)
		}
	})
	t.Run("at a rate", func(t *testing.T) {
		w := w
		w.rate, w.length = 2000, 500*time.Millisecond
		got, err := l.run(w, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.answered < 700 || got.answered > 1300 || len(got.latencies) != got.answered {
			t.Errorf("%d answers, %d latencies, of about 1000", got.answered, len(got.latencies))
		}
	})
}

func TestGoalsTable(t *testing.T) {
	got := goalsTable([]row{
		{"a", "", most(1.5), []float64{2, 1.25, 1.5}},
		{"b", "MB", most(1), []float64{1.01}},
		{"c", "", least(0.75), []float64{0.5, 0.6}},
		{"e", "", goal{}, []float64{9, 1, 2, 3, 4, 5, 0}},
		{"d", "µs", goal{}, []float64{0.00123, 99.96}},
	})
	want := strings.TrimPrefix(`
|   | measured | middle half    | goal   |            |
|---|----------|----------------|--------|------------|
| a | 1.50     | 1.25 – 2       | ≤ 1.50 | met        |
| b | 1.01 MB  |                | ≤ 1    | **missed** |
| c | 0.55     | 0.50 – 0.60    | ≥ 0.75 | **missed** |
| e | 3        | 1 – 5          |        |            |
| d | 50.0 µs  | 0.0012 – 100.0 |        |            |
`, "\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// A bar that has no room shows that it is cut off, and is given in figures.
func TestPictureShowsCutOffBars(t *testing.T) {
	gaps := func(measured ...float64) int {
		t.Helper()
		file := filepath.Join(t.TempDir(), "bench.svg")
		b := &bench{machine: &machine{cpu: "a CPU"}, rows: []row{{"memory", "MB", most(2), measured}}}
		if err := drawPicture(file, b); err != nil {
			t.Fatal(err)
		}
		svg, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if value := number(median(measured)) + " MB"; !strings.Contains(string(svg), ">"+value+"</text>") {
			t.Errorf("the picture does not say %s", value)
		}
		return strings.Count(string(svg), "fill:#FFFFFF") - 1 // the paper itself
	}
	for _, c := range []struct {
		measured []float64
		gaps     int
	}{
		{[]float64{2.9}, 0},
		{[]float64{112}, 1},
		{[]float64{1, 1, 1, 9, 9}, 1}, // the line of the middle half only
		{[]float64{1, 1, 1, 1, 9}, 0}, // beyond the middle half
	} {
		if got := gaps(c.measured...); got != c.gaps {
			t.Errorf("%v MB, with a goal of 2: %d bars are shown cut off, want %d", c.measured, got, c.gaps)
		}
	}
}
