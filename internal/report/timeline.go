package report

import (
	"strconv"
	"time"
)

// A Bin is what happened to a breaker's requests in a piece of time.
type Bin struct {
	Good, Failed, Slow, Neutral  uint32 // requests that ended: of those that would have been admitted
	Lost, SavedFailed, SavedSlow uint32 // of those that would have been rejected
	Asked, Admitted, Trials      uint32 // requests that began: asked the breaker; were admitted, of these; and as trials, of these
	Probes                       uint32 // that began
	Open, HalfOpen               int64  // how long the breaker was so, nanoseconds
}

// Add adds another bin.
func (b *Bin) Add(other *Bin) {
	b.Good += other.Good
	b.Failed += other.Failed
	b.Slow += other.Slow
	b.Neutral += other.Neutral
	b.Lost += other.Lost
	b.SavedFailed += other.SavedFailed
	b.SavedSlow += other.SavedSlow
	b.Asked += other.Asked
	b.Admitted += other.Admitted
	b.Trials += other.Trials
	b.Probes += other.Probes
	b.Open += other.Open
	b.HalfOpen += other.HalfOpen
}

// MostBins is how many a timeline has at most.
const MostBins = 480

// An Axis is the time that all timelines of a report share: Unix nanoseconds.
type Axis struct {
	Start int64
	Width int64 // of a bin; 0 where there is no timeline
}

// Number is the bin that a time is in.
func (a *Axis) Number(at int64) int { return int((at - a.Start) / a.Width) }

// x is where a time is drawn.
func (a *Axis) x(at time.Time) string {
	return strconv.FormatFloat(float64(at.UnixNano()-a.Start)/float64(a.Width), 'f', 2, 64)
}

// Halve makes one bin of each two.
func Halve(bins []Bin) []Bin {
	for i := range bins {
		if i%2 == 0 {
			bins[i/2] = bins[i]
		} else {
			bins[i/2].Add(&bins[i])
		}
	}
	half := bins[:(len(bins)+1)/2]
	clear(bins[len(half):])
	return half
}

// ticks are the times at both ends of an axis of so many bins, and between.
func (a *Axis) ticks(bins int) (ticks []string) {
	whole := int64(bins) * a.Width
	layout := "15:04:05"
	if time.Duration(whole) > 20*time.Hour {
		layout = "2 Jan 15:04"
	}
	for i := range int64(5) {
		ticks = append(ticks, time.Unix(0, a.Start+whole/4*i).UTC().Format(layout))
	}
	return ticks
}
