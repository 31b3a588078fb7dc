package breaker

import "envoy-circuit-breaker/internal/time"

// onFastPath reports whether a success needs no more than to be counted.
func (b *Breaker) onFastPath(p Permit) bool {
	v := b.view.Load()
	return v != nil && v.fastPath && (v.epoch == p.epoch && p.kind == counted || v.began <= Time(p.epoch) && p.kind == unclaimed) &&
		b.clock.Coarse() < v.until && b.verified(Calls) &&
		(b.policy.ConsecutiveFailures == 0 || b.verified(Successes)) &&
		v.bell == b.tally.Value(Changes) // rule 2
}

// count counts the outcome of a request that a closed breaker admitted, and opens the breaker if it must. The order is
// rule 3: the window moves, then the call is counted, then the failure; then failures are read, and calls last.
func (b *Breaker) count(p Permit, o Outcome) {
	now := b.clock.Now()
	v := b.ready(now, o.bad(), p.epoch)
	switch {
	case !v.known:
		b.tally.Add(Errors)
	case v.epoch != p.epoch:
		b.tally.Add(Late)
	default:
		stored, streak := b.add(b.whole(o), v.epoch, v.stored, now)
		if o.bad() {
			b.judge(&v, o.RetryAfter, stored, streak, now)
		}
	}
}

// anyEpoch is no epoch that a record ever has.
const anyEpoch = 0

// ready returns what is known of the record, with the window moved to now if it is of that epoch.
//
// It looks at the bell, whatever is to be counted (rule 2).
func (b *Breaker) ready(now Time, bad bool, epoch uint64) view {
	v := b.trusted()
	if v != nil && now < v.until && !b.mustMove(v, bad) {
		return *v
	}
	return b.move(now, bad, epoch, nil)
}

// move is ready by the record. A call that has failed after it was counted as slow, at the given mark, is brought into the newest
// bucket (rule 18). Where the swap is lost too often, the window stays as it is.
func (b *Breaker) move(now Time, bad bool, epoch uint64, mark *uint64) (v view) {
	for range tries {
		s := b.read(now)
		if !s.ok {
			return view{}
		}
		if s.State != Closed || epoch != anyEpoch && epoch != s.Epoch {
			return b.remember(&s.Record, s.bell, now)
		}
		var done bool
		if v, done = b.moveOn(&s, now, bad, mark); done {
			break
		}
	}
	return v
}

// moveOn is move for a record of a closed breaker that has been read. It reports false where another worker was faster.
func (b *Breaker) moveOn(s *loaded, now Time, bad bool, mark *uint64) (v view, done bool) {
	// A count window with nothing bad in it has nothing to write, and would seem to have lost its owner.
	quietOwner := s.Owner == b.owner && now.Sub(s.OwnedAt) >= s.unownedFor()/2
	next := s.Record
	due, brought := false, false
	if s.Window.Kind == CountWindow || s.Window.isOver(now) {
		t := b.totalsAfter(s.Window.newest().Totals, s.StoredTally)
		if due = s.Window.due(now, t, bad); due {
			next.Window.move(now, t, bad)
			next.EpochFailures = min(next.EpochFailures, t.Failures) // where counters were set back
		}
	}
	if mark != nil {
		brought = next.Window.bring(*mark)
	}
	if !due && !brought && !quietOwner {
		return b.remember(&s.Record, s.bell, now), true
	}
	eff := quiet
	if next.Window.Watched && (brought || !s.Window.Watched) {
		eff = loud // from now on everybody has to look out for the boundary, or for another one
	}
	if !b.swap(s, &next, eff, nil) ||
		// A failure was counted meanwhile by a worker that saw it watched, and so need not tell.
		s.Window.Watched && !next.Window.Watched && !next.Window.clean(b.totals(s.StoredTally)) {
		return b.remember(&s.Record, s.bell, now), false
	}
	return b.remember(&next, s.bell, now), true
}

// mustMove reports whether a count window may have to move; the end of a time window's bucket is in view.until.
func (b *Breaker) mustMove(v *view, bad bool) bool {
	switch {
	case v.state != Closed || v.kind == TimeWindow:
		return false
	case v.watched:
		return v.stored || b.tally.Value(Calls) >= v.next
	}
	return bad
}

// calls reads the total of calls.
func (b *Breaker) calls(stored bool) uint64 {
	if stored && b.counts != nil {
		t, _ := b.counts.read()
		return t.Calls
	}
	return b.tally.Value(Calls)
}

// An addition is what is added to the tally in one go.
type addition struct {
	call, failure, slow bool
	streak              bool // one more in a row
	ended               bool // the row has ended
}

// whole is all that an outcome adds.
func (b *Breaker) whole(o Outcome) addition {
	rows := b.policy.ConsecutiveFailures > 0
	failed := o.Result == Failure
	return addition{call: true, failure: failed, slow: o.Slow, streak: rows && failed, ended: rows && !failed}
}

// add adds to the tally, in the order of rule 3. It reports whether the tally is the stored one, and how many failures in a row
// this one makes, or 0.
func (b *Breaker) add(a addition, epoch uint64, was bool, now Time) (stored bool, streak uint64) {
	stored = was
	var added [4]Stat
	n := 0
	for _, x := range [...]struct {
		is bool
		s  Stat
	}{{a.call, Calls}, {a.failure, Failures}, {a.slow, SlowCalls}, {a.ended, Successes}} {
		if x.is {
			b.tally.Add(x.s)
			added[n] = x.s
			n++
		}
	}
	for _, s := range added[:n] {
		if !stored && !b.verified(s) {
			stored = !b.checkStatCounts(s, a, now)
		}
	}
	if stored = stored && b.counts != nil; stored {
		b.counts.add(a)
	}
	switch {
	case a.ended:
		b.showRowEnded()
	case a.streak:
		streak = b.countStreak(epoch, stored)
	}
	return stored, streak
}

