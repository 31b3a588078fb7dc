package breaker

import (
	"slices"
	"time"
)

// This file knows the truth of a run on a stage: what was admitted, what ended how and when. It checks every step of the
// workers against it, and the end.
//
// Requests that end at the same time have no order among them, so there is not one true window but several: whoever has
// not yet been counted when a worker judges may be in it or not. A trip is wrong if no such window satisfies a condition;
// a missing trip is wrong if all of them do.
//
// A failure is two additions, and a worker may take a snapshot between the two of another. Then the window that looks back
// to this snapshot has the failure and not its call. It is off by that one, which nothing can be done about; here such a
// failure is called torn, and may count so.
//
// A request that was counted while it still waited is tracked as two: one that has ended as a slow call, and what is left of it.
// When that fails, both come into the window anew.

// A tracked request is known from when it is acquired.
type tracked struct {
	id     uint64
	permit Permit // that of the group is as the breaker would have given it then
	calm   Permit // the group's
	asked  Time   // when it began to acquire,
	got    Time   // and when it had
	from   int    // the oldest record, an index of truth.records, that it may still have been judged by
	as     [5]int // how often it was counted as calls, late, neutral, rejected, errors

	outcome Outcome
	ending  bool
	endFrom int  // the newest record that its worker had to know of when it began to end
	made    bool // a newer record than that of its epoch had been made by its own worker
	startAt Time // when it began to end
	begun   int  // the step at which it was first seen in the tally,
	done    int  // and that at which all of it was; 0 is not yet
	doneAt  Time // when that was
	backAt  Time // when its worker was back from telling
	left    int  // additions to come
	torn    bool // a snapshot was taken between its additions, and may have one and not the other

	told     bool     // that it still waits
	early    bool     // was counted while it still waited
	of       *tracked // what this is left of; nil: it is a whole request
	rest     *tracked // what is left of this
	emptied  int      // how often a window had been emptied when it began to end
	released bool
	lost     bool // counters were set back while it was being counted

	hash uint64 // of all of this that can differ between two runs that come to the same state
}

// saw adds to the hash.
func (r *tracked) saw(v ...uint64) {
	for _, v := range v {
		r.hash = mix(r.hash, v)
	}
}

// A recordSeen is one epoch of the record.
type recordSeen struct {
	epoch     uint64
	state     State
	openUntil Time // the latest
	rungAt    Time
	rung      int // step at which the bell had been rung; 0 is not yet
}

type truth struct {
	records  []recordSeen
	rung     int // newest record whose bell has been rung
	requests []*tracked
	total    [5]int
	// The window looks back to a snapshot that was read between these two steps.
	freshFrom, freshTo int
	// The epoch began likewise, which is what a streak looks back to.
	epochFrom, epochTo int
	lossy              bool   // something in the window was forgotten in this epoch
	emptied            int    // how often a window was emptied
	begunKey, doneKey  uint64 // which requests have begun to be counted, and are
	hash               uint64 // of the rest that can differ between two runs that come to the same state
}

// A witness is what a worker has looked at, and when.
type witness struct {
	readCalls, readFailures, readGood, readStreak, readAny int // steps
	attempts                                               int // to read all of the tally, without doing anything else
	wroteRecord                                            bool
	wroteEpoch                                             uint64
	made                                                   int // newest record that this worker made
	calls                                                  int // of the breaker, so far
}

func (a *actor) acquire() {
	t := &a.truth
	r := &tracked{id: mix(uint64(a.id), uint64(a.calls)), asked: a.now, from: t.rung}
	t.requests = append(t.requests, r)
	a.current = r
	r.saw(uint64(a.now), uint64(t.rung))
	a.note("acquire")
	r.permit = a.b.Acquire()
	a.returned()
	r.got = a.now
	r.saw(uint64(r.permit.kind), r.permit.lease, r.permit.epoch, uint64(r.got))
	a.note("acquired: %+v", r.permit)
	a.checkPermit(r)
	a.checkTrials(&a.latest)
	if r.permit.kind == refused || r.permit.kind == doubtful {
		a.checkCounted(r)
	} else {
		a.held = append(a.held, r)
	}
	a.between()
}

// between is told when a worker is done with one call of the breaker, and has not begun the next. Then all that it knows
// is in its view, however it got there.
func (a *actor) between() {
	a.current = nil
	a.calls++
	a.seen = mix(uint64(a.calls), a.b.knowledge())
	if a.g != nil {
		a.seen = mix(a.seen, mix(a.g.calm.Load(), uint64(a.coarse)))
	}
}

