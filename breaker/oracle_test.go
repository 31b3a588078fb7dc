package breaker

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// oracle is a breaker as one would write it down without a thought for speed, memory or other workers: it keeps all that
// ever happened in lists, and works everything out from them whenever it is asked. These are the exact rules, at the
// granularity of buckets. A request ends in the bucket it ends in, and is counted at its end.
//
//   - A closed breaker is judged when a failure or slow call has been counted, and at no other time.
//   - Time window of length D, buckets of D/10 (rounded up to a nanosecond): at a bad outcome in bucket b, the window is
//     all calls counted in this epoch in the buckets b-10 to b.
//   - Count window of n, buckets of n/10 (rounded up to a call): see window.
//   - The streak is the failures since the last call of this epoch that was no failure.
//   - Trips in a row: since the last trip that found the breaker closed for open.max_duration, or the ramp if that is
//     longer, including that one.
//   - A permit is live from when it is given until its end, but not longer than half_open.permit_timeout.
//   - An end in another epoch than its request's is late, and so is a trial's end after its time.
type oracle struct {
	policy  Policy
	now     Time
	dice    float64
	moves   []oracleMove
	flights []oracleFlight
	calls   []oracleCall
	late    uint64
}

type oracleMove struct {
	to      State
	at      Time
	openFor time.Duration
	why     Reason
	window  Totals
}

type oracleFlight struct {
	at    Time
	epoch int // how many moves there had been
	kind  permitKind
	ended bool
	good  bool // a trial that succeeded in time
}

type oracleCall struct {
	at    Time
	epoch int
	Outcome
}

func (o *oracle) state() State {
	if len(o.moves) == 0 {
		return Closed
	}
	return o.moves[len(o.moves)-1].to
}

// since returns when the current state began.
func (o *oracle) since() Time { return o.moves[len(o.moves)-1].at }

// trips counts the trips in a row before now.
func (o *oracle) trips() (n int) {
	closedAt := Time(0)
	for _, m := range o.moves {
		switch m.to {
		case Closed:
			closedAt = m.at
		case Open:
			if m.why != HalfOpenFailure && m.at.Sub(closedAt) >= max(o.policy.OpenMaxDuration, o.policy.Ramp) {
				n = 0
			}
			n++
		}
	}
	return n
}

// request returns what becomes of a request, and why.
func (o *oracle) request() (kind permitKind, why string, retryAfter time.Duration) {
	kind, why, retryAfter = o.decide()
	if kind == refused && o.policy.Mode == Shadow {
		kind = shadowed
	}
	o.flights = append(o.flights, oracleFlight{at: o.now, epoch: len(o.moves), kind: kind, ended: kind == refused})
	return kind, why, retryAfter
}

func (o *oracle) decide() (permitKind, string, time.Duration) {
	switch o.state() {
	case Closed:
		if len(o.moves) > 0 && o.now.Sub(o.since()) < o.policy.Ramp {
			if 0.05+0.95*float64(o.now.Sub(o.since()))/float64(o.policy.Ramp) <= o.dice {
				return refused, "ramp", 0
			}
		}
		return counted, "closed", 0
	case Open:
		if left := o.since().Add(o.moves[len(o.moves)-1].openFor).Sub(o.now); left > 0 {
			return refused, "open", left
		}
		o.moves = append(o.moves, oracleMove{to: HalfOpen, at: o.now, why: OpenElapsed})
		return trial, "half_open", 0
	}
	live := 0
	for _, f := range o.flights {
		if f.kind == trial && f.epoch == len(o.moves) && !f.ended && o.now.Sub(f.at) < o.policy.HalfOpenPermitTimeout {
			live++
		}
	}
	if live >= o.policy.HalfOpenMaxRequests {
		return refused, "half_open", 0
	}
	return trial, "half_open", 0
}

