package breaker

import (
	"testing"
	"time"
)

// world is what breakers of one process share in a test: several workers over one store, one tally and a clock that
// stands still unless it is told to move.
type world struct {
	t      tester
	store  MemoryStore
	counts MemoryStore
	tally  MemoryTally
	mute   [NumStats]bool // stats that read zero for ever, though they count
	now    Time
	rnd    uint64
	turn   uint32 // of the next worker
	moves  []Transition
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatal(...any)
}

func newWorld(t tester) *world { return &world{t: t, now: Time(1000 * time.Second), turn: 1} }

// worker returns one more worker of the world.
func (w *world) worker(p Policy) *Breaker {
	w.t.Helper()
	b, err := New(w.config(p))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) config(p Policy) Config {
	return Config{
		Policy: p, Store: &w.store, Counts: &w.counts, Tally: mutedTally{w},
		Clock:        ClockFunc(func() Time { return w.now }),
		Rand:         func() uint64 { return w.rnd },
		Turn:         w.turn,
		OnTransition: func(m Transition) { w.moves = append(w.moves, m) },
	}
}

type mutedTally struct{ w *world }

func (m mutedTally) Add(s Stat)            { m.w.tally.Add(s) }
func (m mutedTally) Set(s Stat, to uint64) { m.w.tally.Set(s, to) }
func (m mutedTally) Value(s Stat) uint64 {
	if m.w.mute[s] {
		return 0
	}
	return m.w.tally.Value(s)
}

// random is the number that makes share return u.
func random(u float64) uint64 { return uint64(u*(1<<53)) << 11 }

func (w *world) record() Record {
	w.t.Helper()
	var r Record
	value, _ := w.store.Load()
	if err := r.UnmarshalBinary(value); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestFailureRateTripsAcrossWorkers(t *testing.T) {
	w := newWorld(t)
	p := DefaultPolicy()
	p.MinRequests, p.OpenJitter = 10, 0
	workers := []*Breaker{w.worker(p), w.worker(p)}
	for i := range 10 {
		b := workers[i%2]
		permit := b.Acquire()
		if !permit.Admitted() {
			t.Fatalf("request %d was not admitted", i)
		}
		b.Done(permit, Outcome{Result: Failure})
	}
	for _, b := range workers {
		if permit := b.Acquire(); permit.Admitted() || permit.State != "open" || permit.RetryAfter != 5*time.Second {
			t.Errorf("after ten failures: %+v", permit)
		}
	}
	w.now = w.now.Add(5 * time.Second)
	var trials []Permit
	for i := range 5 {
		if permit := workers[i%2].Acquire(); permit.Admitted() {
			trials = append(trials, permit)
		}
	}
	if len(trials) != 3 {
		t.Fatalf("%d trials in flight, want 3", len(trials))
	}
	for i, permit := range trials {
		workers[i%2].Done(permit, Outcome{})
	}
	if r := w.record(); r.State != Closed {
		t.Errorf("after three good trials: %v", r.State)
	}
	if permit := workers[0].Acquire(); !permit.Admitted() {
		t.Errorf("closed again, but: %+v", permit)
	}
	if got := w.tally.Value(Calls); got != 13 {
		t.Errorf("calls = %d, want 13", got)
	}
}
