package breaker

import (
	"testing"
	"time"
)

// impatient is touchy about slow calls: two of two open it.
func impatient() Policy {
	p := touchy()
	p.MinRequests, p.SlowCallDuration = 2, time.Second
	return p
}

func tallied(w *world) (v [NumStats]uint64) {
	for s := range NumStats {
		v[s] = w.tally.Value(s)
	}
	return v
}

// Where there is nothing to count, a permit is as it was.
// Rule 18.
func TestNothingWaits(t *testing.T) {
	p := impatient()
	shadow, off, disabled := p, p, p
	shadow.Mode, off.SlowCallDuration, disabled.Mode = Shadow, 0, Disabled
	for name, p := range map[string]Policy{"shadowed": shadow, "slow_call is off": off, "disabled": disabled} {
		w := newWorld(t)
		b := w.worker(p)
		if name == "shadowed" {
			for range 2 {
				b.Done(b.Acquire(), Outcome{Result: Failure})
			}
		}
		permit := b.Acquire()
		before := tallied(w)
		if again := b.StillWaiting(permit); again != permit || tallied(w) != before {
			t.Errorf("%s: %+v became %+v; counted: %v", name, permit, again, tallied(w))
		}
		if again := b.Release(permit); again != permit || tallied(w) != before {
			t.Errorf("%s: %+v was released to %+v; counted: %v", name, permit, again, tallied(w))
		}
	}
	var refused Permit
	w := newWorld(t)
	b := w.worker(p)
	if b.StillWaiting(refused) != refused || b.Release(refused) != refused {
		t.Error("a request that was not admitted")
	}
}

// It counts once, however often it is told.
// Rule 18.
func TestWaitsOnce(t *testing.T) {
	w := newWorld(t)
	p := impatient()
	p.MinRequests = 10
	b := w.worker(p)
	permit := b.StillWaiting(b.Acquire())
	before := tallied(w)
	if again := b.StillWaiting(permit); again != permit || tallied(w) != before || w.tally.Value(Waiting) != 1 {
		t.Errorf("told again: %+v, %+v", permit, again)
	}
}

// A call whose record is lost is not counted as slow, and its end is an error.
// Rule 13.
func TestWaitsInDoubt(t *testing.T) {
	w, store, b, _ := roughWorld(t, impatient())
	permit := b.Acquire()
	w.now = w.now.Add(time.Minute)
	store.blind, store.refuse = true, forever
	if again := b.StillWaiting(permit); again != permit || w.tally.Value(Calls) != 0 {
		t.Errorf("%+v became %+v", permit, again)
	}
	b.Done(permit, Outcome{})
	if w.tally.Value(Errors) != 1 || w.tally.Value(Calls) != 0 {
		t.Errorf("errors %d, calls %d", w.tally.Value(Errors), w.tally.Value(Calls))
	}

	// One that has been counted is not counted once more.
	w, store, b, _ = roughWorld(t, impatient())
	permit = b.StillWaiting(b.Acquire())
	w.now = w.now.Add(time.Minute)
	store.blind, store.refuse = true, forever
	before := tallied(w)
	b.Done(permit, Outcome{Result: Failure})
	if tallied(w) != before {
		t.Errorf("counted: %v, before: %v", tallied(w), before)
	}
}

// The gauge of what still waits goes below nothing where a transition sets it to 0 while another worker is about to subtract. It
// reads 0 then, and is not subtracted from.
// Rule 18.
func TestWaitingGaugeBelowNothing(t *testing.T) {
	w := newWorld(t)
	p := impatient()
	p.MinRequests = 3
	b := w.worker(p)
	permit := b.StillWaiting(b.Acquire())
	w.tally.Set(Waiting, 0)
	w.tally.Subtract(Waiting)
	b.Done(permit, Outcome{})
	if n := int64(w.tally.Value(Waiting)); n != -1 {
		t.Errorf("%d still wait", n)
	}
	b.StillWaiting(b.Acquire())
	b.StillWaiting(b.Acquire())
	if n := w.moves[0].Waiting; w.record().State != Open || n != 1 || w.tally.Value(Waiting) != 0 {
		t.Errorf("%v, %d waited, %d still do", w.record().State, n, w.tally.Value(Waiting))
	}
}

