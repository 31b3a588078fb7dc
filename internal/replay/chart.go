package replay

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"envoy-circuit-breaker/internal/text"
)

// A chart is an owner's timeline: paths of SVG, one unit of x for each bin.
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
	Label  string   // for those who cannot see it
}

type area struct{ Class, Path string }

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

// draw draws an owner's timeline; nil where there is none.
func (r *Report) draw(o *Owner) *chart {
	if len(o.bins) == 0 {
		return nil
	}
	bins := make([]bin, r.axis.number(r.To.UnixNano())+1)
	copy(bins, o.bins)
	width := time.Duration(r.axis.width)
	c := &chart{Bins: len(bins), Bin: text.Span(width.Seconds()), Label: "Timeline of " + o.name() + ": requests, share of failures, state of the breaker"}

	// From the bottom of the pile: what is bad, what would have been rejected, the rest.
	kinds := []struct {
		class string
		n     func(*bin) uint32
	}{
		{"failed", func(b *bin) uint32 { return b.failed }},
		{"slow", func(b *bin) uint32 { return b.slow }},
		{"saved", func(b *bin) uint32 { return b.savedFailed + b.savedSlow }},
		{"lost", func(b *bin) uint32 { return b.lost }},
		{"good", func(b *bin) uint32 { return b.good }},
		{"neutral", func(b *bin) uint32 { return b.neutral }},
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
	c.Most = strconv.FormatFloat(most/width.Seconds(), 'g', 3, 64)
	for k := len(kinds) - 1; k >= 0; k-- {
		if path := steps(paths[k], requestsHeight/most, requestsHeight); path != "" {
			c.Areas = append(c.Areas, area{kinds[k].class, path})
		}
	}

	open, either, failed, slow := make([]float64, len(bins)), make([]float64, len(bins)), make([]float64, len(bins)), make([]float64, len(bins))
	for i := range bins {
		b := &bins[i]
		open[i] = float64(b.open) / float64(width)
		either[i] = open[i] + float64(b.halfOpen)/float64(width)
		failed[i], slow[i] = -1, -1
		if judged := float64(b.good + b.lost + b.failed + b.savedFailed + b.slow + b.savedSlow); judged > 0 {
			failed[i], slow[i] = float64(b.failed+b.savedFailed)/judged, float64(b.slow+b.savedSlow)/judged
		}
	}
	for _, s := range []area{{"half_open", steps(either, shareHeight, shareHeight)}, {"open", steps(open, shareHeight, shareHeight)}} {
		if s.Path != "" {
			c.State = append(c.State, s)
		}
	}
	policy := &o.rules.Policy
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
			x := float64(m.At.UnixNano()-r.axis.start) / float64(r.axis.width)
			c.Trips = append(c.Trips, mark{strconv.FormatFloat(x, 'f', 2, 64), m.At.Format("15:04:05") + " " + m.Text})
		}
	}
	c.Ticks = r.ticks(len(bins))
	return c
}

// ticks are the times at both ends of an axis and between.
func (r *Report) ticks(bins int) (ticks []string) {
	whole := int64(bins) * r.axis.width
	layout := "15:04:05"
	if time.Duration(whole) > 20*time.Hour {
		layout = "2 Jan 15:04"
	}
	for i := range int64(5) {
		ticks = append(ticks, unix(r.axis.start+whole/4*i).Format(layout))
	}
	return ticks
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