// verified reports whether a counter is known to count.
func (b *Breaker) verified(s Stat) bool { return b.counts == nil || b.counted.Load()&(1<<s) != 0 }

// checkStatCounts finds out, right after adding to it, whether a counter counts or is hidden (rule 14). If it does not, the
// tally of this breaker moves to the store, for all workers; without the addition, which is made there then.
func (b *Breaker) checkStatCounts(s Stat, a addition, now Time) bool {
	for range tries {
		if b.tally.Value(s) > 0 {
			b.counted.Or(1 << s)
			return true
		}
		// It may have been set back in between.
		b.tally.Add(s)
	}
	if b.onHidden != nil {
		b.onHidden(s)
	}
	for range tries {
		_, version := b.counts.store.Load() // before the record: nobody adds there until that says so
		s := b.load(now)
		if !s.ok || s.StoredTally {
			break
		}
		next := s.Record
		next.StoredTally = true
		t, good := b.seenWithout(a)
		if b.counts.begin(t, good, version) && b.swap(&s, &next, loud, nil) {
			break
		}
	}
	return false
}

// seenWithout reads what has been counted so far, so that the window's snapshots fit the tally that goes on from there. What is hidden
// reads as it always did.
func (b *Breaker) seenWithout(a addition) (t Totals, good uint64) {
	without := func(total uint64, is bool) uint64 { return total - min(total, one(is)) }
	t = b.totals(false)
	if b.policy.ConsecutiveFailures > 0 {
		good = without(b.tally.Value(Successes), a.ended)
	}
	return Totals{without(t.Calls, a.call), without(t.Failures, a.failure), without(t.SlowCalls, a.slow)}, good
}

// judge opens the breaker if it must, after something bad has been counted (rule 4). streak is how many failures in a row it was the
// last of.
func (b *Breaker) judge(v *view, retryAfter time.Duration, stored bool, streak uint64, now Time) {
	// Where slow calls are counted, the view's base can have been changed without a ring (rule 18).
	if !stored && v.kind == TimeWindow && b.policy.SlowCallDuration == 0 {
		t := b.failuresFirst(false)
		in, ok := t.since(v.base)
		// Past the view's time another worker may have moved the window, and judged it before this was counted.
		if _, trips := b.policy.judge(in, 0, t.Failures-v.epochFailures, streak); ok && !trips && b.clock.Now() < v.until {
			return
		}
	}
	rnd := b.rand()
	for range tries {
		s := b.load(now)
		if !s.ok || s.Epoch != v.epoch {
			return // opened by another worker
		}
		waiting := b.stillWaiting()
		t := b.failuresFirst(s.StoredTally)
		waiting = min(waiting, b.stillWaiting()) // neither one that is not in the totals yet, nor one whose failure is
		in, ok := s.Window.count(t)
		why, trips := b.policy.judge(in, waiting, t.Failures-s.EpochFailures, streak)
		next := s.Record
		var moved *Transition
		switch {
		case !ok:
			next.beginWindow(next.Window, now, t)
		case trips:
			if why.Reason == SlowCallRate {
				why.Waiting = min(waiting, in.SlowCalls)
			}
			moved = b.policy.trip(&next, why, retryAfter, now, rnd)
		case v.kind == CountWindow && !s.Window.Watched:
			next.Window.Watched = true // another worker took it for clean, just before this was counted
		default:
			return
		}
		// Rule 5: if another worker was faster, with a bucket say, judge again by what it wrote.
		if b.swap(&s, &next, loud, moved) {
			return
		}
	}
}

// failuresFirst reads the totals for judging: failures first and calls last (rule 3).
func (b *Breaker) failuresFirst(stored bool) (t Totals) {
	if stored && b.counts != nil {
		t, _ = b.counts.read()
		return t
	}
	t.Failures = b.tally.Value(Failures)
	t.SlowCalls = b.tally.Value(SlowCalls) // even where it is off: the window's base has those of another policy
	t.Calls = b.tally.Value(Calls)
	return t
}

// totals reads the totals for a snapshot: again until they hold still (rule 3), or a failure could be in the snapshot and its
// call not.
func (b *Breaker) totals(stored bool) Totals {
	if stored && b.counts != nil {
		t, _ := b.counts.read()
		return t
	}
	t := b.callsFirst()
	for range 2 {
		again := b.callsFirst()
		if again == t {
			break
		}
		t = again
	}
	return t
}

// totalsAfter is totals for the snapshot that comes after another one. If nothing bad has been counted since, no failure can be in it
// without its call, and one reading is enough.
func (b *Breaker) totalsAfter(last Totals, stored bool) Totals {
	if !stored || b.counts == nil {
		if t := b.callsFirst(); t.Failures == last.Failures && t.SlowCalls == last.SlowCalls {
			return t
		}
	}
	return b.totals(stored)
}

func (b *Breaker) callsFirst() Totals {
	return Totals{b.tally.Value(Calls), b.tally.Value(Failures), b.tally.Value(SlowCalls)}
}