// Somebody may count a call while it waits, just as another worker opens the breaker and sets the gauge to 0. When the breaker
// is half-open, that is set right.
// Rule 18.
func TestWaitingGaugeHalfOpen(t *testing.T) {
	w := newWorld(t)
	b := w.worker(touchy())
	b.Done(b.Acquire(), Outcome{Result: Failure})
	w.tally.Add(Waiting)
	w.now = w.now.Add(time.Minute)
	b.Acquire()
	if n := w.tally.Value(Waiting); n != 0 || w.record().State != HalfOpen {
		t.Errorf("%d still wait, %v", n, w.record().State)
	}
}

// What is said to wait is no more than the slow calls in the window.
// Rule 18.
func TestWaitingGaugeTooHigh(t *testing.T) {
	w := newWorld(t)
	b := w.worker(impatient())
	w.tally.Set(Waiting, 100) // of the parent, in a hot restart
	b.StillWaiting(b.Acquire())
	b.Done(b.Acquire(), Outcome{Slow: true})
	if len(w.moves) != 1 || w.moves[0].Reason != SlowCallRate || w.moves[0].Waiting != 2 {
		t.Errorf("%+v", w.moves)
	}
}

// A call is found in the window, and brought back into it, also if it was its own early verdict that found out about a hidden counter, and
// moved the tally to the store.
// Rules 14 and 18.
func TestWaitsAsTheTallyMoves(t *testing.T) {
	for _, muted := range [][]Stat{{SlowCalls}, {Calls}, {Calls, SlowCalls, Failures}} {
		w := newWorld(t)
		for _, s := range muted {
			w.mute[s] = true
		}
		p := impatient()
		p.MinRequests, p.FailureRate = 3, 30
		w.tally.Set(Calls, 1000)
		had := uint64(1000)
		if w.mute[Calls] {
			had = 0
		}
		store := storedTally{&w.counts}
		for range 7 { // of another record
			store.add(addition{call: true})
		}
		b := w.worker(p)
		permit := b.StillWaiting(b.Acquire())
		if r := w.record(); !r.StoredTally || r.Window.base() != (Totals{Calls: had}) {
			t.Fatalf("%v: the tally did not move to the store", muted)
		}
		early := b.StillWaiting(b.Acquire())
		b.Done(permit, Outcome{Result: Failure})
		if in, _ := store.read(); in != (Totals{had + 2, 1, 2}) {
			t.Errorf("%v: %+v counted", muted, in)
		}
		w.now = w.now.Add(time.Minute)
		b.Done(b.Acquire(), Outcome{})
		b.Done(early, Outcome{Result: Failure})
		in, _ := store.read()
		if in != (Totals{had + 3, 2, 2}) || w.record().State != Closed {
			t.Errorf("%v: %+v counted, %v", muted, in, w.record().State)
		}
		r := w.record()
		if in, ok := r.Window.count(in); in != (Totals{2, 1, 1}) || !ok {
			t.Errorf("%v: in the window: %+v", muted, in)
		}
	}
}

// Counters that were set back while a call waited: its failure is no reason to crash, nor to open.
// Rules 1 and 18.
func TestWaitsWhileCountersAreSetBack(t *testing.T) {
	w := newWorld(t)
	b := w.worker(impatient())
	b.Done(b.Acquire(), Outcome{})
	permit := b.StillWaiting(b.Acquire())
	for s := range NumStats {
		w.tally.Set(s, 0)
	}
	b.Done(permit, Outcome{Result: Failure})
	if r := w.record(); r.State != Closed || w.tally.Value(Waiting) != 0 {
		t.Errorf("%v, %d still wait", r.State, w.tally.Value(Waiting))
	}
}