func (o *oracle) end(i int, out Outcome) {
	f := &o.flights[i]
	f.ended = true
	out.Slow = out.Slow && o.policy.SlowCallDuration > 0
	switch {
	case out.Result == Neutral:
	case f.kind == shadowed, f.epoch != len(o.moves),
		f.kind == trial && o.now.Sub(f.at) >= o.policy.HalfOpenPermitTimeout:
		o.late++
	case f.kind == trial && out.bad():
		o.calls = append(o.calls, oracleCall{o.now, len(o.moves), out})
		o.trip(HalfOpenFailure, Totals{}, out.RetryAfter)
	case f.kind == trial:
		f.good = true
		o.calls = append(o.calls, oracleCall{o.now, len(o.moves), out})
		successes := 0
		for _, f := range o.flights {
			if f.good && f.epoch == len(o.moves) {
				successes++
			}
		}
		if successes >= o.policy.HalfOpenSuccessThreshold {
			o.moves = append(o.moves, oracleMove{to: Closed, at: o.now, why: Recovered})
		}
	default:
		o.calls = append(o.calls, oracleCall{o.now, len(o.moves), out})
		if out.bad() {
			o.judge(out.RetryAfter)
		}
	}
}

func (o *oracle) judge(retryAfter time.Duration) {
	var epoch []oracleCall
	streak := 0
	for _, c := range o.calls {
		if c.epoch != len(o.moves) {
			continue
		}
		epoch = append(epoch, c)
		if streak++; c.Result != Failure {
			streak = 0
		}
	}
	var in Totals
	for _, c := range o.window(epoch) {
		in.Calls++
		if c.Result == Failure {
			in.Failures++
		}
		if c.Slow {
			in.SlowCalls++
		}
	}
	p := &o.policy
	enough := in.Calls >= uint64(p.MinRequests)
	switch percent := func(n uint64) float64 { return 100 * float64(n) / float64(in.Calls) }; {
	case enough && p.FailureRate > 0 && percent(in.Failures) >= p.FailureRate:
		o.trip(FailureRate, in, retryAfter)
	case enough && p.SlowCallDuration > 0 && percent(in.SlowCalls) >= p.SlowCallRate:
		o.trip(SlowCallRate, in, retryAfter)
	case p.ConsecutiveFailures > 0 && streak >= p.ConsecutiveFailures:
		o.trip(Consecutive, in, retryAfter)
	}
}

// window returns the calls of an epoch that are in sight, the last of which has just been counted.
//
// A time window is simple. A count window of n moves at boundaries between calls. While it is watched there is a boundary
// every n/10 calls; at each, the calls before the last boundary that is at least n calls back go out of sight. When what
// is then in sight is all good, it is watched no longer, and the next bad call starts over: with boundaries n, n - n/10,
// n - 2n/10 ... calls back from it and one right before it, as far as those calls are in sight.
func (o *oracle) window(calls []oracleCall) []oracleCall {
	p := &o.policy
	if p.WindowRequests == 0 {
		bucket := (int64(p.WindowDuration) + 9) / 10
		for int64(calls[0].at)/bucket < int64(o.now)/bucket-10 {
			calls = calls[1:]
		}
		return calls
	}
	n, bucket := p.WindowRequests, (p.WindowRequests+9)/10
	boundaries, watched := []int{0}, false
	for i, c := range calls {
		switch {
		case !watched && c.bad():
			first := boundaries[0]
			boundaries, watched = nil, true
			for back := n; back > 0; back -= bucket {
				if i-back > first {
					boundaries = append(boundaries, i-back)
				} else {
					boundaries = []int{first}
				}
			}
			if boundaries[len(boundaries)-1] != i {
				boundaries = append(boundaries, i)
			}
		case watched && i-boundaries[len(boundaries)-1] >= bucket:
			boundaries = append(boundaries, i)
			for boundaries[1] <= i-n {
				boundaries = boundaries[1:]
			}
			watched = c.bad()
			for _, c := range calls[boundaries[0]:i] {
				watched = watched || c.bad()
			}
		}
	}
	return calls[boundaries[0]:]
}

func (o *oracle) trip(why Reason, in Totals, retryAfter time.Duration) {
	o.moves = append(o.moves, oracleMove{to: Open, at: o.now, why: why, window: in})
	limit := float64(o.policy.OpenMaxDuration)
	d := float64(o.policy.OpenDuration)
	for range o.trips() - 1 {
		d = min(d*o.policy.OpenMultiplier, limit)
	}
	openFor := max(1, time.Duration(d*(1-o.policy.OpenJitter*o.dice)))
	if retryAfter > 0 {
		openFor = min(retryAfter, o.policy.OpenMaxDuration)
	}
	o.moves[len(o.moves)-1].openFor = openFor
}

// sideBySide runs a breaker and the oracle side by side.
type sideBySide struct {
	*world
	t       *rapid.T
	oracle  oracle
	workers []*Breaker
	flights []entry // those of the oracle, by index
	open    []int   // indices of flights that have not ended
}