// knowledge hashes what a breaker keeps between calls.
func (b *Breaker) knowledge() uint64 {
	h := mix(uint64(b.counted.Load()), b.told.Load())
	if b.bellHidden.Load() {
		h |= 1 << 32
	}
	if b.rowShown.Load() {
		h |= 1 << 31
	}
	v := b.view.Load()
	if v == nil {
		return h
	}
	if v.ramping {
		h |= 1 << 33
	}
	if v.stored {
		h |= 1 << 34
	}
	if v.watched {
		h |= 1 << 35
	}
	h |= uint64(v.state)<<36 | uint64(v.kind)<<40
	for _, v := range [...]uint64{
		v.bell, uint64(v.oldAt), uint64(v.until), v.epoch, uint64(v.began), uint64(v.openUntil),
		v.base.Calls, v.base.Failures, v.base.SlowCalls, v.next, v.epochFailures,
	} {
		h = mix(h, v)
	}
	return h
}

// checkPermit checks an admission, or a refusal, against the records that it can have been judged by: not those that had
// been followed by another one before the request came, and the bell rung.
func (a *actor) checkPermit(r *tracked) {
	p := &r.permit
	t := &a.truth
	if p.kind == doubtful {
		return // counted as an error; see finish
	}
	for _, rec := range t.records[min(r.from, len(t.records)):] {
		switch {
		case p.kind == counted && rec.state == Closed && rec.epoch == p.epoch,
			p.kind == trial && rec.state == HalfOpen && rec.epoch == p.epoch:
			return
		case p.kind == refused || p.kind == shadowed:
			if p.State() == rec.state.String() && (rec.state != Open || r.asked < rec.openUntil) ||
				p.State() == "ramp" && rec.state == Closed {
				return
			}
		}
	}
	a.fail("%+v does not fit any record since the bell was last rung: %+v", *p, t.records[r.from:])
}

func (a *actor) end(o Outcome) {
	r := a.held[0]
	a.held = a.held[1:]
	a.beginEnd(r, o)
	a.note("end %s", o.name())
	a.b.Done(r.given(), o)
	a.endEnd(r)
	if r.of != nil {
		a.checkRest(r)
	} else {
		a.checkCounted(r)
		a.checkEnd(r)
	}
	a.between()
}

// beginEnd notes that a worker begins to tell how a request ended.
func (a *actor) beginEnd(r *tracked, o Outcome) {
	t := &a.truth
	r.outcome, r.ending, r.endFrom, r.startAt, r.emptied = o, true, t.rung, a.now, t.emptied
	p := a.policyOf()
	r.outcome.Slow = o.Slow && p.SlowCallDuration > 0 && r.of == nil
	r.left = 0
	if r.of == nil {
		r.left++
	}
	if o.Result == Failure {
		r.left++
	}
	if r.outcome.Slow {
		r.left++
	}
	if p.ConsecutiveFailures > 0 && !r.sparesStreak() {
		r.left++
	}
	if r.made = a.made > t.find(r.permit.epoch); r.made {
		r.saw(1)
	}
	a.current = r
	r.saw(uint64(a.now), uint64(t.rung), uint64(t.emptied))
}

func (a *actor) endEnd(r *tracked) {
	a.returned()
	if r.backAt = a.now; r.backAt != r.doneAt {
		r.saw(uint64(a.now))
	}
	if r.begun > 0 && r.done == 0 { // counted in the store
		a.counted(r)
	}
}

// sparesStreak reports whether an outcome has nothing to do with the streak.
func (r *tracked) sparesStreak() bool {
	return r.early && r.permit.kind != trial || r.of != nil && r.outcome.Result == Neutral
}

