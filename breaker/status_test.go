package breaker

import (
	"testing"
	"time"
)

func TestReadStatus(t *testing.T) {
	w := newWorld(t)
	read := func() Status {
		t.Helper()
		before := w.tally.Value(Changes)
		s, ok := ReadStatus(&w.store, &w.counts, &w.tally, w.now)
		if !ok || w.tally.Value(Changes) != before {
			t.Fatalf("ok %v, changes %d, before %d", ok, w.tally.Value(Changes), before)
		}
		return s
	}
	if _, ok := ReadStatus(&w.store, nil, &w.tally, w.now); ok {
		t.Error("there is no breaker, but a status")
	}
	p := DefaultPolicy()
	p.MinRequests, p.OpenJitter, p.HalfOpenSuccessThreshold = 4, 0, 5
	b := w.worker(p)
	for _, o := range []Outcome{{}, {}, {Result: Failure}} {
		b.Done(b.Acquire(), o)
	}
	if got, want := read(), (Status{Window: Totals{Calls: 3, Failures: 1}}); got != want {
		t.Errorf("closed: %+v, want %+v", got, want)
	}
	w.now = w.now.Add(time.Minute)
	if got := read(); got != (Status{}) {
		t.Errorf("after a pause: %+v", got)
	}
	for range 4 {
		b.Done(b.Acquire(), Outcome{Result: Failure})
	}
	w.now = w.now.Add(2 * time.Second)
	if got, want := read(), (Status{State: Open, Trips: 1, OpenFor: 3 * time.Second, OpenedFor: 2 * time.Second}); got != want {
		t.Errorf("open: %+v, want %+v", got, want)
	}
	w.now = w.now.Add(3 * time.Second)
	b.Done(b.Acquire(), Outcome{})
	b.Acquire()
	b.Acquire()
	if got, want := read(), (Status{State: HalfOpen, Trips: 1, Successes: 1, Trials: 2}); got != want {
		t.Errorf("half-open: %+v, want %+v", got, want)
	}
	w.now = w.now.Add(p.HalfOpenPermitTimeout + expiryGrace - 1)
	if got := read(); got.Trials != 2 {
		t.Errorf("permits have not yet expired: %+v", got)
	}
	w.now++
	if got := read(); got.Trials != 0 {
		t.Errorf("permits have expired: %+v", got)
	}
}