// A policy that is loaded while a call waits begins a window of its own. When that call fails it is in there, as any other is that
// fails then.
// Rules 15 and 18.
func TestWaitsWhileAPolicyIsLoaded(t *testing.T) {
	p := impatient()
	times, calls := p, p
	calls.WindowDuration, calls.WindowRequests = 0, 100
	longer := p
	longer.WindowDuration *= 2
	for name, policies := range map[string][2]Policy{
		"calls after time": {times, calls}, "time after calls": {calls, times}, "another time": {times, longer},
	} {
		w := newWorld(t)
		w.now = w.now.Add(time.Hour)
		old := w.worker(policies[0])
		old.Done(old.Acquire(), Outcome{})
		permit := old.StillWaiting(old.Acquire())
		w.now = w.now.Add(time.Minute)
		w.generation = 2
		w.worker(policies[1]).load(w.now)
		old.Done(permit, Outcome{Result: Failure})
		r := w.record()
		in, ok := r.Window.count(Totals{w.tally.Value(Calls), w.tally.Value(Failures), w.tally.Value(SlowCalls)})
		want := Totals{1, 1, 1}
		if name == "calls after time" {
			want = Totals{} // the mark of a time says nothing about calls: a failure without its call counts for nothing
		}
		if r.State != Closed || !ok || in != want || w.tally.Value(Failures) != 1 || w.tally.Value(Waiting) != 0 {
			t.Errorf("%s: %v, in the window: %+v, %d failures, %d still wait", name, r.State, in, w.tally.Value(Failures), w.tally.Value(Waiting))
		}
	}
}

// Snapshots stay in order, though one was taken between the two additions of an early verdict, or just before them: also by
// several goroutines, or after counters were set back.
// Rules 3 and 18.
func TestBringKeepsSnapshotsInOrder(t *testing.T) {
	w := Window{Kind: CountWindow, Size: 10}
	w.begin(0, Totals{0, 0, 0})
	w.push(Snapshot{0, Totals{5, 1, 0}}) // has the call, but it was not slow yet
	w.push(Snapshot{0, Totals{6, 1, 1}})
	w.push(Snapshot{0, Totals{8, 1, 1}})
	before := w
	if w.bring(8) || w != before {
		t.Errorf("brought from the newest bucket: %+v", w)
	}
	for range 2 {
		if !w.bring(4) {
			t.Error("not brought")
		}
		for i := 1; i < w.n; i++ {
			if a, b := w.ring[i-1], w.ring[i]; a.Bucket > b.Bucket || a.Calls > b.Calls || a.SlowCalls > b.SlowCalls {
				t.Errorf("%+v, then %+v", a, b)
			}
		}
	}
	w.begin(0, Totals{})
	if w.Kind = TimeWindow; w.bring(0) {
		t.Errorf("brought from a window with nothing before it: %+v", w)
	}
}

// A worker's view can have a base from before another worker brought a call forward. It judges by the record.
// Rules 5 and 18.
func TestBringDoesNotRing(t *testing.T) {
	w := newWorld(t)
	p := impatient()
	p.FailureRate, p.MinRequests = 100, 2
	a, b := w.worker(p), w.worker(p)
	permit := a.StillWaiting(a.Acquire())
	w.now = w.now.Add(time.Minute)
	b.load(w.now)
	other := b.Acquire()
	b.Done(b.Acquire(), Outcome{Result: Neutral})
	if v := b.ready(w.now, true, anyEpoch); v.base.Calls != 1 {
		t.Fatalf("base %+v", v.base)
	}
	bell := w.tally.Value(Changes)
	a.Done(permit, Outcome{Result: Failure})
	if r := w.record(); w.tally.Value(Changes) != bell || b.trusted().base.Calls != 1 || r.Window.base().Calls != 0 {
		t.Fatalf("the other worker knows: %+v", b.trusted())
	}
	b.Done(other, Outcome{Result: Failure})
	if len(w.moves) != 1 || w.moves[0].Reason != FailureRate || w.moves[0].Window != (Totals{2, 2, 1}) {
		t.Errorf("%+v", w.moves)
	}
}

