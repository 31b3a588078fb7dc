package breaker

import (
	"fmt"
	"hash/crc64"
	"iter"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// This file runs a few workers under every possible schedule; what is expected of them is in truth_test.go.
//
// Each worker is a coroutine that stops before every operation on what it shares with others: the store, the tally, the
// clock. Which of them goes on is a choice, and a run is fully determined by its choices. So all runs can be had by
// depth-first search: run, go back to the last choice that has an alternative, replay up to it, take the alternative.
//
// There are far too many runs for that (10^14 for two workers of 25 operations each), but most come through the same
// states. A worker is deterministic, so what it knows is a function of its view, and of what its operations have returned
// since it last began to acquire or end a request. A state is what is shared, and a hash of that for each worker. A run
// that comes to a known state need not be continued, for whatever can happen from there has been looked at. This covers
// all runs, where a bound on preemptions (plan.bound, for what is too big even so) does not.

// A plan says who does what.
type plan struct {
	name   string
	policy Policy
	others map[int]Policy // workers that have another policy, loaded later
	// setup is run first, without interruption: "0:afas +5s 1:as" has worker 0 acquire, fail, acquire and succeed, then
	// the clock move, then worker 1 acquire and succeed. The letters are those of actor.do.
	setup   string
	scripts []string // one for each worker
	after   string   // like setup
	events  []event  // what else happens, in this order, at any time
	hidden  []Stat   // read zero for ever

	shared bool // the workers are goroutines on one Breaker
	stored bool // the breakers have a second store for the tally
	gauge  bool // the order of writes to the gauges of the state, and of what still waits, matters
	wiped  bool // the window is emptied on the way, so failures may be forgotten
	long   bool // takes many seconds: -short bounds how often a worker may lose its turn
	dies   bool // a worker may die in the middle of something

	group *groupPlan // the breaker is the one of a group; nil: of none

	mutant func(*stage, Store, Tally) (Store, Tally) // breaks something
	bound  int                                       // how often a worker that could go on may lose its turn; 0: no limit

	coroutines []*coroutine
}

// An event is something that happens beside the workers.
type event struct {
	name string
	do   func(*stage)
}

// later is the event that time passes.
func later(d time.Duration) event {
	return event{"clock +" + d.String(), func(s *stage) { s.now = s.now.Add(d) }}
}

// A stage is one run of a plan.
type stage struct {
	*plan
	record, counts, streaks cell
	list                    cell   // of the group
	bell                    uint64 // of the group
	grouped                 groupTruth
	latest                  Record // decoded; without an epoch there is none, or a corrupt one
	tally                   [NumStats]uint64
	visible                 [NumStats]bool // stats by which a worker can influence another
	now                     Time
	actors                  []*actor
	running                 *actor
	pending                 int  // events that have not happened yet
	free                    bool // nobody stops before an operation
	last                    *actor
	preempted               int // how often a worker that could go on has lost its turn
	step                    int // operations so far
	truth                   truth

	trace *strings.Builder // nil: not wanted
	err   string
}

// A cell is the contents of a store.
type cell struct {
	value   []byte
	version uint32
	hash    uint64
}

// An actor is a worker; the last one makes the events happen.
type actor struct {
	*stage
	id       int
	b        *Breaker
	g        *Group     // nil: none
	coarse   Time       // the clock when it was last read here
	held     []*tracked // admitted and not yet ended, the oldest first
	current  *tracked   // being acquired or ended
	on       *coroutine
	finished bool
	dead     bool
	seen     uint64 // hash of all that it knows
	witness
	groupWitness
}

const stageStart = Time(1000 * time.Second)

// begin sets the stage: after the setup, and with every actor before its first operation.
func (p *plan) begin(trace bool) *stage {
	s := &stage{plan: p, now: stageStart, pending: len(p.events), free: true}
	if trace {
		s.trace = new(strings.Builder)
	}
	for _, stat := range []Stat{Calls, Failures, Changes} {
		s.visible[stat] = true
	}
	s.visible[SlowCalls] = strings.ContainsAny(strings.Join(p.scripts, ""), "wxe")
	s.visible[Successes] = p.policy.ConsecutiveFailures > 0
	s.visible[StateGauge] = p.gauge
	s.visible[Waiting] = (p.gauge || p.policy.FailureRate > 0) && strings.Contains(p.setup+strings.Join(p.scripts, ""), "e")
	for i := range p.scripts {
		a := &actor{stage: s, id: i}
		s.actors = append(s.actors, a)
		if a.b = s.actors[0].b; !p.shared || i == 0 {
			if p.group != nil {
				a.g = a.newGroup()
			}
			a.b = s.breaker(i)
		}
	}
	s.setUp(p.setup)
	if trace {
		s.trace.Reset()
		fmt.Fprintf(s.trace, "after %q: %s\n", p.setup, s.show(s.record.value))
	}
	if len(p.events) > 0 {
		s.actors = append(s.actors, &actor{stage: s, id: len(p.scripts)})
	}
	s.free = false
	for i, a := range s.actors {
		a.on = s.crew(i)
		a.on.job = a.play
		s.advance(a)
	}
	s.last, s.preempted = nil, 0
	return s
}

// breaker returns the one of worker i.
func (s *stage) breaker(i int) *Breaker {
	var store Store = stagedStore{s, &s.record}
	var tally Tally = stagedTally{s}
	if s.mutant != nil {
		store, tally = s.mutant(s, store, tally)
	}
	c := Config{
		Policy: &s.policy, Generation: 1, Store: store, Tally: tally, Clock: stagedClock{s},
		Rand: func() uint64 { return 0 }, Streaks: stagedStore{s, &s.streaks},
	}
	if other, ok := s.others[i]; ok {
		c.Policy, c.Generation = &other, 2
	}
	if s.stored {
		c.Counts = stagedStore{s, &s.counts}
	}
	if g := s.actors[i].g; g != nil {
		c.Group, c.Clock = g, laggingClock{s.actors[i]}
		c.Store = s.group.recordOf(s.actors[i], c.Store)
	}
	b, err := New(c)
	if err != nil {
		panic(err)
	}
	return b
}

func (s *stage) setUp(script string) {
	for _, part := range strings.Fields(script) {
		if d, ok := strings.CutPrefix(part, "+"); ok {
			wait, err := time.ParseDuration(d)
			if err != nil {
				panic(err)
			}
			s.now = s.now.Add(wait)
			s.note("clock +%v", wait)
			continue
		}
		s.running = s.actors[part[0]-'0']
		for _, letter := range part[2:] {
			s.running.do(letter)
		}
	}
}

// A coroutine does jobs, one after the other. It outlives a run, since its stack is costly to grow.
type coroutine struct {
	job     func()
	dropped bool // the job is not to be continued
	hold    func(idle bool) bool
	resume  func() (idle, more bool)
	stop    func()
}

func newCoroutine() *coroutine {
	c := &coroutine{}
	c.resume, c.stop = iter.Pull(func(yield func(idle bool) bool) {
		c.hold = yield
		for more := true; more; more = yield(true) {
			c.work()
		}
	})
	return c
}

// abandoned unwinds a job that is not continued.
type abandoned struct{}

func (c *coroutine) work() {
	defer func() {
		if e := recover(); e != nil && e != (abandoned{}) {
			panic(e)
		}
	}()
	c.job()
}

// pause gives way to the other coroutines.
func (c *coroutine) pause() {
	c.hold(false)
	if c.dropped {
		panic(abandoned{})
	}
}

// drop ends the job.
func (c *coroutine) drop() {
	c.dropped = true
	c.resume()
	c.dropped = false
}

// crew returns one of the coroutines that run a plan.
func (p *plan) crew(i int) *coroutine {
	if i == len(p.coroutines) {
		p.coroutines = append(p.coroutines, newCoroutine())
	}
	return p.coroutines[i]
}

// dismiss ends the coroutines.
func (p *plan) dismiss() {
	for _, c := range p.coroutines {
		c.stop()
	}
	p.coroutines = nil
}

// play is what the actor does. It gives way before each operation that matters to others.
func (a *actor) play() {
	defer func() {
		if e := recover(); e == (abandoned{}) {
			panic(e)
		} else if e != nil {
			a.fail("panic: %v\n%s", e, debug.Stack())
		}
	}()
	if a.id == len(a.scripts) {
		for _, e := range a.events {
			a.before(true)
			a.pending--
			e.do(a.stage)
			a.note("%s", e.name)
		}
		return
	}
	for _, letter := range a.scripts[a.id] {
		a.on.pause() // a request takes time, as does waiting for the next one
		a.do(letter)
	}
}

// do has a worker do one thing: (a)cquire, or end its oldest request, as a (s)uccess, a (f)ailure, (n)eutral, (u)nanswered, a
// slo(w) success, or a failure that was slow as well (x). Or tell that the oldest one that is not known to do so still waits for
// its answer (e), or (r)elease the oldest one's place. Or ask the group to let a request through, and the breaker only where that is
// not (c)alm; or look whether it is, as at a (t)ick.
func (a *actor) do(letter rune) {
	switch letter {
	case 'a':
		a.acquire()
		return
	case 'c':
		a.acquireCalmly()
		return
	case 't':
		a.look()
		return
	}
	if len(a.held) == 0 {
		a.between() // it was not admitted
		return
	}
	switch letter {
	case 'e':
		a.stillWaits()
	case 'r':
		a.release()
	default:
		a.end(map[rune]Outcome{
			's': {}, 'f': {Result: Failure}, 'n': {Result: Neutral}, 'w': {Slow: true}, 'x': {Result: Failure, Slow: true},
			'u': {Result: Neutral, Unanswered: true},
		}[letter])
	}
}

// before is called before every operation.
func (s *stage) before(visible bool) {
	if !s.free && visible {
		s.running.on.pause()
	}
	s.step++
	s.saw(0) // that there was an operation: not all return something
}

// advance lets an actor do its next operation, and run up to the one after it.
func (s *stage) advance(a *actor) {
	if s.last != nil && s.last != a && !s.last.finished {
		s.preempted++
	}
	s.running, s.last = a, a
	a.finished, _ = a.on.resume()
}

// enabled returns the actors that can go on.
func (s *stage) enabled(buf []*actor) []*actor {
	if s.bound > 0 && s.preempted == s.bound && !s.last.finished {
		return append(buf, s.last)
	}
	for _, a := range s.actors {
		if !a.finished {
			buf = append(buf, a)
		}
	}
	return buf
}

// abandon ends a run.
func (s *stage) abandon() {
	for _, a := range s.actors {
		if !a.finished {
			a.on.drop()
		}
	}
}

func (s *stage) fail(format string, args ...any) {
	if s.err == "" {
		s.err = fmt.Sprintf(format, args...)
		s.note("WRONG: %s", s.err)
	}
}

// note adds a line to the trace, if there is one.
func (s *stage) note(format string, args ...any) {
	if s.trace == nil {
		return
	}
	who := "\t"
	if s.running != nil && s.running.id < len(s.scripts) {
		who = fmt.Sprintf("  worker %d", s.running.id)
	}
	fmt.Fprintf(s.trace, "%5d%s  %s\n", s.step, who, fmt.Sprintf(format, args...))
}

// saw adds to what the running worker has seen.
func (s *stage) saw(v uint64) { s.running.seen = mix(s.running.seen, v) }

// mix is a hash of two numbers (the finalizer of splitmix64).
func mix(h, v uint64) uint64 {
	h = (h ^ v) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// key identifies the state that the run is in.
func (s *stage) key() uint64 {
	h := mix(mix(s.record.hash, mix(s.counts.hash, s.streaks.hash)), uint64(s.now))
	for _, v := range s.tally {
		h = mix(h, v)
	}
	for _, a := range s.actors {
		h = mix(h, a.seen)
	}
	if s.group != nil {
		h = mix(h, mix(s.list.hash, s.bell))
		h = mix(h, s.grouped.hash())
		for _, a := range s.actors {
			h = mix(h, a.groupWitness.hash())
		}
	}
	if s.shared {
		h = mix(h, s.actors[0].b.knowledge())
	}
	requests := uint64(0) // a sum, since they came in any order
	for _, r := range s.truth.requests {
		requests += mix(r.id, r.hash)
	}
	h = mix(h, requests)
	if s.bound > 0 && s.last != nil {
		h = mix(h, uint64(s.last.id)<<32|uint64(s.preempted))
	}
	return mix(h, mix(s.truth.hash, uint64(s.pending)))
}

// The three that follow are what the breakers run on. They stop before every operation, and tell the truth of it.

type stagedStore struct {
	*stage
	cell *cell
}

func (m stagedStore) Load() ([]byte, uint32) {
	m.before(true)
	m.running.attempts = 0
	m.saw(m.cell.hash)
	switch m.cell {
	case &m.counts:
		m.running.readCounts()
		m.note("load tally: v%d", m.cell.version)
	case &m.list:
		m.note("load list: v%d %s", m.cell.version, showList(m.cell.value))
	case &m.streaks:
		m.note("load streak: v%d %+v", m.cell.version, decodeStreak(m.cell.value))
	default:
		m.note("load: v%d %s", m.cell.version, m.show(m.cell.value))
		m.running.found()
	}
	return m.cell.value, m.cell.version
}

func (m stagedStore) CompareAndSwap(value []byte, version uint32) bool {
	m.before(true)
	ok := version == m.cell.version
	if ok {
		m.cell.value, m.cell.version = append([]byte(nil), value...), version+1
		m.cell.hash = mix(crc64.Checksum(value, crcTable), uint64(m.cell.version))
		switch m.cell {
		case &m.record:
			m.note("CAS v%d -> %s", version, m.show(value))
			m.wrote(value)
		case &m.streaks:
			m.note("CAS streak v%d -> %+v", version, decodeStreak(value))
			m.running.added(Streak)
		case &m.list:
			m.note("CAS list v%d -> %s", version, showList(value))
			m.running.listed(value)
		default:
			m.note("CAS tally v%d -> %v", version, value)
		}
	} else {
		m.note("CAS v%d lost to v%d", version, m.cell.version)
		m.saw(1)
	}
	return ok
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// show describes a record.
func (s *stage) show(value []byte) string {
	if s.trace == nil {
		return ""
	}
	var r Record
	if err := r.UnmarshalBinary(value); err != nil {
		return err.Error()
	}
	line := fmt.Sprintf("%v, epoch +%d", r.State, r.Epoch-uint64(stageStart))
	switch r.State {
	case Closed:
		line += fmt.Sprintf(", base %+v, %d snapshots", r.Window.base(), r.Window.n)
		if r.Window.Watched {
			line += ", watched"
		}
	case HalfOpen:
		line += fmt.Sprintf(", leases %v, %d successes, %d expired", r.leases[:r.live], r.Successes, r.Expired)
	}
	if r.StoredTally {
		line += ", stored tally"
	}
	return line
}

type stagedTally struct{ *stage }

func (m stagedTally) Add(s Stat) {
	m.before(m.visible[s])
	m.running.attempts = 0
	m.tally[s]++
	m.note("%v + 1", s)
	m.running.added(s)
}

func (m stagedTally) Subtract(s Stat) {
	m.before(m.visible[s])
	m.running.attempts = 0
	m.tally[s]--
	m.note("%v - 1", s)
}

func (m stagedTally) Set(s Stat, to uint64) {
	m.before(m.visible[s])
	m.tally[s] = to
	m.note("%v = %d", s, to)
}

func (m stagedTally) Value(s Stat) uint64 {
	m.before(m.visible[s])
	v := m.tally[s]
	for _, n := range m.hidden {
		if n == s {
			v = 0
		}
	}
	m.note("%v is %d", s, v)
	m.saw(v)
	m.running.read(s)
	return v
}

type stagedClock struct{ *stage }

func (m stagedClock) Now() Time {
	m.before(m.pending > 0)
	m.running.attempts = 0
	m.note("clock is +%v", m.now.Sub(stageStart))
	m.saw(uint64(m.now))
	return m.now
}

func (m stagedClock) Coarse() Time { return m.Now() }

// run lets one actor after the other go on, until all have finished or something went wrong. choose is asked where there
// is a choice; where it returns nil the run ends there.
func (s *stage) run(choose func(can []*actor) *actor) {
	defer s.abandon()
	var buf [8]*actor
	for s.err == "" {
		can := s.enabled(buf[:0])
		switch len(can) {
		case 0:
			s.finish()
			return
		case 1:
			s.advance(can[0])
		default:
			next := choose(can)
			if next == nil {
				return
			}
			s.advance(next)
		}
	}
}

// A choice was made at a state, between actors.
type choice struct {
	state int32
	of    []int
	taken int
}

// explored is what a search has found.
type explored struct {
	runs      int
	states    int
	schedules float64 // how many runs it would have taken without recognising states
	err       string  // what went wrong first, and its schedule
}

// explore tries all schedules until one goes wrong.
func (p *plan) explore() explored {
	const end = 0 // the state after every complete run
	defer p.dismiss()
	var path []choice
	nodes := [][]int32{end: nil} // of each state, the states that follow
	known := map[uint64]int32{}
	runs := 0
	for {
		depth := 0
		arrive := func(state int32) {
			if depth > 0 {
				from := &nodes[path[depth-1].state]
				*from = append(*from, state)
			}
		}
		s := p.begin(false)
		runs++
		complete := true
		s.run(func(can []*actor) *actor {
			if depth == len(path) {
				key := s.key()
				state, old := known[key]
				if !old {
					state = int32(len(nodes))
					known[key] = state
					nodes = append(nodes, nil)
				}
				arrive(state)
				if old {
					complete = false
					return nil
				}
				c := choice{state: state}
				for _, a := range can {
					c.of = append(c.of, a.id)
				}
				path = append(path, c)
			}
			c := &path[depth]
			depth++
			return s.actors[c.of[c.taken]]
		})
		if s.err != "" {
			return explored{runs: runs, states: len(known), err: p.retrace(path)}
		}
		if complete {
			arrive(end)
		}
		for len(path) > 0 {
			c := &path[len(path)-1]
			if c.taken++; c.taken < len(c.of) {
				break
			}
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return explored{runs: runs, states: len(known), schedules: countPaths(nodes)}
		}
	}
}

// countPaths returns the number of ways from the first state (1) to the end (0).
func countPaths(nodes [][]int32) float64 {
	paths := make([]float64, max(2, len(nodes)))
	paths[0] = 1
	var count func(int32) float64
	count = func(n int32) float64 {
		if paths[n] == 0 {
			for _, next := range nodes[n] {
				paths[n] += count(next)
			}
		}
		return paths[n]
	}
	if len(nodes) == 1 {
		return 1 // no choice at all
	}
	return count(1)
}

// retrace runs a schedule that goes wrong once more, and returns what was done in it.
func (p *plan) retrace(path []choice) string {
	s := p.begin(true)
	s.run(func(can []*actor) *actor {
		if len(path) == 0 {
			return can[0]
		}
		c := path[0]
		path = path[1:]
		return s.actors[c.of[c.taken]]
	})
	return s.err + "\n" + s.trace.String()
}

// random runs one schedule drawn from a seed. In some, the turn changes often, in some rarely.
func (p *plan) random(seed uint64, trace bool) *stage {
	rng := rand.New(rand.NewPCG(seed, 0))
	stay := []float64{0, 0.5, 0.9, 0.98}[rng.IntN(4)]
	s := p.begin(trace)
	s.run(func(can []*actor) *actor {
		if s.last != nil && !s.last.finished && rng.Float64() < stay {
			return s.last
		}
		return can[rng.IntN(len(can))]
	})
	return s
}

// mustHold explores a plan, and fails the test with the schedule that goes wrong if there is one.
func (p *plan) mustHold(t *testing.T) {
	t.Helper()
	found := p.explore()
	if found.err != "" {
		t.Fatalf("in run %d: %s", found.runs, found.err)
	}
	t.Logf("%.3g schedules in %d runs, %d states", found.schedules, found.runs, found.states)
}