// stillWaits tells of the oldest request of which this has not been told.
func (a *actor) stillWaits() {
	i := slices.IndexFunc(a.held, func(r *tracked) bool { return r.of == nil && !r.told })
	if i < 0 {
		a.between()
		return
	}
	r := a.held[i]
	r.told, r.early = true, true
	a.beginEnd(r, Outcome{Slow: true})
	a.note("still waits: %+v", r.permit)
	p := a.b.StillWaiting(r.given())
	a.endEnd(r)
	r.saw(2, uint64(p.kind), p.lease)
	if r.calm != (Permit{}) && p.kind == counted {
		r.calm = p
	} else if p != r.permit {
		a.checkCounted(r)
		a.checkEnd(r)
		rest := &tracked{id: mix(r.id, 1), permit: p, asked: r.asked, got: r.got, from: r.from, of: r}
		a.truth.requests = append(a.truth.requests, rest)
		a.held[i], r.rest = rest, rest
		a.between()
		return
	}
	last := a.truth.find(p.epoch) == len(a.truth.records)-1
	if r.as != [5]int{} || (p.kind == counted && last || p.kind == trial) && a.policyOf().SlowCallDuration > 0 {
		a.fail("it waits, and is counted as %v", r.as)
	}
	r.ending, r.early, r.outcome, r.left = false, false, Outcome{}, 0
	a.between()
}

// release gives back the place of the oldest request that has one.
func (a *actor) release() {
	i := slices.IndexFunc(a.held, func(r *tracked) bool { return r.permit.kind == trial && !r.released })
	if i < 0 {
		a.between()
		return
	}
	r := a.held[i]
	serial := r.permit.lease
	r.released = true
	a.current = r
	r.saw(4)
	a.note("release: %+v", r.permit)
	r.permit = a.b.Release(r.permit)
	a.returned()
	r.saw(3, r.permit.lease)
	a.checkPlace(r.permit.epoch, uint32(serial))
	if r.permit.kind != trial || r.permit.lease != 0 && r.permit.lease != serial {
		a.fail("released to %+v", r.permit)
	}
	a.between()
}

// checkPlace checks that a lease is over.
func (a *actor) checkPlace(epoch uint64, serial uint32) {
	if r := &a.latest; serial != 0 && r.State == HalfOpen && r.Epoch == epoch && r.holds(serial) {
		a.fail("still has its place: %v", r.leases[:r.live])
	}
}

func (r *Record) holds(serial uint32) bool {
	return slices.ContainsFunc(r.leases[:r.live], func(l lease) bool { return l.serial == serial })
}

func (o Outcome) name() string {
	return [...]string{"success", "failure", "neutral"}[o.Result] +
		map[bool]string{true: " (slow)"}[o.Slow] + map[bool]string{true: " (unanswered)"}[o.Unanswered]
}

func (a *actor) policyOf() *Policy {
	if other, ok := a.others[a.id]; ok {
		return &other
	}
	return &a.policy
}

// checkCounted checks that a request is in one of the five counters, once.
func (a *actor) checkCounted(r *tracked) {
	sum := 0
	for i, n := range r.as {
		sum += n
		a.truth.total[i] += n
	}
	if sum != 1 {
		a.fail("request counted %d times: calls, late, neutral, rejected, errors = %v", sum, r.as)
	}
}

// checkEnd checks what an end was counted as.
func (a *actor) checkEnd(r *tracked) {
	t := &a.truth
	late, calls := r.as[Late] > 0, r.as[Calls] > 0
	if (r.as[Neutrals] > 0) != (r.outcome.Result == Neutral) {
		a.fail("%s counted as %v", r.outcome.name(), r.as)
	}
	i := t.find(r.permit.epoch)
	last := i == len(t.records)-1
	if (r.permit.kind == counted || r.permit.kind == trial) && late && last {
		a.fail("counted as late, but its epoch is the latest")
	}
	switch r.permit.kind {
	case counted:
		if calls && !last {
			next := t.records[i+1]
			if rung := next.rung > 0 && r.endFrom > i; rung {
				a.fail("%s of an old epoch counted, although the bell had been rung", r.outcome.name())
			}
			if r.made && !a.shared {
				a.fail("%s of an old epoch counted by the worker that ended it", r.outcome.name())
			}
		}
	case trial:
		if calls && r.endFrom > i {
			a.fail("a verdict of an old epoch counted")
		}
		a.checkPlace(r.permit.epoch, uint32(r.permit.lease))
	}
}

// checkRest checks what became of the rest of a request that was counted while it still waited: it is counted no more, and
// its failure is added, in the same epoch.
func (a *actor) checkRest(r *tracked) {
	t := &a.truth
	i := t.find(r.permit.epoch)
	if r.as != [5]int{} || r.begun > 0 && r.permit.kind != waiting {
		a.fail("the rest of a request was counted: %v", r.as)
	}
	if r.outcome.Result != Failure || r.permit.kind != waiting {
		return
	}
	if r.begun > 0 && r.endFrom > i {
		a.fail("the rest of a request of an old epoch was counted, although the bell had been rung")
	}
	if r.begun == 0 && i == len(t.records)-1 {
		a.fail("a failure was forgotten")
	}
}

