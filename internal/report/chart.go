package report

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"envoy-circuit-breaker/internal/text"
)

// A chart is a breaker's timeline: paths of SVG, one unit of x for each bin.
type chart struct {
	Bins   int
	Bin    string  // how long a bin is
	Most   string  // requests a second in the highest bin
	Areas  []area  // requests, from the one that is drawn first
	State  []area  // share of the time
	Failed string  // share of failures, 0 to 100 from below
	Slow   string  // share of slow calls
	Limits []limit // what trips
	Trips  []mark
	Ticks  []string // of the axis of time
	Tries  *tries   // nil where nothing was simulated
	Phases []mark   // of the scenario
	Label  string   // for those who cannot see it
}

type area struct{ Class, Path string }

// Tries are what reached the service from breakers that were not closed.
type tries struct {
	Most   string // a second in the highest bin; "" where there were none
	Areas  []area
	Probes bool // there are some
}

type limit struct {
	Class string
	Y     float64
}

type mark struct {
	X    string
	Text string
}

// heights of the drawings, in units of y.
const (
	requestsHeight = 1000
	shareHeight    = 100
)

// mostMarks trips of a breaker are marked.
const mostMarks = 200

// draw draws a breaker's timeline; nil where there is none.
func (r *Report) draw(o *Breaker) *chart {
	if len(o.Bins) == 0 {
		return nil
	}
	bins := make([]Bin, r.Axis.Number(r.To.UnixNano())+1)
	copy(bins, o.Bins)
	width := time.Duration(r.Axis.Width)
	c := &chart{Bins: len(bins), Bin: text.Span(width.Seconds()), Label: "Timeline of " + o.name() + ": requests, share of failures, state of the breaker"}

	// From the bottom of the pile: what is bad, what would have been rejected, the rest.
	kinds := []struct {
		class string
		n     func(*Bin) uint32
	}{
		{"failed", func(b *Bin) uint32 { return b.Failed }},
		{"slow", func(b *Bin) uint32 { return b.Slow }},
		{"saved", func(b *Bin) uint32 { return b.SavedFailed + b.SavedSlow }},
		{"lost", func(b *Bin) uint32 { return b.Lost }},
		{"good", func(b *Bin) uint32 { return b.Good }},
		{"neutral", func(b *Bin) uint32 { return b.Neutral }},
	}
	piled := make([]float64, len(bins))
	paths := make([][]float64, len(kinds))
	for k, kind := range kinds {
		for i := range bins {
			piled[i] += float64(kind.n(&bins[i]))
		}
		paths[k] = append([]float64(nil), piled...)
	}
	most := 1.0
	for _, n := range piled {
		most = max(most, n)
	}
	c.Most = rate(most / width.Seconds())
	for k := len(kinds) - 1; k >= 0; k-- {
		if path := steps(paths[k], requestsHeight/most, requestsHeight); path != "" {
			c.Areas = append(c.Areas, area{kinds[k].class, path})
		}
	}

	open, either, failed, slow := make([]float64, len(bins)), make([]float64, len(bins)), make([]float64, len(bins)), make([]float64, len(bins))
	for i := range bins {
		b := &bins[i]
		open[i] = float64(b.Open) / float64(width) / o.envoys()
		either[i] = open[i] + float64(b.HalfOpen)/float64(width)/o.envoys()
		failed[i], slow[i] = -1, -1
		if judged := float64(b.Good + b.Lost + b.Failed + b.SavedFailed + b.Slow + b.SavedSlow); judged > 0 {
			failed[i], slow[i] = float64(b.Failed+b.SavedFailed)/judged, float64(b.Slow+b.SavedSlow)/judged
		}
	}
	for _, s := range []area{{"half_open", steps(either, shareHeight, shareHeight)}, {"open", steps(open, shareHeight, shareHeight)}} {
		if s.Path != "" {
			c.State = append(c.State, s)
		}
	}
	policy := &o.Rules.Policy
	c.Failed = line(failed)
	if policy.FailureRate > 0 {
		c.Limits = append(c.Limits, limit{"failed", shareHeight - policy.FailureRate})
	}
	if policy.SlowCallDuration > 0 {
		c.Slow = line(slow)
		c.Limits = append(c.Limits, limit{"slow", shareHeight - policy.SlowCallRate})
	}
	for _, m := range o.Transitions {
		if m.To == "open" && len(c.Trips) < mostMarks {
			c.Trips = append(c.Trips, mark{r.Axis.x(m.At), m.At.Format("15:04:05") + " " + m.Text})
		}
	}
	c.Ticks = r.Axis.ticks(len(bins))
	if r.Simulation != nil {
		c.Tries = drawTries(bins, width)
		for _, p := range r.Policies[0].Fleet {
			at := r.From.Add(time.Duration(p.From * float64(time.Second)))
			c.Phases = append(c.Phases, mark{r.Axis.x(at), at.Format("15:04:05") + " " + p.Name})
		}
	}
	return c
}

// drawTries draws trials, and probes above them.
func drawTries(bins []Bin, width time.Duration) *tries {
	trials, both := make([]float64, len(bins)), make([]float64, len(bins))
	t, most := &tries{}, 0.0
	for i := range bins {
		b := &bins[i]
		trials[i], both[i] = float64(b.Trials), float64(b.Trials)+float64(b.Probes)
		most = max(most, both[i])
		t.Probes = t.Probes || b.Probes > 0
	}
	if most == 0 {
		return t
	}
	t.Most = rate(most / width.Seconds())
	if t.Probes {
		t.Areas = append(t.Areas, area{"probes", steps(both, requestsHeight/most, requestsHeight)})
	}
	if path := steps(trials, requestsHeight/most, requestsHeight); path != "" {
		t.Areas = append(t.Areas, area{"trials", path})
	}
	return t
}

// steps is the path of an area below steps of these heights; "" where it is empty.
func steps(heights []float64, scale, bottom float64) string {
	var s strings.Builder
	last := -1
	for i, h := range heights {
		y := int(bottom - h*scale + 0.5)
		if h > 0 && y == int(bottom) {
			y-- // a single failure among thousands of requests shall be seen
		}
		switch {
		case last < 0:
			s.WriteString("M0 " + strconv.Itoa(int(bottom)) + "V" + strconv.Itoa(y))
		case y != last:
			s.WriteString("H" + strconv.Itoa(i) + "V" + strconv.Itoa(y))
		}
		last = y
	}
	if !slices.ContainsFunc(heights, func(h float64) bool { return h > 0 }) {
		return ""
	}
	s.WriteString("H" + strconv.Itoa(len(heights)) + "V" + strconv.Itoa(int(bottom)) + "Z")
	return s.String()
}

// line is the path of steps of these shares; where one is below 0 it is interrupted.
func line(shares []float64) string {
	var s strings.Builder
	last := -1
	for i, share := range shares {
		y := int(shareHeight*(1-share) + 0.5)
		switch {
		case share < 0:
			if last >= 0 {
				s.WriteString("H" + strconv.Itoa(i))
			}
			last = -1
			continue
		case last < 0:
			s.WriteString("M" + strconv.Itoa(i) + " " + strconv.Itoa(y))
		case y != last:
			s.WriteString("H" + strconv.Itoa(i) + "V" + strconv.Itoa(y))
		}
		last = y
	}
	if last >= 0 {
		s.WriteString("H" + strconv.Itoa(len(shares)))
	}
	return s.String()
}
