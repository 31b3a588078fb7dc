package breaker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// small is a policy for short scripts: it opens at two failures of two.
func small(change func(*Policy)) Policy {
	p := DefaultPolicy()
	p.MinRequests, p.FailureRate = 2, 100
	p.OpenMultiplier, p.OpenMaxDuration, p.OpenJitter = 1, p.OpenDuration, 0
	p.HalfOpenMaxRequests, p.HalfOpenSuccessThreshold, p.HalfOpenPermitTimeout = 1, 1, time.Hour
	if change != nil {
		change(&p)
	}
	return p
}

// Two good trials close.
func twoTrials(p *Policy) { p.HalfOpenMaxRequests, p.HalfOpenSuccessThreshold = 2, 2 }

func streakOf(n int) func(*Policy) {
	return func(p *Policy) { p.FailureRate, p.ConsecutiveFailures = 0, n }
}

// Trials may take a second, and two in a row that expire open it again.
func shortTrials(p *Policy) {
	twoTrials(p)
	p.HalfOpenPermitTimeout = time.Second
}

// Calls are slow after a second, and it opens at this percentage of so many calls.
func slowOf(percent float64, calls int) func(*Policy) {
	return func(p *Policy) {
		p.SlowCallDuration, p.SlowCallRate, p.MinRequests = time.Second, percent, calls
	}
}

// reset is the event that counters are set back to zero.
func reset(stats ...Stat) event {
	return event{fmt.Sprint("reset ", stats), func(s *stage) {
		for _, stat := range stats {
			s.tally[stat] = 0
		}
		for _, a := range s.actors {
			if a.current != nil {
				a.current.lost = true
				a.current.saw(5)
			}
		}
	}}
}

