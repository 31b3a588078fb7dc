package replay

import (
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/report"
)

// firstBin is how long the bins of a timeline are at first. Once there are more than [report.MostBins], each two become one.
const firstBin = time.Second

// bin returns the owner's of now.
func (o *owner) bin() *report.Bin {
	if !o.run.timeline {
		return &o.run.spare
	}
	return o.binAt(o.run.axis.Number(o.run.now))
}

func (o *owner) binAt(i int) *report.Bin {
	for len(o.bins) <= i {
		o.bins = append(o.bins, report.Bin{})
	}
	return &o.bins[i]
}

// draw draws a time in the owner's state.
func (o *owner) draw(from, to int64) {
	if o.state == breaker.Closed || !o.run.timeline {
		return
	}
	axis := &o.run.axis
	for from < to {
		i := axis.Number(from)
		until := min(to, axis.Start+int64(i+1)*axis.Width)
		if b := o.binAt(i); o.state == breaker.Open {
			b.Open += until - from
		} else {
			b.HalfOpen += until - from
		}
		from = until
	}
}

// show draws a verdict.
func (o *owner) show(outcome breaker.Outcome, rejected bool) {
	b := o.bin()
	failed := outcome.Result == breaker.Failure
	switch bad := isBad(outcome); {
	case rejected && failed:
		b.SavedFailed++
	case rejected && bad:
		b.SavedSlow++
	case outcome.Result == breaker.Neutral:
		b.Neutral++
	case rejected:
		b.Lost++
	case failed:
		b.Failed++
	case bad:
		b.Slow++
	default:
		b.Good++
	}
}