func (t *truth) find(epoch uint64) int {
	for i := range t.records {
		if t.records[i].epoch == epoch {
			return i
		}
	}
	return -1
}

// added is told of all additions to the tally.
func (a *actor) added(s Stat) {
	r := a.current
	switch s {
	case Streak:
		a.readStreak = a.readGood // what a worker adds to is the streak of then
		a.saw(a.truth.doneKey)
	case Changes:
		a.ring()
	case Calls, Late, Neutrals, Rejected, Errors:
		if r.as[s] > 0 && r.lost {
			return // it is added again
		}
		r.as[s]++
		r.saw(uint64(s))
		if s == Calls {
			a.checkEpoch(r)
		}
	}
	if r == nil || !r.ending || r.done > 0 || s != Calls && s != Failures && s != SlowCalls && s != Streak && s != Successes {
		return
	}
	if r.begun == 0 {
		r.begun = a.step
		a.truth.begunKey ^= r.id
		if a.visible[Successes] {
			r.saw(a.truth.doneKey)
		}
	}
	if r.left--; r.left == 0 && !a.stored {
		a.counted(r)
	}
}

// counted notes that all of a request is in the tally.
func (a *actor) counted(r *tracked) {
	r.done, r.doneAt = a.step, a.now
	a.truth.doneKey ^= r.id
	r.saw(uint64(a.now))
	if r.outcome.bad() || a.visible[Successes] {
		r.saw(a.truth.doneKey)
	}
}

// read is told of all readings of the tally.
func (a *actor) read(s Stat) {
	switch s {
	case Calls:
		a.readCalls = a.step
		a.attempts++
		a.saw(a.truth.begunKey)
	case Failures:
		a.readFailures = a.step
		a.saw(a.truth.doneKey)
	case Successes:
		a.readGood = a.step
		a.saw(a.truth.doneKey)
		return
	case SlowCalls:
	default:
		return
	}
	a.readAny = a.step
}

// readCounts is told of all readings of the tally in the store.
func (a *actor) readCounts() {
	a.readCalls, a.readFailures, a.readGood, a.readAny = a.step, a.step, a.step, a.step
	a.saw(mix(a.truth.begunKey, a.truth.doneKey))
}

// returned is told when a call of the breaker is over: by then the bell must have been rung.
func (a *actor) returned() {
	if a.wroteRecord {
		a.ring()
	}
}

// ring is told of every ring of the bell.
func (a *actor) ring() {
	if !a.wroteRecord {
		return // it made no transition
	}
	a.wroteRecord = false
	t := &a.truth
	i := t.find(a.wroteEpoch)
	a.made = i
	t.records[i].rung, t.records[i].rungAt = a.step, a.now
	if i > t.rung {
		t.rung = i
	}
	t.hash = mix(t.hash, mix(uint64(i), uint64(a.now)))
}