func (s *sideBySide) request(worker int) (admitted bool) {
	p := s.workers[worker].Acquire()
	kind, why, retryAfter := s.oracle.request()
	if p.kind != kind || p.State() != why || p.RetryAfter != retryAfter {
		s.t.Fatalf("request: got %d %q %v, want %d %q %v", p.kind, p.State(), p.RetryAfter, kind, why, retryAfter)
	}
	s.flights = append(s.flights, entry{worker: worker, permit: p})
	if p.kind != refused {
		s.open = append(s.open, len(s.flights)-1)
	}
	s.compare()
	return p.kind != refused
}

func (s *sideBySide) end(i int, o Outcome) {
	flight := s.open[i]
	s.open = append(s.open[:i:i], s.open[i+1:]...)
	f := s.flights[flight]
	b := s.workers[f.worker]
	slow := o.Slow && s.oracle.policy.SlowCallDuration > 0
	if f.permit.kind == counted && o.Result == Success && !slow && len(s.workers) > 1 {
		// A good end is judged by what its worker knows, which may not be the latest of the others. Let it know.
		b.load(s.now)
	}
	b.Done(f.permit, o)
	s.oracle.end(flight, o)
	s.compare()
}

func (s *sideBySide) compare() {
	o := &s.oracle
	if len(s.moves) != len(o.moves) {
		s.t.Fatalf("transitions: got %s, want %s", describe(s.moves), describe(o.moves))
	}
	if n := len(o.moves); n > 0 {
		got, want := s.moves[n-1], o.moves[n-1]
		if got.To != want.to || got.At != want.at || got.OpenFor != want.openFor || got.Reason != want.why ||
			got.To == Open && got.From == Closed && got.Window != want.window ||
			got.To == Open && got.Trips != uint32(o.trips()) {
			s.t.Fatalf("transition: got %+v, want %+v", got, want)
		}
	}
	if r := s.record(); r.State != o.state() {
		s.t.Fatalf("state: got %v, want %v", r.State, o.state())
	}
	if calls, late := s.tally.Value(Calls), s.tally.Value(Late); calls != uint64(len(o.calls)) || late != o.late {
		s.t.Fatalf("got %d calls and %d late, want %d and %d", calls, late, len(o.calls), o.late)
	}
}

func describe[T any](moves []T) string {
	if len(moves) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, the last one %+v", len(moves), moves[len(moves)-1])
}

func TestOracle(t *testing.T) {
	checkSteps(t, 200_000, 60, func(t *rapid.T, repeat func(map[string]func(*rapid.T))) {
		p := anyPolicy.Draw(t, "policy")
		p.ProbeInterval = 0
		s := &sideBySide{world: newWorld(t), t: t, oracle: oracle{policy: p}}
		for range rapid.IntRange(1, 3).Draw(t, "workers") {
			s.workers = append(s.workers, s.worker(p))
		}
		if rapid.IntRange(0, 3).Draw(t, "mute") == 3 {
			for stat := range s.mute {
				s.mute[stat] = true
			}
		}
		s.workers[0].load(s.now)
		s.oracle.now = s.now
		any := func(t *rapid.T) int { return rapid.IntRange(0, len(s.workers)-1).Draw(t, "worker") }
		several := func(t *rapid.T) {
			worker := any(t)
			outcomes := rapid.SliceOfN(anyOutcome, 1, 2).Draw(t, "outcomes")
			for i := range rapid.IntRange(1, 25).Draw(t, "how many") {
				if s.request(worker) {
					s.end(len(s.open)-1, outcomes[i%len(outcomes)])
				}
			}
		}
		repeat(map[string]func(*rapid.T){
			"request": func(t *rapid.T) { s.request(any(t)) },
			"end": func(t *rapid.T) {
				if len(s.open) > 0 {
					s.end(rapid.IntRange(0, len(s.open)-1).Draw(t, "which"), anyOutcome.Draw(t, "outcome"))
				}
			},
			"several": several, "several ": several,
			"advance": func(t *rapid.T) {
				s.now = s.now.Add(anyPause(t, p))
				s.oracle.now = s.now
			},
			"dice": func(t *rapid.T) {
				s.rnd = anyRandom(t)
				s.oracle.dice = share(s.rnd)
			},
		})
	})
}
