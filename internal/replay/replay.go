// Package replay finds out from Envoy's access logs what the circuit breaker would have done by some policies: each request of a
// log asks a breaker when it began, and is judged when it ended, by the packages that the plugin itself consists of. What is here
// is what drives them: the order of events, and the time.
package replay

import (
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/report"
)

// A Policy is a configuration that a log is replayed with.
type Policy struct {
	Name   string
	Config *config.Config
}

// Options say how to replay.
type Options struct {
	Policies []Policy
	// Horizon is for how long events are held back until they are taken in order. A line tells of a request when it has ended, so it
	// must be longer than the longest request and what lines are out of order by, or the request is left out. 0 is a minute.
	Horizon time.Duration
	// MaxInFlight bounds how many requests are held, and so the memory; where there are more, the horizon shrinks. 0 is 500,000.
	MaxInFlight int
	// Recovery lets a trial end as any request of its breaker did in the second before, rather than as that very one.
	Recovery bool
	// Timeline keeps what it takes to draw one.
	Timeline bool
}

// A Replay is one pass over logs.
type Replay struct {
	run
	options Options
	started bool
	newest  int64 // end of a request
	horizon int64

	sources  []source
	sourceOf map[identity]uint32
	last     identity // the source of the last line
	lastAt   uint32

	wheel   *wheel
	calls   pool[call]
	flights pool[[]flight]
	serial  uint64

	policies []*policy
	report   report.Report
}

// New returns a replay that has read nothing.
func New(o Options) *Replay {
	if o.Horizon == 0 {
		o.Horizon = time.Minute
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 500_000
	}
	r := &Replay{
		run: run{recovery: o.Recovery, timeline: o.Timeline}, options: o,
		horizon: int64(o.Horizon), sourceOf: map[identity]uint32{}, wheel: newWheel(int64(o.Horizon)),
	}
	for i, p := range o.Policies {
		r.policies = append(r.policies, &policy{Policy: p, at: i, owners: map[identity]*owner{}, breakers: map[string]int{}})
	}
	return r
}

// An identity is whose requests or breaker it is.
type identity struct{ instance, cluster, route string }

// valid is as a report can have it, which is UTF-8: names that are the same there are one breaker's.
func (id identity) valid() identity {
	return identity{report.Valid(id.instance), report.Valid(id.cluster), report.Valid(id.route)}
}

// A source is the requests of one instance, cluster and route: for each policy they have one breaker.
type source struct {
	identity
	owners []*owner // by policy; nil where there is no breaker for it
}

// A flight is a call as a policy's breaker knows it, while it is in flight.
type flight struct {
	owner  *owner // nil where there is none, or it is not asked
	permit breaker.Permit
	serial uint64
	epoch  int // of the owner, when it was admitted
	// The breaker would have rejected it; the breaker knows the verdict already; it was counted while it waited.
	rejected, told, waited bool
}

// latestTime is the last time that is taken, in the year 2116: later ones are clocks that are wrong.
const latestTime = 1 << 62

// A Use says whether a line can be replayed.
type Use uint8

const (
	Usable          Use = iota
	WithoutCluster      // its request had none
	AlreadyRejected     // by a breaker, when the log was written
	OutOfTime           // its times cannot be
)

// UseOf says whether a line can be replayed.
func UseOf(e *accesslog.Entry) Use {
	switch {
	case e.Cluster == "":
		return WithoutCluster
	case e.Decision == "rejected" || e.Decision == "fallback" || strings.HasPrefix(e.Details, "circuit_breaker_"):
		return AlreadyRejected
	case e.Start < 0 || e.End() < e.Start || e.End() > latestTime:
		return OutOfTime
	}
	return Usable
}

// Add takes one line of a log. Lines come in the order of their requests' ends, more or less.
func (r *Replay) Add(e *accesslog.Entry) {
	r.report.Lines++
	switch UseOf(e) {
	case WithoutCluster:
		r.report.WithoutCluster++
		return
	case AlreadyRejected:
		r.report.AlreadyRejected++
		return
	case OutOfTime:
		r.report.TooLate++
		return
	}
	begin, end := e.Start, e.End()
	if end > r.newest || !r.started {
		r.newest = end
		r.runTo(slotOf(end - r.horizon))
	}
	r.started = true
	if slotOf(begin) < r.wheel.first {
		r.report.TooLate++
		r.report.LatestBy = max(r.report.LatestBy, report.Seconds(r.newest-begin))
		return
	}
	i := r.calls.take()
	c := r.calls.at(i)
	c.read(e)
	c.source = r.source(e)
	r.wheel.add(event{begin, i, uint32(e.Log)})
	r.wheel.add(event{end, i, uint32(e.Log) | ends})
	for r.calls.used > r.options.MaxInFlight {
		r.shrink()
	}
}

