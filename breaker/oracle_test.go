package breaker

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// oracle is a breaker as one would write it down without a thought for speed, memory or other workers: it keeps all that
// ever happened in lists, and works everything out from them whenever it is asked. These are the exact rules, at the
// granularity of buckets. A request ends in the bucket it ends in, and is counted at its end; or as a slow call when it is told
// that it still waits. If that one fails later in the same epoch, it is a failed slow call of the bucket that it fails in, and
// is no longer in the one before.
//
//   - A closed breaker is judged when a failure or slow call has been counted, and at no other time.
//   - Time window of length D, buckets of D/10 (rounded up to a nanosecond): at a bad outcome in bucket b, the window is
//     all calls counted in this epoch in the buckets b-10 to b.
//   - Count window of n, buckets of n/10 (rounded up to a call): see window.
//   - In a window, failures and slow calls are no more than calls.
//   - The rate of failures is that of the calls which no longer wait. In the window there wait as many as wait in all, but no more
//     than slow calls beyond the failures.
//   - The streak is the failures since the last success of this epoch. A call that still waits is neither.
//   - Trips in a row: since the last trip that found the breaker closed for open.max_duration, or the ramp if that is
//     longer, including that one.
//   - A permit is live from when it is given until its end, or until it is released. A request that comes half a second after
//     its half_open.permit_timeout, or later, finds that it has expired.
//   - Expiries in a row are those found, and the unanswered ends of trials whose permits had not been found so, since the last
//     success of a trial in this epoch. At half_open.max_requests the next request opens the breaker again.
//   - An end in another epoch than its request's is late, and nothing else is.
type oracle struct {
	policy  Policy
	now     Time
	dice    float64
	moves   []oracleMove
	flights []oracleFlight
	events  []oracleEvent
	lapsed  []lapse
	late    uint64
	noGauge bool // of what waits
}

type oracleMove struct {
	to      State
	at      Time
	openFor time.Duration
	why     Reason
	window  Totals
	waiting uint64
	expired uint32
}

type oracleFlight struct {
	at    Time
	epoch int // how many moves there had been
	kind  permitKind
	ended bool
	gone  bool // it has no permit any more
	found bool // because that has expired
	good  bool // a trial that succeeded
	waits int  // counted while it waited, by the event of this number; 0 is not
}

// An oracleEvent is something that was counted, or the end of a call that had been.
type oracleEvent struct {
	at    Time
	epoch int
	Outcome
	waits bool // this call was counted while it waited
	gone  int  // and has failed, by the event of this number; 0 is not
	rest  bool // what came of such a call
	of    int  // the number of its event
}

// isCall reports whether it is a call of a window, when as many events have come.
func (e *oracleEvent) isCall(events int) bool {
	return !e.rest && (e.gone == 0 || e.gone > events) || e.rest && e.Result == Failure
}

// A lapse is an expiry, or the success of a trial.
type lapse struct {
	epoch   int
	success bool
}

// expired returns the expiries in a row.
func (o *oracle) expired() (n uint32) {
	for _, l := range o.lapsed {
		switch {
		case l.epoch != len(o.moves):
		case l.success:
			n = 0
		default:
			n++
		}
	}
	return n
}

// waiting counts the calls of this epoch that were counted and still wait.
func (o *oracle) waiting() (n uint64) {
	for _, f := range o.flights {
		if f.waits > 0 && !f.ended && f.epoch == len(o.moves) {
			n++
		}
	}
	return n
}

func (o *oracle) calls() (n uint64) {
	for _, e := range o.events {
		if !e.rest {
			n++
		}
	}
	return n
}

func (o *oracle) count(e oracleEvent) {
	e.at, e.epoch = o.now, len(o.moves)
	o.events = append(o.events, e)
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
	for i := range o.flights {
		f := &o.flights[i]
		if f.kind != trial || f.epoch != len(o.moves) || f.gone {
			continue
		}
		if o.now.Sub(f.at) >= o.policy.HalfOpenPermitTimeout+500*time.Millisecond {
			f.gone, f.found = true, true
			o.lapsed = append(o.lapsed, lapse{epoch: len(o.moves)})
			continue
		}
		live++
	}
	most, expired := o.policy.HalfOpenMaxRequests, o.expired()
	switch {
	case int(expired) >= most:
		o.trip(oracleMove{why: HalfOpenFailure, expired: expired}, 0)
		return refused, "open", o.moves[len(o.moves)-1].openFor
	case live+int(expired) >= most:
		return refused, "half_open", 0
	}
	return trial, "half_open", 0
}

// release gives a flight's permit back.
func (o *oracle) release(i int) { o.flights[i].gone = true }

