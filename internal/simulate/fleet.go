package simulate

import (
	"slices"
	"sync"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
	"envoy-circuit-breaker/internal/scenario"
)

// A fleet is all Envoys with one policy, and what became of them. Of what is not a whole number each keeps its own until the end,
// so that the sum does not depend on who was first.
type fleet struct {
	scenario  *scenario.Scenario
	policy    replay.Policy
	phases    []phase
	initially breaker.State
	envoys    []envoy

	mu sync.Mutex // of what follows
	sum
}

// A sum is of some Envoys.
type sum struct {
	counts report.Counts
	bins   []report.Bin // seconds
}

// An envoy is what is kept of one.
type envoy struct {
	one           report.Breaker // without what is added up, and without the transitions where there are many Envoys
	last          int64          // when its last request ended
	open, half    float64
	noticed       []float64
	opened, shut  []int64 // in each phase: when it first opened, and last closed; 0 where it did not
	closedAtStart []bool  // of each phase, and at the end
}

// A phase is when one begins and ends: Unix nanoseconds.
type phase struct {
	name     string
	from, to int64
}

func newFleet(s *scenario.Scenario, p replay.Policy) *fleet {
	f := &fleet{scenario: s, policy: p, envoys: make([]envoy, s.Instances)}
	if p.Config.For(s.Cluster, "").Policy.Mode == breaker.ForceOpen {
		f.initially = breaker.Open
	}
	at := scenario.Begin.UnixNano()
	for i := range s.Phases {
		to := at + int64(s.Phases[i].Duration)
		f.phases = append(f.phases, phase{s.Phases[i].Name, at, to})
		at = to
	}
	return f
}

// add simulates an Envoy and adds to the sum what it did.
func (f *fleet) add(instance int, s *sum, tape *replay.Tape, seed uint64) {
	e := &f.envoys[instance]
	w := newWatch(f.phases, e, f.initially)
	b := f.play(instance, tape, seed, w.moved)
	w.end()
	e.last = tape.End()
	e.open, e.half = b.OpenFor, b.HalfOpenFor
	for _, m := range b.Transitions {
		if m.Noticed != nil {
			e.noticed = append(e.noticed, *m.Noticed)
		}
	}
	b.OpenFor, b.HalfOpenFor = 0, 0
	s.counts.Add(&b.Counts)
	s.addBins(b.Bins)
	b.Counts, b.Bins = report.Counts{}, nil
	if len(f.envoys) > 1 {
		b.Transitions = nil
	}
	e.one = b
}

func (s *sum) addBins(bins []report.Bin) {
	if more := len(bins) - len(s.bins); more > 0 {
		s.bins = append(s.bins, make([]report.Bin, more)...)
	}
	for i := range bins {
		s.bins[i].Add(&bins[i])
	}
}

// take adds what a worker has added up.
func (f *fleet) take(s *sum) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Add(&s.counts)
	f.addBins(s.bins)
}

// finish reports the fleet as one breaker.
func (f *fleet) finish() report.Policy {
	b := f.envoys[0].one
	b.Counts = f.counts
	b.Bins = f.bins
	for i := range f.envoys {
		e := &f.envoys[i]
		b.OpenFor += e.open
		b.HalfOpenFor += e.half
		if e.one.State != b.State {
			b.State = "mixed"
		}
		if len(f.envoys) > 1 {
			b.Noticed = append(b.Noticed, e.noticed...)
		}
	}
	if len(f.envoys) > 1 {
		b.Instance, b.Envoys = "", len(f.envoys)
	}
	out := f.policy.Report()
	out.Probe = false // it was simulated
	out.Unmatched = f.policy.Unmatched(map[int]bool{f.policy.Config.Match(f.scenario.Cluster, ""): true})
	out.Breakers = []report.Breaker{b}
	for i := range f.phases {
		out.Fleet = append(out.Fleet, f.phase(i))
	}
	return out
}