// Broken takes a line that could not be understood.
func (r *Replay) Broken(b *accesslog.Broken) {
	r.report.Lines++
	if r.report.Broken++; r.report.Broken <= report.MostBroken {
		r.report.BrokenLines = append(r.report.BrokenLines, report.BrokenLine{File: b.File, Line: b.Line, Error: b.Err.Error()})
	}
}

// Logs takes what is known of the logs, once they are read.
func (r *Replay) Logs(sources []accesslog.Source) {
	for i := range sources {
		s := &sources[i]
		r.report.AddLog(report.Log{Format: s.Format, Lines: s.Lines, Lacks: s.Lacks()})
	}
}

// shrink takes the oldest slot before its time.
func (r *Replay) shrink() {
	r.runTo(r.wheel.first + 1)
	held := report.Seconds(max(r.newest-r.wheel.first<<slotBits, int64(time.Millisecond))) // where one slot has too many, it is none
	if r.report.HeldFor == 0 || held < r.report.HeldFor {
		r.report.HeldFor = held
	}
}

// source finds the source of a line, or makes it.
func (r *Replay) source(e *accesslog.Entry) uint32 {
	id := identity{e.Instance, e.Cluster, e.Route}
	if id == r.last && r.sources != nil {
		return r.lastAt
	}
	at, known := r.sourceOf[id]
	if !known {
		at = uint32(len(r.sources))
		r.sources = append(r.sources, source{identity: id.valid()})
		r.sourceOf[id] = at
	}
	r.last, r.lastAt = id, at
	return at
}

// runTo lets all happen that is in slots before one.
func (r *Replay) runTo(slot int64) {
	for r.wheel.first < slot {
		if r.calls.used == 0 {
			r.wheel.first = slot
			return
		}
		for _, e := range r.wheel.take() {
			r.due(e.at, r.look)
			r.reach(e.at)
			c := r.calls.at(e.call)
			if e.order < ends {
				r.begin(e.call, c)
				continue
			}
			r.end(c)
			r.calls.give(e.call)
		}
	}
}

// look finds a call that is in flight.
func (r *Replay) look(i uint32) (*call, []flight) {
	c := r.calls.at(i)
	return c, *r.flights.at(c.flight)
}

// begin lets a call ask the breaker of each policy.
func (r *Replay) begin(i uint32, c *call) {
	s := &r.sources[c.source]
	if s.owners == nil {
		s.owners = make([]*owner, len(r.policies))
		for at, p := range r.policies {
			s.owners[at] = p.owner(r, s.identity)
		}
	}
	c.flight = r.flights.take()
	flights := r.flights.at(c.flight)
	if *flights == nil {
		*flights = make([]flight, len(r.policies))
	}
	for at, o := range s.owners {
		f := &(*flights)[at]
		r.serial++
		*f = flight{owner: o, serial: r.serial}
		if o != nil {
			o.begin(i, c, f)
		} else {
			r.policies[at].withoutBreaker++
		}
	}
}

// end gives each policy's verdict on a call.
func (r *Replay) end(c *call) {
	flights := *r.flights.at(c.flight)
	for at := range flights {
		f := &flights[at]
		if f.owner != nil {
			f.owner.end(c, f)
		}
		f.serial = 0
	}
	r.flights.give(c.flight)
}

// Finish lets the rest happen, and reports.
func (r *Replay) Finish() *report.Report {
	if r.started {
		for r.calls.used > 0 {
			r.runTo(r.wheel.first + 1)
		}
	}
	return r.finish()
}

// finish reports.
func (r *Replay) finish() *report.Report {
	out := &r.report
	out.Recovery = r.options.Recovery
	if r.axis.Width > 0 {
		out.From, out.To, out.Axis = time.Unix(0, r.axis.Start).UTC(), time.Unix(0, r.now).UTC(), r.axis
	}
	for _, p := range r.policies {
		out.Policies = append(out.Policies, p.finish())
	}
	out.Complete()
	return out
}
