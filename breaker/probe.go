package breaker

import "envoy-circuit-breaker/internal/time"

// A Probe is one call of a worker's own to find out how the upstream of an open breaker is, so that no request has to.
type Probe struct {
	epoch  uint64
	serial uint32
	began  Time
}

// probeGrace is how much longer than its timeout a probe may be out before another worker takes over: its owner is gone.
const probeGrace = 100 * time.Millisecond

// BeginProbe reports whether this worker is to probe the upstream now. It is to be asked again and again, several times in
// ProbeInterval, by all workers; one of them gets the probe. It must call EndProbe within ProbeTimeout.
func (b *Breaker) BeginProbe() (Probe, bool) {
	if b.policy.ProbeInterval == 0 || b.policy.Mode == ForceOpen || b.policy.Mode == Disabled {
		return Probe{}, false
	}
	now := b.clock.Now()
	if v := b.trusted(); v != nil && now < v.until && (v.state != Open || now < v.probeAt) {
		return Probe{}, false
	}
	for range tries {
		s := b.load(now)
		next := s.Record
		if !s.ok || !b.policy.beginProbe(&next, now) {
			break
		}
		if b.swap(&s, &next, quiet, nil) {
			b.remember(&next, s.bell, now)
			b.tally.Add(Probes)
			return Probe{next.Epoch, next.Serial, now}, true
		}
	}
	return Probe{}, false
}

// EndProbe tells what a probe found. HalfOpenSuccessThreshold good ones in a row move the breaker on; until then it stays
// open for at least another interval, though no longer than OpenMaxDuration in all.
func (b *Breaker) EndProbe(p Probe, good bool) {
	if !good {
		b.tally.Add(ProbeFailures)
	}
	now := b.clock.Now()
	for range giveBackTries {
		s := b.load(now)
		if !s.ok || s.Epoch != p.epoch || s.Serial != p.serial {
			return // moved on without it, or taken over
		}
		next := s.Record
		var t Totals
		if good && b.policy.closing(&next) {
			t = b.totals(s.StoredTally)
		}
		moved, eff := b.policy.endProbe(&next, p.began, good, now, t)
		if b.swap(&s, &next, eff, moved) {
			if eff == quiet {
				b.remember(&next, s.bell, now) // or the next probe would wait for the view's end
			}
			return
		}
	}
}

// beginProbe takes the lease of the next probe, if it is time.
func (p *Policy) beginProbe(r *Record, now Time) bool {
	if r.State != Open || now < r.ProbeAt {
		return false
	}
	r.Serial++
	r.ProbeAt = now.Add(p.ProbeTimeout + probeGrace)
	p.stayOpen(r, r.ProbeAt)
	return true
}

// endProbe applies what the last probe found.
func (p *Policy) endProbe(r *Record, began Time, good bool, now Time, t Totals) (*Transition, effect) {
	enough := good && p.closing(r)
	if r.Successes++; !good {
		r.Successes = 0
	}
	switch {
	case !enough:
		r.ProbeAt = max(now, began.Add(p.ProbeInterval))
		p.stayOpen(r, r.ProbeAt.Add(p.ProbeTimeout+probeGrace))
		return nil, quiet
	case p.ProbeCloses:
		return r.close(Probed, now, t), loud
	}
	return r.to(HalfOpen, Probed, now), loud
}

// stayOpen keeps requests away until a probe has had its time: requests are not what the upstream is to be tried with.
func (p *Policy) stayOpen(r *Record, until Time) {
	r.OpenUntil = max(r.OpenUntil, min(until, r.OpenedAt.Add(p.OpenMaxDuration)))
}