// wrote is told of every record that has been written.
func (s *stage) wrote(is []byte) {
	a, t := s.running, &s.truth
	old := s.latest
	known := old.Epoch != 0
	if err := s.latest.UnmarshalBinary(is); err != nil {
		s.fail("wrote: %v", err)
		return
	}
	now := &s.latest
	if !known || now.Epoch != old.Epoch {
		t.records = append(t.records, recordSeen{epoch: now.Epoch, state: now.State})
		a.wroteRecord, a.wroteEpoch = true, now.Epoch
	}
	if known && now.Owner.Generation < old.Owner.Generation {
		s.fail("an earlier policy took the record back")
	}
	rec := &t.records[len(t.records)-1]
	rec.openUntil = max(rec.openUntil, now.OpenUntil)
	s.grouped.wrote(s, &old, now)
	brought := known && a.current.of != nil && old.State == Closed && now.State == Closed && now.Window.sameBuckets(&old.Window)
	emptied := now.State == Closed && now.Window.n == 1 && !brought && (!known || old.State != Closed || old.Window.ring[0] != now.Window.ring[0])
	if now.State == Closed && !brought && (!known || old.Window.ring != now.Window.ring) {
		t.tear(a)
	}
	if emptied {
		t.freshFrom, t.freshTo = a.readCalls, a.readAny
		t.emptied++
		t.hash = mix(t.hash, mix(t.begunKey, t.doneKey))
		if !known || now.Epoch != old.Epoch {
			t.epochFrom, t.epochTo = t.freshFrom, t.freshTo
		}
	}
	if known && now.StoredTally && !old.StoredTally {
		t.lossy = true // what others count just then stays in the old tally
		t.hash = mix(t.hash, 1)
	}
	switch {
	case !known:
		t.lossy = false
	case now.StoredTally && !old.StoredTally && !old.SetBack && len(s.hidden) == 0:
		s.fail("took counters that count for such that do not")
	case now.Epoch == old.Epoch:
		if now.State != old.State {
			s.fail("a new state, %v, in the same epoch", now.State)
		}
		if emptied {
			s.checkEmptied(&old, now)
		}
		if now.State == HalfOpen && now.Owner == old.Owner && now.StoredTally == old.StoredTally {
			s.checkLeases(a, &old, now)
		}
	default:
		t.lossy = false
		s.checkTransition(a, &old, now)
	}
	s.checkTrials(now)
}

// sameBuckets reports whether two windows differ at most in what has been brought forward (rule 18).
func (w *Window) sameBuckets(old *Window) bool {
	for i := range w.ring {
		is, was := w.ring[i], old.ring[i]
		if is.Bucket != was.Bucket || is.Failures != was.Failures || was.Calls-is.Calls > 1 || was.SlowCalls-is.SlowCalls > 1 {
			return false
		}
	}
	return w.n == old.n
}

// tear marks the requests of which a worker has seen the call but not the failure when it read the snapshot that it has now
// written. The other way round there are only those of which it could not get a still picture in three attempts.
func (t *truth) tear(a *actor) {
	for _, r := range t.requests {
		if r.torn || r.begun == 0 || !r.outcome.bad() {
			continue
		}
		callOnly := r.begun < a.readCalls && (r.done == 0 || r.done > a.readFailures)
		blurred := a.attempts >= 3 && r.begun < a.readAny && (r.done == 0 || r.done > a.readCalls)
		if callOnly || blurred {
			r.torn = true
			r.saw(1)
		}
	}
}

// checkEmptied checks that a window is emptied within an epoch only after a long pause, or where the plan does something
// that empties it.
func (s *stage) checkEmptied(old, now *Record) {
	w := &old.Window
	if w.base() == now.Window.base() || w.Kind == TimeWindow && now.Window.newest().Bucket > w.newest().Bucket+buckets {
		return
	}
	s.truth.lossy = true
	if !s.wiped {
		s.fail("the window was emptied without need")
	}
}

// checkTransition checks that a transition is one that there is, and made for a reason.
func (s *stage) checkTransition(a *actor, old, now *Record) {
	if now.Epoch != old.Epoch+1 {
		s.fail("epoch %d follows %d", now.Epoch, old.Epoch)
	}
	switch [2]State{old.State, now.State} {
	case [2]State{Closed, Open}:
		s.checkTrip(a, old)
	case [2]State{Open, HalfOpen}:
		if s.now < old.OpenUntil {
			s.fail("half-open %v too early", old.OpenUntil.Sub(s.now))
		}
	case [2]State{HalfOpen, Open}:
		r := a.current
		if !r.ending {
			if n := s.expired(old); int(old.Expired)+n < a.policyOf().HalfOpenMaxRequests {
				s.fail("re-opened by a request, after %d trials expired and %d more", old.Expired, n)
			}
		} else if r.permit.epoch != old.Epoch || !r.outcome.bad() {
			s.fail("re-opened by %s with %+v", r.outcome.name(), r.permit)
		}
	case [2]State{HalfOpen, Closed}:
		good := 0
		for _, r := range s.truth.requests {
			if r.permit.kind == trial && r.permit.epoch == old.Epoch && r.ending && r.outcome == (Outcome{}) {
				good++
			}
		}
		if good < s.policy.HalfOpenSuccessThreshold {
			s.fail("closed after %d good trials", good)
		}
		if r := a.current; r.begun == 0 || r.begun > a.readCalls {
			s.fail("closed before the last trial was counted, which is now in the new window")
		}
	default:
		s.fail("a transition from %v to %v", old.State, now.State)
	}
}

