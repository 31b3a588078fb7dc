package breaker

import (
	"sync/atomic"
	"time"
)

// A Store holds the record of one breaker. Shared data of proxy-wasm is one, [MemoryStore] another.
type Store interface {
	// Load returns the value and its version, which is never 0. An empty store returns nil and 0. The caller does not
	// keep the value beyond its next call.
	Load() (value []byte, version uint32)
	// CompareAndSwap replaces the value if its version is still the given one (0: if there is no value yet), and reports
	// whether it did. It does not keep the slice.
	CompareAndSwap(value []byte, version uint32) bool
}

// A Tally is the stats of one breaker, shared by all workers. Each operation is atomic. [MemoryTally] is one.
type Tally interface {
	Add(Stat)              // adds one
	Value(Stat) uint64     // reads
	Set(s Stat, to uint64) // sets a gauge
}

// A Stat is a counter or gauge of a [Tally].
type Stat uint8

const (
	// Every request to a cluster ends up in exactly one of these five, once.
	Calls    Stat = iota // ended and counted: a success or failure of this epoch
	Late                 // ended in a later epoch than it was admitted in, or after its lease: changes nothing
	Neutrals             // ended by something other than the upstream: changes nothing
	Rejected             // not admitted
	Errors               // admitted in doubt, because the record could not be read or written

	Failures  // calls that failed
	SlowCalls // calls that were slow, whether or not they failed

	FellBack       // not admitted, and sent elsewhere by the caller
	ShadowRejected // would not have been admitted, but for Shadow
	Transitions
	Opened
	OpenedFailureRate     // the trips by reason: these five add up to Opened
	OpenedSlowRate        //
	OpenedConsecutive     //
	OpenedHalfOpenFailure //
	OpenedRamp            // whatever the reason, while the ramp was on
	PermitsExpired        // half-open permits taken back without a verdict
	Probes                // probes begun
	ProbeFailures         // probes that found the upstream still failing, or could not be made
	Changes               // the doorbell: moves whenever the record changes in a way that others must know of

	StateGauge // gauge: a State
	Streak     // gauge: failures in a row; kept where ConsecutiveFailures is on

	NumStats // how many there are
)

// Gauge reports whether a stat is a gauge.
func (s Stat) Gauge() bool { return s == StateGauge || s == Streak }

// String returns the stat's name.
func (s Stat) String() string {
	return [NumStats]string{
		"calls", "late", "neutral", "rejected", "errors", "failures", "slow_calls", "fallback", "shadow_rejected",
		"transitions", "opened", "opened_failure_rate", "opened_slow_rate", "opened_consecutive",
		"opened_half_open_failure", "opened_ramp", "permits_expired", "probes", "probe_failures", "changes", "state", "consecutive_failures",
	}[s]
}

// A Clock tells the time to a breaker: the same to all its workers.
type Clock interface {
	// Now is exact.
	Now() Time
	// Coarse may lag behind Now. It is asked on the healthy path, where it only decides whether it is time to look at
	// the record again.
	Coarse() Time
}

// ClockFunc makes a [Clock] of a function.
type ClockFunc func() Time

func (f ClockFunc) Now() Time    { return f() }
func (f ClockFunc) Coarse() Time { return f() }

// Config is what a [Breaker] runs on. All but Generation, Counts and OnTransition is required.
type Config struct {
	Policy Policy
	Store  Store
	Tally  Tally
	Clock  Clock
	Rand   func() uint64 // 64 random bits, for jitter and ramp

	// Generation orders policies by when they were loaded, among the workers that share a record.
	Generation uint32
	// Counts is a second store, where the tally lives if its counters turn out to read zero for ever. Without it they are
	// trusted.
	Counts Store
	// OnTransition is told of each transition by the one worker that made it.
	OnTransition func(Transition)
	// OnHiddenStat is told of a counter that reads zero for ever, by each worker that finds out. The breaker works on, more
	// slowly.
	OnHiddenStat func(Stat)
}

// A Breaker is one worker's view of a circuit breaker. Any number of them, in goroutines or threads that share a Store
// and a Tally, act as one breaker; one may also be used by many goroutines at once.
//
// A request asks [Breaker.Acquire] and, when it has ended, tells [Breaker.Done]. While the breaker is closed and healthy
// that is one read and one addition on the tally.
type Breaker struct {
	policy   Policy
	owner    Owner
	store    Store
	tally    Tally
	counts   *storedTally
	clock    Clock
	rand     func() uint64
	notify   func(Transition)
	onHidden func(Stat)

	view       atomic.Pointer[view]
	counted    atomic.Uint32 // bit s: the counter s has been seen to count
	bellHidden atomic.Bool   // the bell reads zero for ever
}