var plans = []*plan{
	{
		name:    "no breaker yet",
		policy:  small(nil),
		scripts: []string{"afaf", "as"},
		gauge:   true,
	},
	{
		name:    "two failures of two",
		policy:  small(nil),
		setup:   "0:a 1:a",
		scripts: []string{"faf", "fafa"},
	},
	{
		name:    "three failures of four",
		policy:  small(func(p *Policy) { p.MinRequests, p.FailureRate = 4, 75 }),
		setup:   "0:as 1:a",
		scripts: []string{"afaf", "faf"},
	},
	{
		// There is a success, so it must never open: unless failures are seen and their calls are not.
		name:    "one success among failures",
		policy:  small(nil),
		setup:   "0:as 1:a 2:a",
		scripts: []string{"afa", "fas", "f"},
	},
	{
		name:    "slow calls",
		policy:  small(func(p *Policy) { p.SlowCallDuration, p.SlowCallRate, p.FailureRate = time.Second, 60, 60 }),
		setup:   "0:as 1:a",
		scripts: []string{"awax", "waf"},
	},
	{
		name:    "shadow",
		policy:  small(func(p *Policy) { p.Mode = Shadow }),
		setup:   "0:a 1:a",
		scripts: []string{"fafaf", "fasan"},
	},
	{
		name:    "trip, half-open, close", // rules 9 and 11
		policy:  small(nil),
		setup:   "0:aaf 1:a",
		scripts: []string{"fas", "as"},
		events:  []event{later(5 * time.Second)},
		gauge:   true,
	},
	{
		name:    "trials of three workers",
		policy:  small(twoTrials),
		setup:   "0:afaf 1:a 2:a +5s",
		scripts: []string{"as", "as", "an"},
		bound:   3,
	},
	{
		name:    "the last permit", // rule 10
		policy:  small(twoTrials),
		setup:   "0:afaf 1:a 2:a +5s 0:a",
		scripts: []string{"n", "as", "an"},
	},
	{
		name:    "a trial fails",
		policy:  small(twoTrials),
		setup:   "0:afaf 1:a +5s 0:a",
		scripts: []string{"fa", "as"},
		gauge:   true,
	},
	{
		name:    "permits expire",
		policy:  small(func(p *Policy) { p.HalfOpenPermitTimeout = time.Second }),
		setup:   "0:afaf 1:a +5s",
		scripts: []string{"as", "af"},
		events:  []event{later(time.Second)},
	},
	{
		name:    "a hang of two workers", // rule 18
		policy:  small(slowOf(75, 4)),
		setup:   "0:asaa 1:a",
		scripts: []string{"ee", "ef"},
		gauge:   true,
		long:    true,
	},
	{
		name:    "calls that wait, then fail", // rule 18
		policy:  small(func(p *Policy) { slowOf(100, 3)(p); p.FailureRate = 60 }),
		setup:   "0:asa 1:a",
		scripts: []string{"ef", "efa"},
		gauge:   true,
		long:    true,
	},
	{
		name:    "a call waits while others fail", // rule 18
		policy:  small(func(p *Policy) { slowOf(100, 3)(p); p.FailureRate = 60 }),
		setup:   "0:asaae 1:a",
		scripts: []string{"ef", "ef"},
		bound:   3,
	},
	{
		name:    "a waiting call that fails while the breaker opens and closes", // rules 8 and 18
		policy:  small(func(p *Policy) { slowOf(100, 3)(p); p.FailureRate = 60 }),
		setup:   "0:ae 1:aaf",
		scripts: []string{"f", "fas"},
		events:  []event{later(5 * time.Second)},
		bound:   3,
	},
	{
		name:    "a call begins to wait while the breaker opens and closes", // rules 2, 8 and 18
		policy:  small(slowOf(100, 2)),
		setup:   "0:a 1:aaf",
		scripts: []string{"e", "fas"},
		events:  []event{later(5 * time.Second)},
		bound:   3,
	},
	{
		name:    "a waiting call leaves the window", // rule 18
		policy:  small(func(p *Policy) { slowOf(100, 2)(p); p.FailureRate = 60 }),
		setup:   "0:ae 1:a +10500ms",
		scripts: []string{"f", "fas"},
		events:  []event{later(600 * time.Millisecond)},
		bound:   3,
	},
	{
		name:    "a call begins to wait as the window moves", // rules 3 and 18
		policy:  small(func(p *Policy) { slowOf(60, 2)(p) }),
		setup:   "0:asa 1:a +10500ms",
		scripts: []string{"ef", "e"},
		events:  []event{later(600 * time.Millisecond)},
		bound:   2,
	},
	{
		name:    "a waiting call in a count window", // rules 6 and 18
		policy:  small(func(p *Policy) { slowOf(20, 10)(p); p.WindowDuration, p.WindowRequests, p.FailureRate = 0, 10, 15 }),
		setup:   "0:" + strings.Repeat("as", 9) + "a 1:aa",
		scripts: []string{"ef", "es"},
		bound:   2,
	},
	{
		name:    "a streak of calls that waited", // rules 7 and 18
		policy:  small(func(p *Policy) { slowOf(100, 9)(p); streakOf(2)(p) }),
		setup:   "0:aae 1:ae",
		scripts: []string{"fs", "faf"},
	},
	{
		name:    "a streak, and calls that begin to wait", // rules 7 and 18
		policy:  small(func(p *Policy) { slowOf(100, 9)(p); streakOf(2)(p) }),
		setup:   "0:aafa 1:a",
		scripts: []string{"efa", "en"},
	},
	{
		name:    "goroutines on one breaker, and calls that wait",
		policy:  small(slowOf(75, 4)),
		setup:   "0:asaa 1:a",
		scripts: []string{"eef", "es"},
		shared:  true,
	},
	{
		name:    "slow calls that are hidden", // rules 14 and 18
		policy:  small(func(p *Policy) { slowOf(100, 2)(p); p.FailureRate = 60 }),
		setup:   "0:a 1:a",
		scripts: []string{"ef", "e"},
		hidden:  []Stat{SlowCalls, Waiting},
		stored:  true,
		wiped:   true,
		bound:   3,
	},
	{
		name:    "a trial waits", // rules 11 and 18
		policy:  small(func(p *Policy) { slowOf(100, 2)(p); twoTrials(p) }),
		setup:   "0:afaf 1:a +5s 0:a 1:sa",
		scripts: []string{"efa", "sa"},
	},
	{
		name:    "trials expire while a verdict comes", // rules 10 and 17
		policy:  small(shortTrials),
		setup:   "0:afaf +5s 0:a +500ms 1:a",
		scripts: []string{"saa", "aa"},
		events:  []event{later(time.Second)},
		gauge:   true,
	},
	{
		name:    "trials expire while one fails", // rules 10 and 17
		policy:  small(shortTrials),
		setup:   "0:afaf +5s 0:a 1:a",
		scripts: []string{"fa", "aa"},
		events:  []event{later(1500 * time.Millisecond)},
		gauge:   true,
	},
	{
		name:    "trials that are given up, unanswered", // rule 17
		policy:  small(shortTrials),
		setup:   "0:afaf +5s 0:a 1:a",
		scripts: []string{"ua", "ua"},
		events:  []event{later(1500 * time.Millisecond)},
	},
	{
		name:    "a neutral end after an expiry", // rule 17
		policy:  small(shortTrials),
		setup:   "0:afaf +5s 0:a +1500ms 1:a",
		scripts: []string{"as", "na"},
	},
	{
		name:    "release against a verdict", // rule 10
		policy:  small(func(p *Policy) { p.HalfOpenSuccessThreshold = 2 }),
		setup:   "0:afaf +5s 0:a",
		scripts: []string{"rs", "asa"},
	},
	{
		name:    "a released trial is given up, unanswered", // rules 10 and 17
		policy:  small(shortTrials),
		setup:   "0:afaf +5s 0:a 1:a",
		scripts: []string{"ru", "asa"},
		events:  []event{later(1500 * time.Millisecond)},
	},
	{
		name:    "a later policy with fewer trials", // rules 15 and 17
		policy:  small(shortTrials),
		others:  map[int]Policy{1: small(nil)},
		setup:   "0:afaf +5s 0:aa",
		scripts: []string{"sa", "aa"},
		events:  []event{later(1500 * time.Millisecond)},
		bound:   3,
	},
	{
		name:    "failures from before the trip", // rules 2 and 8
		policy:  small(nil),
		setup:   "1:aaa 0:afaf +5s 0:as",
		scripts: []string{"afa", "fffa"},
	},
	{
		name:    "successes from before the trip", // rules 2 and 8
		policy:  small(streakOf(2)),
		setup:   "1:aaa 0:aaff +5s 0:as",
		scripts: []string{"afaf", "ssa"},
	},
	{
		name:    "successes from before the trip, while it closes", // rules 2 and 8
		policy:  small(streakOf(2)),
		setup:   "1:aa 0:aaff +5s 0:a",
		scripts: []string{"saf", "ssa"},
	},
	{
		name:    "failures from before the trip, while it closes",
		policy:  small(nil),
		setup:   "1:aaa 0:afaf +5s 0:a",
		scripts: []string{"saf", "ffsaf"},
	},
	{
		name:    "old successes leave the window",
		policy:  small(func(p *Policy) { p.MinRequests = 3 }),
		setup:   "0:asas +10500ms 0:afa 1:a",
		scripts: []string{"f", "f"},
		events:  []event{later(600 * time.Millisecond)},
	},
	{
		name:    "old failures leave the window",
		policy:  small(nil),
		setup:   "0:afa 1:a +10500ms",
		scripts: []string{"fa", "sa"},
		events:  []event{later(600 * time.Millisecond)},
	},
	{
		// One moves the window at the end of a bucket, while the other opens the breaker.
		name:    "a trip against a bucket", // rule 5
		policy:  small(func(p *Policy) { p.FailureRate = 60 }),
		setup:   "0:afa 1:a",
		scripts: []string{"fa", "sa"},
		events:  []event{later(time.Second)},
	},
	{
		name:    "a long pause", // rule 6
		policy:  small(nil),
		setup:   "0:afa 1:aa +30s",
		scripts: []string{"fa", "sfaf"},
	},
	{
		name:    "a streak",
		policy:  small(streakOf(3)),
		setup:   "0:as 1:as",
		scripts: []string{"afasaf", "afaf"},
	},
	{
		name:    "a streak, and a store for the tally",
		policy:  small(func(p *Policy) { p.MinRequests, p.ConsecutiveFailures = 3, 2 }),
		setup:   "0:as 1:as",
		scripts: []string{"af", "asaf"},
		stored:  true,
	},
	{
		name:    "a streak in a new epoch", // rule 7
		policy:  small(streakOf(2)),
		setup:   "0:aaff 1:aa +5s 0:a",
		scripts: []string{"saf", "faf"},
	},
	{
		name:    "a streak right after it has closed",
		policy:  small(streakOf(2)),
		setup:   "0:aaff 1:a +5s 0:a",
		scripts: []string{"sa", "afafa"},
	},
	{
		name:    "a count window",
		policy:  small(func(p *Policy) { p.WindowDuration, p.WindowRequests, p.MinRequests, p.FailureRate = 0, 10, 10, 10 }),
		setup:   "0:asasasasasasasasasas 1:aa",
		scripts: []string{"asas", "fsa"},
	},
	{
		name:    "two failures in a count window",
		policy:  small(func(p *Policy) { p.WindowDuration, p.WindowRequests, p.MinRequests, p.FailureRate = 0, 10, 10, 15 }),
		setup:   "0:asasasasasasasasasasa 1:aa",
		scripts: []string{"f", "fa"},
	},
	{
		// The last two failures are among eleven calls, if everybody has heard of the first, and so looks out for boundaries.
		name:    "a failure that a count window nearly overlooks", // rule 6
		policy:  small(func(p *Policy) { p.WindowDuration, p.WindowRequests, p.MinRequests, p.FailureRate = 0, 10, 10, 17 }),
		setup:   "0:" + strings.Repeat("as", 12) + "a 1:a",
		scripts: []string{"f", "sas"},
		after:   "1:" + strings.Repeat("as", 15) + " 0:afaf",
	},
	{
		name:    "goroutines on one breaker",
		policy:  small(nil),
		setup:   "0:a 1:a",
		scripts: []string{"faf", "fasa"},
		shared:  true,
	},
	{
		name:    "goroutines on one breaker that closes",
		policy:  small(nil),
		setup:   "0:aafaf 1:a +5s 0:a",
		scripts: []string{"fsaf", "faf"},
		shared:  true,
	},
	{
		name:    "a later policy", // rule 15
		policy:  small(nil),
		others:  map[int]Policy{1: small(func(p *Policy) { p.WindowDuration = 20 * time.Second })},
		setup:   "0:af",
		scripts: []string{"afa", "afa"},
		wiped:   true,
	},
	{
		name:   "the counters are set back",
		policy: small(nil),
		// The bell has been rung more often than it will be again: a worker that trusted an old view because the bell came
		// back to where it was would be right about it within the maxViewAge.
		setup:   "0:afaf +5s 0:asa 1:a",
		scripts: []string{"fa", "f"},
		events:  []event{reset(Changes, Calls), reset(Failures)},
		bound:   3,
		wiped:   true,
	},
	{
		name:    "the counters are set back as a worker finds out whether they count", // rule 14
		policy:  small(streakOf(3)),
		setup:   "0:a 1:a",
		scripts: []string{"f", "f"},
		events:  []event{reset(Calls, Failures, Changes)},
		stored:  true,
		bound:   2,
		wiped:   true,
	},
	{
		name:    "the record is overwritten", // rule 13
		policy:  small(nil),
		setup:   "0:a 1:a +1s",
		scripts: []string{"fa", "f"},
		events:  []event{{"nonsense in the store, clock +1s", (*stage).corrupt}},
		bound:   3,
		gauge:   true,
		wiped:   true,
	},
	{
		name:    "a bell that is hidden", // rule 1
		policy:  small(nil),
		setup:   "0:a 1:a",
		scripts: []string{"fa", "fa"},
		hidden:  []Stat{Changes},
		stored:  true,
	},
	{
		name:    "failures that are hidden", // rule 14
		policy:  small(nil),
		setup:   "0:a 1:a",
		scripts: []string{"fa", "fa"},
		hidden:  []Stat{Failures},
		stored:  true,
		wiped:   true,
	},
}

