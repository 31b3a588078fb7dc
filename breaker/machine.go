package breaker

import (
	"strconv"

	"envoy-circuit-breaker/internal/time"
)

// Reason says why a breaker changed its state.
type Reason uint8

const (
	FailureRate     Reason = iota // closed → open: failures in the window
	SlowCallRate                  // closed → open: slow calls in the window
	Consecutive                   // closed → open: failures in a row
	HalfOpenFailure               // half-open → open: a trial failed
	OpenElapsed                   // open → half-open: the open time is over
	Recovered                     // half-open → closed: enough trials succeeded
	Probed                        // open → half-open or closed: enough probes succeeded
)

// String returns the reason's name in stats and logs.
func (r Reason) String() string {
	names := [...]string{"failure_rate", "slow_rate", "consecutive", "half_open_failure", "open_elapsed", "recovered", "probed"}
	if int(r) < len(names) {
		return names[r]
	}
	return "reason(" + strconv.Itoa(int(r)) + ")"
}

// A Transition is a change of state, with the numbers that caused it.
type Transition struct {
	From, To State
	Reason   Reason
	Epoch    uint64 // the new one
	At       Time

	Window  Totals // what the window held, with reason FailureRate without the calls that still waited; trips out of closed
	Waiting uint64 // how many of its slow calls were still waiting; reason SlowCallRate
	Expired uint32 // trials in a row that expired; reason HalfOpenFailure, 0 where a trial failed
	Streak  uint64 // failures in a row; reason Consecutive
	Ramp    bool   // the trip came while the ramp was still on

	OpenFor   time.Duration // how long it stays open; to open
	Trips     uint32        // trips in a row; to open
	Successes uint32        // successful trials, or probes in a row; out of half-open, and reason Probed
}

// effect says what has to be done with a record that an operation of the machine was applied to.
type effect uint8

const (
	same  effect = iota // nothing: it is as it was
	quiet               // write it; the other workers need not know at once
	loud                // write it and ring the bell
)

// fresh returns the record of a breaker that has seen nothing.
func (p *Policy) fresh(owner Owner, now Time, t Totals) Record {
	r := Record{Epoch: uint64(now), Owner: owner, OwnedAt: now}
	r.beginWindow(p.window(), now, t)
	return r
}

// beginWindow lets a closed epoch, or what is left of it, look back no further than now.
func (r *Record) beginWindow(w Window, now Time, t Totals) {
	r.Window = w
	r.Window.begin(now, t)
	r.EpochFailures = t.Failures
	r.SetBack = false
}

// unownedFor is how long the owner of a record must have been silent before any policy may take it over.
func (r *Record) unownedFor() time.Duration {
	if r.Window.Kind == CountWindow {
		return 20 * time.Second // twice the default window; calls measure no time
	}
	return 2 * time.Duration(r.Window.Size)
}

// takeOver makes the record the owner's if it is of an earlier-loaded policy, or of one that has not been heard of for
// two windows (rule 15). An open breaker stays open, but no longer than the new policy would ever let it; the window starts afresh,
// so that old buckets are never judged by new thresholds. An earlier-loaded policy that still has traffic uses the record
// as it finds it, so two policies never reset each other in turn.
func (p *Policy) takeOver(r *Record, owner Owner, now Time, t Totals) effect {
	switch {
	case owner == r.Owner:
		return same
	case owner.Generation <= r.Owner.Generation && now.Sub(max(r.OwnedAt, r.OpenUntil)) < r.unownedFor(): // none writes while it is open
		return same
	case owner.Policy == r.Owner.Policy:
		r.Owner, r.OwnedAt = owner, now
		return quiet
	}
	r.Owner, r.OwnedAt = owner, now
	r.DueAt = min(r.DueAt, now.Add(p.OpenMaxDuration))
	r.OpenUntil = min(p.openUntil(r), now.Add(p.OpenMaxDuration))
	if r.State == Closed {
		r.beginWindow(p.window(), now, t)
	} else {
		r.Window = p.window()
	}
	return loud
}

// openUntil is when an open breaker's time is over under this policy: one that has no probes does not wait for those of another.
func (p *Policy) openUntil(r *Record) Time {
	if p.ProbeInterval == 0 {
		return min(r.OpenUntil, r.DueAt)
	}
	return r.OpenUntil
}

// retryAt is when an open breaker lets requests through at the latest: those that it has probes for wait as long as these fail.
func (p *Policy) retryAt(r *Record) Time {
	if p.ProbeInterval == 0 {
		return p.openUntil(r)
	}
	return max(r.OpenUntil, r.OpenedAt.Add(p.OpenMaxDuration))
}

// verdict is what the machine says of a request.
type verdict struct {
	admitted   bool
	lease      uint32        // the trial's serial, if it is one
	ramp       bool          // not admitted because the ramp has not reached it
	retryAfter time.Duration // when not admitted: how long requests still wait at most; 0 where nobody knows
	expired    int           // leases that were taken back on the way
	moved      *Transition
}

