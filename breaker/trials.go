package breaker

import "envoy-circuit-breaker/internal/time"

// settle applies the verdict on a trial. It is counted once, before the totals are read (rule 11), whatever has become of its
// lease (rule 10).
func (b *Breaker) settle(p Permit, o Outcome) {
	now, rnd := b.clock.Now(), b.rand()
	counted := false
	for range giveBackTries {
		s := b.load(now)
		if !s.ok || s.Epoch != p.epoch {
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
			b.add(b.whole(o), s.Epoch, s.StoredTally, now)
			counted = true
		}
		next := s.Record
		var t Totals
		if !o.bad() && b.policy.closing(&next) {
			t = b.totals(s.StoredTally)
		}
		moved, eff := b.policy.settle(&next, uint32(p.lease), o, now, t, rnd)
		if b.swap(&s, &next, eff, moved) {
			return
		}
	}
}

// giveBack returns the permit of a trial that has no verdict, however often it takes (rule 10), and reports whether it did.
// expired says that it counts as one that expired (rule 17).
func (b *Breaker) giveBack(p Permit, expired bool) bool {
	released := p.lease == 0
	if released && !expired {
		return false
	}
	now := b.clock.Now()
	for range giveBackTries {
		s := b.load(now)
		next := s.Record
		if !s.ok || s.Epoch != p.epoch || !released && !next.giveBack(uint32(p.lease)) {
			return false // its lease has expired, and counts as that already
		}
		if expired {
			next.Expired++
		}
		if b.swap(&s, &next, quiet, nil) {
			return true
		}
	}
	return false
}

// closing reports whether one more success, of a trial or probe, is enough.
func (p *Policy) closing(r *Record) bool { return r.Successes+1 >= uint32(p.HalfOpenSuccessThreshold) }

// settle applies the verdict on a trial. The caller has counted it before it read the totals, from which the window starts if
// the breaker is closing.
func (p *Policy) settle(r *Record, serial uint32, o Outcome, now Time, t Totals, rnd uint64) (*Transition, effect) {
	if o.bad() {
		return p.trip(r, Transition{Reason: HalfOpenFailure}, o.RetryAfter, now, rnd), loud
	}
	r.giveBack(serial)
	r.Expired = 0
	closing := p.closing(r)
	if r.Successes++; !closing {
		return nil, quiet
	}
	return r.close(Recovered, now, t), loud
}

// lend gives a lease. There must be room for it.
func (r *Record) lend(deadline Time) uint32 {
	if r.Serial++; r.Serial == 0 {
		r.Serial++ // 0 stands for no lease
	}
	r.leases[r.live] = lease{r.Serial, deadline}
	r.live++
	return r.Serial
}

// giveBack ends a lease and reports whether there was one.
func (r *Record) giveBack(serial uint32) bool {
	for i, l := range r.leases[:r.live] {
		if l.serial == serial {
			r.live--
			r.leases[i] = r.leases[r.live]
			r.leases[r.live] = lease{}
			return true
		}
	}
	return false
}

// expiryGrace is how long after its deadline a lease expires: a verdict that is on its way is not overtaken.
const expiryGrace = 500 * time.Millisecond

// reclaim ends the leases that have expired, and returns how many.
func (r *Record) reclaim(now Time) (expired int) {
	for i := 0; i < r.live; {
		if now.Sub(r.leases[i].deadline) >= expiryGrace {
			r.giveBack(r.leases[i].serial)
			expired++
			continue
		}
		i++
	}
	r.Expired += uint32(expired)
	return expired
}