// A view is what a worker knows of the record, for as long as the bell stands where it stood.
type view struct {
	bell     uint64 // 0: the bell does not work, and the view is good for nothing but the moment
	until    Time   // when to look at the record again all the same
	fastPath bool   // requests are admitted, and a success needs no more than to be counted

	state     State
	epoch     uint64
	openUntil Time
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
	// maxViewAge is the longest that a view is trusted. It bounds what a lost ring of the bell can do.
	maxViewAge = time.Second
	// tries bounds the attempts to write a record against other workers. Each lost attempt is somebody's progress.
	tries = 16
	// giveBackTries is practically for ever, without hanging on a store that refuses everything.
	giveBackTries = 10_000
)

// New returns a breaker, or a [*PolicyError].
func New(c Config) (*Breaker, error) {
	if err := c.Policy.Validate(); err != nil {
		return nil, err
	}
	b := &Breaker{
		policy: c.Policy,
		owner:  Owner{c.Policy.Hash(), c.Generation},
		store:  c.Store, tally: c.Tally, clock: c.Clock, rand: c.Rand, notify: c.OnTransition, onHidden: c.OnHiddenStat,
	}
	if c.Counts != nil {
		b.counts = &storedTally{c.Counts}
	}
	return b, nil
}

// A Permit is the answer to a request. It is a plain value; hand it to [Breaker.Done] once.
//
// Four fields in four words are the most that the compiler keeps in registers, which nearly halves the time of a request.
type Permit struct {
	kind  permitKind
	basis basis
	ticket

	// RetryAfter is, for a request that was not admitted, the rest of the open time; 0 where it is not known.
	RetryAfter time.Duration
}

// A ticket is what a request was admitted under.
type ticket struct {
	epoch uint64
	lease uint32
}

// A basis is what a decision was made by: a State, or one of these.
type basis uint8

const (
	onRamp basis = iota + basis(HalfOpen) + 1
	onForce
	onDisabled
	onNothing
)

// State is what the decision was made by, for logs: "closed", "open", "half_open", "ramp", "forced_open", "disabled", or
// "unknown" where the record could not be read.
func (p *Permit) State() string {
	return [...]string{"closed", "open", "half_open", "ramp", "forced_open", "disabled", "unknown"}[p.basis]
}

type permitKind uint8

const (
	refused   permitKind = iota
	counted              // admitted by a closed breaker
	trial                // admitted by a half-open one
	shadowed             // would have been refused
	doubtful             // nobody knows
	unmanaged            // the breaker is disabled
)

// Admitted reports whether the request may go on to the upstream.
func (p *Permit) Admitted() bool { return p.kind != refused }

// Shadowed reports whether the request is admitted only because of [Shadow].
func (p *Permit) Shadowed() bool { return p.kind == shadowed }

// Trial reports whether the request holds a half-open permit.
func (p *Permit) Trial() bool { return p.kind == trial }

// Result says how a request ended.
type Result uint8

const (
	Success Result = iota
	Failure        // the upstream failed
	Neutral        // neutral: the upstream had no part in how it ended
)

// An Outcome is how a request ended.
type Outcome struct {
	Result Result
	Slow   bool // it took longer than Policy.SlowCallDuration; not for Neutral, and ignored where that is off
	// RetryAfter is what the upstream itself asked for, if it did: where this outcome opens the breaker, that is how long
	// it stays open, up to Policy.OpenMaxDuration.
	RetryAfter time.Duration
}

func (o Outcome) bad() bool { return o.Result == Failure || o.Slow }

// Acquire asks to let a request through.
func (b *Breaker) Acquire() Permit {
	p := b.TryAcquire()
	if p.kind == refused {
		b.Reject()
	}
	return p
}

// Reject counts a request that was not admitted as rejected.
func (b *Breaker) Reject() { b.tally.Add(Rejected) }

// FallBack counts a request that was not admitted as sent elsewhere. Its outcome is none of this breaker's.
func (b *Breaker) FallBack() { b.tally.Add(FellBack) }

