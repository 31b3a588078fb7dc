package inprocess_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// A shuffle is workers whose requests and ticks come in any order, also in the middle of each other's host calls.
type shuffle struct {
	*workers
	random  *rand.Rand
	busy    []bool // the workers that are within a callback
	within  int    // how deep they are within each other
	flight  []inFlight
	failing bool
	sent    uint64
	calm    int // of those, how many were not asked for their cluster
}

// inFlight is a request that its upstream has yet to answer.
type inFlight struct {
	*wasmhost.Stream
	worker int
}

var shuffled = []string{"payments", "search", "stock"}

func newShuffle(t *testing.T, seed uint64, config string) *shuffle {
	w := startWorkers(t, wasmhost.Options{Workers: 3, Config: config})
	return &shuffle{workers: w, random: rand.New(rand.NewPCG(seed, 0)), busy: make([]bool, w.Workers())}
}

// run takes so many steps.
func (s *shuffle) run(steps int) {
	s.SetHook(func(worker int, _, _ string) wasmhost.Status {
		if s.within < 2 && s.random.IntN(25) == 0 {
			was := s.busy[worker]
			s.busy[worker] = true // it may be a tick's call
			s.within++
			s.step()
			s.within--
			s.busy[worker] = was
		}
		return wasmhost.OK
	})
	defer s.SetHook(nil)
	for range steps {
		s.step()
	}
}

// step lets a worker that is not in the middle of something do one thing, or time pass.
func (s *shuffle) step() {
	if s.within > 0 && s.random.IntN(8) == 0 {
		s.advance(time.Duration(s.random.IntN(300)) * ms)
		return
	}
	worker := s.random.IntN(len(s.busy))
	if s.busy[worker] {
		return
	}
	s.busy[worker] = true
	defer func() { s.busy[worker] = false }()
	mine := func(f inFlight) bool { return f.worker == worker }
	if i := slices.IndexFunc(s.flight, mine); i >= 0 && s.random.IntN(5) > 1 {
		ends := s.flight[i]
		s.flight = slices.Delete(s.flight, i, i+1)
		status := 200
		if s.failing {
			status = 500
		}
		s.end(ends.Status(status))
		return
	}
	s.ask(worker, shuffled[s.random.IntN(len(shuffled))])
}

// ask sends a request, and reports whether it was not asked for its cluster.
func (s *shuffle) ask(worker int, cluster string) (calm bool) {
	before := s.VM(worker).Counts()
	stream := s.sendTo(worker, cluster)
	s.sent++
	if calm = s.VM(worker).Counts().Sub(before).Calls["proxy_get_property"] == 0; calm {
		s.calm++
	}
	if stream.Continued() {
		s.flight = append(s.flight, inFlight{stream, worker})
	}
	return calm
}

// finish lets all that is in flight end well.
func (s *shuffle) finish() {
	for _, f := range s.flight {
		s.end(f.Status(200))
	}
	s.flight = nil
}

// In whatever order things happen, once they have happened no worker is calm beside a breaker that is not closed, all are when all have
// closed, and each request is counted once.
func TestCalmInAnyOrder(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 5
	}
	calm, rejected := 0, uint64(0)
	for seed := range seeds {
		s := newShuffle(t, seed, []string{
			`{"min_requests": 3, "open": {"jitter": 0, "duration": "2s"}, "half_open": {"success_threshold": 1}}`,
			`{"min_requests": 4, "slow_call": {"duration": "300ms", "rate": 50}, "open": {"jitter": 0, "duration": "2s"}, "half_open": {"success_threshold": 1}, "ramp": "3s"}`,
		}[seed%2])
		for range 60 {
			s.failing = s.random.IntN(4) == 0
			s.run(12)
			for _, cluster := range shuffled {
				if s.isClosed(cluster) {
					continue
				}
				for i := range s.busy {
					if s.ask(i, cluster) {
						t.Fatalf("seed %d: worker %d is calm at %v, though %s is not closed", seed, i, s.Now(), cluster)
					}
				}
			}
			s.advance(time.Duration(s.random.IntN(5)) * 100 * ms)
		}
		for range 40 {
			s.finish()
			s.advance(time.Second)
			for _, cluster := range shuffled {
				for i := range s.busy {
					s.ask(i, cluster)
				}
			}
		}
		s.finish()
		for i := range s.busy {
			if !s.ask(i, "payments") {
				t.Errorf("seed %d: worker %d is not calm though all have closed", seed, i)
			}
		}
		s.finish()
		counted := uint64(0)
		for _, cluster := range shuffled {
			for _, stat := range []breaker.Stat{breaker.Calls, breaker.Late, breaker.Neutrals, breaker.Rejected, breaker.Errors} {
				counted += s.statOf(cluster, stat)
			}
			rejected += s.statOf(cluster, breaker.Rejected)
		}
		if counted != s.sent {
			t.Errorf("seed %d: of %d requests %d were counted", seed, s.sent, counted)
		}
		calm += s.calm
	}
	if calm == 0 || rejected == 0 {
		t.Errorf("%d requests were not asked for their cluster, %d were rejected: want both", calm, rejected)
	}
}

func (s *shuffle) isClosed(cluster string) bool {
	value, _, _ := s.SharedData().Get("circuit_breaker/2\x00record\x00breaker\x00" + cluster)
	var r breaker.Record
	return r.UnmarshalBinary(value) != nil || r.State == breaker.Closed
}
