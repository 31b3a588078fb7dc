//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/vg"

	"envoy-circuit-breaker/internal/picture"
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

// Whatever the figures: no text is cut off, and no line goes through one.
func TestPictureIsLegible(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.svg")
	base := &variant{name: "no filter"}
	b := &bench{machine: &machine{cpu: "AMD EPYC", envoy: "1.40.0", golang: "1.26.8"}}
	long := "the memory of very many clusters and of the first worker, together with all that any of the workers share"
	for _, v := range []float64{0.1, 3, 20.2, 41.2} {
		b.variants = append(b.variants, &variant{name: fmt.Sprintf("ours, %s, %v", long, v), base: base, added: []float64{v / 2, v, 2 * v}})
		for _, g := range []goal{most(v / 3), most(0.99 * v), most(1.01 * v), most(1.35 * v), least(v), most(10_000 * v)} {
			b.rows = append(b.rows, row{fmt.Sprintf("%s, %v against %v", long, v, g), "bytes", g, []float64{0.8 * v, v, 1.3 * v}})
		}
	}
	if err := drawPicture(file, b); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) vg.Length {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return vg.Length(v)
	}
	type box struct {
		text                     string
		left, right, bottom, top vg.Length
	}
	var texts []box
	for _, m := range regexp.MustCompile(`(?s)<text x="([^"]+)" y="-([^"]+)".*?font-size:(\d+)px[^>]*>([^<]*)</text>`).FindAllStringSubmatch(string(svg), -1) {
		x, y, size := number(m[1]), number(m[2]), number(m[3])
		unbroken := strings.ReplaceAll(m[4], " ", "\u00a0")
		width := sort.Search(2*picture.Width, func(w int) bool { return len(picture.Wrap(unbroken+" .", size, vg.Length(w))) == 1 })
		texts = append(texts, box{m[4], x, x + vg.Length(width), y - size/5, y + size*4/5})
	}
	if len(texts) < 50 {
		t.Fatalf("%d texts have been found", len(texts))
	}
	for i, a := range texts {
		if a.right > picture.Width {
			t.Errorf("cut off: %q", a.text)
		}
		for _, b := range texts[:i] {
			if a.left < b.right && b.left < a.right && a.bottom < b.top && b.bottom < a.top {
				t.Errorf("one over the other: %q, %q", a.text, b.text)
			}
		}
	}
	lines := regexp.MustCompile(`<path d="M([\d.]+),([\d.]+)L([\d.]+),([\d.]+)" style="fill:none`).FindAllStringSubmatch(string(svg), -1)
	if len(lines) < 2*len(b.rows) {
		t.Fatalf("%d lines have been found", len(lines))
	}
	for _, m := range lines {
		x1, y1, x2, y2 := number(m[1]), number(m[2]), number(m[3]), number(m[4])
		for _, b := range texts {
			if min(x1, x2) < b.right && b.left < max(x1, x2)+1 && min(y1, y2) < b.top && b.bottom < max(y1, y2)+1 {
				t.Errorf("a line goes through %q", b.text)
			}
		}
	}
}

func TestPeerIsChecked(t *testing.T) {
	text := filepath.Join(t.TempDir(), "peer.wasm")
	if err := os.WriteFile(text, []byte("not a plugin"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{text, text + ".gone"} {
		if err := checkPeer(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v", file, err)
		}
	}
	if err := checkPeer(""); err != nil {
		t.Errorf("none: %v", err)
	}
}

// Others are who has the cores that count, and what this process and its children have had is left out.
func TestOthers(t *testing.T) {
	const stat = `cpu  100 0 0 0 0 0 0 0 0 0
cpu0 100 10 20 5000 7 1 2 30 0 0
cpu1 200 0 0 6000 7 1 2 0 0 0
cpu2 400 0 0 6000 7 1 2 0 0 0
intr 1 2 3
`
	busy, err := busyTime(stat, func(core int) bool { return core < 2 })
	if err != nil || busy != 3600*time.Millisecond {
		t.Errorf("busy for %v, error %v; want 3.6s", busy, err)
	}
	began := time.Now()
	before := usage{began, 10 * time.Second, 2 * time.Second, 2}
	for _, c := range []struct {
		busy, ours time.Duration
		want       float64
	}{
		{2 * time.Second, 2 * time.Second, 0},
		{2 * time.Second, time.Second, 0.05},
		{time.Second, 2 * time.Second, 0},
	} {
		after := usage{began.Add(10 * time.Second), before.busy + c.busy, before.ours + c.ours, 2}
		if got := after.others(before); got != c.want {
			t.Errorf("%v busy, %v of it ours: others had %v, want %v", c.busy, c.ours, got, c.want)
		}
	}
}

func TestCoreTable(t *testing.T) {
	took, err := parseBenchmarks(`goos: linux
BenchmarkClosedOurs-2                    1000000                40.5 ns/op             0 B/op          0 allocs/op
BenchmarkClosedGobreakerParallel-2       1000000               253.1 ns/op
PASS
`)
	if err != nil || len(took) != 2 || took["BenchmarkClosedOurs"] != 40.5 || took["BenchmarkClosedGobreakerParallel"] != 253.1 {
		t.Errorf("%v, error %v", took, err)
	}
	names := coreNames("require (\n\tgithub.com/failsafe-go/failsafe-go v0.9.8\n\tgithub.com/sony/gobreaker/v2 v2.4.0\n)")
	if want := "[this [gobreaker](https://github.com/sony/gobreaker) 2.4.0 [failsafe-go](https://github.com/failsafe-go/failsafe-go) 0.9.8]"; fmt.Sprint(names) != want {
		t.Errorf("%v, want %v", names, want)
	}
	got := coreTable([]string{"this", "a", "b"}, []coreCase{{name: "closed", took: [][]float64{{40, 50, 60}, {200, 190, 210}, {100, 100, 100}}}})
	want := strings.TrimPrefix(`
| ns a request | this | a   | b   | ÷ the faster | middle half |
|--------------|------|-----|-----|--------------|-------------|
| closed       | 50   | 200 | 100 | 0.50         | 0.40 – 0.60 |
`, "\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// What is measured is what ships.
func TestReleaseMemoryShips(t *testing.T) {
	text, err := os.ReadFile("../../envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\n"+releaseMemory+"\n") {
		t.Errorf("envoy.yaml does not have\n%s", releaseMemory)
	}
}
