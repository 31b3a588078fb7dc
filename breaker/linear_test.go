package breaker

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// This file runs many goroutines on one memory store, records who was admitted and what was opened and closed, and has
// porcupine look for an order of all that in which a breaker with one worker would have done the same.
//
// The clock stands still while the goroutines run, and moves between two rounds: so everybody knows what the time was.
// Windows are none of this: a bad outcome of a closed breaker may open it. Schedules are for that.

// A linearOp is one call, as far as a sequential breaker has to answer for it.
type linearOp struct {
	kind   opKind
	now    Time
	permit Permit  // of what is ended
	end    Outcome // how; or that it still waits, as a slow call
}

type opKind uint8

const (
	opAcquire opKind = iota
	opDone
	opRelease
	// The bell is rung after the record has been written, and between the two other workers may go by what was before. So
	// a transition is two operations, both within the same call; this is the second.
	opRing
)

// A linearAnswer is what came of a call.
type linearAnswer struct {
	permit  Permit // also the one that a release returned
	counted bool   // the verdict on a trial
	moved   bool
	to      State // where moved
	epoch   uint64
	spent   bool // it lost so many races for the record that it gave up, as it may
}

// A linearState is a breaker with one worker. It is comparable.
type linearState struct {
	state     State
	epoch     uint64
	rung      uint64 // the newest epoch that everybody must know of
	rungState State
	until     Time // open
	successes int
	expired   int // trials in a row
	serial    uint32
	leases    [MaxTrials]lease // in order of their serials; 0 is none
}

func (s *linearState) live() (n int) {
	for _, l := range s.leases {
		if l.serial != 0 {
			n++
		}
	}
	return n
}

// giveBack returns a lease, and reports whether there was one.
func (s *linearState) giveBack(serial uint32) bool {
	i := slices.IndexFunc(s.leases[:], func(l lease) bool { return l.serial == serial })
	if i < 0 || serial == 0 {
		return false
	}
	copy(s.leases[i:], s.leases[i+1:])
	s.leases[MaxTrials-1] = lease{}
	return true
}

// reclaim ends the leases that have expired.
func (s *linearState) reclaim(now Time) {
	for s.leases[0].serial != 0 && now >= s.leases[0].deadline.Add(500*time.Millisecond) {
		s.giveBack(s.leases[0].serial)
		s.expired++
	}
}

func (s *linearState) to(state State) {
	*s = linearState{state: state, epoch: s.epoch + 1, rung: s.rung, rungState: s.rungState}
}

