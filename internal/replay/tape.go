package replay

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/report"
)

// A Tape has the requests of one cluster of one Envoy, to be played to one policy after another. Once it is rewound that can be done
// in parallel.
type Tape struct {
	id     identity
	calls  []call
	events []uint32 // in order: twice the number of the call that begins, or one more where it ends
	most   uint32   // calls that are in flight at once
}

// NewTape returns a tape that has no requests.
func NewTape(instance, cluster string) *Tape {
	return &Tape{id: identity{instance: instance, cluster: cluster}}
}

// Grow makes room for so many more requests.
func (t *Tape) Grow(n int) { t.calls = slices.Grow(t.calls, n) }

// Add takes a request, in any order. Its strings are not kept.
func (t *Tape) Add(e *accesslog.Entry) {
	t.calls = append(t.calls, call{})
	t.calls[len(t.calls)-1].read(e)
}

// Len is how many requests there are.
func (t *Tape) Len() int { return len(t.calls) }

// End is when the last request ended, Unix nanoseconds; 0 where there is none.
func (t *Tape) End() int64 {
	if len(t.events) == 0 {
		return 0
	}
	return t.at(t.events[len(t.events)-1])
}

// Rewind puts in order what was added: what begins at the same time in the order in which it ends, as a log has it.
func (t *Tape) Rewind() {
	t.events = make([]uint32, 0, 2*len(t.calls))
	for i := range t.calls {
		t.events = append(t.events, uint32(2*i), uint32(2*i+1))
	}
	slices.SortFunc(t.events, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(t.at(a), t.at(b)), cmp.Compare(a&1, b&1), cmp.Compare(t.calls[a/2].end, t.calls[b/2].end), cmp.Compare(a, b))
	})
	// Each call has a flight of its own while it is in flight.
	var free []uint32
	t.most = 0
	for _, e := range t.events {
		c := &t.calls[e/2]
		switch n := len(free); {
		case e&1 == 1:
			free = append(free, c.flight)
		case n > 0:
			c.flight, free = free[n-1], free[:n-1]
		default:
			c.flight = t.most
			t.most++
		}
	}
}

// at is when an event happens.
func (t *Tape) at(event uint32) int64 {
	if c := &t.calls[event/2]; event&1 == 0 {
		return c.begin
	} else {
		return c.end
	}
}

// A Request is what a tape has of one. Times are Unix nanoseconds.
type Request struct {
	Began, Ended int64
	Outcome      breaker.Outcome
	Waited       time.Duration // for the upstream; 0 where it did not have the request whole
	Attempts     int           // requests that the upstream got; 0 where it got none
}

// Requests calls yield with each request, in the order of their ends, and its number among those added. Rules give the verdicts.
func (t *Tape) Requests(rules *config.Rules, yield func(int, Request)) {
	for _, e := range t.events {
		if e&1 == 0 {
			continue
		}
		c := &t.calls[e/2]
		r := Request{Began: c.begin, Ended: c.end, Waited: c.answer().Waited}
		if !c.flags.has(unasked) {
			r.Attempts = int(c.attempts)
		}
		if r.Outcome.Result = breaker.Neutral; c.asks() {
			r.Outcome, _ = rules.Judge(c.ending())
		}
		yield(int(e/2), r)
	}
}

// PlayOptions say how a tape is played.
type PlayOptions struct {
	Config *config.Config
	Seed   uint64 // of jitter and ramp
	// Until is when the simulation ends, Unix nanoseconds, or with the last request if that ends later: the breaker goes on probing, and stays
	// open. Where it is 0 nothing counts that comes after the breaker's last request, as in a [Replay].
	Until int64
	// Probe says how a probe that begins at a time, Unix nanoseconds, would end; and that probes are simulated. It may be nil.
	Probe func(at int64) (good bool, took time.Duration)
	// Axis is that of a timeline to be kept, which is as long as it takes; the zero value is none.
	Axis report.Axis
	// Rejected is told the number of each request that would have been rejected. It may be nil.
	Rejected func(int)
	// Moved is told of each transition. It may be nil.
	Moved func(breaker.Transition)
}

// Play tells what a policy would have done with the requests.
func (t *Tape) Play(o PlayOptions) report.Breaker {
	p := player{
		run:     run{axis: o.Axis, timeline: o.Axis.Width > 0, endless: true, seed: o.Seed, probe: o.Probe, watch: o.Moved},
		tape:    t,
		flights: make([]flight, t.most),
	}
	if len(t.events) > 0 {
		p.reach(t.at(t.events[0]))
	}
	own, err := newOwner(&p.run, 0, o.Config, t.id)
	if err != nil {
		panic(errors.Join(errors.New("a policy that its parser took"), err))
	}
	for i, e := range t.events {
		at := t.at(e)
		p.due(at, p.look)
		p.reach(at)
		c := &t.calls[e/2]
		f := &p.flights[c.flight]
		if e&1 == 0 {
			*f = flight{owner: own, serial: uint64(i) + 1}
			own.begin(e/2, c, f)
			continue
		}
		own.end(c, f)
		if f.serial = 0; f.rejected && o.Rejected != nil {
			o.Rejected(int(e / 2))
		}
	}
	if o.Until > 0 {
		end := max(o.Until, p.now)
		p.due(end, p.look)
		p.reach(end)
		own.last = end
	}
	return own.finish()
}

// A player plays a tape.
type player struct {
	run
	tape    *Tape
	flights []flight
}

// look finds a call that is in flight.
func (p *player) look(i uint32) (*call, []flight) {
	c := &p.tape.calls[i]
	return c, p.flights[c.flight : c.flight+1]
}
