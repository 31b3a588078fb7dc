package breaker

import "envoy-circuit-breaker/internal/time"

// A view is what a worker knows of the record, for as long as the bell stands where it stood (rule 1).
type view struct {
	bell     uint64 // 0: the bell does not work, and the view is good for nothing but the moment
	oldAt    Time   // when to look at the record again all the same
	until    Time   // the same for ends of requests, which must move the window too
	fastPath bool   // requests are admitted, and a success needs no more than to be counted
	known    bool   // false: there is no record, or it could not be read

	state     State
	epoch     uint64
	began     Time // when the breaker closed, or the record was made
	fresh     bool // it has never closed
	openUntil Time
	retryAt   Time
	probeAt   Time
	ramping   bool
	stored    bool // Record.StoredTally

	kind          WindowKind
	base          Totals // of the window
	watched       bool   // Window.Watched
	next          uint64 // watched: the total of calls at which the window must move
	epochFailures uint64
}

const (
	// maxViewAge is how old a view may be. An older one is read again though the bell has not moved, which bounds what a lost
	// ring can do, or a bell that was set back and has come to the same value again. It is a little more than a bucket of the
	// default window, so that what is read when that moves is good for the admissions until the next time.
	maxViewAge = 1250 * time.Millisecond
	// tries bounds the attempts to write a record against other workers. Each lost attempt is somebody's progress.
	tries = 16
	// giveBackTries is practically for ever, without hanging on a store that refuses everything.
	giveBackTries = 10_000
)

// trusted returns the view if the bell has not moved since it was taken, else nil. Whether its time is up is for the caller to judge.
// It is good until the record is read again.
func (b *Breaker) trusted() *view {
	v := b.view.Load()
	if v == nil || v.bell == 0 || v.bell != b.tally.Value(Changes) {
		return nil
	}
	return v
}

// isYoung reports whether a view may be used for an admission, for all that its age says. Where the bell holds, no age says anything:
// that leaves out one of a request's two looks at the clock, which is most of what it takes in one process. Ends of requests look at
// it all the same, for the window.
func (b *Breaker) isYoung(v *view) bool { return b.bellHolds || b.clock.Coarse() < v.oldAt }

// loaded is the record as it was read.
type loaded struct {
	Record
	ok      bool // false: it was corrupt and has been replaced, or could not be read
	at      Time // when it was read
	version uint32
	bell    uint64 // as it was before
}

// load reads the record, and remembers it under the value that the bell had before (rule 1).
func (b *Breaker) load(now Time) loaded {
	s := b.read(now)
	if s.ok {
		b.remember(&s.Record, s.bell, now)
	}
	return s
}

// read is load for a caller that may have something newer to remember. It makes a record if there is none.
func (b *Breaker) read(now Time) loaded {
	for range tries {
		bell := b.tally.Value(Changes)
		value, version := b.store.Load()
		if value == nil {
			b.create(now, version)
			continue
		}
		s := loaded{ok: true, at: now, version: version, bell: bell}
		if s.Record.UnmarshalBinary(value) != nil {
			b.create(now, version)
			return loaded{}
		}
		if bell == 0 && !b.bellHidden.Load() {
			b.resume(&s, now)
			continue
		}
		if bell != 0 && b.bellHidden.Load() {
			b.bellHidden.Store(false)
		}
		if s.Owner != b.owner {
			next := s.Record
			if eff := b.policy.takeOver(&next, b.owner, now, b.totals(s.StoredTally)); eff != same {
				b.swap(&s, &next, eff, nil)
				continue
			}
		}
		if b.mustTell(&s.Record, now) {
			b.tell(&s.Record) // who wrote it may have died on the way (rule 20)
		}
		return s
	}
	return loaded{}
}

// create writes a fresh record over nothing or a corrupt one, under the version that was read (rule 13), and rings (rule 1). Over nothing
// it takes over what the version before has open (rule 12).
func (b *Breaker) create(now Time, version uint32) {
	r := b.policy.fresh(b.owner, now, b.totals(false))
	if version == 0 && b.before != nil {
		b.policy.takeOverBefore(&r, b.before(), now)
	}
	if b.tally.Value(Changes) == 0 {
		b.tally.Add(Changes) // or a worker that meets the record before the ring below would take the bell for set back
	}
	if b.write(&r, version, now) {
		b.tally.Add(Changes)
		b.show(r.State, r.Epoch)
	}
}

