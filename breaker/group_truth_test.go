package breaker

import (
	"fmt"
	"slices"
)

// This file lets the breaker of a stage be the one of a group, and knows what the group's workers must not do (rules 20 to 22).
//
// An opening has been told when a worker that had made the record, or found it, has rung the bell. From then on until the breaker is
// plainly closed nobody is calm; nor is anybody who has looked since it was written on the list.

// A groupPlan is how the group of a plan is to be.
type groupPlan struct {
	record func(*actor, Store) Store     // breaks something about the record; nil: nothing
	list   func(*actor, Store) Store     // likewise
	bell   func(*actor, stagedBell) Bell // likewise
	look   func(*actor)                  // in place of Group.Look

	admitted int // calmly, in all runs
}

func (p *groupPlan) recordOf(a *actor, store Store) Store {
	if p.record != nil {
		return p.record(a, store)
	}
	return store
}

// theOne is the breaker's number.
const theOne = 0

// groupTruth is what has become of the group on a stage.
type groupTruth struct {
	listed bool // a worker has written it on the list while it was not plainly closed
	told   bool // a worker that had made such a record, or found it, has rung the bell
}

func (t *groupTruth) hash() uint64 {
	h := uint64(0)
	for i, is := range []bool{t.listed, t.told} {
		if is {
			h |= 1 << i
		}
	}
	return h
}

// wrote is told of every record that has been written.
func (t *groupTruth) wrote(s *stage, old, now *Record) {
	s.running.mustTell = !s.isPlain()
	if s.policy.plain(old, s.now) || s.policy.plain(now, s.now) {
		*t = groupTruth{}
	}
}

func (s *stage) isPlain() bool { return s.policy.plain(&s.latest, s.now) }

// groupWitness is what a worker has done about the list and bell.
type groupWitness struct {
	mustTell bool // it has made a record that is not plainly closed, or found it, and has not rung since
	outdated bool // it has not looked since the breaker was last written on the list

	looking  bool
	listRead *cell // what a mutant has read of the list, too early
}

func (w *groupWitness) hash() (h uint64) {
	if w.mustTell {
		h = 1
	}
	if w.outdated {
		h |= 2
	}
	return h
}

func (a *actor) newGroup() *Group {
	s := a.stage
	var list Store = stagedStore{s, &s.list}
	var bell Bell = stagedBell{s}
	if f := s.group.list; f != nil {
		list = f(a, list)
	}
	if f := s.group.bell; f != nil {
		bell = f(a, stagedBell{s})
	}
	record := s.group.recordOf(a, stagedStore{s, &s.record})
	return NewGroup(GroupConfig{
		List: list, Bell: bell, Clock: laggingClock{a},
		Members: func() uint32 { return theOne + 1 },
		Passes:  func(uint32) bool { return a.policyOf().Plain(record, a.coarse) },
	})
}

// A laggingClock tells coarsely when its worker last looked at the clock.
type laggingClock struct{ a *actor }

func (c laggingClock) Now() Time {
	c.a.coarse = stagedClock{c.a.stage}.Now()
	return c.a.coarse
}

func (c laggingClock) Coarse() Time { return c.a.coarse }

type stagedBell struct{ *stage }

func (m stagedBell) Ring() {
	m.before(true)
	m.bell++
	m.note("group's bell + 1")
	m.running.tells()
}

// tells is told that a worker has rung the group's bell.
func (a *actor) tells() {
	if a.mustTell {
		a.mustTell = false
		a.grouped.told = !a.isPlain()
	}
}

// found is told that a worker's breaker has read the record.
func (a *actor) found() {
	a.mustTell = a.mustTell || !a.looking && !a.isPlain()
}

func (m stagedBell) Value() uint64 {
	m.before(true)
	m.note("group's bell is %d", m.bell)
	m.saw(m.bell)
	return m.bell
}

func showList(value []byte) string {
	if l, ok := decodeList(nil, value); ok {
		return fmt.Sprint(l.members())
	}
	return "nothing"
}

// listed is told of every list that has been written.
func (a *actor) listed(value []byte) {
	l, _ := decodeList(nil, value)
	if a.isPlain() || !l.has(theOne) {
		return
	}
	a.grouped.listed = true
	for _, other := range a.actors {
		other.outdated = true
	}
}

func (a *actor) look() {
	a.note("look")
	a.current, a.outdated = &tracked{}, false
	a.coarse = a.now // as at a tick
	a.saw(6)         // that it has begun
	a.looking = true
	if f := a.group.look; f != nil {
		f(a)
	} else {
		a.g.Look()
	}
	a.looking = false
	a.note("calm under %d", a.g.calm.Load())
	a.between()
}

// acquireCalmly asks the group, and the breaker if the group is not calm. Nothing has happened since the bell was read, by which it is.
func (a *actor) acquireCalmly() {
	t := &a.truth
	r := &tracked{id: mix(uint64(a.id), uint64(a.calls)), asked: a.now, from: t.rung}
	a.current = r
	a.saw(7)
	p, ok := a.g.Acquire()
	if !ok {
		a.acquire()
		return
	}
	t.requests = append(t.requests, r)
	a.note("acquired calmly: %+v", p)
	a.group.admitted++
	if g := &a.grouped; !a.isPlain() && (g.told || g.listed && !a.outdated) {
		a.fail("admitted calmly: %v, told: %v, listed: %v, looked since: %v", a.latest.State, g.told, g.listed, !a.outdated)
	}
	i := len(t.records) - 1
	for i > 0 && t.records[i].state != Closed {
		i-- // as a worker that has not heard the bell would
	}
	r.calm, r.permit = p, Permit{kind: counted, ticket: ticket{epoch: t.records[i].epoch}}
	r.got = a.now
	r.saw(r.permit.epoch, p.epoch, p.lease, uint64(r.got))
	a.held = append(a.held, r)
	a.between()
}

// given is the permit that the breaker is told of.
func (r *tracked) given() Permit {
	if r.calm != (Permit{}) {
		return r.calm
	}
	return r.permit
}

// checkEpoch checks that a request which the group has admitted is counted in the epoch that it was admitted in.
func (a *actor) checkEpoch(r *tracked) {
	if r.calm != (Permit{}) && a.b.view.Load().epoch != r.permit.epoch {
		a.fail("admitted calmly in another epoch than it is counted in")
	}
}

// checkCalm checks, when all has ended and everybody has had reason to look at the record, that nobody is calm unless the breaker is
// plainly closed, and everybody is soon if it is.
func (s *stage) checkCalm() {
	s.now = s.now.Add(maxViewAge)
	alive := slices.DeleteFunc(slices.Clone(s.actors[:len(s.scripts)]), func(a *actor) bool { return a.dead })
	for _, a := range alive {
		s.running, a.coarse = a, s.now
		a.acquire()
	}
	for range 3 { // finds out what is on the list, takes it off, and sees that there is nothing
		for _, a := range alive {
			s.running = a
			a.look()
		}
	}
	for _, a := range alive {
		if calm, plain := a.g.calm.Load() != 0, s.policy.plain(&s.latest, s.now); calm != plain {
			s.fail("worker %d is calm: %v, and the breaker is %v", a.id, calm, s.latest.State)
		}
	}
}

// die is the event that a worker dies in the middle of what it does.
func die(worker int) event {
	return event{fmt.Sprintf("worker %d dies", worker), func(s *stage) {
		if a := s.actors[worker]; !a.finished {
			a.dead, a.finished = true, true
			a.on.drop()
		}
	}}
}