// TryAcquire is Acquire for a caller that may have another use for a request that is not admitted: it says what became
// of it by [Breaker.Reject] or [Breaker.FallBack].
func (b *Breaker) TryAcquire() Permit {
	if v := b.view.Load(); v != nil && v.fastPath && v.bell == b.tally.Value(Changes) {
		return Permit{kind: counted, ticket: ticket{epoch: v.epoch}}
	}
	return b.decide()
}

// decide is TryAcquire for when all is not known to be well.
func (b *Breaker) decide() Permit {
	switch b.policy.Mode {
	case ForceOpen:
		return Permit{basis: onForce, RetryAfter: b.policy.OpenDuration}
	case Disabled:
		return Permit{kind: unmanaged, basis: onDisabled}
	}
	if v := b.trusted(); v != nil {
		switch {
		case v.state == Closed && !v.ramping:
			return Permit{kind: counted, ticket: ticket{epoch: v.epoch}}
		case v.state == Open:
			if now := b.clock.Now(); now < v.openUntil && now < v.until {
				return b.permit(verdict{retryAfter: v.openUntil.Sub(now)}, Open, v.epoch)
			}
		}
	}
	return b.acquire()
}

// trusted returns the view if the bell has not moved since it was taken. Whether its time is up is for the caller to
// judge: a closed breaker does when a request ends, which spares the request a look at the clock.
func (b *Breaker) trusted() *view {
	v := b.view.Load()
	if v == nil || v.bell == 0 || v.bell != b.tally.Value(Changes) {
		return nil
	}
	return v
}

// acquire is TryAcquire by the record.
func (b *Breaker) acquire() Permit {
	now, rnd := b.clock.Now(), b.rand()
	var s loaded
	for range tries {
		if s = b.load(now); !s.ok {
			break
		}
		next := s.Record
		v, eff := b.policy.admit(&next, now, rnd)
		if eff == same || b.swap(&s, &next, eff, v.moved) {
			for range v.expired {
				b.tally.Add(PermitsExpired)
			}
			return b.permit(v, s.State, next.Epoch)
		}
	}
	if s.ok && s.State != Closed {
		return b.permit(verdict{}, s.State, s.Epoch) // or contention would let too many in just when it matters
	}
	b.tally.Add(Errors)
	return Permit{kind: doubtful, basis: onNothing}
}

// permit turns a verdict into a permit. s is the state that it was made in.
func (b *Breaker) permit(v verdict, s State, epoch uint64) Permit {
	switch {
	case v.lease != 0:
		return Permit{kind: trial, basis: basis(HalfOpen), ticket: ticket{epoch, v.lease}}
	case v.admitted:
		return Permit{kind: counted, basis: basis(s), ticket: ticket{epoch: epoch}}
	}
	p := Permit{kind: refused, basis: basis(s), RetryAfter: v.retryAfter}
	if v.ramp {
		p.basis = onRamp
	}
	if b.policy.Mode == Shadow {
		b.tally.Add(ShadowRejected)
		p.kind = shadowed
	}
	return p
}

// Done tells how an admitted request ended. It does nothing for one that was not admitted.
func (b *Breaker) Done(p Permit, o Outcome) {
	if p.kind == counted && o == (Outcome{}) && b.onFastPath(p.epoch) {
		b.tally.Add(Calls)
		if b.policy.ConsecutiveFailures > 0 {
			b.tally.Set(Streak, 0)
		}
		return
	}
	b.done(p, o)
}

// done is Done for all but a plain success.
func (b *Breaker) done(p Permit, o Outcome) {
	o.Slow = o.Slow && b.policy.SlowCallDuration > 0
	switch {
	case p.kind == refused || p.kind == unmanaged || p.kind == doubtful:
	case o.Result == Neutral:
		b.tally.Add(Neutrals)
		if p.kind == trial {
			b.giveBack(p)
		}
	case p.kind == trial:
		b.settle(p, o)
	case p.kind == shadowed:
		// What an enforcing breaker would have kept away stays out of the tally, which then says the same as there.
		b.tally.Add(Late)
	default:
		b.count(p, o)
	}
}