// resume deals with a bell at zero. Whoever creates a record rings, so either this bell counts nothing, and the record must
// be read every time; or the counters were set back, and the window must begin afresh.
func (b *Breaker) resume(s *loaded, now Time) {
	t := b.totals(s.StoredTally)
	if b.tally.Value(Changes) != 0 {
		return // it has just been rung for the first time: what was counted since must not be forgotten
	}
	b.tally.Add(Changes)
	if b.tally.Value(Changes) == 0 {
		b.bellHidden.Store(true)
		if b.onHidden != nil {
			b.onHidden(Changes)
		}
		return
	}
	if s.State != Closed || s.StoredTally {
		return
	}
	next := s.Record
	again := s.SetBack && s.Window.isYoung(now)
	if again && b.counts != nil { // such a window would never fill
		_, version := b.counts.store.Load()
		if _, unchanged := b.store.Load(); unchanged != s.version {
			return
		}
		if b.counts.begin(Totals{}, 0, version) {
			next.StoredTally, t = true, Totals{}
		}
	}
	next.beginWindow(next.Window, now, t)
	next.SetBack = true
	if b.write(&next, s.version, now) {
		b.tally.Add(Changes) // once more: others may have read the old window under the first ring
	}
}

// remember makes a record the view.
func (b *Breaker) remember(r *Record, bell uint64, now Time) view {
	v := view{
		known: true, bell: bell, oldAt: now.Add(maxViewAge), until: now.Add(maxViewAge),
		state: r.State, epoch: r.Epoch, began: r.ClosedAt, fresh: r.ClosedAt == 0,
		openUntil: b.policy.openUntil(r), retryAt: b.policy.retryAt(r), probeAt: r.ProbeAt,
		ramping: b.policy.ramping(r, now), stored: r.StoredTally,
	}
	if v.fresh {
		v.began = Time(r.Epoch)
	}
	if r.State == Open && b.policy.ProbeInterval > 0 {
		v.until = min(v.until, now.Add(b.policy.ProbeInterval)) // probes do not ring
	}
	if r.State == Closed {
		w := &r.Window
		if r.Owner == b.owner {
			v.until = min(v.until, r.OwnedAt.Add(r.unownedFor()/2)) // so that it is heard of
		}
		v.kind, v.base, v.watched, v.epochFailures = w.Kind, w.base(), w.Watched, r.EpochFailures
		if w.Kind == TimeWindow {
			v.until = min(v.until, w.end())
		} else {
			v.next = w.newest().Calls + uint64(w.bucket())
		}
	}
	v.fastPath = v.state == Closed && !v.ramping && !v.stored && !v.watched && bell != 0 && b.policy.Mode <= Shadow
	b.view.Store(v)
	b.rowShown.Store(true) // by another worker, perhaps
	return v
}

// swap writes next in the place of what was loaded, and tells the other workers if they must know.
func (b *Breaker) swap(s *loaded, next *Record, eff effect, moved *Transition) bool {
	if next.Owner == b.owner {
		next.OwnedAt = s.at
	}
	if !b.write(next, s.version, s.at) {
		return false
	}
	if moved != nil && moved.To == Open {
		b.tally.Set(Streak, 0)
	}
	if moved != nil && moved.To != Closed { // half-open too: somebody may have been counting a call as the breaker opened
		b.tally.Set(Waiting, 0)
	}
	if eff == loud {
		b.tally.Add(Changes) // after the write (rule 1), or the others would read the old record under the new bell
	}
	if moved != nil {
		b.announce(moved)
	}
	return true
}

func (b *Breaker) write(r *Record, version uint32, now Time) bool {
	mustTell := b.mustTell(r, now)
	if mustTell {
		b.group.add(b.member) // before the record too: should this worker die right after, the list has it (rule 20)
	}
	buf := borrow()
	value, _ := r.AppendBinary(buf[:0])
	written := b.store.CompareAndSwap(value, version)
	giveBack(buf)
	if written && mustTell {
		b.tell(r)
	}
	return written
}