// A window of 100 calls holds 100 calls, though most of its buckets shrink while calls hang: it still opens at MinRequests.
// Rules 6 and 18.
func TestBringKeepsTheWindowLong(t *testing.T) {
	w := newWorld(t)
	p := impatient()
	p.WindowDuration, p.WindowRequests, p.MinRequests, p.FailureRate = 0, 100, 100, 90
	b := w.worker(p)
	var hung []Permit
	for i := range 600 {
		if i%4 == 0 {
			b.Done(b.Acquire(), Outcome{})
			continue
		}
		if hung = append(hung, b.StillWaiting(b.Acquire())); len(hung) > 70 {
			b.Done(hung[0], Outcome{Result: Failure})
			hung = hung[1:]
		}
		r := w.record()
		in, ok := r.Window.count(b.totals(false))
		if calls := w.tally.Value(Calls); !ok || r.State != Closed || in.Calls < min(calls, 100) || in.Calls > 131 {
			t.Fatalf("%v, in the window: %+v of %d calls", r.State, in, calls)
		}
	}
}

// A record that cannot be swapped is no reason to lose a failure, though its call stays where it was.
// Rules 13 and 18.
func TestBringGivesUp(t *testing.T) {
	p := impatient()
	p.ConsecutiveFailures = 9
	w, store, b, _ := roughWorld(t, p)
	permit := b.StillWaiting(b.Acquire())
	w.now = w.now.Add(time.Minute)
	store.refuse = forever
	b.Done(permit, Outcome{Result: Failure})
	if w.tally.Value(Failures) != 1 || w.tally.Value(Calls) != 1 || w.tally.Value(Streak) != 1 {
		t.Errorf("%d failures, %d calls, %d in a row", w.tally.Value(Failures), w.tally.Value(Calls), w.tally.Value(Streak))
	}
}

// A place is given back however often it takes, and one that cannot be given back is kept.
// Rule 10.
func TestReleaseIsPersistent(t *testing.T) {
	w, store, b, _ := roughWorld(t, touchy())
	b.Done(b.Acquire(), Outcome{Result: Failure})
	w.now = w.now.Add(time.Minute)
	p := b.Acquire()
	store.refuse = 100 * tries
	if p = b.Release(p); p.lease != 0 || !p.Trial() {
		t.Errorf("not released: %+v", p)
	}
	if p = b.Acquire(); !p.Trial() {
		t.Errorf("there is no place: %+v", p)
	}
	store.refuse = forever
	if again := b.Release(p); again != p {
		t.Errorf("%+v is released to %+v", p, again)
	}
	store.refuse = 0
	b.Done(p, Outcome{Result: Neutral})
	if p := b.Acquire(); !p.Trial() {
		t.Errorf("there is no place: %+v", p)
	}
}

// All workers are told when trials that have expired open the breaker again: one of them is to probe it.
// Rules 1 and 17.
func TestReopeningRings(t *testing.T) {
	p := touchy()
	p.ProbeInterval = 100 * time.Millisecond
	w := newWorld(t)
	a, b := w.worker(p), w.worker(p)
	a.Done(a.Acquire(), Outcome{Result: Failure})
	w.now = w.now.Add(time.Minute)
	a.Acquire()
	w.now = w.now.Add(p.HalfOpenPermitTimeout + expiryGrace)
	b.load(w.now)
	if b.trusted() == nil {
		t.Fatal("no view of the half-open breaker")
	}
	if p := a.Acquire(); p.Admitted() || w.record().State != Open || b.trusted() != nil {
		t.Errorf("%+v, %v; the other worker's view: %+v", p, w.record().State, b.trusted())
	}
	w.now = w.now.Add(p.ProbeInterval)
	if _, ok := b.BeginProbe(); !ok {
		t.Error("no probe")
	}
}