// stillWaits counts a flight as a slow call, and reports whether it did.
func (o *oracle) stillWaits(i int) bool {
	f := &o.flights[i]
	switch {
	case o.policy.SlowCallDuration == 0 || f.waits > 0 || f.ended:
		return false
	case f.kind == trial:
		o.end(i, Outcome{Slow: true})
		return true
	case f.kind != counted || f.epoch != len(o.moves):
		return false
	}
	o.count(oracleEvent{Outcome: Outcome{Slow: true}, waits: true})
	f.waits = len(o.events)
	o.judge(0)
	return true
}

func (o *oracle) end(i int, out Outcome) {
	f := &o.flights[i]
	if f.ended {
		return
	}
	had := !f.gone
	f.ended, f.gone = true, true
	out.Slow = out.Slow && o.policy.SlowCallDuration > 0
	switch {
	case f.waits > 0:
		if f.epoch == len(o.moves) {
			o.endRest(f.waits, out)
		}
	case out.Result == Neutral:
		if f.kind == trial && f.epoch == len(o.moves) && out.Unanswered && (had || !f.found) {
			o.lapsed = append(o.lapsed, lapse{epoch: len(o.moves)})
		}
	case f.kind == shadowed, f.epoch != len(o.moves):
		o.late++
	case f.kind == trial && out.bad():
		o.count(oracleEvent{Outcome: out})
		o.trip(oracleMove{why: HalfOpenFailure}, out.RetryAfter)
	case f.kind == trial:
		f.good = true
		o.count(oracleEvent{Outcome: out})
		o.lapsed = append(o.lapsed, lapse{epoch: len(o.moves), success: true})
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
		o.count(oracleEvent{Outcome: out})
		if out.bad() {
			o.judge(out.RetryAfter)
		}
	}
}

// endRest counts what came of a call that was counted by the event of that number while it waited.
func (o *oracle) endRest(call int, out Outcome) {
	out.Slow = out.Result == Failure
	o.count(oracleEvent{Outcome: out, rest: true, of: call})
	if out.Result == Failure {
		o.events[call-1].gone = len(o.events)
		o.judge(out.RetryAfter)
	}
}

func (o *oracle) judge(retryAfter time.Duration) {
	streak := 0
	for _, e := range o.events {
		switch {
		case e.epoch != len(o.moves):
		case e.Result == Failure:
			streak++
		case e.Result == Success && !e.waits:
			streak = 0
		}
	}
	in := o.window()
	p := &o.policy
	enough := in.Calls >= uint64(p.MinRequests)
	ended := in
	if p.SlowCallDuration > 0 && !o.noGauge {
		ended.Calls -= min(o.waiting(), in.SlowCalls-min(in.SlowCalls, in.Failures))
	}
	switch percent := func(n uint64) float64 { return 100 * float64(n) / float64(in.Calls) }; {
	case ended.Calls >= uint64(p.MinRequests) && p.FailureRate > 0 && 100*float64(in.Failures)/float64(ended.Calls) >= p.FailureRate:
		o.trip(oracleMove{why: FailureRate, window: ended}, retryAfter)
	case enough && p.SlowCallDuration > 0 && percent(in.SlowCalls) >= p.SlowCallRate:
		o.trip(oracleMove{why: SlowCallRate, window: in, waiting: min(o.waiting(), in.SlowCalls)}, retryAfter)
	case p.ConsecutiveFailures > 0 && streak >= p.ConsecutiveFailures:
		o.trip(oracleMove{why: Consecutive, window: in}, retryAfter)
	}
}

// window returns what is in sight of this epoch, in which something has just been counted.
//
// A time window is simple. A count window of n moves at boundaries between calls. While it is watched there is a boundary
// every n/10 calls; at each, the calls before the last boundary that is at least n calls back go out of sight. There are eleven
// boundaries at most: of more, the one goes that has the fewest calls on both sides together. When what is then in sight is all
// good, it is watched no longer, and the next bad event starts over: with boundaries n, n - n/10, n - 2n/10 ... calls back from it
// and one right before it, as far as those calls are in sight.
func (o *oracle) window() (in Totals) {
	var events []oracleEvent
	earlier := 0
	for _, e := range o.events {
		if e.epoch != len(o.moves) {
			earlier++
		} else {
			e.of, e.gone = max(0, e.of-earlier), max(0, e.gone-earlier)
			events = append(events, e)
		}
	}
	from := 0 // the first event in sight
	if o.policy.WindowRequests > 0 {
		from = o.boundary(events)
	} else {
		bucket := (int64(o.policy.WindowDuration) + 9) / 10
		for int64(events[from].at)/bucket < int64(o.now)/bucket-10 {
			from++
		}
	}
	for _, e := range events[from:] {
		if !e.isCall(len(events)) {
			continue
		}
		in.Calls++
		if e.Result == Failure {
			in.Failures++
		}
		if e.Slow {
			in.SlowCalls++
		}
	}
	return Totals{in.Calls, min(in.Failures, in.Calls), min(in.SlowCalls, in.Calls)}
}