// expired returns how many leases of a record have expired.
func (s *stage) expired(r *Record) (n int) {
	for _, l := range r.leases[:r.live] {
		if s.now >= l.deadline.Add(expiryGrace) {
			n++
		}
	}
	return n
}

// checkLeases checks a change within a half-open epoch: who may end whose lease, and what counts as expired.
func (s *stage) checkLeases(a *actor, old, now *Record) {
	r := a.current
	var gone, given []lease
	for _, l := range old.leases[:old.live] {
		if !now.holds(l.serial) {
			gone = append(gone, l)
		}
	}
	for _, l := range now.leases[:now.live] {
		if !old.holds(l.serial) {
			given = append(given, l)
		}
	}
	acquires := !r.ending && r.permit == Permit{}
	expired := old.Expired
	switch {
	case acquires:
		expired += uint32(len(gone))
		if n := s.expired(old); len(gone) > n {
			s.fail("leases %v taken back, of which %d have expired", gone, n)
		}
		if len(given) > 1 || len(given) == 1 && now.live+int(now.Expired) > a.policyOf().HalfOpenMaxRequests {
			s.fail("given %v, with %d expired", now.leases[:now.live], now.Expired)
		}
	case !r.ending: // it is released
	case r.outcome.Unanswered:
		expired++
	case r.outcome.Result == Success:
		expired = 0
	}
	if !acquires && (len(given) > 0 || len(gone) > 1 || len(gone) == 1 && uint64(gone[0].serial) != r.permit.lease) {
		s.fail("leases %v given and %v ended by %+v", given, gone, r.permit)
	}
	if now.Expired != expired {
		s.fail("%d trials in a row have expired, want %d: from %+v to %+v", now.Expired, expired, old, now)
	}
}

// checkTrials checks that there are no more trials upstream than there may be.
func (s *stage) checkTrials(now *Record) {
	if now.State != HalfOpen {
		return
	}
	upstream := 0
	for _, r := range s.truth.requests {
		// Exactly when it was admitted, and so when it expires, nobody knows; not before it asked.
		if r.permit.kind == trial && r.permit.epoch == now.Epoch && !r.ending && !r.released &&
			s.now < r.asked.Add(s.policy.HalfOpenPermitTimeout+expiryGrace) {
			upstream++
		}
	}
	if limit := s.policy.HalfOpenMaxRequests; upstream > limit || now.live > limit {
		s.fail("%d trials upstream, %d leases", upstream, now.live)
	}
}

// checkTrip checks that a worker which opens the breaker can have seen a window, or a streak, that it must open for.
func (s *stage) checkTrip(a *actor, old *Record) {
	r := a.current
	if r == nil || !r.ending || !r.outcome.bad() {
		s.fail("opened by what was not bad")
		return
	}
	w := s.window(len(s.truth.records)-2, a.readFailures, a.readCalls, r.startAt, s.now)
	p := a.policyOf()
	if w.any(func(t Totals) bool { return p.mustOpen(t, w.waiting[1]) }) {
		return
	}
	streak := 0
	for _, f := range s.truth.requests {
		if f.outcome.Result == Failure && f.begun > 0 && f.begun <= a.readStreak && !s.late(f, len(s.truth.records)-2) &&
			(f.done == 0 || f.done >= s.truth.epochFrom) && !s.outlived(f, a.readStreak) {
			streak++
		}
	}
	if n := p.ConsecutiveFailures; n > 0 && streak >= n {
		return
	}
	s.fail("a wrong trip: for certain in the window: %v, perhaps: %v", outcomes(w.sure), outcomes(w.may))
}

// late reports whether the worker that ended a request had to know that it was not of an epoch, given by the index of its
// record.
func (s *stage) late(r *tracked, epoch int) bool {
	i := s.truth.find(r.permit.epoch)
	return !(r.ofClosed() && i == epoch) && r.endFrom > i
}

// ofClosed reports whether it was admitted by a closed breaker.
func (r *tracked) ofClosed() bool { return r.permit.kind == counted || r.permit.kind == waiting }

// outlived reports whether a success followed on a failure for certain, before a step.
func (s *stage) outlived(f *tracked, step int) bool {
	for _, r := range s.truth.requests {
		if r.outcome.Result == Success && !r.sparesStreak() && r.done > 0 && r.done < step && f.done > 0 && f.done < r.begun {
			return true
		}
	}
	return false
}