// corrupt overwrites the record. A fresh one has the clock as its epoch, which must have moved on since the last one.
func (s *stage) corrupt() {
	s.now = s.now.Add(time.Second)
	s.record.value, s.record.version = []byte("nonsense"), s.record.version+1
	s.record.hash = mix(1, uint64(s.record.version))
	s.latest = Record{}
}

func TestSchedules(t *testing.T) {
	for _, p := range plans {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && p.long {
				bounded := *p
				bounded.bound = 2
				p = &bounded
			}
			p.mustHold(t)
		})
	}
}

// TestRandomSchedules runs scripts that are too long for all their schedules.
func TestRandomSchedules(t *testing.T) {
	runs := uint64(8000)
	if testing.Short() {
		runs = 400
	}
	for part := range uint64(4) {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			steps, moved := 0, 0
			for seed := part; seed < runs; seed += 4 {
				p := randomPlan(seed)
				s := p.random(seed, false)
				if s.err != "" {
					t.Fatalf("seed %d: %s\n%+v\n%s", seed, s.err, p.policy, p.random(seed, true).trace)
				}
				p.dismiss()
				steps += s.step
				moved += len(s.truth.records)
			}
			t.Logf("%d operations, %d transitions", steps, moved)
		})
	}
}

// randomPlan returns a plan of some 100 requests to a breaker that opens easily.
func randomPlan(seed uint64) *plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := &plan{name: "random", policy: small(func(p *Policy) {
		p.MinRequests, p.FailureRate = 1+rng.IntN(5), []float64{0, 30, 50, 80, 100}[rng.IntN(5)]
		p.WindowDuration = []time.Duration{time.Second, 10 * time.Second}[rng.IntN(2)]
		if p.FailureRate == 0 || rng.IntN(3) == 0 {
			p.ConsecutiveFailures = 1 + rng.IntN(4)
		}
		if rng.IntN(3) == 0 {
			p.SlowCallDuration, p.SlowCallRate = time.Second, 50
		}
		p.OpenDuration = []time.Duration{10 * time.Millisecond, time.Second}[rng.IntN(2)]
		p.OpenMaxDuration = 4 * p.OpenDuration
		p.OpenMultiplier = 2
		p.HalfOpenMaxRequests, p.HalfOpenSuccessThreshold = 1+rng.IntN(3), 1+rng.IntN(3)
		p.HalfOpenPermitTimeout = []time.Duration{time.Second, time.Hour}[rng.IntN(2)]
		p.Mode = []Mode{Enforce, Enforce, Shadow}[rng.IntN(3)]
		if rng.IntN(3) == 0 {
			p.Ramp = time.Second
		}
	})}
	p.gauge = true
	p.shared = rng.IntN(4) == 0
	p.stored = rng.IntN(4) == 0
	mood := []string{"aasf", "aaassssn", "aaafff", "aaasswwxf", "aaaasn", "aaaeesf", "aaaeenff", "aaaru", "aaarsn"}
	for range 2 + rng.IntN(2) {
		var script strings.Builder
		for range 10 {
			letters := mood[rng.IntN(len(mood))]
			for range 1 + rng.IntN(12) {
				script.WriteByte(letters[rng.IntN(len(letters))])
			}
		}
		p.scripts = append(p.scripts, script.String())
	}
	for range rng.IntN(30) {
		p.events = append(p.events, later(time.Duration(1+rng.IntN(20))*[]time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}[rng.IntN(3)]))
	}
	return p
}