// linearModel is the machine of linearOps.
func linearModel(p Policy, start linearState) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, output any) (bool, any) {
			s, op, got := state.(linearState), input.(linearOp), output.(linearAnswer)
			ok := s.step(p, op, got)
			return ok, s
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// step applies an operation, and reports whether the answer is right.
func (s *linearState) step(p Policy, op linearOp, got linearAnswer) bool {
	switch op.kind {
	case opRing:
		// Rings of two transitions may come in any order.
		if got.epoch > s.epoch {
			return false
		}
		if got.epoch > s.rung {
			s.rung, s.rungState = got.epoch, got.to
		}
		return true
	case opAcquire:
		return s.acquire(p, op.now, got)
	case opRelease:
		released := s.state == HalfOpen && s.epoch == op.permit.epoch && s.giveBack(uint32(op.permit.lease))
		return !got.moved && got.permit.lease == 0 == (released || op.permit.lease == 0)
	}
	return s.done(p, op, got)
}

func (s *linearState) acquire(p Policy, now Time, got linearAnswer) bool {
	permit := got.permit
	if s.state == HalfOpen && permit.kind != counted && !got.spent {
		s.reclaim(now)
	}
	full := s.live()+s.expired >= p.HalfOpenMaxRequests
	switch {
	case permit.kind == unclaimed:
		// By the group, whose bell rings when the breaker's does.
		return !got.moved && (s.state == Closed || s.rungState == Closed)
	case permit.kind == counted:
		// By the record, or by a view of before that nobody has been told is over.
		return !got.moved && (s.state == Closed && s.epoch == permit.epoch || s.rungState == Closed && s.rung == permit.epoch)
	case permit.kind == trial:
		switch {
		case s.state == Open && now >= s.until:
			if !got.moved || got.to != HalfOpen || got.epoch != s.epoch+1 {
				return false
			}
			s.to(HalfOpen)
		case s.state != HalfOpen || got.moved || full:
			return false
		}
		s.serial++
		s.leases[s.live()] = lease{s.serial, now.Add(p.HalfOpenPermitTimeout)}
		return permit.epoch == s.epoch && permit.lease == uint64(s.serial)
	case permit.kind == refused && got.moved: // too many trials in a row have expired
		if s.state != HalfOpen || s.expired < p.HalfOpenMaxRequests || got.to != Open || got.epoch != s.epoch+1 {
			return false
		}
		s.to(Open)
		s.until = now.Add(p.OpenDuration)
		return permit.State() == "open"
	case permit.kind != refused:
		return false
	case permit.State() == "open":
		return s.state == Open && (now < s.until || got.spent) || s.rungState == Open
	}
	return permit.State() == "half_open" && s.state == HalfOpen && (full && s.expired < p.HalfOpenMaxRequests || got.spent)
}

func (s *linearState) done(p Policy, op linearOp, got linearAnswer) bool {
	if op.permit.kind == counted || op.permit.kind == waiting || op.permit.kind == unclaimed {
		if got.moved {
			if s.state != Closed || s.epoch != op.permit.epoch && op.permit.kind != unclaimed || !op.end.bad() || got.to != Open || got.epoch != s.epoch+1 {
				return false
			}
			s.to(Open)
			s.until = op.now.Add(p.OpenDuration)
		}
		return true
	}
	mine := s.state == HalfOpen && s.epoch == op.permit.epoch // whatever has become of its lease
	switch {
	case op.end.Result == Neutral:
		if mine && (s.giveBack(uint32(op.permit.lease)) || op.permit.lease == 0) && op.end.Unanswered {
			s.expired++
		}
		return !got.moved
	case !mine:
		return !got.moved // it was late, or another trial had the last word while it was being counted
	case !got.counted:
		return false
	case op.end.bad():
		s.to(Open)
		s.until = op.now.Add(p.OpenDuration)
		return got.moved && got.to == Open && got.epoch == s.epoch
	}
	s.giveBack(uint32(op.permit.lease))
	s.expired = 0
	if s.successes++; s.successes < p.HalfOpenSuccessThreshold {
		return !got.moved
	}
	s.to(Closed)
	return got.moved && got.to == Closed && got.epoch == s.epoch
}

// A linearWorker is one goroutine's breaker, and what it did since it was last asked.
type linearWorker struct {
	*MemoryTally
	Store
	b      *Breaker
	g      *Group
	rng    *rand.Rand
	held   []Permit
	moved  []Transition
	calls  int // added
	losses int // of races for the record
	ops    []porcupine.Operation
}

// pause now and then lets the others go on, as a busy machine would.
func (w *linearWorker) pause() {
	if w.rng.IntN(4) == 0 {
		runtime.Gosched()
	}
}

func (w *linearWorker) Value(s Stat) uint64 {
	w.pause()
	return w.MemoryTally.Value(s)
}

func (w *linearWorker) Load() ([]byte, uint32) {
	w.pause()
	return w.Store.Load()
}

func (w *linearWorker) Add(s Stat) {
	w.pause()
	if s == Calls {
		w.calls++
	}
	w.MemoryTally.Add(s)
}

func (w *linearWorker) CompareAndSwap(value []byte, version uint32) bool {
	w.pause()
	ok := w.Store.CompareAndSwap(value, version)
	if !ok {
		w.losses++
	}
	return ok
}

// A pausingStore is another store that a worker looks at.
type pausingStore struct {
	w *linearWorker
	Store
}

func (s pausingStore) Load() ([]byte, uint32) {
	s.w.pause()
	return s.Store.Load()
}

func (s pausingStore) CompareAndSwap(value []byte, version uint32) bool {
	s.w.pause()
	return s.Store.CompareAndSwap(value, version)
}

// act acquires, or ends a request that it holds, and notes when and with what result.
func (w *linearWorker) act(id int, now Time, ticks *atomic.Int64) {
	w.moved, w.calls, w.losses = w.moved[:0], 0, 0
	op := linearOp{now: now}
	got := linearAnswer{}
	call := ticks.Add(1)
	if len(w.held) == 0 || len(w.held) < 3 && w.rng.IntN(2) == 0 {
		if w.rng.IntN(2) == 0 {
			w.g.Look()
		}
		var calm bool
		if got.permit, calm = w.g.Acquire(); !calm {
			got.permit = w.b.Acquire()
		}
	} else {
		i := w.rng.IntN(len(w.held))
		op.kind, op.permit = opDone, w.held[i]
		w.held = slices.Delete(w.held, i, i+1)
		switch what := w.rng.IntN(11); {
		case what == 0 && op.permit.kind == trial:
			op.kind = opRelease
			got.permit = w.b.Release(op.permit)
		case what == 1 && op.permit.kind != waiting:
			op.end = Outcome{Slow: true}
			if rest := w.b.StillWaiting(op.permit); rest.kind != settled {
				w.held = append(w.held, rest)
			}
		default:
			op.end = []Outcome{{}, {}, {}, {}, {}, {}, {}, {Result: Failure}, {Result: Failure}, {Result: Neutral},
				{Result: Neutral, Unanswered: true}}[what]
			w.b.Done(op.permit, op.end)
		}
	}
	back := ticks.Add(1)
	if got.permit.kind == counted || got.permit.kind == trial || got.permit.kind == unclaimed {
		w.held = append(w.held, got.permit)
	}
	got.counted, got.spent = w.calls > 0, w.losses >= tries
	if len(w.moved) > 0 {
		m := w.moved[0]
		got.moved, got.to, got.epoch = true, m.To, m.Epoch
		w.ops = append(w.ops, porcupine.Operation{
			ClientId: id, Input: linearOp{kind: opRing, now: now}, Call: call, Output: linearAnswer{to: m.To, epoch: m.Epoch}, Return: back,
		})
	}
	if op.kind == opDone && op.permit.kind != trial && !got.moved {
		return // there is nothing to say about it
	}
	w.ops = append(w.ops, porcupine.Operation{ClientId: id, Input: op, Call: call, Output: got, Return: back})
}

// linearHistory lets goroutines run on a store for some rounds, and returns what they did, and what it began with.
func linearHistory(t *testing.T, p Policy, store Store, seed uint64, goroutines, rounds int) ([]porcupine.Operation, linearState) {
	t.Helper()
	var (
		tally MemoryTally
		clock atomic.Int64
		ticks atomic.Int64
		list  MemoryStore // of the group, of which the breaker is the only one
		bell  counterBell
	)
	clock.Store(int64(1000 * time.Second))
	workers := make([]*linearWorker, goroutines)
	for i := range workers {
		w := &linearWorker{MemoryTally: &tally, Store: store, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		now := ClockFunc(func() Time { return Time(clock.Load()) })
		w.g = NewGroup(GroupConfig{
			List: pausingStore{w, &list}, Bell: &bell, Clock: now,
			Members: func() uint32 { return 1 },
			Passes:  func(uint32) bool { return p.Plain(w, now()) },
		})
		b, err := New(Config{
			Policy: &p, Store: w, Tally: w, Clock: now, Group: w.g,
			Rand: func() uint64 { return 0 }, OnTransition: func(m Transition) { w.moved = append(w.moved, m) },
		})
		if err != nil {
			t.Fatal(err)
		}
		w.b = b
		workers[i] = w
	}
	first := workers[0].b.Acquire()
	for range 4 {
		workers[0].g.Look()
	}
	start := linearState{epoch: first.epoch, rung: first.epoch}
	rng := rand.New(rand.NewPCG(seed, 1<<32))
	for range rounds {
		now := Time(clock.Load())
		var all sync.WaitGroup
		for i, w := range workers {
			all.Go(func() {
				for range 8 {
					w.act(i, now, &ticks)
				}
			})
		}
		all.Wait()
		// Nobody has expired at all, or everybody who got a permit before.
		clock.Add(int64(rng.IntN(2)) * int64(p.OpenDuration))
	}
	var ops []porcupine.Operation
	for _, w := range workers {
		ops = append(ops, w.ops...)
	}
	return ops, start
}

func linearPolicy() Policy {
	return small(func(p *Policy) {
		p.WindowDuration, p.MinRequests, p.FailureRate = time.Hour, 3, 10
		p.HalfOpenMaxRequests, p.HalfOpenSuccessThreshold = 3, 4
		p.HalfOpenPermitTimeout = p.OpenDuration - 500*time.Millisecond
		p.SlowCallDuration = time.Second
	})
}

func TestLinearizable(t *testing.T) {
	p := linearPolicy()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			ops, start := linearHistory(t, p, new(MemoryStore), seed, 8, 60)
			if got := porcupine.CheckOperationsTimeout(linearModel(p, start), ops, 20*time.Second); got != porcupine.Ok {
				t.Fatalf("%d operations: %v", len(ops), got)
			}
			transitions, expiries, calm := 0, 0, 0
			for _, op := range ops {
				switch in, out := op.Input.(linearOp), op.Output.(linearAnswer); {
				case in.kind == opRing:
					transitions++
				case in.kind == opAcquire && out.moved && out.to == Open:
					expiries++
				case out.permit.kind == unclaimed:
					calm++
				}
			}
			t.Logf("%d operations, %d transitions, %d of them because trials had expired; %d were calm", len(ops), transitions, expiries, calm)
			if calm == 0 {
				t.Error("nobody was ever calm")
			}
		})
	}
}

// A carelessStore ignores the version.
type carelessStore struct{ MemoryStore }

func (c *carelessStore) CompareAndSwap(value []byte, _ uint32) bool {
	for {
		if _, version := c.Load(); c.MemoryStore.CompareAndSwap(value, version) {
			return true
		}
	}
}

// Were the store not to compare, it would show.
func TestCarelessStoreIsNotLinearizable(t *testing.T) {
	p := linearPolicy()
	for seed := range uint64(50) {
		ops, start := linearHistory(t, p, new(carelessStore), seed, 8, 20)
		if porcupine.CheckOperationsTimeout(linearModel(p, start), ops, 20*time.Second) == porcupine.Illegal {
			t.Logf("seed %d: %d operations are not linearizable", seed, len(ops))
			return
		}
	}
	t.Fatal("everything was linearizable")
}
