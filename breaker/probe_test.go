package breaker

import (
	"testing"
	"time"
)

func probing() Policy {
	p := DefaultPolicy()
	p.MinRequests, p.OpenJitter, p.HalfOpenSuccessThreshold = 1, 0, 2
	p.ProbeInterval, p.ProbeTimeout = time.Second, 500*time.Millisecond
	return p
}

// trip opens the breaker of a worker.
func trip(t *testing.T, b *Breaker) {
	t.Helper()
	b.Done(b.Acquire(), Outcome{Result: Failure})
	if p := b.Acquire(); p.Admitted() {
		t.Fatal("the breaker did not open")
	}
}

func TestProbesMoveOn(t *testing.T) {
	for _, closes := range []bool{false, true} {
		w := newWorld(t)
		p := probing()
		p.ProbeCloses = closes
		a, b := w.worker(p), w.worker(p)
		trip(t, a)
		if _, ok := a.BeginProbe(); ok {
			t.Fatal("probed at once; the first probe comes after one interval")
		}
		for good := range 2 {
			w.now = w.now.Add(time.Second)
			probe, ok := b.BeginProbe()
			if !ok {
				t.Fatalf("no probe after %d good ones", good)
			}
			if _, twice := a.BeginProbe(); twice {
				t.Fatal("two workers probe at once")
			}
			if permit := a.Acquire(); permit.Admitted() {
				t.Fatal("a request was let through while a probe is out")
			}
			b.EndProbe(probe, true)
		}
		want := HalfOpen
		if closes {
			want = Closed
		}
		if r := w.record(); r.State != want {
			t.Errorf("after two good probes: %v, want %v", r.State, want)
		}
		if permit := a.Acquire(); !permit.Admitted() || permit.Trial() == closes {
			t.Errorf("after two good probes: %+v", permit)
		}
		last := w.moves[len(w.moves)-1]
		if last.Reason != Probed || last.Successes != 2 {
			t.Errorf("the transition: %+v", last)
		}
		if w.tally.Value(Calls) != 1 || w.tally.Value(Probes) != 2 || w.tally.Value(ProbeFailures) != 0 {
			t.Errorf("calls %d, probes %d, failed %d", w.tally.Value(Calls), w.tally.Value(Probes), w.tally.Value(ProbeFailures))
		}
	}
}

// While probes fail the breaker stays open, up to OpenMaxDuration; one failure ends a row of good ones.
func TestFailingProbesKeepItOpen(t *testing.T) {
	w := newWorld(t)
	p := probing()
	p.OpenMaxDuration = 20 * time.Second
	b := w.worker(p)
	trip(t, b)
	opened := w.now
	for i := 1; ; i++ {
		w.now = w.now.Add(time.Second)
		probe, ok := b.BeginProbe()
		if !ok {
			t.Fatalf("no probe after %v", w.now.Sub(opened))
		}
		b.EndProbe(probe, i%2 == 0)
		if w.now.Sub(opened) >= p.OpenMaxDuration {
			break
		}
		if permit := b.Acquire(); permit.Admitted() {
			t.Fatalf("a request was let through after %v", w.now.Sub(opened))
		}
	}
	if permit := b.Acquire(); !permit.Trial() {
		t.Errorf("OpenMaxDuration is over, but no trial: %+v", permit)
	}
	if n := w.tally.Value(ProbeFailures); n != 10 {
		t.Errorf("%d probes failed, want 10", n)
	}
}

// A worker that dies with a probe out is replaced, and its late result is ignored.
func TestProbeIsTakenOver(t *testing.T) {
	w := newWorld(t)
	a, b := w.worker(probing()), w.worker(probing())
	trip(t, a)
	w.now = w.now.Add(time.Second)
	lost, _ := a.BeginProbe()
	w.now = w.now.Add(599 * time.Millisecond)
	if _, ok := b.BeginProbe(); ok {
		t.Fatal("taken over before the probe's time was up")
	}
	w.now = w.now.Add(time.Millisecond)
	if _, ok := b.BeginProbe(); !ok {
		t.Fatal("not taken over")
	}
	a.EndProbe(lost, true)
	if r := w.record(); r.Successes != 0 {
		t.Error("the lost probe's result was counted")
	}
}