// mustOpen reports whether a window satisfies a trip condition, while so many calls wait.
func (p *Policy) mustOpen(t Totals, waiting uint64) bool {
	of := func(percent float64, part, calls uint64) bool {
		return calls >= uint64(p.MinRequests) && 100*float64(part) >= percent*float64(calls)
	}
	if t.SlowCalls > t.Failures {
		waiting = min(waiting, t.SlowCalls-t.Failures)
	} else {
		waiting = 0
	}
	return p.FailureRate > 0 && of(p.FailureRate, t.Failures, t.Calls-waiting) ||
		p.SlowCallDuration > 0 && of(p.SlowCallRate, t.SlowCalls, t.Calls)
}

// A possibleWindow is what a worker may have seen in the window.
type possibleWindow struct {
	sure, may []*tracked
	limit     [2]uint64 // count windows look back over so many calls, at least and at most
	waiting   [2]uint64 // so many calls wait, at least and at most
}

// window returns what a worker may see that reads failures and calls at these steps, and judges at a time between from
// and to. epoch is the index of the record that it judges by.
func (s *stage) window(epoch, readFailures, readCalls int, from, to Time) (w possibleWindow) {
	t := &s.truth
	geometry := s.policy.window()
	size := uint64(geometry.Size)
	w.limit = [2]uint64{size, size + uint64(geometry.bucket()) + uint64(len(s.scripts))}
	if geometry.Kind == TimeWindow {
		w.limit = [2]uint64{1 << 62, 1 << 62}
	}
	// in reports whether a worker may see what was told of a request, and whether for certain.
	in := func(r *tracked) (may, sure bool) {
		ended := s.now
		if r.done > 0 {
			ended = r.doneAt
		}
		if r.begun == 0 || r.begun > readCalls || r.done > 0 && r.done < t.freshFrom ||
			geometry.number(ended) < geometry.number(from)-buckets {
			return false, false
		}
		return true, r.ofClosed() && t.find(r.permit.epoch) == epoch && !r.torn && r.done > 0 && r.done < readFailures &&
			r.begun > t.freshTo && geometry.number(r.startAt) >= geometry.number(to)-buckets
	}
	for _, r := range t.requests {
		if r.of != nil && !r.outcome.bad() || r.outcome.bad() && s.late(r, epoch) {
			continue
		}
		may, sure := in(r)
		if rest := r.rest; rest != nil && rest.permit.kind == waiting {
			if rest.outcome.Result == Failure { // it is being brought forward, or has been
				again, surely := in(rest)
				may = may || again || rest.done == 0
				sure = sure || surely && rest.emptied == t.emptied
			}
			if !rest.ending && len(t.records) == 1 && !s.wiped {
				w.waiting[0]++
			}
			if rest.done == 0 || rest.done >= readFailures {
				w.waiting[1]++
			}
		} else if r.early {
			w.waiting[1]++
		}
		switch {
		case sure:
			w.sure = append(w.sure, r)
		case may:
			w.may = append(w.may, r)
		}
	}
	return w
}

// any reports whether some window that is possible satisfies a condition. In no window are there more failures than calls.
func (w *possibleWindow) any(condition func(Totals) bool) bool {
	var base Totals
	for _, r := range w.sure {
		base = base.plus(r)
	}
	good := uint64(0)
	var bad []*tracked
	for _, r := range w.may {
		if r.outcome.bad() {
			bad = append(bad, r)
		} else {
			good++
		}
	}
	var try func(Totals, []*tracked) bool
	try = func(t Totals, bad []*tracked) bool {
		if len(bad) == 0 {
			for more := range good + 1 {
				for calls := min(t.Calls+more, w.limit[0]); calls <= min(t.Calls+more, w.limit[1]); calls++ {
					if condition(Totals{calls, min(t.Failures, calls), min(t.SlowCalls, calls)}) {
						return true
					}
				}
			}
			return false
		}
		r, rest := bad[0], bad[1:]
		with := t.plus(r)
		if try(t, rest) || try(with, rest) {
			return true
		}
		with.Calls--
		return r.torn && r.of == nil && try(with, rest)
	}
	return try(base, bad)
}

func (t Totals) plus(r *tracked) Totals {
	if r.of == nil {
		t.Calls++
	}
	if r.outcome.Result == Failure {
		t.Failures++
	}
	if r.outcome.Slow {
		t.SlowCalls++
	}
	return t
}

