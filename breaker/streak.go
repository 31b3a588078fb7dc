package breaker

import "encoding/binary"

// A streak is the failures in a row as the store of streaks keeps them: as many as there were in an epoch since the counter of good
// ends stood there (rule 7).
type streak struct{ epoch, good, failures uint64 }

const streakSize = 3 * 8

// decodeStreak reads anything but what append writes as no streak.
func decodeStreak(b []byte) streak {
	if len(b) != streakSize {
		return streak{}
	}
	le := binary.LittleEndian
	return streak{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])}
}

func (s streak) append(b []byte) []byte {
	le := binary.LittleEndian
	return le.AppendUint64(le.AppendUint64(le.AppendUint64(b, s.epoch), s.good), s.failures)
}

// countStreak adds a failure to the streak, and returns how many in a row there are with it; 0 if the store does not take it.
func (b *Breaker) countStreak(epoch uint64, stored bool) uint64 {
	for range giveBackTries {
		value, version := b.streaks.Load()
		s := decodeStreak(value)
		if good := b.goodEnds(stored); s.epoch != epoch || s.good != good {
			s = streak{epoch: epoch, good: good}
		}
		s.failures++
		var buf [streakSize]byte
		if b.streaks.CompareAndSwap(s.append(buf[:0]), version) {
			b.tally.Set(Streak, s.failures)
			b.rowShown.Store(true)
			return s.failures
		}
	}
	return 0
}

// goodEnds reads the counter of good ends: after the streak, or it could be older than that.
func (b *Breaker) goodEnds(stored bool) uint64 {
	if stored {
		_, good := b.counts.read()
		return good
	}
	return b.tally.Value(Successes)
}

// showRowEnded lets the gauge show that the row of failures has ended, which it does not say by itself. A worker does that once
// after it has shown one, and once whenever it has read the record, for the others'.
func (b *Breaker) showRowEnded() {
	if b.rowShown.Load() && b.rowShown.Swap(false) {
		b.tally.Set(Streak, 0)
	}
}
