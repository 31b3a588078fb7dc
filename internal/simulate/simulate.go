// Package simulate tries policies on a scenario: each of some Envoys has a breaker of its own, and gets requests of its own.
package simulate

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
	"envoy-circuit-breaker/internal/scenario"
)

// Options say how to simulate.
type Options struct {
	Name     string // of the scenario, for the report
	Policies []replay.Policy
	Seed     uint64 // of requests, probes, jitter and ramp: the same seed has the same report
	Timeline bool   // keep what it takes to draw one
	// Progress is told which part is done, 0 to 1, one call at a time, in any goroutine. It may be nil.
	Progress func(part float64)
}

// What the service gets is counted by the second. Phases are whole seconds long.
const second = int64(time.Second)

// Run simulates each Envoy of a scenario with each policy, on all cores.
func Run(s *scenario.Scenario, o Options) *report.Report {
	fleets := make([]*fleet, len(o.Policies))
	for i, p := range o.Policies {
		fleets[i] = newFleet(s, p)
	}
	var next, done atomic.Int64
	var telling sync.Mutex
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), s.Instances) {
		workers.Go(func() {
			sums := make([]sum, len(fleets))
			for i := int(next.Add(1)) - 1; i < s.Instances; i = int(next.Add(1)) - 1 {
				tape := record(s, o.Seed, i)
				for j, f := range fleets {
					f.add(i, &sums[j], tape, o.Seed)
				}
				n := done.Add(1)
				if o.Progress != nil && telling.TryLock() { // or another tells
					o.Progress(float64(n) / float64(s.Instances))
					telling.Unlock()
				}
			}
			for j, f := range fleets {
				f.take(&sums[j])
			}
		})
	}
	workers.Wait()

	out := &report.Report{
		From:       scenario.Begin,
		Simulation: &report.Simulation{Scenario: o.Name, Instances: s.Instances, Seed: o.Seed},
	}
	for _, f := range fleets {
		out.Policies = append(out.Policies, f.finish())
		out.Lines, out.To = f.counts.Requests, time.Unix(0, f.end()).UTC() // the same of all
	}
	if o.Timeline {
		out.Axis = axis
		shorten(out)
	}
	out.Complete()
	return out
}

// axis is that of seconds.
var axis = report.Axis{Start: scenario.Begin.UnixNano(), Width: second}

// shorten makes timelines short enough to be drawn.
func shorten(r *report.Report) {
	most := 0
	for _, p := range r.Policies {
		most = max(most, len(p.Breakers[0].Bins))
	}
	for ; most > report.MostBins; most = (most + 1) / 2 {
		r.Axis.Width *= 2
		for _, p := range r.Policies {
			p.Breakers[0].Bins = report.Halve(p.Breakers[0].Bins)
		}
	}
}

// record is the requests of an Envoy.
func record(s *scenario.Scenario, seed uint64, instance int) *replay.Tape {
	var tape *replay.Tape
	for e := range s.Requests(seed, instance) {
		if tape == nil {
			tape = replay.NewTape(e.Instance, e.Cluster)
			tape.Grow(int(s.Expected() * 1.05))
		}
		tape.Add(&e)
	}
	if tape == nil {
		tape = replay.NewTape("", s.Cluster)
	}
	tape.Rewind()
	return tape
}

// play plays an Envoy's requests to its breaker.
func (f *fleet) play(instance int, tape *replay.Tape, seed uint64, moved func(breaker.Transition)) report.Breaker {
	random := rand.New(rand.NewPCG(seed, ^uint64(instance)))
	return tape.Play(replay.PlayOptions{
		Config: f.policy.Config, Seed: seed, Axis: axis, Moved: moved, Until: f.phases[len(f.phases)-1].to,
		Probe: func(at int64) (good bool, took time.Duration) { return f.scenario.Probe(at, random) },
	})
}
