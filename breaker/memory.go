package breaker

import (
	"encoding/binary"
	"sync/atomic"
)

// MemoryStore is a [Store] in memory, for breakers within one process. Its zero value is empty and ready to use.
type MemoryStore struct {
	p atomic.Pointer[versioned]
}

type versioned struct {
	value   []byte
	version uint32
}

// Load implements [Store].
func (m *MemoryStore) Load() ([]byte, uint32) {
	if v := m.p.Load(); v != nil {
		return v.value, v.version
	}
	return nil, 0
}

// CompareAndSwap implements [Store].
func (m *MemoryStore) CompareAndSwap(value []byte, version uint32) bool {
	old := m.p.Load()
	next := &versioned{append([]byte(nil), value...), 1}
	switch {
	case old == nil && version != 0, old != nil && old.version != version:
		return false
	case old != nil:
		if next.version = old.version + 1; next.version == 0 {
			next.version = 1
		}
	}
	return m.p.CompareAndSwap(old, next)
}

// MemoryTally is a [Tally] in memory. Its zero value is ready to use. Nobody sets its counters back: [Tally.Set] is for gauges.
type MemoryTally [NumStats]atomic.Uint64

// Add implements [Tally].
func (m *MemoryTally) Add(s Stat) { m[s].Add(1) }

// Subtract implements [Tally].
func (m *MemoryTally) Subtract(s Stat) { m[s].Add(^uint64(0)) }

// Value implements [Tally].
func (m *MemoryTally) Value(s Stat) uint64 { return m[s].Load() }

// Set implements [Tally].
func (m *MemoryTally) Set(s Stat, to uint64) { m[s].Store(to) }

// storedTally is a tally in a store, for breakers whose counters are hidden (rule 14): slower, and as correct.
type storedTally struct{ store Store }

// The value is the totals of calls, failures and slow calls and of good ends, each 8 bytes, little-endian. Anything else
// reads as zeros, and the window that this does not fit begins afresh.
const storedTallySize = 4 * 8

func (s *storedTally) read() (Totals, uint64) {
	value, _ := s.store.Load()
	return decodeTally(value)
}

func decodeTally(b []byte) (t Totals, good uint64) {
	if len(b) != storedTallySize {
		return Totals{}, 0
	}
	le := binary.LittleEndian
	return Totals{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])}, le.Uint64(b[24:])
}

func (s *storedTally) add(a addition) {
	for range giveBackTries {
		value, version := s.store.Load()
		t, good := decodeTally(value)
		t.Calls += one(a.call)
		t.Failures += one(a.failure)
		t.SlowCalls += one(a.slow)
		if s.begin(t, good+one(a.ended), version) {
			return
		}
	}
}

func one(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// begin writes a tally over the version that was read.
func (s *storedTally) begin(t Totals, good uint64, version uint32) bool {
	var buf [storedTallySize]byte
	le := binary.LittleEndian
	b := le.AppendUint64(buf[:0], t.Calls)
	b = le.AppendUint64(b, t.Failures)
	b = le.AppendUint64(b, t.SlowCalls)
	b = le.AppendUint64(b, good)
	return s.store.CompareAndSwap(b, version)
}
