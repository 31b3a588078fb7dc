package breaker

import (
	"errors"
	"sync/atomic"

	"envoy-circuit-breaker/internal/time"
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
	Subtract(Stat)         // takes one off a gauge
	Value(Stat) uint64     // reads
	Set(s Stat, to uint64) // sets a gauge
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

// Config is what a [Breaker] runs on. What comes after Rand is optional.
type Config struct {
	Policy *Policy // must not change any more; many breakers may share one
	Store  Store
	Tally  Tally
	Clock  Clock
	Rand   func() uint64 // 64 random bits, for jitter and ramp

	// Generation orders policies by when they were loaded, among the workers that share a record.
	Generation uint32
	// Before returns what version 1 keeps as the record, or nil. A breaker that is open there when the record is made is taken
	// over, once.
	Before func() []byte
	// Verdicts is a hash of what the caller judges outcomes by. Policies that differ in it are two: outcomes that were judged
	// otherwise are in no window of the later one.
	Verdicts uint64
	// Streaks is a second store, required where ConsecutiveFailures is on: it holds the failures in a row.
	Streaks Store
	// Group is the group that the breaker is one of, under the number Member.
	Group  *Group
	Member uint32
	// Counts is a third store, where the tally lives if some of its counters are hidden: they read zero for ever (rule 14).
	// Without it they are trusted.
	Counts Store
	// OnTransition is told of each transition by the one worker that made it.
	OnTransition func(Transition)
	// OnHiddenStat is told of a hidden counter, by each worker that finds out. The breaker works on, more slowly.
	OnHiddenStat func(Stat)
}

// A Breaker is one worker's view of a circuit breaker. Any number of them, in goroutines or threads that share a Store
// and a Tally, act as one breaker; one may also be used by many goroutines at once.
//
// A request asks [Breaker.Acquire] and, when it has ended, tells [Breaker.Done]. While the breaker is closed and healthy
// that is two reads and one addition on the tally.
type Breaker struct {
	policy   *Policy
	owner    Owner
	store    Store
	tally    Tally
	counts   *storedTally
	streaks  Store
	before   func() []byte
	clock    Clock
	rand     func() uint64
	notify   func(Transition)
	onHidden func(Stat)
	group    *Group // nil where there is none

	view       viewCell
	counted    atomic.Uint32 // bit s: the counter s has been seen to count
	bellHidden atomic.Bool   // the bell is hidden
	bellHolds  bool          // no ring is ever lost, nor is the bell ever set back
	rowShown   atomic.Bool   // the gauge may show a row of failures
	member     uint32        // its number in the group
	told       atomic.Uint64 // the last epoch that the group has heard of from here
}

// New returns a breaker, or a [*PolicyError], or an error where Streaks is missing.
func New(c Config) (*Breaker, error) {
	b := new(Breaker)
	if err := b.Init(c); err != nil {
		return nil, err
	}
	return b, nil
}

// Init makes b, which may be a part of something else, what [New] returns. Where it returns an error, b is as it was.
func (b *Breaker) Init(c Config) error {
	if err := c.Policy.Validate(); err != nil {
		return err
	}
	if c.Policy.ConsecutiveFailures > 0 && c.Streaks == nil {
		return errors.New("consecutive_failures needs Config.Streaks")
	}
	*b = Breaker{
		policy: c.Policy,
		owner:  Owner{c.Policy.Hash() ^ c.Verdicts, c.Generation},
		store:  c.Store, streaks: c.Streaks, before: c.Before, tally: c.Tally, clock: c.Clock, rand: c.Rand, notify: c.OnTransition, onHidden: c.OnHiddenStat,
		group: c.Group, member: c.Member,
	}
	if c.Counts != nil {
		b.counts = &storedTally{c.Counts}
	}
	_, b.bellHolds = c.Tally.(*MemoryTally)
	return nil
}

// A Permit is the answer to a request. It is a plain value; hand it to [Breaker.Done] once.
//
// Four fields in four words are the most that the compiler keeps in registers, which nearly halves the time of a request.
type Permit struct {
	kind  permitKind
	basis basis
	ticket

	// RetryAfter is, for a request that was not admitted, the rest of the open time: how long requests wait at most, should all
	// probes fail. It is 0 where it is not known.
	RetryAfter time.Duration
}

// A ticket is what a request was admitted under.
type ticket struct {
	epoch uint64
	// lease is a trial's serial, or 0 when it has given its place back. For a call that has been counted while it still
	// waited, it is when that was; in a count window, how many calls there were before it. Of a group's permit, epoch is when it was
	// given, and lease what the bell read.
	lease uint64
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
	waiting              // was counted, as a slow call, while it waited: see StillWaiting
	settled              // nothing that comes of it matters any more
	shadowed             // would have been refused
	doubtful             // nobody knows
	unmanaged            // the breaker is disabled
	unclaimed            // admitted by a group that was calm: see Take
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
	// Unanswered says of a Neutral end that the upstream had had the whole request for a good while, and sent nothing: a
	// client gave up that was not the most impatient one. A trial that ends so counts as one that expired (rule 17).
	Unanswered bool
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
	if v := b.view.Load(); v != nil && v.fastPath && b.isYoung(v) && v.bell == b.tally.Value(Changes) {
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
		case v.state == Closed && !v.ramping && b.isYoung(v):
			return Permit{kind: counted, ticket: ticket{epoch: v.epoch}}
		case v.state == Open:
			if now := b.clock.Now(); now < v.openUntil && now < v.until {
				return b.refuse(basis(Open), v.retryAt.Sub(now))
			}
		}
	}
	return b.acquire()
}

