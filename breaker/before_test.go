package breaker

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"
)

// version1 returns a record as version 1 wrote it.
func version1(s State, trips uint32, openedAt, openUntil Time) []byte {
	b := make([]byte, version1Size)
	le := binary.LittleEndian
	b[0], b[1] = 1, byte(s)
	le.PutUint64(b[4:], 123)
	le.PutUint32(b[version1Trips:], trips)
	le.PutUint64(b[version1OpenedAt:], uint64(openedAt))
	le.PutUint64(b[version1OpenUntil:], uint64(openUntil))
	le.PutUint32(b[version1Size-4:], crc32.ChecksumIEEE(b[:version1Size-4]))
	return b
}

// The size of version 1: without the expired trials, and without due-at.
func TestSizeOfVersion1(t *testing.T) {
	if version1Size != RecordSize-4-8 {
		t.Errorf("%d bytes, want %d", version1Size, RecordSize-4-8)
	}
}

// A breaker that is open under the version before stays open under this one, for as long, and is tried then. That happens once.
// Rule 12.
func TestOpenBreakerOfTheVersionBefore(t *testing.T) {
	for _, s := range []State{Open, HalfOpen} {
		w := newWorld(t)
		old := version1(s, 2, w.now.Add(-time.Second), w.now.Add(3*time.Second))
		c := w.config(touchy())
		c.Before = func() []byte { return old }
		a, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := New(c)
		for _, b := range []*Breaker{a, b} {
			if p := b.Acquire(); p.State() != "open" || p.RetryAfter != 3*time.Second {
				t.Fatalf("%v: %+v", s, p)
			}
		}
		if r := w.record(); r.Trips != 2 || w.tally.Value(StateGauge) != uint64(Open) {
			t.Errorf("%+v, gauge %d", r, w.tally.Value(StateGauge))
		}
		w.now = w.now.Add(3 * time.Second)
		for w.record().State != Closed {
			p := a.Acquire()
			if !p.Trial() {
				t.Fatalf("no trial: %+v", p)
			}
			a.Done(p, Outcome{})
		}
		// Nor is it taken over again where the record gets lost.
		_, version := w.store.Load()
		w.store.CompareAndSwap([]byte("nonsense"), version)
		w.now = w.now.Add(maxViewAge)
		a.Acquire()
		if p := a.Acquire(); !p.Admitted() || w.record().State != Closed {
			t.Errorf("taken over twice: %+v", p)
		}
	}
}

// What is not an open breaker of version 1 is none: the breaker begins closed.
// Rule 12.
func TestNothingToTakeOver(t *testing.T) {
	now := Time(1000 * time.Second)
	open := version1(Open, 1, now, now.Add(time.Second))
	wrong := append([]byte(nil), open...)
	wrong[100] ^= 1
	other := append([]byte(nil), open...)
	other[0] = 3
	for _, value := range [][]byte{nil, {}, open[1:], wrong, other, version1(Closed, 1, now, now.Add(time.Second))} {
		w := newWorld(t)
		c := w.config(touchy())
		c.Before = func() []byte { return value }
		b, _ := New(c)
		if p := b.Acquire(); p.State() != "closed" {
			t.Errorf("%x: %+v", value, p)
		}
	}
	// However long it says that it is open, no longer than this policy ever is.
	w := newWorld(t)
	old := version1(Open, 1, now, now.Add(1000*time.Hour))
	c := w.config(touchy())
	c.Before = func() []byte { return old }
	b, _ := New(c)
	if p := b.Acquire(); p.Admitted() || p.RetryAfter != c.Policy.OpenMaxDuration {
		t.Errorf("%+v", p)
	}
}

// An older version that is loaded after this one cannot read its record. It begins closed, with a record of its own, and shares bell and
// tally. That closes no breaker here, nor opens one.
// Rule 12.
func TestOlderVersionBeside(t *testing.T) {
	w := newWorld(t)
	p := touchy()
	p.MinRequests = 2
	b := w.worker(p)
	older := func() { // makes a record, and counts a call
		w.tally.Add(Changes)
		w.tally.Add(Calls)
		w.tally.Set(Streak, 0)
	}
	b.Done(b.Acquire(), Outcome{Result: Failure})
	older()
	if s := w.record().State; s != Closed {
		t.Fatalf("%v", s)
	}
	for w.record().State == Closed {
		b.Done(b.Acquire(), Outcome{Result: Failure})
	}
	for range 5 {
		older()
		if p := b.Acquire(); p.Admitted() {
			t.Errorf("%+v", p)
		}
	}
}
