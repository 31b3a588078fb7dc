package breaker

import (
	"testing"
	"time"
)

// storeWithHook runs something once, right after a write that succeeded.
type storeWithHook struct {
	*MemoryStore
	after func()
}

func (h *storeWithHook) CompareAndSwap(value []byte, version uint32) bool {
	ok := h.MemoryStore.CompareAndSwap(value, version)
	if f := h.after; ok && f != nil {
		h.after = nil
		f()
	}
	return ok
}

// A second worker that meets a record before its maker has rung takes the counters for set back, so that one reset within the first
// window is the second one to it, and the tally moves to the store for ever.
func TestNewRecordIsNotSetBack(t *testing.T) {
	var store, counts MemoryStore
	var tally MemoryTally
	now := Time(1000 * time.Second)
	policy := DefaultPolicy()
	hooked := &storeWithHook{MemoryStore: &store}
	worker := func(s Store) *Breaker {
		b, err := New(Config{Policy: &policy, Store: s, Counts: &counts, Tally: &tally, Clock: ClockFunc(func() Time { return now }), Rand: func() uint64 { return 0 }, Generation: 1})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two := worker(hooked), worker(&store)
	hooked.after = func() { two.Done(two.Acquire(), Outcome{}) }
	one.Done(one.Acquire(), Outcome{})
	var r Record
	load := func() { v, _ := store.Load(); r.UnmarshalBinary(v) }
	load()
	if r.SetBack {
		t.Error("a new record says that counters were set back")
	}
	for s := range tally { // the first /reset_counters
		tally[s].Store(0)
	}
	now = now.Add(2 * time.Second)
	one.Done(one.Acquire(), Outcome{})
	load()
	if r.StoredTally {
		t.Error("one reset has moved the tally to the store")
	}
}
