package replay

import (
	"time"

	"envoy-circuit-breaker/breaker"
)

// A bin is what happened to an owner's requests in a piece of time.
type bin struct {
	good, failed, slow, neutral  uint32 // of those that would have been admitted
	lost, savedFailed, savedSlow uint32 // of those that would have been rejected
	open, halfOpen               int64  // how long the breaker was so, nanoseconds
}

func (b *bin) add(other *bin) {
	b.good += other.good
	b.failed += other.failed
	b.slow += other.slow
	b.neutral += other.neutral
	b.lost += other.lost
	b.savedFailed += other.savedFailed
	b.savedSlow += other.savedSlow
	b.open += other.open
	b.halfOpen += other.halfOpen
}

// mostBins is how many a timeline has at most. Once there are more, each two become one.
const mostBins = 480

// An axis is the time that all timelines share.
type axis struct {
	start, width int64
	begun        bool
	spare        bin // where nothing is drawn
}

func newAxis() axis { return axis{width: int64(time.Second)} }

func (a *axis) number(at int64) int { return int((at - a.start) / a.width) }

// reach makes the axis long enough for a time.
func (a *axis) reach(r *Replay, at int64) {
	if !a.begun {
		a.start, a.begun = at, true
	}
	for (at-a.start)/a.width >= mostBins {
		a.width *= 2
		for _, p := range r.policies {
			for _, o := range p.owners {
				o.bins = halve(o.bins)
			}
		}
	}
}

func halve(bins []bin) []bin {
	for i := range bins {
		if i%2 == 0 {
			bins[i/2] = bins[i]
		} else {
			bins[i/2].add(&bins[i])
		}
	}
	half := bins[:(len(bins)+1)/2]
	clear(bins[len(half):])
	return half
}

// bin returns the owner's of now.
func (a *axis) bin(o *owner) *bin {
	if !o.replay.options.Timeline {
		return &a.spare
	}
	return o.binAt(a.number(o.replay.now))
}

func (o *owner) binAt(i int) *bin {
	for len(o.bins) <= i {
		o.bins = append(o.bins, bin{})
	}
	return &o.bins[i]
}

// spend draws a time in the owner's state.
func (a *axis) spend(o *owner, from, to int64) {
	if o.state == breaker.Closed || !o.replay.options.Timeline {
		return
	}
	for from < to {
		i := a.number(from)
		until := min(to, a.start+int64(i+1)*a.width)
		if b := o.binAt(i); o.state == breaker.Open {
			b.open += until - from
		} else {
			b.halfOpen += until - from
		}
		from = until
	}
}

// show draws a verdict.
func (o *owner) show(outcome breaker.Outcome, rejected bool) {
	b := o.replay.axis.bin(o)
	failed := outcome.Result == breaker.Failure
	switch bad := isBad(outcome); {
	case rejected && failed:
		b.savedFailed++
	case rejected && bad:
		b.savedSlow++
	case outcome.Result == breaker.Neutral:
		b.neutral++
	case rejected:
		b.lost++
	case failed:
		b.failed++
	case bad:
		b.slow++
	default:
		b.good++
	}
}
