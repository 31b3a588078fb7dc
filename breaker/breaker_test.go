package breaker

import (
	"testing"
	"time"
)

// world is what breakers of one process share in a test: several workers over one store, one tally and a clock that
// stands still unless it is told to move.
type world struct {
	t          tester
	store      MemoryStore
	counts     MemoryStore
	streaks    MemoryStore
	tally      MemoryTally
	mute       [NumStats]bool // hidden stats: they read zero for ever, though they count
	added      [NumStats]bool // and not looked at since
	unseen     [NumStats]bool // hidden, and looked at after it was added to
	now        Time
	rnd        uint64
	generation uint32 // of the next worker
	moves      []Transition
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatal(...any)
}

func newWorld(t tester) *world { return &world{t: t, now: Time(1000 * time.Second), generation: 1} }

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
		Policy: &p, Store: &w.store, Counts: &w.counts, Streaks: &w.streaks, Tally: mutedTally{w},
		Clock:        ClockFunc(func() Time { return w.now }),
		Rand:         func() uint64 { return w.rnd },
		Generation:   w.generation,
		OnTransition: func(m Transition) { w.moves = append(w.moves, m) },
	}
}

type mutedTally struct{ w *world }

func (m mutedTally) Add(s Stat) {
	if !m.w.unseen[s] { // else it is added once more, because it was not seen
		m.w.tally.Add(s)
	}
	m.w.unseen[s], m.w.added[s] = false, true
}
func (m mutedTally) Subtract(s Stat)       { m.w.tally.Subtract(s) }
func (m mutedTally) Set(s Stat, to uint64) { m.w.tally.Set(s, to) }
func (m mutedTally) Value(s Stat) uint64 {
	if m.w.mute[s] {
		m.w.unseen[s] = m.w.added[s] && (s == Calls || s == Failures || s == SlowCalls || s == Successes)
		m.w.added[s] = false
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

// Rules 3 and 4.
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
		if permit := b.Acquire(); permit.Admitted() || permit.State() != "open" || permit.RetryAfter != 5*time.Second {
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

// roughStore fails in the ways that a store may, and lets others in between a read and a write.
type roughStore struct {
	MemoryStore
	refuse int    // so many writes are refused
	blind  bool   // reads nothing, ever
	onLoad func() // called once, before the next read
	onCAS  func() // called once, before the next write
}

func (s *roughStore) Load() ([]byte, uint32) {
	if f := s.onLoad; f != nil {
		s.onLoad = nil
		f()
	}
	if s.blind {
		return nil, 0
	}
	return s.MemoryStore.Load()
}

func (s *roughStore) CompareAndSwap(value []byte, version uint32) bool {
	if f := s.onCAS; f != nil {
		s.onCAS = nil
		f()
	}
	if s.refuse > 0 {
		s.refuse--
		return false
	}
	return s.MemoryStore.CompareAndSwap(value, version)
}

// roughWorld returns two workers over a rough store, and the world they are in.
func roughWorld(t *testing.T, p Policy) (w *world, store *roughStore, a, b *Breaker) {
	w, store = newWorld(t), new(roughStore)
	worker := func() *Breaker {
		c := w.config(p)
		c.Store = store
		b, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return w, store, worker(), worker()
}

func touchy() Policy {
	p := DefaultPolicy()
	p.MinRequests, p.OpenJitter, p.HalfOpenMaxRequests, p.HalfOpenSuccessThreshold = 1, 0, 1, 1
	return p
}

func state(t *testing.T, s Store) State {
	t.Helper()
	var r Record
	value, _ := s.Load()
	if err := r.UnmarshalBinary(value); err != nil {
		t.Fatal(err)
	}
	return r.State
}

const forever = 1 << 30

// In doubt, let the request through; but never because of contention on a breaker that is not closed.
// Rule 13.
func TestDoubt(t *testing.T) {
	t.Run("no record can be made", func(t *testing.T) {
		w, store, b, _ := roughWorld(t, touchy())
		store.refuse = forever
		p := b.Acquire()
		b.Done(p, Outcome{Result: Failure})
		if !p.Admitted() || w.tally.Value(Errors) != 1 || w.tally.Value(Calls) != 0 {
			t.Errorf("%+v, errors %d, calls %d", p, w.tally.Value(Errors), w.tally.Value(Calls))
		}
	})
	t.Run("the record is gone when the request ends", func(t *testing.T) {
		w, store, b, _ := roughWorld(t, touchy())
		p := b.Acquire()
		w.now = w.now.Add(time.Minute)
		store.blind, store.refuse = true, forever
		b.Done(p, Outcome{Result: Failure})
		if w.tally.Value(Errors) != 1 || w.tally.Value(Calls) != 0 {
			t.Errorf("errors %d, calls %d", w.tally.Value(Errors), w.tally.Value(Calls))
		}
	})
	t.Run("an open breaker cannot become half-open", func(t *testing.T) {
		w, store, b, _ := roughWorld(t, touchy())
		b.Done(b.Acquire(), Outcome{Result: Failure})
		w.now = w.now.Add(time.Minute)
		store.refuse = forever
		if p := b.Acquire(); p.Admitted() || p.State() != "open" || w.tally.Value(Errors) != 0 || w.tally.Value(Rejected) != 1 {
			t.Errorf("%+v", p)
		}
		store.refuse = tries - 1
		p := b.Acquire()
		if !p.Trial() {
			t.Errorf("in spite of one try left: %+v", p)
		}
		b.Done(p, Outcome{Result: Neutral})
		store.refuse = forever
		if p := b.Acquire(); p.Admitted() || p.State() != "half_open" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("a bucket cannot be moved", func(t *testing.T) {
		p := touchy()
		p.MinRequests = 2
		w, store, b, _ := roughWorld(t, p)
		b.Done(b.Acquire(), Outcome{Result: Failure})
		permit := b.Acquire()
		w.now = w.now.Add(time.Second)
		store.refuse = tries
		b.Done(permit, Outcome{Result: Failure})
		if s := state(t, store); s != Open {
			t.Errorf("%v after two failures", s)
		}
	})
	t.Run("half-open, and the record is lost", func(t *testing.T) {
		w, store, b, _ := roughWorld(t, touchy())
		b.Done(b.Acquire(), Outcome{Result: Failure})
		w.now = w.now.Add(time.Minute)
		good, neutral := b.Acquire(), Permit{}
		store.MemoryStore = MemoryStore{}
		store.CompareAndSwap([]byte("nonsense"), 0)
		b.Done(good, Outcome{})
		neutral = good
		b.Done(neutral, Outcome{Result: Neutral})
		if w.tally.Value(Errors) != 1 || w.tally.Value(Neutrals) != 1 || state(t, store) != Closed {
			t.Errorf("errors %d, neutral %d, %v", w.tally.Value(Errors), w.tally.Value(Neutrals), state(t, store))
		}
	})
}

// Returning a permit and giving a verdict go on for longer than a request would wait.
// Rule 10.
func TestVerdictsArePersistent(t *testing.T) {
	for _, o := range []Outcome{{}, {Result: Failure}, {Result: Neutral}} {
		w, store, b, _ := roughWorld(t, touchy())
		b.Done(b.Acquire(), Outcome{Result: Failure})
		w.now = w.now.Add(time.Minute)
		p := b.Acquire()
		calls := w.tally.Value(Calls)
		store.refuse = 100 * tries
		b.Done(p, o)
		if n := w.tally.Value(Calls) - calls; n > 1 || (n == 1) != (o.Result != Neutral) {
			t.Errorf("%+v was counted %d times", o, n)
		}
		if s := state(t, store); s != [...]State{Closed, Open, HalfOpen}[o.Result] {
			t.Errorf("%v after %+v", s, o)
		}
		if o.Result == Neutral {
			if p := b.Acquire(); !p.Trial() {
				t.Error("the permit was not returned")
			}
		}
	}
}

// A trip that lost its write to another worker's is judged again.
// Rule 5.
func TestLostTrips(t *testing.T) {
	t.Run("to a trip", func(t *testing.T) {
		w, store, a, b := roughWorld(t, touchy())
		pa, pb := a.Acquire(), b.Acquire()
		store.onCAS = func() { b.Done(pb, Outcome{Result: Failure}) }
		a.Done(pa, Outcome{Result: Failure})
		if w.tally.Value(Opened) != 1 || w.tally.Value(Calls) != 2 {
			t.Errorf("opened %d times, %d calls", w.tally.Value(Opened), w.tally.Value(Calls))
		}
	})
	t.Run("to a bucket", func(t *testing.T) {
		w, store, a, b := roughWorld(t, touchy())
		pa := a.Acquire()
		store.onCAS = func() {
			w.now = w.now.Add(time.Second)
			b.Done(b.Acquire(), Outcome{})
		}
		a.Done(pa, Outcome{Result: Failure})
		if state(t, store) != Open {
			t.Errorf("the trip was dropped")
		}
	})
	t.Run("and a verdict to a verdict", func(t *testing.T) {
		p := touchy()
		p.HalfOpenMaxRequests = 2
		w, store, a, b := roughWorld(t, p)
		a.Done(a.Acquire(), Outcome{Result: Failure})
		w.now = w.now.Add(time.Minute)
		pa, pb := a.Acquire(), b.Acquire()
		store.onCAS = func() { b.Done(pb, Outcome{Result: Failure}) }
		a.Done(pa, Outcome{})
		if state(t, store) != Open || w.tally.Value(Calls) != 3 || w.tally.Value(Late) != 0 {
			t.Errorf("%v, %d calls, %d late", state(t, store), w.tally.Value(Calls), w.tally.Value(Late))
		}
	})
}

// The gauge is what the record says, also when another worker moves on while this one has not finished telling.
func TestGaugeOfTheLatest(t *testing.T) {
	w := newWorld(t)
	c := w.config(touchy())
	b := w.worker(touchy())
	c.OnTransition = func(m Transition) {
		if m.To == Open {
			w.now = w.now.Add(time.Minute)
			b.Acquire()
			w.tally.Set(StateGauge, uint64(Open)) // as if this worker's own had come only now
		}
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	a.Done(a.Acquire(), Outcome{Result: Failure})
	if r := w.record(); r.State != HalfOpen || w.tally.Value(StateGauge) != uint64(HalfOpen) {
		t.Errorf("%v, gauge %d", r.State, w.tally.Value(StateGauge))
	}
}

// A count window that another worker takes for clean, just before something bad is counted, is watched all the same.
// Rule 6.
func TestWindowTakenForClean(t *testing.T) {
	p := touchy()
	p.WindowDuration, p.WindowRequests, p.MinRequests = 0, 10, 5
	w := newWorld(t)
	a := w.worker(p)
	pa := a.Acquire()
	a.Done(a.Acquire(), Outcome{Result: Failure})
	r := w.record()
	r.Window.Watched = false
	value, _ := r.AppendBinary(nil)
	_, version := w.store.Load()
	w.store.CompareAndSwap(value, version)
	a.load(w.now)
	// Between the window's move and the failure: the record is as it was before the move.
	v := a.ready(w.now, true, anyEpoch)
	if !w.store.CompareAndSwap(value, version+2) {
		t.Fatal("the window was not moved")
	}
	a.add(a.whole(Outcome{Result: Failure}), v.epoch, false, w.now)
	a.judge(&v, 0, false, 0, w.now)
	if r := w.record(); !r.Window.Watched {
		t.Error("nobody watches the window")
	}
	a.Done(pa, Outcome{})
}

// A late failure leaves the record alone: it is no reason to watch a count window.
// Rules 2 and 8.
func TestLateFailureAndTheWindow(t *testing.T) {
	p := touchy()
	p.WindowDuration, p.WindowRequests, p.MinRequests = 0, 10, 10
	w := newWorld(t)
	b := w.worker(p)
	late := b.Acquire()
	for range 10 {
		b.Done(b.Acquire(), Outcome{Result: Failure})
	}
	w.now = w.now.Add(time.Minute)
	b.Done(b.Acquire(), Outcome{})
	b.Done(b.Acquire(), Outcome{})
	before := w.record()
	b.Done(late, Outcome{Result: Failure})
	if r := w.record(); r != before || r.State != Closed || w.tally.Value(Late) != 1 {
		t.Errorf("%d late; the record was\n%+v and is\n%+v", w.tally.Value(Late), before, r)
	}
}

// Counters that were set back, though the bell was not: what does not fit begins afresh, and the streak's own guard too.
// Rule 1.
func TestTotalsSetBack(t *testing.T) {
	p := touchy()
	p.MinRequests, p.ConsecutiveFailures = 10, 12
	w := newWorld(t)
	w.tally.Set(Calls, 1000)
	w.tally.Set(Failures, 100)
	b := w.worker(p)
	fail := func(n int) {
		for range n {
			b.Done(b.Acquire(), Outcome{Result: Failure})
		}
	}
	fail(9)
	w.tally.Set(Calls, 0)
	w.tally.Set(Failures, 0)
	fail(1) // finds out; is not in the new window
	fail(9)
	if s := w.record().State; s != Closed {
		t.Fatalf("%v after nine failures in the window", s)
	}
	fail(1)
	if s := w.record().State; s != Open {
		t.Fatalf("%v after ten failures in the window", s)
	}

	// Found out when a bucket ends.
	p.FailureRate = 0
	w = newWorld(t)
	w.tally.Set(Calls, 1000)
	w.tally.Set(Failures, 100)
	b = w.worker(p)
	fail(5)
	w.tally.Set(Calls, 0)
	w.tally.Set(Failures, 0)
	w.now = w.now.Add(time.Second)
	b.Done(b.Acquire(), Outcome{})
	if r := w.record(); r.EpochFailures != 0 {
		t.Errorf("%d failures before this epoch, of 0", r.EpochFailures)
	}
}

// A gauge that a hot restart left too high does not open a breaker by itself.
// Rule 7.
func TestStreakGaugeTooHigh(t *testing.T) {
	p := touchy()
	p.FailureRate, p.ConsecutiveFailures = 0, 5
	w := newWorld(t)
	b := w.worker(p)
	b.Done(b.Acquire(), Outcome{})
	w.tally.Set(Streak, 100)
	for i := range 5 {
		if s := w.record().State; s != Closed {
			t.Fatalf("%v after %d failures", s, i)
		}
		b.Done(b.Acquire(), Outcome{Result: Failure})
	}
	if s := w.record().State; s != Open {
		t.Errorf("%v after five failures", s)
	}
}

// In a hot restart the parent's stats are added to the child's, while they share no store. That opens no breaker of the child; it can
// only end a streak.
// Rule 7.
func TestHotRestart(t *testing.T) {
	p := touchy()
	p.FailureRate, p.ConsecutiveFailures = 0, 7
	w := newWorld(t)
	b := w.worker(p)
	b.Acquire()
	fail := func(n int) {
		for range n {
			b.Done(b.Acquire(), Outcome{Result: Failure})
		}
	}
	fail(6)
	b.Done(b.Acquire(), Outcome{})
	for range 6 { // the parent's
		w.tally.Add(Calls)
		w.tally.Add(Failures)
	}
	w.tally.Set(Streak, 6)
	fail(1)
	if s := w.record().State; s != Closed {
		t.Fatalf("%v after the child's first failure", s)
	}
	fail(5)
	w.tally.Add(Successes) // the parent's
	fail(6)
	if s := w.record().State; s != Closed {
		t.Fatalf("%v, though a success has come in between", s)
	}
	fail(1)
	if s := w.record().State; s != Open {
		t.Fatalf("%v after seven failures", s)
	}
}

// The gauge shows a streak, whoever had its last failure, and that it has ended.
func TestStreakGauge(t *testing.T) {
	p := touchy()
	p.FailureRate, p.ConsecutiveFailures = 0, 10
	w := newWorld(t)
	a, b := w.worker(p), w.worker(p)
	a.Done(a.Acquire(), Outcome{})
	for i := range 4 {
		b.Done(b.Acquire(), Outcome{Result: Failure})
		if n := w.tally.Value(Streak); n != uint64(i+1) {
			t.Errorf("%d in a row, want %d", n, i+1)
		}
	}
	w.now = w.now.Add(maxViewAge)
	a.Done(a.Acquire(), Outcome{})
	if n := w.tally.Value(Streak); n != 0 {
		t.Errorf("%d in a row after a success", n)
	}
	b.Done(b.Acquire(), Outcome{Result: Failure})
	b.Done(b.Acquire(), Outcome{})
	if n := w.tally.Value(Streak); n != 0 {
		t.Errorf("%d in a row after a success", n)
	}
	c := w.config(p)
	c.Streaks = nil
	if _, err := New(c); err == nil {
		t.Error("a breaker that counts failures in a row has no store for them")
	}
}

// Slow calls of a policy that minded them do not upset one that does not.
func TestSlowCallsOfAnotherPolicy(t *testing.T) {
	p := touchy()
	p.MinRequests, p.SlowCallDuration = 20, time.Second
	w := newWorld(t)
	b := w.worker(p)
	for range 7 {
		b.Done(b.Acquire(), Outcome{Slow: true})
	}
	p.SlowCallDuration, p.MinRequests, w.generation = 0, 10, 2
	b = w.worker(p)
	for range 10 {
		b.Done(b.Acquire(), Outcome{Result: Failure, Slow: true})
	}
	if s := w.record().State; s != Open || w.tally.Value(SlowCalls) != 7 {
		t.Errorf("%v after ten failures; %d slow calls", s, w.tally.Value(SlowCalls))
	}
}

// Counters are set back while the breaker is open, and the bell comes back to where a worker saw it when the breaker was closed.
// That worker admits no longer than it would have trusted its view.
// Rule 1.
func TestBellComesBack(t *testing.T) {
	for _, ramp := range []time.Duration{0, time.Minute} {
		p := touchy()
		p.Ramp = ramp
		w := newWorld(t)
		a, b := w.worker(p), w.worker(p)
		b.Acquire()
		bell := w.tally.Value(Changes)
		for w.record().State == Closed {
			a.Done(a.Acquire(), Outcome{Result: Failure})
		}
		w.tally.Set(Changes, bell)
		w.now = w.now.Add(maxViewAge)
		for range 10 {
			if p := b.Acquire(); p.Admitted() {
				t.Fatalf("admitted by an open breaker: %+v", p)
			}
		}
	}
}

// A tally that is set back right after some of its additions, before anybody reads it.
type resetTally struct {
	*MemoryTally
	resets map[Stat]int // still to come
}

func (r *resetTally) Add(s Stat) {
	r.MemoryTally.Add(s)
	if r.resets[s] > 0 {
		r.resets[s]--
		r.Set(s, 0)
	}
}

// Counters that are set back between a worker's first addition and its look at it are not hidden.
// Rule 14.
func TestSetBackIsNotHidden(t *testing.T) {
	p := touchy()
	p.SlowCallDuration, p.ConsecutiveFailures, p.MinRequests = time.Second, 100, 100
	for _, s := range []Stat{Calls, Failures, SlowCalls} {
		w := newWorld(t)
		c := w.config(p)
		c.Tally = &resetTally{&w.tally, map[Stat]int{s: 2}}
		c.OnHiddenStat = func(s Stat) { t.Errorf("%v is taken for hidden", s) }
		b, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		b.Done(b.Acquire(), Outcome{Result: Failure, Slow: true})
		if got := w.tally.Value(s); w.record().StoredTally || got != 1 {
			t.Errorf("%v = %d; the tally is in the store: %v", s, got, w.record().StoredTally)
		}
	}
}

// Counters that are set back all the time, before any window is whole, do not keep a breaker from opening: the tally moves to the store.
// Set back once in a while, they stay where they are.
// Rule 14.
func TestSetBackAgainAndAgain(t *testing.T) {
	setBack := func(w *world) {
		for _, s := range []Stat{Calls, Failures, SlowCalls, Successes, Changes} {
			w.tally.Set(s, 0)
		}
	}
	streak, calls := touchy(), touchy()
	streak.FailureRate, streak.ConsecutiveFailures = 0, 20
	calls.WindowDuration, calls.WindowRequests, calls.MinRequests = 0, 20, 20
	rate := touchy()
	rate.MinRequests = 20
	for name, p := range map[string]Policy{"rate": rate, "streak": streak, "calls": calls} {
		w := newWorld(t)
		a, b := w.worker(p), w.worker(p)
		failures := 0
		b.Done(b.Acquire(), Outcome{})
		for ; w.record().State == Closed && failures < 100; failures++ {
			setBack(w)
			w.now = w.now.Add(20 * time.Millisecond)
			a.Done(a.Acquire(), Outcome{Result: Failure})
			a, b = b, a
		}
		if failures > 25 {
			t.Errorf("%s: %d failures, state %v", name, failures, w.record().State)
		}

		w = newWorld(t)
		b = w.worker(p)
		for range 3 {
			for range 30 {
				b.Done(b.Acquire(), Outcome{})
				w.now = w.now.Add(time.Second)
			}
			setBack(w)
		}
		b.Done(b.Acquire(), Outcome{})
		if w.record().StoredTally {
			t.Errorf("%s: the tally is in the store after it was set back every 30 s", name)
		}
	}
}

// A bell that comes back to life after it was silent is trusted again.
// Rule 1.
func TestBellSpeaksAgain(t *testing.T) {
	w := newWorld(t)
	w.mute[Changes] = true
	b := w.worker(touchy())
	b.Done(b.Acquire(), Outcome{})
	if !b.bellHidden.Load() || b.trusted() != nil {
		t.Error("a silent bell is trusted")
	}
	w.mute[Changes] = false
	b.Acquire()
	if b.bellHidden.Load() || b.trusted() == nil {
		t.Error("a bell is not trusted")
	}
}

// A worker starts, with the bell silent: it has no reason to empty the window.
// Rule 1.
func TestHiddenBellKeepsTheWindow(t *testing.T) {
	p := touchy()
	p.MinRequests = 10
	w := newWorld(t)
	w.mute[Changes] = true
	for range 10 {
		b := w.worker(p)
		b.Done(b.Acquire(), Outcome{Result: Failure})
	}
	if s := w.record().State; s != Open {
		t.Errorf("%v after ten failures, each seen by a new worker", s)
	}
}

// A record whose tally is in a store is of no use to a breaker that was given none, and no reason to crash.
// Rule 14.
func TestStoredTallyWithoutAStore(t *testing.T) {
	w := newWorld(t)
	for s := range w.mute {
		w.mute[s] = true
	}
	p := touchy()
	p.ConsecutiveFailures = 3
	a := w.worker(p)
	a.Done(a.Acquire(), Outcome{Result: Failure})
	if !w.record().StoredTally {
		t.Fatal("the tally did not move to the store")
	}
	c := w.config(p)
	c.Counts = nil
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.Done(b.Acquire(), Outcome{Result: Failure})
		w.now = w.now.Add(time.Minute)
	}
}

// The steady clock never goes back. If it does all the same, nothing breaks.
func TestClockGoesBack(t *testing.T) {
	p := touchy()
	p.Ramp = time.Minute
	w := newWorld(t)
	b := w.worker(p)
	b.Done(b.Acquire(), Outcome{})
	w.now -= Time(100 * time.Second)
	b.Done(b.Acquire(), Outcome{Result: Failure})
	if s := w.record().State; s != Open {
		t.Fatalf("%v after a failure", s)
	}
	w.now = w.now.Add(5 * time.Second)
	b.Done(b.Acquire(), Outcome{})
	w.now -= Time(100 * time.Second)
	if p := b.Acquire(); !p.Admitted() { // the ramp's first share is above what the dice show, 0
		t.Errorf("%+v", p)
	}
}

func TestObserve(t *testing.T) {
	p := touchy()
	w := newWorld(t)
	b := w.worker(p)
	b.Observe(Outcome{})
	b.Observe(Outcome{Result: Neutral})
	b.Observe(Outcome{Result: Failure})
	b.Observe(Outcome{Result: Failure})
	if w.record().State != Open || w.tally.Value(Calls) != 2 || w.tally.Value(Late) != 1 || w.tally.Value(Neutrals) != 1 {
		t.Errorf("%v, %d calls, %d late, %d neutral", w.record().State,
			w.tally.Value(Calls), w.tally.Value(Late), w.tally.Value(Neutrals))
	}
	p.Mode = Disabled
	b = w.worker(p)
	b.Observe(Outcome{Result: Failure})
	if w.tally.Value(Late) != 1 {
		t.Error("a disabled breaker counts")
	}
}

func TestMemoryStore(t *testing.T) {
	var s MemoryStore
	if value, version := s.Load(); value != nil || version != 0 || s.CompareAndSwap([]byte("a"), 7) {
		t.Error("an empty store")
	}
	b := []byte("a")
	if !s.CompareAndSwap(b, 0) || s.CompareAndSwap(b, 0) || s.CompareAndSwap(b, 2) {
		t.Error("the first write")
	}
	b[0] = 'z'
	if value, version := s.Load(); string(value) != "a" || version != 1 {
		t.Errorf("got %s, version %d", value, version)
	}
	// Versions are never 0, not even after the last.
	s.p.Store(&versioned{b, 1<<32 - 1})
	if !s.CompareAndSwap(b, 1<<32-1) {
		t.Error("the last version")
	}
	if _, version := s.Load(); version != 1 {
		t.Errorf("version %d after the last", version)
	}
}

func TestStoredTally(t *testing.T) {
	store := new(roughStore)
	tally := storedTally{store}
	store.CompareAndSwap([]byte("nonsense"), 0)
	if totals, good := tally.read(); totals != (Totals{}) || good != 0 {
		t.Errorf("nonsense reads %v, %d", totals, good)
	}
	store.refuse = 3
	for _, a := range []addition{{call: true, ended: true}, {call: true, failure: true, streak: true},
		{call: true, failure: true, slow: true, streak: true}} {
		tally.add(a)
	}
	if totals, good := tally.read(); totals != (Totals{3, 2, 1}) || good != 1 {
		t.Errorf("got %v, %d", totals, good)
	}
	tally.add(addition{call: true, slow: true}) // counted while it still waits
	if totals, good := tally.read(); totals != (Totals{4, 2, 2}) || good != 1 {
		t.Errorf("got %v, %d", totals, good)
	}
	tally.add(addition{ended: true})
	if totals, good := tally.read(); totals != (Totals{4, 2, 2}) || good != 2 {
		t.Errorf("got %v, %d", totals, good)
	}
	tally.add(addition{call: true, failure: true, streak: true})
	if totals, good := tally.read(); totals != (Totals{5, 3, 2}) || good != 2 {
		t.Errorf("got %v, %d", totals, good)
	}
}

// Each trip is counted under one reason.
func TestReasonsOfTrips(t *testing.T) {
	tests := []struct {
		change func(*Policy)
		o      Outcome
		want   Stat
	}{
		{func(p *Policy) {}, Outcome{Result: Failure}, OpenedFailureRate},
		{func(p *Policy) { p.SlowCallDuration = 1 }, Outcome{Slow: true}, OpenedSlowRate},
		{func(p *Policy) { p.FailureRate, p.ConsecutiveFailures = 0, 1 }, Outcome{Result: Failure}, OpenedConsecutive},
	}
	for _, tt := range tests {
		p := touchy()
		p.Ramp = time.Minute
		tt.change(&p)
		w := newWorld(t)
		b := w.worker(p)
		next := func(o Outcome) {
			permit := b.Acquire()
			b.Done(permit, o)
			w.now = w.now.Add(p.OpenMaxDuration / 2)
		}
		next(tt.o) // trips
		next(tt.o) // the trial fails
		next(Outcome{})
		next(tt.o) // trips in the ramp
		for s, want := range map[Stat]uint64{Opened: 3, tt.want: 1, OpenedHalfOpenFailure: 1, OpenedRamp: 1, Transitions: 6} {
			if got := w.tally.Value(s); got != want {
				t.Errorf("%v = %d, want %d (trips by %v)", s, got, want, tt.want)
			}
		}
	}
}

// Permits that have expired are written off also when there is still no room, because max_requests is lower than it was.
// Rule 10.
func TestExpiredPermitsUnderALowerLimit(t *testing.T) {
	p := touchy()
	p.HalfOpenMaxRequests = 2
	r := Record{State: HalfOpen}
	r.lend(10)
	r.lend(100)
	r.lend(100)
	now := Time(50).Add(expiryGrace)
	if v, eff := p.admit(&r, now, 0); v.admitted || v.expired != 1 || v.moved != nil || eff != quiet || r.live != 2 || r.Expired != 1 {
		t.Errorf("%+v, %v, %d live, %d expired", v, eff, r.live, r.Expired)
	}
	if v, eff := p.admit(&r, now, 0); v.admitted || v.expired != 0 || v.moved != nil || eff != same {
		t.Errorf("%+v, %v, %d live, %d expired", v, eff, r.live, r.Expired)
	}
}

// Rule 15.
func TestTakeOver(t *testing.T) {
	p := DefaultPolicy()
	mine, other := Owner{p.Hash(), 5}, uint64(99)
	long := Time(1000 * time.Second)
	tests := []struct {
		name      string
		owner     Owner // of the record
		silent    time.Duration
		openUntil Time
		want      effect
	}{
		{"mine", mine, 0, 0, same},
		{"mine, of an earlier generation", Owner{mine.Policy, 4}, 0, 0, quiet},
		{"mine, of a later generation", Owner{mine.Policy, 6}, 0, 0, same},
		{"an earlier one's", Owner{other, 4}, 0, 0, loud},
		{"one of the same generation", Owner{other, 5}, 0, 0, same},
		{"a later one's", Owner{other, 6}, 20*time.Second - 1, 0, same},
		{"a later one's, abandoned", Owner{other, 6}, 20 * time.Second, 0, loud},
		{"mine, abandoned by a later generation", Owner{mine.Policy, 6}, 20 * time.Second, 0, quiet},
		{"a later one's, open", Owner{other, 6}, 20 * time.Second, long.Add(-20*time.Second + 1), same},
	}
	for _, tt := range tests {
		r := p.fresh(tt.owner, long.Add(-tt.silent), Totals{})
		r.OpenUntil, r.DueAt = tt.openUntil, tt.openUntil
		before := r
		got := p.takeOver(&r, mine, long, Totals{9, 9, 9})
		if got != tt.want || (got == same) != (r == before) || got != same && r.Owner != mine {
			t.Errorf("%s: %v, %+v", tt.name, got, r.Owner)
		}
	}
}

// restless is a tally that goes on counting while it is read.
type restless struct {
	MemoryTally
	reads int
}

func (r *restless) Value(s Stat) uint64 {
	if r.reads--; r.reads >= 0 {
		r.Add(Calls)
		r.Add(Failures)
	}
	return r.MemoryTally.Value(s)
}

// Totals are read again until they hold still, three times at the most; after a snapshot since which something bad was counted too.
// Rule 3.
func TestTotalsHoldStill(t *testing.T) {
	for reads, steady := range map[int]bool{0: true, 3: true, 9: false} {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			c := w.config(touchy())
			tally := &restless{reads: reads}
			if after && reads > 0 {
				tally.reads += 3 // to find that out
			}
			c.Tally = tally
			b, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			got := Totals{}
			if after {
				got = b.totalsAfter(got, false)
			} else {
				got = b.totals(false)
			}
			if (got.Calls == got.Failures && got.Calls == tally.MemoryTally.Value(Calls)) != steady {
				t.Errorf("%d restless reads, after a snapshot %v: %+v", reads, after, got)
			}
		}
	}
}

// A configuration that judges otherwise is another one, though its policy is the same: the window starts afresh.
// Rule 15.
func TestOtherVerdicts(t *testing.T) {
	p := touchy()
	p.MinRequests = 10
	w := newWorld(t)
	load := func(verdicts uint64) *Breaker {
		c := w.config(p)
		c.Verdicts = verdicts
		b, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		w.generation++
		return b
	}
	for _, verdicts := range []uint64{1, 2, 3} {
		b := load(verdicts)
		for range 9 {
			b.Done(b.Acquire(), Outcome{Result: Failure})
		}
	}
	if s := w.record().State; s != Closed {
		t.Errorf("%v after nine failures by each of three configurations", s)
	}
	b := load(3)
	b.Done(b.Acquire(), Outcome{Result: Failure})
	if s := w.record().State; s != Open {
		t.Errorf("%v after ten by the same", s)
	}
}