func TestNoProbes(t *testing.T) {
	for _, change := range []func(*Policy){
		func(p *Policy) { p.ProbeInterval = 0 },
		func(p *Policy) { p.Mode = ForceOpen },
		func(p *Policy) { p.Mode = Disabled },
	} {
		w := newWorld(t)
		trip(t, w.worker(probing()))
		p := probing()
		change(&p)
		w.now = w.now.Add(time.Second)
		if _, ok := w.worker(p).BeginProbe(); ok {
			t.Errorf("probed under %+v", p)
		}
	}
	w := newWorld(t)
	b := w.worker(probing())
	b.Done(b.Acquire(), Outcome{})
	w.now = w.now.Add(time.Minute)
	if _, ok := b.BeginProbe(); ok {
		t.Error("a closed breaker was probed")
	}
}

// Probes come as often as they should, by one worker or several that ask at each tick, also where that is more often than a worker
// looks at a record that has not rung.
func TestProbeInterval(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		for _, workers := range []int{1, 4} {
			w := newWorld(t)
			p := probing()
			p.ProbeInterval = interval
			var all []*Breaker
			for range workers {
				all = append(all, w.worker(p))
			}
			trip(t, all[0])
			const tick, span = 100 * time.Millisecond, 9 * time.Second
			for opened := w.now; w.now.Sub(opened) < span; {
				w.now = w.now.Add(tick)
				for _, b := range all {
					if probe, ok := b.BeginProbe(); ok {
						b.EndProbe(probe, false)
					}
				}
			}
			if got, want := w.tally.Value(Probes), uint64(span/interval); got != want {
				t.Errorf("every %v, %d workers: %d probes in %v, want %d", interval, workers, got, span, want)
			}
		}
	}
}

// The last worker that probed is gone. Another one goes on an interval later.
func TestProbeByAnother(t *testing.T) {
	w := newWorld(t)
	p := probing()
	p.ProbeInterval = 200 * time.Millisecond
	a, b := w.worker(p), w.worker(p)
	trip(t, a)
	b.BeginProbe()
	w.now = w.now.Add(200 * time.Millisecond)
	probe, _ := a.BeginProbe()
	if _, ok := b.BeginProbe(); ok {
		t.Fatal("two probes")
	}
	a.EndProbe(probe, false)
	w.now = w.now.Add(200 * time.Millisecond)
	if _, ok := b.BeginProbe(); !ok {
		t.Error("no probe")
	}
}

// No request is a trial before the first probe has had its time, however short the open time; but OpenMaxDuration has the last
// word.
func TestFirstProbeBeforeRequests(t *testing.T) {
	for _, longest := range []time.Duration{time.Minute, 1200 * time.Millisecond} {
		w := newWorld(t)
		p := probing()
		p.OpenDuration, p.OpenMaxDuration, p.OpenJitter = 10*time.Millisecond, longest, 1
		b := w.worker(p)
		trip(t, b)
		until := w.now.Add(min(longest, p.ProbeInterval+p.ProbeTimeout+probeGrace))
		if m := w.moves[0]; w.now.Add(m.OpenFor) != until {
			t.Errorf("open for %v", m.OpenFor)
		}
		w.now = until - 1
		if permit := b.Acquire(); permit.Admitted() {
			t.Error("a request was let through before the first probe")
		}
		w.now = until
		if permit := b.Acquire(); !permit.Trial() {
			t.Errorf("nobody has probed, but no trial: %+v", permit)
		}
	}
}

// What probes have added to the open time is taken back by a policy that has none, also by its workers while one with probes owns
// the record.
// Rule 15.
func TestProbesTakenOut(t *testing.T) {
	for _, later := range []bool{true, false} {
		w := newWorld(t)
		a := w.worker(probing())
		trip(t, a)
		opened := w.now
		for range 4 {
			w.now = w.now.Add(time.Second)
			probe, _ := a.BeginProbe()
			a.EndProbe(probe, false)
		}
		p := probing()
		p.ProbeInterval = 0
		if later {
			w.generation = 2
		}
		b := w.worker(p)
		if permit := b.Acquire(); permit.Admitted() || w.now.Add(permit.RetryAfter) != opened.Add(p.OpenDuration) {
			t.Errorf("%+v", permit)
		}
		w.now = opened.Add(p.OpenDuration)
		if permit := b.Acquire(); !permit.Trial() {
			t.Errorf("no trial after the open time: %+v", permit)
		}
	}
}