// acquire is TryAcquire by the record.
func (b *Breaker) acquire() Permit {
	now, rnd := b.clock.Now(), b.rand()
	var s loaded
	for range tries {
		if s = b.read(now); !s.ok {
			break
		}
		next := s.Record
		v, eff := b.policy.admit(&next, now, rnd)
		if eff == same && v.admitted && s.Window.isOver(now) {
			b.moveOn(&s, now, false, nil) // so that the request's end need not read the record once more
			return b.permit(v, s.State, s.Epoch)
		}
		b.remember(&s.Record, s.bell, now)
		if eff == same || b.swap(&s, &next, eff, v.moved) {
			for range v.expired {
				b.tally.Add(PermitsExpired)
			}
			if v.moved != nil {
				return b.permit(v, v.moved.To, next.Epoch)
			}
			return b.permit(v, s.State, next.Epoch)
		}
	}
	if s.ok && s.State != Closed {
		return b.refuse(basis(s.State), 0) // rule 13: or contention would let too many in just when it matters
	}
	b.tally.Add(Errors)
	return Permit{kind: doubtful, basis: onNothing}
}

// permit turns a verdict into a permit. s is the state that it was made in.
func (b *Breaker) permit(v verdict, s State, epoch uint64) Permit {
	switch {
	case v.lease != 0:
		return Permit{kind: trial, basis: basis(HalfOpen), ticket: ticket{epoch, uint64(v.lease)}}
	case v.admitted:
		return Permit{kind: counted, basis: basis(s), ticket: ticket{epoch: epoch}}
	case v.ramp:
		return b.refuse(onRamp, v.retryAfter)
	}
	return b.refuse(basis(s), v.retryAfter)
}

// refuse turns a request away, unless that is only to be counted.
func (b *Breaker) refuse(why basis, retryAfter time.Duration) Permit {
	p := Permit{kind: refused, basis: why, RetryAfter: retryAfter}
	if b.policy.Mode == Shadow {
		b.tally.Add(ShadowRejected)
		p.kind = shadowed
	}
	return p
}

// Done tells how an admitted request ended. It does nothing for one that was not admitted.
func (b *Breaker) Done(p Permit, o Outcome) {
	if (p.kind == counted || p.kind == unclaimed) && o == (Outcome{}) && b.onFastPath(p) {
		b.tally.Add(Calls)
		if b.policy.ConsecutiveFailures > 0 {
			b.tally.Add(Successes)
			b.showRowEnded()
		}
		return
	}
	b.done(p, o)
}

// done is Done for all but a plain success.
func (b *Breaker) done(p Permit, o Outcome) {
	o.Slow = o.Slow && b.policy.SlowCallDuration > 0
	if p.kind == unclaimed {
		p = b.claim(p)
	}
	switch {
	case p.kind == refused || p.kind == unmanaged || p.kind == doubtful || p.kind == settled:
	case p.kind == waiting:
		b.countRest(p, o)
	case o.Result == Neutral:
		b.tally.Add(Neutrals)
		if p.kind == trial {
			b.giveBack(p, o.Unanswered)
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

// StillWaiting tells that an admitted request has waited for its answer for longer than Policy.SlowCallDuration. That is a slow
// call, and is counted while the request still waits: so a hang opens the breaker when it is noticed, not when it ends. The
// permit that it returns takes the other one's place, for Done.
func (b *Breaker) StillWaiting(p Permit) Permit {
	if p.kind == unclaimed {
		p = b.claim(p)
	}
	switch {
	case b.policy.SlowCallDuration == 0:
	case p.kind == trial:
		b.settle(p, Outcome{Slow: true})
		p.kind = settled
	case p.kind == counted:
		return b.countWaiting(p)
	}
	return p
}

// Release gives a trial's place to another request, while its verdict still counts if it comes in the same epoch: for a
// client that takes its time over sending the request. The permit that it returns takes the other one's place, for Done.
func (b *Breaker) Release(p Permit) Permit {
	if p.kind == trial && b.giveBack(p, false) {
		p.lease = 0
	}
	return p
}

// Observe counts the outcome of a request that this breaker was not asked about, because nobody knew that it would get
// it: as one admitted just now if the breaker is closed, else as late.
func (b *Breaker) Observe(o Outcome) {
	if b.policy.Mode == Disabled {
		return
	}
	p := Permit{kind: shadowed}
	if o.Result != Neutral && b.policy.Mode != ForceOpen {
		if v := b.ready(b.clock.Now(), o.bad(), anyEpoch); v.known && v.state == Closed {
			p = Permit{kind: counted, ticket: ticket{epoch: v.epoch}}
		}
	}
	b.Done(p, o)
}
