package breaker

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// withRamp is a policy with a ramp of five seconds.
func withRamp(p *Policy) { p.Ramp = 5 * time.Second }

// groupPlans are of workers that admit requests before they know whose these are. A stale entry on the list, which any worker may take
// off, is what an opening has to look out for: so most begin with a breaker that has opened and closed.
var groupPlans = []*plan{
	{
		name:    "it opens while others look", // rules 20 and 21
		policy:  small(nil),
		setup:   "1:tttt 0:aa",
		scripts: []string{"ff", "tcc"},
	},
	{
		name:    "it opens again while others take it off the list", // rule 20
		policy:  small(nil),
		setup:   "1:tttt 0:afaf +5s 0:as 0:aa",
		scripts: []string{"ff", "ttc"},
	},
	{
		name:    "it opens and closes while others look", // rules 20 and 21
		policy:  small(nil),
		setup:   "1:tttt 0:aa",
		scripts: []string{"ffas", "tctc"},
		events:  []event{later(5 * time.Second)},
		bound:   3,
	},
	{
		name:    "calm successes from before the trip", // rule 22
		policy:  small(streakOf(2)),
		setup:   "0:aa 1:ttttcc",
		scripts: []string{"ffas", "ss"},
		events:  []event{later(5 * time.Second)},
		bound:   3,
	},
	{
		name:    "calm failures from before the trip", // rule 22
		policy:  small(nil),
		setup:   "0:aaa 1:ttttcc",
		scripts: []string{"ffas", "ff"},
		events:  []event{later(5 * time.Second)},
		bound:   2,
	},
	{
		name:    "calm failures open it",
		policy:  small(nil),
		setup:   "0:as 0:tttt 1:ttttc",
		scripts: []string{"cfc", "fc"},
	},
	{
		name:    "calm calls wait while it opens and closes", // rules 18 and 22
		policy:  small(slowOf(100, 2)),
		setup:   "0:aa 1:ttttcc",
		scripts: []string{"eeas", "es"},
		events:  []event{later(5 * time.Second)},
		bound:   2,
	},
	{
		name:    "the ramp", // rule 20
		policy:  small(withRamp),
		setup:   "0:afaf +5s 0:a 1:t",
		scripts: []string{"s", "ttct"},
		events:  []event{later(5 * time.Second)},
		bound:   3,
	},
	{
		name:    "the one that opens it dies", // rule 20
		policy:  small(nil),
		setup:   "1:tttt 0:aa",
		scripts: []string{"ff", "tctc"},
		events:  []event{die(0)},
		dies:    true,
	},
	{
		name:    "the one that opens it again dies, and another takes it off the list", // rule 20
		policy:  small(nil),
		setup:   "1:tttt 0:afaf +5s 0:as 0:aa",
		scripts: []string{"ff", "ttctc"},
		events:  []event{die(0)},
		dies:    true,
	},
}

func TestGroupSchedules(t *testing.T) {
	for _, p := range groupPlans {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.group = &groupPlan{}
			if testing.Short() && p.bound > 0 {
				p.bound = 1
			}
			p.mustHold(t)
			if p.group.admitted == 0 {
				t.Error("nobody was ever calm")
			}
		})
	}
}

// TestGroupSchedulesFindMutants shows that the schedules find every other order of the steps.
func TestGroupSchedulesFindMutants(t *testing.T) {
	const opens, again, calmEnds = "it opens while others look", "it opens again while others take it off the list", "calm successes from before the trip"
	tests := []struct {
		name string
		plan string
		is   groupPlan
		want string // "": nothing wrong, this is only to show that what the mutant is built of does no harm
	}{
		{"nothing is changed", again, groupPlan{list: secondWrite(func(is, has bool) bool { return true })}, ""},
		{"rule 20: no second write", again, groupPlan{list: secondWrite(func(is, has bool) bool { return false })}, "admitted calmly"},
		{"rule 20: a second write only if it is missing", again, groupPlan{list: secondWrite(func(is, has bool) bool { return !has })}, "admitted calmly"},
		{"rule 20: the bell before the record", again, groupPlan{record: ringFirst, bell: ringNever}, "admitted calmly"},
		{"rule 20: the bell before the second write", again, groupPlan{list: ringBeforeList, bell: ringNever}, "admitted calmly"},
		{"rule 20: no bell", opens, groupPlan{bell: ringNever}, "calm"},
		{"rule 20: a removal whatever has been written meanwhile", again, groupPlan{list: removeBlindly}, "admitted calmly"},
		{"rule 20: a removal by a record from before the list", again, groupPlan{look: recordBeforeList}, "admitted calmly"},
		{"rule 21: the list before the bell", opens, groupPlan{list: listFirst, bell: afterList}, "admitted calmly"},
		{"rule 21: calm for longer than from look to look", "the one that opens it dies", groupPlan{look: lookOnce}, "calm"},
		{"rule 22: an open record is taken for the present epoch", calmEnds, groupPlan{record: takenForClosed}, "another epoch"},
		{"rule 22: a closed record is taken for the present epoch", calmEnds, groupPlan{record: closedLongAgo}, "another epoch"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(groupPlans, func(p *plan) bool { return p.name == test.plan })
			mutated := *groupPlans[i]
			mutated.group = &test.is
			found := mutated.explore()
			what, _, _ := strings.Cut(found.err, "\n")
			if (found.err == "") != (test.want == "") || !strings.Contains(what, test.want) {
				t.Fatalf("after %d runs: got %q, want %q", found.runs, found.err, test.want)
			}
			t.Logf("in run %d: %s", found.runs, what)
		})
	}
}

