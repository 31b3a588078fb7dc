package breaker

// countWaiting counts a call of a closed breaker as slow while it still waits.
func (b *Breaker) countWaiting(p Permit) Permit {
	now := b.clock.Now()
	v := b.ready(now, true, p.epoch)
	if !v.known || v.epoch != p.epoch {
		return p // its end will be late
	}
	before := b.calls(v.stored)
	stored, _ := b.add(addition{call: true, slow: true}, v.epoch, v.stored, now)
	if stored != v.stored {
		before = b.calls(stored) - 1 // the tally has just moved to the store
	}
	b.tally.Add(Waiting)
	b.judge(&v, 0, stored, 0, now)
	p.kind, p.lease = waiting, uint64(now)
	if v.kind == CountWindow {
		p.lease = before
	}
	return p
}

// countRest counts what is left of a call that was counted while it waited: it may have failed after all. It adds no call, but
// brings that one forward to its failure (rule 18), before the failure is added (rule 3).
func (b *Breaker) countRest(p Permit, o Outcome) {
	now := b.clock.Now()
	failed := o.Result == Failure
	var v view
	if failed {
		v = b.move(now, true, p.epoch, &p.lease)
	} else {
		v = b.ready(now, false, p.epoch)
	}
	if !v.known || v.epoch != p.epoch {
		return
	}
	if b.stillWaiting() > 0 {
		b.tally.Subtract(Waiting)
	}
	rows := b.policy.ConsecutiveFailures > 0
	switch {
	case failed:
		stored, streak := b.add(addition{failure: true, streak: rows}, v.epoch, v.stored, now)
		b.judge(&v, o.RetryAfter, stored, streak, now)
	case o.Result == Success:
		b.add(addition{ended: rows}, v.epoch, v.stored, now)
	}
}

// stillWaiting reads how many calls were counted as slow and still wait. The gauge can be less than nothing for a while: a
// transition sets it to 0 while others subtract, and so does a hot restart, whose parent takes off what it once added.
func (b *Breaker) stillWaiting() uint64 {
	return uint64(max(0, int64(b.tally.Value(Waiting))))
}