// TestSchedulesFindMutants shows that the schedules find what they are there to find. Each mutant does what workers share
// in another order, or forgets some of it.
func TestSchedulesFindMutants(t *testing.T) {
	tests := []struct {
		name   string
		mutant func(*stage, Store, Tally) (Store, Tally)
		plan   string
		want   string // "": nothing wrong, this is only to show that what the mutant is built of does no harm
	}{
		{"rule 3: failures are counted before calls", failuresBeforeCalls, "one success among failures", "a wrong trip"},
		{"rule 3: calls are read first", callsReadFirst, "one success among failures", "a wrong trip"},
		{"a ring with every write", ringEveryWrite(false), "two failures of two", ""},
		{"rule 1: the bell is rung before the write", ringEveryWrite(true), "two failures of two", "the bell"},
		{"rule 1: the record is read before the bell", recordReadFirst, "no breaker yet", "the bell"},
		{"rule 1: the bell is not rung", neverRing, "two failures of two", "the bell"},
		{"the store ignores the version", blindWrite, "the last permit", "given ["},
		{"the store ignores the version", blindWrite, "a trip against a bucket", "epoch "},
		{"a failure is forgotten", forget(Failures), "three failures of four", "a missed trip"},
		{"rule 7: a good end does not end the streak", goodEndsUnseen, "a streak", "a wrong trip"},
		{"rule 18: a failure brings its call along once more", failuresBringCalls, "calls that wait, then fail", "the rest of a request was counted"},
		{"rule 18: what waits is not judged", notJudged, "a hang of two workers", "a missed trip"},
		{"rule 18: what waits lowers the rate of failures", noneWaits, "a call waits while others fail", "a missed trip"},
		{"rule 18: a failure leaves its call behind", changeRecord(leaveBehind), "a waiting call leaves the window", "a missed trip"},
		{"nothing is changed", changeRecord(func(*actor, *Record) {}), "trials expire while a verdict comes", ""},
		{"rule 17: expiries are not counted", changeRecord(func(_ *actor, r *Record) {
			r.Expired = 0
		}), "trials that are given up, unanswered", "0 trials in a row have expired, want 1"},
		{"rule 17: a success does not end the row", changeRecord(func(a *actor, r *Record) {
			r.Expired = max(r.Expired, a.latest.Expired)
		}), "trials expire while a verdict comes", "1 trials in a row have expired, want 0"},
		{"rule 17: a neutral end ends the row", changeRecord(func(a *actor, r *Record) {
			if a.current.ending && a.current.outcome == (Outcome{Result: Neutral}) {
				r.Expired = 0
			}
		}), "a neutral end after an expiry", "0 trials in a row have expired, want 1"},
		{"rule 10: a late verdict is thrown away", loseVerdict, "trials expire while a verdict comes", "counted as late, but its epoch is the latest"},
	}
	for _, test := range tests {
		t.Run(test.name+"/"+test.plan, func(t *testing.T) {
			t.Parallel()
			for _, p := range plans {
				if p.name != test.plan {
					continue
				}
				mutated := *p
				mutated.mutant = test.mutant
				found := mutated.explore()
				what, _, _ := strings.Cut(found.err, "\n")
				if (found.err == "") != (test.want == "") || !strings.Contains(what, test.want) {
					t.Fatalf("after %d runs: got %q, want %q", found.runs, found.err, test.want)
				}
				t.Logf("in run %d: %s", found.runs, what)
				return
			}
			t.Fatal("no such plan")
		})
	}
}

