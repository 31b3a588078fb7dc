package replay

import (
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/report"
)

// A run is what the breakers of a simulation have in common: the time, and what is due.
type run struct {
	now    int64 // Unix nanoseconds
	agenda agenda
	seed   uint64 // of jitter and ramp
	// probe says how a probe that begins at a time would end; nil where probes are not simulated.
	probe    func(at int64) (good bool, took time.Duration)
	watch    func(breaker.Transition) // is told of each transition; nil where nobody watches
	recovery bool                     // a trial ends as any request of its breaker did in the second before
	timeline bool                     // one is kept
	endless  bool                     // its bins keep their width
	axis     report.Axis
	drawn    []*owner   // whose timelines are kept
	spare    report.Bin // where nothing is drawn
}

// reach goes to a time. The timelines become long enough for it.
func (r *run) reach(at int64) {
	r.now = at
	if r.axis.Width == 0 {
		r.axis = report.Axis{Start: at, Width: int64(firstBin)}
	}
	for !r.endless && (at-r.axis.Start)/r.axis.Width >= report.MostBins {
		r.axis.Width *= 2
		for _, o := range r.drawn {
			o.bins = report.Halve(o.bins)
		}
	}
}

// due does what is due by a time. look finds a call, and its flights by policy.
func (r *run) due(until int64, look func(call uint32) (*call, []flight)) {
	for len(r.agenda.items) > 0 && r.agenda.items[0].at <= until {
		x := r.agenda.next()
		if x.probe != nil {
			r.reach(x.at)
			x.probe(x.owner)
			continue
		}
		c, flights := look(x.call)
		if f := &flights[x.owner.policy]; f.serial == x.flight {
			r.reach(x.at)
			x.owner.act(c, f, x.does)
		}
	}
}