// Observe counts the outcome of a request that this breaker was not asked about, because nobody knew that it would get
// it: as one admitted just now if the breaker is closed, else as late.
func (b *Breaker) Observe(o Outcome) {
	if b.policy.Mode == Disabled {
		return
	}
	p := Permit{kind: shadowed}
	if o.Result != Neutral && b.policy.Mode != ForceOpen {
		if v := b.ready(b.clock.Now(), o.bad(), anyEpoch); v != nil && v.state == Closed {
			p = Permit{kind: counted, ticket: ticket{epoch: v.epoch}}
		}
	}
	b.Done(p, o)
}

// onFastPath reports whether a success of that epoch needs no more than to be counted.
func (b *Breaker) onFastPath(epoch uint64) bool {
	v := b.view.Load()
	return v != nil && v.fastPath && v.epoch == epoch && b.clock.Coarse() < v.until && b.verified(Calls)
}

// count counts the outcome of a request that a closed breaker admitted, and opens the breaker if it must. The order is
// what makes many workers agree: the window moves, then the call is counted, then the failure; then failures are read,
// and calls last. Whoever reads last sees every failure, and nobody sees more failures than calls.
func (b *Breaker) count(p Permit, o Outcome) {
	now := b.clock.Now()
	v := b.ready(now, o.bad(), p.epoch)
	switch {
	case v == nil:
		b.tally.Add(Errors)
	case v.epoch != p.epoch:
		b.tally.Add(Late)
	default:
		stored := b.add(o, v.stored, now)
		if o.bad() {
			b.judge(v, o.RetryAfter, stored, now)
		}
	}
}

// anyEpoch is no epoch that a record ever has.
const anyEpoch = 0