func outcomes(requests []*tracked) (names []string) {
	for _, r := range requests {
		name := r.outcome.name()
		if r.torn {
			name += " (torn)"
		}
		names = append(names, name)
	}
	return names
}

// checkMissed checks, when all has ended, that a closed breaker is right to be: that in some order of the outcomes, none
// of the bad ones had to open it.
func (s *stage) checkMissed() {
	t := &s.truth
	if s.latest.State != Closed || t.lossy || len(s.others) > 0 {
		return
	}
	epoch := len(t.records) - 1
	var last *tracked // of the bad ones
	var from, to Time
	for _, r := range t.requests {
		if r.torn {
			return
		}
		if r.ofClosed() && t.find(r.permit.epoch) == epoch && (r.as[Calls] > 0 || r.of != nil && r.begun > 0) && r.outcome.bad() {
			// Whatever the order, the last one of the bad was judged at a time from when the last one came. Perhaps more than
			// once, while others moved the window.
			from, to = max(from, r.startAt), max(to, r.backAt)
			if last == nil || r.done > last.done {
				last = r
			}
		}
	}
	if last == nil {
		return
	}
	w := s.window(epoch, last.done+1, s.step, from, to)
	fine := func(t Totals) bool { return !s.policy.mustOpen(t, w.waiting[0]) }
	if !w.any(fine) {
		s.fail("a missed trip: in the window at the last failure were %v, perhaps %v", outcomes(w.sure), outcomes(w.may))
	}
	streak := 0
	for _, f := range t.requests {
		if f.ofClosed() && t.find(f.permit.epoch) == epoch && f.outcome.Result == Failure && f.begun > t.epochTo &&
			!s.mayBeOutlived(f) {
			streak++
		}
	}
	if n := s.policy.ConsecutiveFailures; n > 0 && streak >= n {
		s.fail("a missed trip: %d failures in a row", streak)
	}
}

// mayBeOutlived reports whether a success may have followed on a failure.
func (s *stage) mayBeOutlived(f *tracked) bool {
	for _, r := range s.truth.requests {
		if r.outcome.Result == Success && !r.sparesStreak() && r.begun > 0 && r.done >= f.begun {
			return true
		}
	}
	return false
}

// finish checks what must be so when all workers are done.
func (s *stage) finish() {
	s.free = true
	t := &s.truth
	s.setUp(s.after)
	s.note("the end")
	if !s.dies {
		s.checkMissed()
		s.checkWaiting()
	}
	if s.latest.Epoch == 0 {
		return
	}
	if s.group != nil {
		s.checkCalm()
	}
	if s.dies {
		return
	}
	if gauge := State(s.tally[StateGauge]); gauge != s.latest.State {
		s.fail("the gauge says %v, the record %v", gauge, s.latest.State)
	}
	if t.rung != len(t.records)-1 {
		s.fail("the bell has not been rung")
	}
	for i, n := range t.total {
		if !s.wiped && (s.tally[i] != uint64(n) || Stat(i) == Errors && n > 0) {
			s.fail("%v = %d, want %d", Stat(i), s.tally[i], n)
		}
	}
	for _, a := range s.actors[:len(s.scripts)] {
		s.running = a
		a.acquire() // sees the record as it is, or checkPermit complains
	}
	// However it ended, it must not stay so for ever.
	for again := true; again; {
		s.now = s.now.Add(max(s.policy.OpenMaxDuration, s.policy.HalfOpenPermitTimeout) + time.Second)
		before := s.latest
		s.running.acquire()
		p := t.requests[len(t.requests)-1].permit
		again = !p.Admitted() && before.State == HalfOpen && s.latest.State == Open // all its trials had expired
		if !again && !p.Admitted() {
			s.fail("stuck: %+v", p)
		}
	}
}

// checkWaiting checks, when all has ended, how many requests are said to wait still. A transition sets this to 0.
func (s *stage) checkWaiting() {
	n := 0
	for _, a := range s.actors[:len(s.scripts)] {
		for _, r := range a.held {
			if r.permit.kind == waiting {
				n++
			}
		}
	}
	if got := s.tally[Waiting]; len(s.truth.records) == 1 && !slices.Contains(s.hidden, Waiting) && got != uint64(n) {
		s.fail("%d requests still wait, want %d", got, n)
	}
}