// end is when the scenario is over, and the last request has ended: Unix nanoseconds.
func (f *fleet) end() int64 {
	end := f.phases[len(f.phases)-1].to
	for i := range f.envoys {
		end = max(end, f.envoys[i].last)
	}
	return end
}

// phase is what the service got in one.
func (f *fleet) phase(i int) report.Phase {
	p := &f.phases[i]
	begin := f.phases[0].from
	out := report.Phase{Name: p.name, From: report.Seconds(p.from - begin), To: report.Seconds(p.to - begin)}
	first := int(p.from-begin) / int(second)
	bins := f.bins[min(first, len(f.bins)):min(first+int((p.to-p.from)/second), len(f.bins))]
	for i := range bins {
		b := &bins[i]
		out.Asked += int64(b.Asked)
		out.Admitted += int64(b.Admitted)
		out.Trials += int64(b.Trials)
		out.Probes += int64(b.Probes)
		out.MostAdmitted = max(out.MostAdmitted, int64(b.Admitted))
		out.MostTrials = max(out.MostTrials, int64(b.Trials))
		out.MostProbes = max(out.MostProbes, int64(b.Probes))
	}
	out.Half, out.Most = admitted(bins, 0.5), admitted(bins, 0.9)
	var opened, shut []int64
	allOpened := true
	for j := range f.envoys {
		e := &f.envoys[j]
		if e.closedAtStart[i] {
			opened = append(opened, e.opened[i])
			allOpened = allOpened && e.opened[i] > 0
		}
		if !e.closedAtStart[i] || e.opened[i] > 0 {
			shut = append(shut, e.shut[i])
		}
		if !e.closedAtStart[i+1] {
			out.NotClosed++
		}
	}
	since := func(at int64) *float64 {
		s := report.Seconds(max(0, at-p.from))
		return &s
	}
	if len(opened) > 0 && allOpened {
		out.AllOpen = since(slices.Max(opened))
	}
	if len(shut) > 0 && out.NotClosed == 0 {
		out.AllClosed = since(slices.Max(shut))
	}
	return out
}

// admitted is after how many seconds a share of the requests are admitted, up to the last one; nil where it does not come to that, or
// they are all the time.
func admitted(bins []report.Bin, share float64) *float64 {
	is := false // seconds without a request tell nothing
	for i := len(bins) - 1; i >= 0; i-- {
		b := &bins[i]
		if float64(b.Admitted) < share*float64(b.Asked) {
			if s := float64(i + 1); is {
				return &s
			}
			return nil
		}
		is = is || b.Asked > 0
	}
	return nil
}

// A watch notes in which phases an Envoy's breaker opens and closes. What happens as the last requests end is of the last phase.
type watch struct {
	phases []phase
	envoy  *envoy
	now    int // the number of the phase
	state  breaker.State
}

func newWatch(phases []phase, e *envoy, s breaker.State) *watch {
	e.opened, e.shut = make([]int64, len(phases)), make([]int64, len(phases))
	e.closedAtStart = append(make([]bool, 0, len(phases)+1), s == breaker.Closed)
	return &watch{phases: phases, envoy: e, state: s}
}

// reach goes to the phase of a time.
func (w *watch) reach(at int64) {
	for w.now < len(w.phases)-1 && at >= w.phases[w.now].to {
		w.next()
	}
}

func (w *watch) next() {
	w.now++
	w.envoy.closedAtStart = append(w.envoy.closedAtStart, w.state == breaker.Closed)
}

// end goes to the end of the last phase.
func (w *watch) end() {
	for w.now < len(w.phases) {
		w.next()
	}
}

func (w *watch) moved(m breaker.Transition) {
	at := int64(m.At)
	w.reach(at)
	w.state = m.To
	switch {
	case m.To == breaker.Closed:
		w.envoy.shut[w.now] = at
	case m.To == breaker.Open && w.envoy.opened[w.now] == 0:
		w.envoy.opened[w.now] = at
	}
}