// A mutantTally and mutantStore are what a mutant puts between a worker and what is shared. As workers take turns, what
// they remember is by worker; what is not overridden is as it was.
type mutantTally struct {
	stagedTally
	add   func(Stat)
	value func(Stat) uint64
}

func (m mutantTally) Add(s Stat) {
	if m.add != nil {
		m.add(s)
		return
	}
	m.stagedTally.Add(s)
}

func (m mutantTally) Value(s Stat) uint64 {
	if m.value != nil {
		return m.value(s)
	}
	return m.stagedTally.Value(s)
}

type mutantStore struct {
	Store
	load func() ([]byte, uint32)
	swap func([]byte, uint32) bool
}

func (m mutantStore) Load() ([]byte, uint32) {
	if m.load != nil {
		return m.load()
	}
	return m.Store.Load()
}

func (m mutantStore) CompareAndSwap(value []byte, version uint32) bool {
	if m.swap != nil {
		return m.swap(value, version)
	}
	return m.Store.CompareAndSwap(value, version)
}

func failuresBeforeCalls(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	return store, mutantTally{tally, func(stat Stat) {
		switch r := s.running.current; {
		case stat == Calls && r.outcome.Result == Failure: // comes with the failure
		case stat == Failures:
			tally.Add(Failures)
			tally.Add(Calls)
		default:
			tally.Add(stat)
		}
	}, nil}
}