// boundary returns the first event that a count window has in sight.
func (o *oracle) boundary(events []oracleEvent) int {
	n, bucket := o.policy.WindowRequests, (o.policy.WindowRequests+9)/10
	type boundary struct{ calls, event int }
	boundaries, watched := []boundary{{}}, false
	last := func() boundary { return boundaries[len(boundaries)-1] }
	calls := 0
	for i, e := range events {
		bad := e.bad()
		switch {
		case !watched && bad:
			first := boundaries[0]
			boundaries, watched = nil, true
			for back := n; back > 0; back -= bucket {
				if calls-back > first.calls {
					boundaries = append(boundaries, boundary{calls - back, nthCall(events, calls-back)})
				} else {
					boundaries = []boundary{first}
				}
			}
			if last().calls != calls {
				boundaries = append(boundaries, boundary{calls, i})
			}
		case watched && calls-last().calls >= bucket:
			boundaries = append(boundaries, boundary{calls, i})
			for boundaries[1].calls <= calls-n {
				boundaries = boundaries[1:]
			}
			if len(boundaries) > 11 {
				least := 1
				for k := 2; k < 11; k++ {
					if boundaries[k+1].calls-boundaries[k-1].calls < boundaries[least+1].calls-boundaries[least-1].calls {
						least = k
					}
				}
				boundaries = append(boundaries[:least:least], boundaries[least+1:]...)
			}
			watched = bad
			for _, e := range events[boundaries[0].event:i] {
				watched = watched || e.isCall(i) && e.bad()
			}
		}
		if e.rest && e.Result == Failure { // it is a call of the last bucket now
			for j := range boundaries {
				if boundaries[j].event >= e.of {
					boundaries[j].calls--
				}
			}
		}
		if !e.rest {
			calls++
		}
	}
	return boundaries[0].event
}

// nthCall returns which event the n-th call is, from 0.
func nthCall(events []oracleEvent, n int) int {
	for i, e := range events {
		if n == 0 && !e.rest {
			return i
		}
		if !e.rest {
			n--
		}
	}
	return len(events)
}

func (o *oracle) trip(m oracleMove, retryAfter time.Duration) {
	m.to, m.at = Open, o.now
	o.moves = append(o.moves, m)
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
	s.workers[f.worker].Done(f.permit, o)
	s.oracle.end(flight, o)
	s.compare()
}

func (s *sideBySide) stillWaits(i int) {
	f := &s.flights[s.open[i]]
	was := f.permit
	f.permit = s.workers[f.worker].StillWaiting(was)
	if s.oracle.stillWaits(s.open[i]) != (f.permit != was) {
		s.t.Fatalf("still waits: %+v, then %+v", was, f.permit)
	}
	s.compare()
}

func (s *sideBySide) release(i int) {
	f := &s.flights[s.open[i]]
	f.permit = s.workers[f.worker].Release(f.permit)
	s.oracle.release(s.open[i])
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
			got.To == Open && got.Trips != uint32(o.trips()) ||
			got.Expired != want.expired || got.Waiting != want.waiting && !s.mute[Waiting] {
			s.t.Fatalf("transition: got %+v, want %+v", got, want)
		}
	}
	if r := s.record(); r.State != o.state() {
		s.t.Fatalf("state: got %v, want %v", r.State, o.state())
	}
	if calls, late := s.tally.Value(Calls), s.tally.Value(Late); calls != o.calls() || late != o.late {
		s.t.Fatalf("got %d calls and %d late, want %d and %d", calls, late, o.calls(), o.late)
	}
	if n := s.tally.Value(Waiting); n != o.waiting() && !s.mute[Waiting] {
		s.t.Fatalf("%d calls still wait, want %d", n, o.waiting())
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
			s.oracle.noGauge = true
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
			"still waits": func(t *rapid.T) {
				if len(s.open) > 0 {
					s.stillWaits(rapid.IntRange(0, len(s.open)-1).Draw(t, "which"))
				}
			},
			"several wait": func(t *rapid.T) {
				worker := any(t)
				for range rapid.IntRange(1, 12).Draw(t, "how many") {
					if s.request(worker) {
						s.stillWaits(len(s.open) - 1)
					}
				}
			},
			"release": func(t *rapid.T) {
				if len(s.open) > 0 {
					s.release(rapid.IntRange(0, len(s.open)-1).Draw(t, "which"))
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
