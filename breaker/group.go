package breaker

import "sync/atomic"

// A Bell is the bell that the breakers of a [Group] share: a counter that all workers can ring and read, atomically. One that has been
// set back or is hidden reads 0.
type Bell interface {
	Ring()
	Value() uint64
}

// GroupConfig is what a [Group] runs on. Its workers share List and Bell.
type GroupConfig struct {
	List  Store // the breakers that may not be plainly closed
	Bell  Bell
	Clock Clock

	// Members returns how many breakers the group has now, of which each has a number below that.
	Members func() uint32
	// Passes reports whether a breaker admits every request: by its record, as [Policy.Plain] tells, or because no request asks it.
	Passes func(member uint32) bool
}

// A Group is one worker's view of all the breakers that a request may turn out to be for. While every one of them is plainly closed,
// closed and not on the ramp, the worker is calm: it need not know whose a request is before it has ended. Then the request's breaker
// takes the group's permit for its own.
//
// The workers agree by rules 20 to 22: there is a list of the breakers that may not be plainly closed, and a bell.
type Group struct {
	c     GroupConfig
	calm  atomic.Uint64 // the bell's value under which the worker is calm; 0: it is not
	doubt atomic.Bool   // all breakers are to be put on the list

	members list // of the last look
}

// NewGroup returns a group that is not calm yet.
func NewGroup(c GroupConfig) *Group { return &Group{c: c} }

// Acquire admits a request if the worker is calm, and reports whether it does. The permit is for [Breaker.Take], once the request's
// breaker is known.
func (g *Group) Acquire() (Permit, bool) {
	calm := g.calm.Load()
	if calm == 0 {
		return Permit{}, false
	}
	at := g.c.Clock.Coarse() // before the bell (rule 21)
	if g.c.Bell.Value() != calm {
		return Permit{}, false
	}
	return Permit{kind: unclaimed, ticket: ticket{epoch: uint64(at), lease: calm}}, true
}

// looksAtOnce is how many breakers of the list one look reads.
const looksAtOnce = 256

// Look finds out whether the worker is calm until it looks again. It is to be called several times in a second, by one goroutine at
// a time.
func (g *Group) Look() {
	g.calm.Store(0)
	bell := g.c.Bell.Value() // before the list (rule 21)
	if bell == 0 {
		g.c.Bell.Ring() // it is new, or has been set back; one that is hidden will read 0 again
		return
	}
	var version uint32
	var known bool
	switch g.members, version, known = g.read(g.members); {
	case !known:
		g.doubt.Store(!g.write(g.members, version))
	case len(g.members) > 0:
		g.remove(version)
	default:
		g.c.Clock.Now() // no admission is of a time before
		g.calm.Store(bell)
	}
}

// Rest ends the calm until the next look, for a worker that does not look for the time being.
func (g *Group) Rest() { g.calm.Store(0) }

// Doubt has the next look put all breakers on the list: they may have been taken off it by others than this worker's policy would have.
func (g *Group) Doubt() { g.doubt.Store(true) }

// read reads the list into the memory of an old one. Where it is not known, or in doubt, all breakers may have to be on it.
func (g *Group) read(into list) (l list, version uint32, known bool) {
	value, version := g.c.List.Load()
	if l, known = decodeList(into, value); known && !g.doubt.Load() {
		return l, version, true
	}
	return everyone(g.c.Members()), version, false
}

// remove takes breakers off the list that pass everything, from its beginning to the first that does not: until that one does, nobody
// can be calm. The list must be as it was read before their records (rule 20).
func (g *Group) remove(version uint32) {
	l, taken, from := g.members, false, uint32(0)
	for range looksAtOnce {
		member, on := l.next(from)
		if !on || !g.c.Passes(member) {
			break
		}
		l, taken, from = l.without(member), true, member
	}
	if taken {
		g.write(l, version)
	}
}

// add puts a breaker on the list. It writes even if the breaker is there: who is about to take it off must see that (rule 20). Where the
// list takes nothing, the next look tries again.
func (g *Group) add(member uint32) {
	for range giveBackTries {
		l, version, _ := g.read(nil)
		if g.write(l.with(member), version) {
			return
		}
	}
	g.Doubt()
}

// hear lists a breaker that is not plainly closed, and then rings (rule 20).
func (g *Group) hear(member uint32) {
	g.add(member)
	g.c.Bell.Ring()
}

func (g *Group) write(l list, version uint32) bool {
	return g.c.List.CompareAndSwap(l.encode(), version)
}

// Plain reports whether a breaker with that record admits every request under this policy. Where there is no record, or none that can be
// read, the next one to be made is that of a closed breaker.
func (p *Policy) Plain(record Store, now Time) bool {
	var r Record
	value, _ := record.Load()
	return r.UnmarshalBinary(value) != nil || p.plain(&r, now)
}

// plain reports whether a breaker is plainly closed: it admits every request.
func (p *Policy) plain(r *Record, now Time) bool { return r.State == Closed && !p.ramping(r, now) }

// mustTell reports whether the group has to hear of a record that is not plainly closed. A worker tells it once in an epoch.
func (b *Breaker) mustTell(r *Record, now Time) bool {
	return b.group != nil && !b.policy.plain(r, now) && b.told.Load() != r.Epoch
}

// tell lets the group hear of a record that has been written, or found (rule 20).
func (b *Breaker) tell(r *Record) {
	b.group.hear(b.member)
	b.told.Store(r.Epoch)
}

// Take gives a permit of the group to this breaker, whose request it has turned out to be. It returns the one that takes its place, for
// Done.
func (b *Breaker) Take(p Permit) Permit {
	if p.kind == unclaimed && b.policy.Mode == Disabled {
		return Permit{kind: unmanaged, basis: onDisabled}
	}
	return p
}

// claim turns a permit of the group into one of the epoch that it was given in, if that is the present one, or of no epoch: its end is
// late (rule 22).
func (b *Breaker) claim(p Permit) Permit {
	var v view
	if is := b.trusted(); is != nil && b.isYoung(is) {
		v = *is
	} else {
		now := b.clock.Now()
		s := b.read(now)
		if !s.ok { // in doubt it has passed (rule 13)
			b.tally.Add(Errors)
			return Permit{kind: doubtful, basis: onNothing}
		}
		if s.State == Closed && s.Window.isOver(now) {
			v, _ = b.moveOn(&s, now, false, nil) // so that its end need not read the record once more
		} else {
			v = b.remember(&s.Record, s.bell, now)
		}
	}
	if v.state != Closed && b.group.c.Bell.Value() == p.lease { // nobody would be calm beside it if it were on the list
		b.group.hear(b.member)
	}
	mine := Permit{kind: counted, ticket: ticket{epoch: anyEpoch}}
	if v.state == Closed && (v.began <= Time(p.epoch) || v.fresh && b.isFirst(p)) {
		mine.epoch = v.epoch
	}
	return mine
}

// isFirst reports whether a record that has never closed is no other's successor that was open after the permit was given: nothing has
// opened since, or this breaker never has. The first request of a cluster has a permit that is older than the record.
func (b *Breaker) isFirst(p Permit) bool {
	return b.group.c.Bell.Value() == p.lease || b.tally.Value(Opened) == 0
}