func goodEndsUnseen(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	return store, mutantTally{tally, nil, func(stat Stat) uint64 {
		if v := tally.Value(stat); stat != Successes {
			return v
		}
		return 1
	}}
}

func callsReadFirst(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	var calls *uint64
	return store, mutantTally{tally, nil, func(stat Stat) uint64 {
		switch {
		case stat == Failures:
			v := tally.Value(Calls)
			calls = &v
		case stat == Calls && calls != nil:
			v := *calls
			calls = nil
			return v
		}
		return tally.Value(stat)
	}}
}

// ringEveryWrite rings with every write of the record, before or after it, and not when the breaker wants to.
func ringEveryWrite(before bool) func(*stage, Store, Tally) (Store, Tally) {
	return func(s *stage, store Store, _ Tally) (Store, Tally) {
		tally := stagedTally{s}
		swap := func(value []byte, version uint32) bool {
			if before {
				tally.Add(Changes)
			}
			ok := store.CompareAndSwap(value, version)
			if !before {
				tally.Add(Changes)
			}
			return ok
		}
		return mutantStore{store, nil, swap}, mutantTally{tally, func(stat Stat) {
			if stat != Changes {
				tally.Add(stat)
			}
		}, nil}
	}
}

func recordReadFirst(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	var value []byte
	var version uint32
	read := false
	load := func() ([]byte, uint32) {
		if read {
			read = false
			return value, version
		}
		return store.Load()
	}
	return mutantStore{store, load, nil}, mutantTally{tally, nil, func(stat Stat) uint64 {
		if stat == Changes {
			value, version = store.Load()
			read = true
		}
		return tally.Value(stat)
	}}
}

