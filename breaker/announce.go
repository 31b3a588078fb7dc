package breaker

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