// ready returns what is known of the record, with the window moved to now if it is of that epoch; nil if nothing is.
//
// Before something bad is counted it looks at the bell. A worker that has had nothing but hung requests still has a view
// of long ago, and their timeouts would poison the window of a breaker that has recovered since.
func (b *Breaker) ready(now Time, bad bool, epoch uint64) *view {
	v := b.view.Load()
	if bad || v != nil && v.epoch != epoch { // nor is a good outcome late because the view is old
		v = b.trusted()
	}
	if v != nil && v.bell != 0 && now < v.until && !b.mustMove(v, bad) {
		return v
	}
	for range tries {
		s := b.load(now)
		if !s.ok {
			return nil
		}
		v = s.view
		if s.State != Closed || epoch != anyEpoch && epoch != s.Epoch {
			break
		}
		t := b.totals(s.StoredTally)
		due := s.Window.due(now, t, bad)
		// A count window with nothing bad in it has nothing to write, and would seem to have lost its owner.
		quietOwner := s.Owner == b.owner && now.Sub(s.OwnedAt) >= s.unownedFor()/2
		if !due && !quietOwner {
			break
		}
		next := s.Record
		if due {
			next.Window.move(now, t, bad)
			next.EpochFailures = min(next.EpochFailures, t.Failures) // where counters were set back
		}
		eff := quiet
		if next.Window.Watched && !s.Window.Watched {
			eff = loud // from now on everybody has to look out for the boundary
		}
		if !b.swap(&s, &next, eff, nil) {
			continue
		}
		if s.Window.Watched && !next.Window.Watched && !next.Window.clean(b.totals(s.StoredTally)) {
			continue // a failure was counted meanwhile by a worker that saw it watched, and so need not tell
		}
		return b.remember(&next, s.bell, now)
	}
	return v
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

// add counts an outcome, and reports whether the tally is the stored one.
func (b *Breaker) add(o Outcome, stored bool, now Time) bool {
	added := [4]Stat{Calls}
	n := 1
	b.tally.Add(Calls)
	if o.Result == Failure {
		b.tally.Add(Failures)
		added[n] = Failures
		n++
	}
	if o.Slow {
		b.tally.Add(SlowCalls)
		added[n] = SlowCalls
		n++
	}
	if b.policy.ConsecutiveFailures > 0 {
		if o.Result == Failure {
			b.tally.Add(Streak)
			added[n] = Streak
			n++
		} else {
			b.tally.Set(Streak, 0)
		}
	}
	if b.counts == nil {
		return false
	}
	for _, s := range added[:n] {
		if !stored && !b.verified(s) {
			stored = !b.checkStatCounts(s, now)
		}
	}
	if stored {
		b.counts.add(o)
	}
	return stored
}

// seen reports whether a counter is known to count.
func (b *Breaker) verified(s Stat) bool { return b.counts == nil || b.counted.Load()&(1<<s) != 0 }

// counting finds out, right after adding to it, whether a counter counts. If it does not, the tally of this breaker moves
// to the store, for all workers.
func (b *Breaker) checkStatCounts(s Stat, now Time) bool {
	for range tries {
		if b.tally.Value(s) > 0 {
			b.counted.Or(1 << s)
			return true
		}
		if s != Streak {
			break
		}
		b.tally.Add(s) // another worker's success may have ended the streak: then this failure came after it
	}
	if b.onHidden != nil {
		b.onHidden(s)
	}
	for range tries {
		s := b.load(now)
		if !s.ok || s.StoredTally {
			break
		}
		next := s.Record
		next.StoredTally = true
		if s.State == Closed {
			next.beginWindow(next.Window, now, b.totals(true))
		}
		if b.swap(&s, &next, loud, nil) {
			break
		}
	}
	return false
}

// judge opens the breaker if it must, after something bad has been counted.
func (b *Breaker) judge(v *view, retryAfter time.Duration, stored bool, now Time) {
	if !stored && v.kind == TimeWindow {
		t, streak := b.failuresFirst(false)
		in, ok := t.since(v.base)
		// Past the view's time another worker may have moved the window, and judged it before this was counted.
		if _, trips := b.policy.judge(in, t.Failures-v.epochFailures, streak); ok && !trips && b.clock.Now() < v.until {
			return
		}
	}
	rnd := b.rand()
	for range tries {
		s := b.load(now)
		if !s.ok || s.Epoch != v.epoch {
			return // opened by another worker
		}
		t, streak := b.failuresFirst(s.StoredTally)
		in, ok := s.Window.count(t)
		why, trips := b.policy.judge(in, t.Failures-s.EpochFailures, streak)
		next := s.Record
		var moved *Transition
		switch {
		case !ok:
			next.beginWindow(next.Window, now, t)
		case trips:
			moved = b.policy.trip(&next, why, retryAfter, now, rnd)
		case v.kind == CountWindow && !s.Window.Watched:
			next.Window.Watched = true // another worker took it for clean, just before this was counted
		default:
			return
		}
		// If another worker was faster, with a bucket say, judge again by what it wrote.
		if b.swap(&s, &next, loud, moved) {
			return
		}
	}
}

// failuresFirst reads the totals for judging: failures first and calls last, so that failures are never of calls not
// seen.
func (b *Breaker) failuresFirst(stored bool) (t Totals, streak uint64) {
	if stored && b.counts != nil {
		return b.counts.read()
	}
	t.Failures = b.tally.Value(Failures)
	t.SlowCalls = b.tally.Value(SlowCalls) // even where it is off: the window's base has those of another policy
	if b.policy.ConsecutiveFailures > 0 {
		streak = b.tally.Value(Streak)
	}
	t.Calls = b.tally.Value(Calls)
	return t, streak
}

// totals reads the totals for a snapshot: again until they hold still, or a failure could be in the snapshot and its
// call not.
func (b *Breaker) totals(stored bool) Totals {
	if stored && b.counts != nil {
		t, _ := b.counts.read()
		return t
	}
	read := func() Totals {
		return Totals{b.tally.Value(Calls), b.tally.Value(Failures), b.tally.Value(SlowCalls)}
	}
	t := read()
	for range 2 {
		again := read()
		if again == t {
			break
		}
		t = again
	}
	return t
}

// settle applies the verdict on a trial.
func (b *Breaker) settle(p Permit, o Outcome) {
	now, rnd := b.clock.Now(), b.rand()
	counted := false
	for range giveBackTries {
		s := b.load(now)
		if !s.ok || s.Epoch != p.epoch || !s.holds(p.lease, now) {
			switch {
			case counted:
			case s.ok:
				b.tally.Add(Late)
			default:
				b.tally.Add(Errors)
			}
			return
		}
		if !counted {
			b.add(o, s.StoredTally, now)
			counted = true
		}
		next := s.Record
		var t Totals
		if !o.bad() && b.policy.closing(&next) {
			t = b.totals(s.StoredTally)
		}
		moved, eff := b.policy.settle(&next, p.lease, o, now, t, rnd)
		if b.swap(&s, &next, eff, moved) {
			return
		}
	}
}

// giveBack returns the permit of a trial that has no verdict.
func (b *Breaker) giveBack(p Permit) {
	now := b.clock.Now()
	for range giveBackTries {
		s := b.load(now)
		next := s.Record
		if !s.ok || s.Epoch != p.epoch || !next.giveBack(p.lease) || b.swap(&s, &next, quiet, nil) {
			return
		}
	}
}

// loaded is the record as it was read.
type loaded struct {
	Record
	ok      bool // false: it was corrupt and has been replaced, or could not be read
	at      Time // when it was read
	version uint32
	bell    uint64 // as it was before
	view    *view
}

// load reads the record, makes one if there is none, and remembers it under the value that the bell had before.
func (b *Breaker) load(now Time) loaded {
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
		s.view = b.remember(&s.Record, bell, now)
		return s
	}
	return loaded{}
}