// secondWrite leaves the second write of the list out, unless it is to be made: if the breaker is on it, say.
func secondWrite(made func(isSecond, has bool) bool) func(*actor, Store) Store {
	return func(a *actor, list Store) Store {
		return mutantStore{list, nil, func(value []byte, version uint32) bool {
			l, _ := decodeList(nil, a.list.value)
			if a.wroteRecord && !made(true, l.has(theOne)) {
				return true
			}
			return list.CompareAndSwap(value, version)
		}}
	}
}

// A mutantBell is what a mutant puts in the place of the group's bell.
type mutantBell struct {
	stagedBell
	ring  func()
	value func() uint64
}

func (m mutantBell) Ring() {
	if m.ring != nil {
		m.ring()
		return
	}
	m.stagedBell.Ring()
}

func (m mutantBell) Value() uint64 {
	if m.value != nil {
		return m.value()
	}
	return m.stagedBell.Value()
}

// ringNever rings for nothing but that the bell is new.
func ringNever(a *actor, bell stagedBell) Bell {
	return mutantBell{bell, func() {
		if a.bell == 0 {
			bell.Ring()
		}
		a.tells()
	}, nil}
}

func ringFirst(a *actor, record Store) Store {
	return mutantStore{record, nil, func(value []byte, version uint32) bool {
		stagedBell{a.stage}.Ring()
		return record.CompareAndSwap(value, version)
	}}
}

func ringBeforeList(a *actor, list Store) Store {
	return mutantStore{list, nil, func(value []byte, version uint32) bool {
		if a.wroteRecord {
			stagedBell{a.stage}.Ring()
		}
		return list.CompareAndSwap(value, version)
	}}
}

func removeBlindly(a *actor, list Store) Store {
	return mutantStore{list, nil, func(value []byte, version uint32) bool {
		if l, _ := decodeList(nil, value); len(l) > 0 {
			return list.CompareAndSwap(value, version)
		}
		for !list.CompareAndSwap(value, a.list.version) {
		}
		return true
	}}
}

// recordBeforeList reads the records first, and then the list that it takes them off.
func recordBeforeList(a *actor) {
	passes := a.g.c.Passes
	if plain := passes(theOne); plain {
		a.g.c.Passes = func(uint32) bool { return true }
	} else {
		a.g.c.Passes = func(uint32) bool { return false }
	}
	a.g.Look()
	a.g.c.Passes = passes
}

// listFirst and afterList read the list before the bell.
func listFirst(a *actor, list Store) Store {
	return mutantStore{list, func() ([]byte, uint32) {
		if l := a.listRead; l != nil {
			a.listRead = nil
			return l.value, l.version
		}
		return list.Load()
	}, nil}
}

func afterList(a *actor, bell stagedBell) Bell {
	return mutantBell{bell, nil, func() uint64 {
		if a.looking {
			value, version := stagedStore{a.stage, &a.list}.Load()
			a.listRead = &cell{value: value, version: version}
		}
		return bell.Value()
	}}
}

// lookOnce looks no more once it is calm.
func lookOnce(a *actor) {
	if a.g.calm.Load() == 0 {
		a.g.Look()
	}
}

// takenForClosed lets a request that the group has admitted find any record closed.
func takenForClosed(a *actor, record Store) Store {
	return changeFound(a, record, func(r *Record) {
		if r.State != Closed {
			*r = a.policy.fresh(r.Owner, a.now, Totals{})
			r.Epoch = a.latest.Epoch
			r.ClosedAt = 1
		}
	})
}

// closedLongAgo lets it find one that has just closed closed for long.
func closedLongAgo(a *actor, record Store) Store {
	return changeFound(a, record, func(r *Record) { r.ClosedAt = min(r.ClosedAt, 1) })
}

func changeFound(a *actor, record Store, change func(*Record)) Store {
	return mutantStore{record, func() ([]byte, uint32) {
		value, version := record.Load()
		if c := a.current; c != nil && c.ending && c.calm != (Permit{}) {
			r := a.latest
			change(&r)
			value, _ = r.AppendBinary(nil)
		}
		return value, version
	}, nil}
}