// admit decides on a request.
func (p *Policy) admit(r *Record, now Time, rnd uint64) (verdict, effect) {
	switch r.State {
	case Closed:
		return verdict{admitted: p.admitShare(r, now) > share(rnd), ramp: true}, same
	case Open:
		if now < p.openUntil(r) {
			return verdict{retryAfter: p.retryAt(r).Sub(now)}, same
		}
		// Rule 9: the first trial is part of the transition. One more CAS could fail and leave the state half-open for nobody.
		moved := r.to(HalfOpen, OpenElapsed, now)
		return verdict{admitted: true, lease: r.lend(now.Add(p.HalfOpenPermitTimeout)), moved: moved}, loud
	}
	expired := r.reclaim(now)
	if most := uint32(p.HalfOpenMaxRequests); r.Expired >= most {
		moved := p.trip(r, Transition{Reason: HalfOpenFailure, Expired: r.Expired}, 0, now, rnd)
		return verdict{retryAfter: p.retryAt(r).Sub(now), expired: expired, moved: moved}, loud
	} else if uint32(r.live)+r.Expired >= most {
		return verdict{expired: expired}, quietIf(expired > 0)
	}
	return verdict{admitted: true, lease: r.lend(now.Add(p.HalfOpenPermitTimeout)), expired: expired}, quiet
}

func quietIf(changed bool) effect {
	if changed {
		return quiet
	}
	return same
}

// firstShare is what the ramp admits right after closing: it starts above zero, so that the first request is not turned
// away for certain.
const firstShare = 0.05

// admitShare returns the share of requests that a closed breaker admits: all, or on the ramp a share that grows linearly
// from firstShare.
func (p *Policy) admitShare(r *Record, now Time) float64 {
	if !p.ramping(r, now) {
		return 1
	}
	done := max(0, float64(now.Sub(r.ClosedAt))/float64(p.Ramp))
	return firstShare + (1-firstShare)*done
}

func (p *Policy) ramping(r *Record, now Time) bool {
	return r.State == Closed && r.Trips > 0 && now < r.ClosedAt.Add(p.Ramp)
}

// judge says whether a closed breaker must open: in is what the window holds, waiting how many calls wait, failures how many
// there were in this epoch, streak how many in a row. It is asked after a failure or slow call has been counted, and only then (rule 4): successes alone
// never open a breaker, not even by filling up MinRequests.
func (p *Policy) judge(in Totals, waiting, failures, streak uint64) (Transition, bool) {
	found := Transition{Window: in, Streak: streak}
	enough := in.Calls >= uint64(p.MinRequests)
	n := uint64(p.ConsecutiveFailures)
	// Nobody knows what will come of the calls that wait; those in the window are slow, and have not failed (rule 18).
	ended := in
	ended.Calls -= min(waiting, in.SlowCalls-min(in.SlowCalls, in.Failures))
	switch {
	case p.FailureRate > 0 && ended.Calls >= uint64(p.MinRequests) && atLeast(in.Failures, ended.Calls, p.FailureRate):
		found.Reason, found.Window = FailureRate, ended
	case p.SlowCallDuration > 0 && enough && atLeast(in.SlowCalls, in.Calls, p.SlowCallRate):
		found.Reason = SlowCallRate
	// Rule 7: a gauge can be too high after a hot restart, which adds the parent's; failures of this epoch cannot.
	case n > 0 && streak >= n && failures >= n:
		found.Reason = Consecutive
	default:
		return Transition{}, false
	}
	return found, true
}

// atLeast reports whether part/whole ≥ percent/100. A quotient is rounded just as the percentage was when it was read, so
// that 33 of 3000 are 1.1 %; a product is not.
func atLeast(part, whole uint64, percent float64) bool {
	return float64(part)*100/float64(whole) >= percent
}

// trip opens the breaker. why has the reason and its numbers; retryAfter, if not 0, is the upstream's word on how long.
func (p *Policy) trip(r *Record, why Transition, retryAfter time.Duration, now Time, rnd uint64) *Transition {
	// Rule 16.
	stable := max(p.OpenMaxDuration, p.Ramp)
	if r.State == Closed && now.Sub(r.ClosedAt) >= stable {
		r.Trips = 0
	}
	ramp := p.ramping(r, now)
	if r.Trips++; r.Trips == 0 {
		r.Trips-- // stay at the most; the open time is capped long before
	}
	moved := r.to(Open, why.Reason, now)
	moved.Window, moved.Waiting, moved.Streak, moved.Ramp, moved.Expired = why.Window, why.Waiting, why.Streak, ramp, why.Expired
	moved.OpenFor, moved.Trips = p.openTime(r.Trips, rnd), r.Trips
	if retryAfter > 0 {
		moved.OpenFor = min(retryAfter, p.OpenMaxDuration)
	}
	r.OpenedAt, r.ProbeAt = now, now.Add(p.ProbeInterval)
	r.OpenUntil, r.DueAt = now.Add(moved.OpenFor), now.Add(moved.OpenFor)
	if p.ProbeInterval > 0 {
		p.stayOpen(r, r.ProbeAt.Add(p.ProbeTimeout+probeGrace)) // no request is a trial before the first probe has had its time
		moved.OpenFor = r.OpenUntil.Sub(now)
	}
	return moved
}

// close closes the breaker, with an empty window.
func (r *Record) close(why Reason, now Time, t Totals) *Transition {
	moved := r.to(Closed, why, now)
	r.ClosedAt = now
	r.beginWindow(r.Window, now, t)
	return moved
}

// to moves the record to another state and epoch, and clears what belonged to the old state.
func (r *Record) to(s State, why Reason, now Time) *Transition {
	moved := &Transition{From: r.State, To: s, Reason: why, At: now, Epoch: r.Epoch + 1, Successes: r.Successes}
	r.State = s
	r.Epoch++
	r.Window = Window{Kind: r.Window.Kind, Size: r.Window.Size}
	r.Successes, r.Expired, r.Serial, r.live, r.leases = 0, 0, 0, 0, [MaxTrials]lease{}
	return moved
}
