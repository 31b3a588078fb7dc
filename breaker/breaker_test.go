package breaker

import (
	"testing"
	"time"
)

// world is what breakers of one process share in a test: several workers over one store, one tally and a clock that
// stands still unless it is told to move.
type world struct {
	t      *testing.T
	store  MemoryStore
	counts MemoryStore
	tally  MemoryTally
	now    Time
	rnd    uint64
	moves  []Transition
}

func newWorld(t *testing.T) *world { return &world{t: t, now: Time(1000 * time.Second)} }

// worker returns one more worker of the world.
func (w *world) worker(p Policy) *Breaker {
	w.t.Helper()
	b, err := New(Config{
		Policy: p, Store: &w.store, Counts: &w.counts, Tally: &w.tally,
		Clock:        ClockFunc(func() Time { return w.now }),
		Rand:         func() uint64 { return w.rnd },
		Turn:         1,
		OnTransition: func(m Transition) { w.moves = append(w.moves, m) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

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
