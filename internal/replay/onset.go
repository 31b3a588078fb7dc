package replay

import (
	"math/rand/v2"
	"time"

	"envoy-circuit-breaker/breaker"
)

// An onset tells when an outage began: at the last low of the cumulative sum of what was bad, less half of the share that trips
// (CUSUM, https://www.jstor.org/stable/2333009). So the failures that there always are do not make it begin a window too early. It
// looks back over no more than a window.
type onset struct {
	usual    float64 // the share that is not counted
	duration int64   // of the window, nanoseconds; or
	calls    int     // of the window

	sum     float64
	began   int64 // when the first bad call since then began
	counted int64 // and was counted
	since   int   // calls since then
}

func newOnset(p *breaker.Policy) onset {
	threshold := 100.0
	if p.FailureRate > 0 {
		threshold = p.FailureRate
	}
	if p.SlowCallDuration > 0 {
		threshold = min(threshold, p.SlowCallRate)
	}
	return onset{usual: threshold / 200, duration: int64(p.WindowDuration), calls: p.WindowRequests}
}

func (o *onset) count(bad bool, began, now int64) {
	o.since++
	if o.duration > 0 && now-o.counted > o.duration || o.calls > 0 && o.since > o.calls {
		o.sum = 0
	}
	switch {
	case !bad:
		o.sum = max(0, o.sum-o.usual)
	case o.sum == 0:
		o.began, o.counted, o.since = began, now, 1
		fallthrough
	default:
		o.sum += 1 - o.usual
	}
}

func (o *onset) restart() { o.sum = 0 }

// drawn has the outcomes of a cluster's last calls, for trials to have one of them.
type drawn struct {
	random *rand.Rand
	last   [128]drawnOutcome // a ring
	n      int               // of all that were put there
}

type drawnOutcome struct {
	at      int64
	outcome breaker.Outcome
}

func (d *drawn) add(now int64, o breaker.Outcome) {
	if o.Result != breaker.Neutral {
		d.last[d.n%len(d.last)] = drawnOutcome{now, o}
		d.n++
	}
}

// draw returns one of the outcomes of the last second, or its own where there was none.
func (d *drawn) draw(now int64, own breaker.Outcome) breaker.Outcome {
	n := 0
	for n < min(d.n, len(d.last)) && now-d.last[(d.n-1-n)%len(d.last)].at <= int64(time.Second) {
		n++
	}
	if n == 0 {
		return own
	}
	return d.last[(d.n-1-d.random.IntN(n))%len(d.last)].outcome
}