func neverRing(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	return store, mutantTally{tally, func(stat Stat) {
		if stat != Changes || tally.tally[Changes] == 0 {
			tally.Add(stat)
		}
	}, nil}
}

func blindWrite(s *stage, store Store, tally Tally) (Store, Tally) {
	return mutantStore{store, nil, func(value []byte, _ uint32) bool {
		for !store.CompareAndSwap(value, s.record.version) {
		}
		return true
	}}, tally
}

// forget reads a counter before it adds its own.
func forget(one Stat) func(*stage, Store, Tally) (Store, Tally) {
	return func(s *stage, store Store, _ Tally) (Store, Tally) {
		tally := stagedTally{s}
		n := uint64(0)
		return store, mutantTally{tally, func(stat Stat) {
			if stat == one {
				n = tally.Value(one)
			}
			tally.Add(stat)
		}, func(stat Stat) uint64 {
			if stat == one {
				return n + 1
			}
			return tally.Value(stat)
		}}
	}
}

func failuresBringCalls(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	return store, mutantTally{tally, func(stat Stat) {
		if stat == Failures && s.running.current.of != nil {
			tally.Add(Calls)
		}
		tally.Add(stat)
	}, nil}
}

// notJudged does not see the slow calls that are counted while they wait.
func notJudged(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	return store, mutantTally{tally, nil, func(stat Stat) uint64 {
		v := tally.Value(stat)
		if r := s.running.current; stat == SlowCalls && r.early {
			return 0
		}
		return v
	}}
}

func noneWaits(s *stage, store Store, _ Tally) (Store, Tally) {
	tally := stagedTally{s}
	return store, mutantTally{tally, nil, func(stat Stat) uint64 {
		if v := tally.Value(stat); stat != Waiting {
			return v
		}
		return 0
	}}
}

// leaveBehind undoes what has been brought forward.
func leaveBehind(a *actor, r *Record) {
	if a.current.of == nil {
		return
	}
	for i := range r.Window.ring[:r.Window.n] {
		for _, was := range a.latest.Window.ring[:a.latest.Window.n] {
			if was.Bucket == r.Window.ring[i].Bucket {
				r.Window.ring[i] = was
			}
		}
	}
}

// changeRecord changes what is written.
func changeRecord(change func(*actor, *Record)) func(*stage, Store, Tally) (Store, Tally) {
	return func(s *stage, store Store, tally Tally) (Store, Tally) {
		return mutantStore{store, nil, func(value []byte, version uint32) bool {
			var r Record
			if r.UnmarshalBinary(value) == nil {
				change(s.running, &r)
				value, _ = r.AppendBinary(nil)
			}
			return store.CompareAndSwap(value, version)
		}}, tally
	}
}

// loseVerdict lets the verdict on a trial find another epoch, where its lease is over.
func loseVerdict(s *stage, store Store, tally Tally) (Store, Tally) {
	return mutantStore{store, func() ([]byte, uint32) {
		value, version := store.Load()
		a := s.running
		if r := a.current; r.ending && r.permit.kind == trial && !a.latest.holds(uint32(r.permit.lease)) {
			lost := a.latest
			lost.Epoch++
			value, _ = lost.AppendBinary(nil)
		}
		return value, version
	}, nil}, tally
}