// create writes a fresh record over nothing or a corrupt one.
func (b *Breaker) create(now Time, version uint32) {
	r := b.policy.fresh(b.owner, now, b.totals(false))
	if b.write(&r, version) {
		b.tally.Add(Changes)
		b.show(Closed, r.Epoch)
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
	if s.State != Closed {
		return
	}
	next := s.Record
	next.beginWindow(next.Window, now, t)
	if b.write(&next, s.version) {
		b.tally.Add(Changes) // once more: others may have read the old window under the first ring
	}
}

// remember makes a record the view.
func (b *Breaker) remember(r *Record, bell uint64, now Time) *view {
	v := &view{
		bell: bell, until: now.Add(maxViewAge),
		state: r.State, epoch: r.Epoch, openUntil: r.OpenUntil, probeAt: r.ProbeAt, ramping: b.policy.ramping(r, now), stored: r.StoredTally,
	}
	if r.State == Closed {
		w := &r.Window
		v.kind, v.base, v.watched, v.epochFailures = w.Kind, w.base(), w.Watched, r.EpochFailures
		if w.Kind == TimeWindow {
			v.until = min(v.until, w.end())
		} else {
			v.next = w.newest().Calls + uint64(w.bucket())
		}
	}
	v.fastPath = v.state == Closed && !v.ramping && !v.stored && !v.watched && bell != 0 && b.policy.Mode <= Shadow
	b.view.Store(v)
	return v
}

// swap writes next in the place of what was loaded, and tells the other workers if they must know.
func (b *Breaker) swap(s *loaded, next *Record, eff effect, moved *Transition) bool {
	if next.Owner == b.owner {
		next.OwnedAt = s.at
	}
	if !b.write(next, s.version) {
		return false
	}
	// Where it closes, the last good trial has ended the streak; now others may already count in the new epoch.
	if moved != nil && moved.To == Open {
		b.tally.Set(Streak, 0)
		if next.StoredTally && b.counts != nil {
			b.counts.endStreak()
		}
	}
	if eff == loud {
		b.view.Store(nil)    // a good end does not look at the bell, and must not go by what is over
		b.tally.Add(Changes) // after the write, or the others would read the old record under the new bell
	}
	if moved != nil {
		b.announce(moved)
	}
	return true
}

func (b *Breaker) write(r *Record, version uint32) bool {
	var buf [RecordSize]byte
	value, _ := r.AppendBinary(buf[:0])
	return b.store.CompareAndSwap(value, version)
}

// announce counts and reports a transition.
func (b *Breaker) announce(moved *Transition) {
	b.tally.Add(Transitions)
	if moved.To == Open {
		b.tally.Add(Opened)
		b.tally.Add(openedBy(moved))
	}
	if b.notify != nil {
		b.notify(*moved)
	}
	b.show(moved.To, moved.Epoch)
}

// show sets the gauge to the state of an epoch, and again if another worker has moved on meanwhile, or its gauge would be
// the one that is overwritten.
func (b *Breaker) show(state State, epoch uint64) {
	for {
		b.tally.Set(StateGauge, uint64(state))
		var r Record
		value, _ := b.store.Load()
		if r.UnmarshalBinary(value) != nil || r.Epoch == epoch {
			return
		}
		state, epoch = r.State, r.Epoch
	}
}

func openedBy(moved *Transition) Stat {
	switch {
	case moved.Ramp:
		return OpenedRamp
	case moved.Reason == SlowCallRate:
		return OpenedSlowRate
	case moved.Reason == Consecutive:
		return OpenedConsecutive
	case moved.Reason == HalfOpenFailure:
		return OpenedHalfOpenFailure
	}
	return OpenedFailureRate
}
