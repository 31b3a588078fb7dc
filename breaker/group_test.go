package breaker

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func (l list) has(member uint32) bool {
	next, ok := l.next(member)
	return ok && next == member
}

func (l list) members() (numbers []uint32) {
	for member, ok := l.next(0); ok; member, ok = l.next(member + 1) {
		numbers = append(numbers, member)
	}
	return numbers
}

func TestListHasWhatIsPutOnIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.Uint32Range(0, 100).Draw(t, "all")
		l, want := everyone(all), map[uint32]bool{}
		for i := range all {
			want[i] = true
		}
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			member := rapid.Uint32Range(0, 200).Draw(t, "member")
			if rapid.Bool().Draw(t, "put on it") {
				l = l.with(member)
				want[member] = true
			} else if l.has(member) {
				l = l.without(member)
				delete(want, member)
			}
		}
		if got := l.members(); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("has %v, want %v", got, want)
		}
		if len(want) == 0 != (len(l) == 0) {
			t.Fatalf("is empty by its length: %v", len(l) == 0)
		}
		b := l.encode()
		got, ok := decodeList(list{1, 2, 3}, b)
		if !ok || !slices.Equal(got, l) {
			t.Fatalf("read back: %v, %v, want %v", got, ok, l)
		}
		// Anything else is none.
		i := rapid.IntRange(0, len(b)-1).Draw(t, "byte")
		b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if got, ok := decodeList(nil, b); ok {
			t.Fatalf("with byte %d changed it reads %v", i, got)
		}
	})
	for _, b := range [][]byte{nil, {}, {1}, {0, 0, 0, 0, 0}, list{1, 0}.encode(), list{0}.encode()} {
		if got, ok := decodeList(nil, b); ok {
			t.Errorf("%v reads as %v", b, got)
		}
	}
}

// In an outage each cluster writes the list several times on its way to being rejected, while the proxy waits.
func TestListOfManyIsShort(t *testing.T) {
	if n := len(everyone(8192).encode()); n > 1100 {
		t.Errorf("a list of 8,192 breakers takes %d bytes", n)
	}
}

// counterBell is a bell in memory.
type counterBell struct{ MemoryTally }

func (b *counterBell) Ring()         { b.Add(Changes) }
func (b *counterBell) Value() uint64 { return b.MemoryTally.Value(Changes) }

// A village is a group of breakers, each with one worker, that all have one clock.
type village struct {
	*Group
	now      Time
	list     MemoryStore
	bell     counterBell
	records  []*MemoryStore
	tallies  []*MemoryTally
	breakers []*Breaker
}

func newVillage(t *testing.T, breakers int) *village {
	t.Helper()
	v := &village{now: Time(time.Hour)}
	clock := ClockFunc(func() Time { return v.now })
	policy := small(nil)
	v.Group = NewGroup(GroupConfig{
		List: &v.list, Bell: &v.bell, Clock: clock,
		Members: func() uint32 { return uint32(len(v.breakers)) },
		Passes:  func(i uint32) bool { return policy.Plain(v.records[i], v.now) },
	})
	for range breakers {
		v.add(t, policy)
	}
	return v
}

func (v *village) add(t *testing.T, policy Policy) *Breaker {
	t.Helper()
	record, tally := new(MemoryStore), new(MemoryTally)
	b, err := New(Config{
		Policy: &policy, Store: record, Tally: tally, Clock: v.c.Clock, Rand: func() uint64 { return 0 },
		Group: v.Group, Member: uint32(len(v.breakers)),
	})
	if err != nil {
		t.Fatal(err)
	}
	v.records, v.tallies, v.breakers = append(v.records, record), append(v.tallies, tally), append(v.breakers, b)
	return b
}

// open opens a breaker.
func (v *village) open(i int) {
	b := v.breakers[i]
	a, c := b.Acquire(), b.Acquire()
	b.Done(a, Outcome{Result: Failure})
	b.Done(c, Outcome{Result: Failure})
}

func (v *village) isCalm() bool {
	_, ok := v.Group.Acquire()
	return ok
}

// look looks until the group is calm, or so many times.
func (v *village) look(times int) bool {
	for range times {
		v.Look()
	}
	return v.isCalm()
}

func TestGroupOfMany(t *testing.T) {
	v := newVillage(t, 1000)
	if v.isCalm() {
		t.Fatal("calm without a look")
	}
	if v.look(3) {
		t.Fatal("calm by a list that was not there: nobody knows what it had")
	}
	if !v.look(10) {
		t.Fatal("not calm after all of the list was looked at")
	}
	v.open(700)
	if v.isCalm() {
		t.Fatal("calm though one has just opened")
	}
	v.open(3)
	v.now = v.now.Add(5 * time.Second)
	v.breakers[3].Done(v.breakers[3].Acquire(), Outcome{})
	if v.look(5) {
		t.Fatal("calm though one is open still")
	}
	v.breakers[700].Done(v.breakers[700].Acquire(), Outcome{})
	if !v.look(2) {
		t.Fatal("not calm though all have closed")
	}
	v.Rest()
	if v.isCalm() {
		t.Fatal("calm at rest")
	}
	v.Doubt()
	if v.look(1) || !v.look(10) {
		t.Fatal("all were to be looked at again")
	}
}

// A request may be the first of its breaker.
func TestCalmPermitOfANewBreaker(t *testing.T) {
	v := newVillage(t, 1)
	v.look(5)
	p, ok := v.Group.Acquire()
	second, _ := v.Group.Acquire()
	third, _ := v.Group.Acquire()
	fourth, _ := v.Group.Acquire()
	if !ok {
		t.Fatal("not calm")
	}
	v.now = v.now.Add(time.Second)
	b := v.add(t, small(nil))
	b.Done(b.Take(p), Outcome{})
	v.open(0) // another one
	b.Done(b.Take(second), Outcome{})
	if calls := v.tallies[1].Value(Calls); calls != 2 {
		t.Errorf("%d calls, want 2", calls)
	}
	// One from before the record is of no epoch that is known, once this one has opened: the record may be another's successor.
	v.now = v.now.Add(time.Minute)
	v.open(1)
	_, version := b.store.Load()
	b.store.CompareAndSwap([]byte("?"), version)
	b.Done(b.Take(third), Outcome{}) // which finds it broken, and makes it anew
	b.Done(b.Take(fourth), Outcome{})
	if late := v.tallies[1].Value(Late); late != 1 {
		t.Errorf("%d late, want 1", late)
	}
}

func TestCalmPermitOfADisabledBreaker(t *testing.T) {
	v := newVillage(t, 1)
	v.look(5)
	p, _ := v.Group.Acquire()
	b := v.add(t, small(func(p *Policy) { p.Mode = Disabled }))
	p = b.Take(p)
	b.Done(p, Outcome{Result: Failure})
	if p.State() != "disabled" || *v.tallies[1] != (MemoryTally{}) {
		t.Errorf("the state is %s, the tally %+v", p.State(), v.tallies[1])
	}
}

// An opening is on the list before its record is written: should the worker die then, others find it at their next look.
func TestListedBeforeOpening(t *testing.T) {
	v := newVillage(t, 1)
	v.look(5)
	dying, policy := &dyingStore{Store: v.records[0]}, small(nil)
	b, err := New(Config{
		Policy: &policy, Store: dying, Tally: v.tallies[0], Clock: v.c.Clock, Rand: func() uint64 { return 0 }, Group: v.Group,
	})
	if err != nil {
		t.Fatal(err)
	}
	v.breakers[0] = b
	a := b.Acquire()
	b.Done(b.Acquire(), Outcome{Result: Failure})
	dying.dies = true
	func() {
		defer func() { _ = recover() }()
		b.Done(a, Outcome{Result: Failure})
	}()
	if policy.Plain(v.records[0], v.now) {
		t.Fatal("the record says closed")
	}
	if v.look(3) {
		t.Error("calm beside an open breaker")
	}
}

// A list that has lost an open breaker, whatever has overwritten it, has it again when a request ends that was admitted by that.
func TestListThatHasLostABreaker(t *testing.T) {
	v := newVillage(t, 2)
	v.look(5)
	v.open(1)
	_, version := v.list.Load()
	v.list.CompareAndSwap(list{}.encode(), version)
	if !v.look(1) {
		t.Fatal("the list is not what decides")
	}
	p, _ := v.Group.Acquire()
	v.breakers[1].Done(v.breakers[1].Take(p), Outcome{})
	if late := v.tallies[1].Value(Late); late != 1 {
		t.Errorf("%d late, want 1", late)
	}
	if v.isCalm() || v.look(5) {
		t.Error("still calm beside an open breaker")
	}
}

// Where the list takes nothing for a while, it has what opens meanwhile afterwards.
func TestListThatTakesNothing(t *testing.T) {
	v := newVillage(t, 2)
	v.look(5)
	whole := v.c.List
	v.c.List = mutantStore{whole, nil, func([]byte, uint32) bool { return false }}
	v.open(1)
	v.look(5)
	v.c.List = whole
	if v.look(5) {
		t.Error("calm beside an open breaker")
	}
}

// A dyingStore takes a record, and that is the last thing that its worker does.
type dyingStore struct {
	Store
	dies bool
}

func (s *dyingStore) CompareAndSwap(value []byte, version uint32) bool {
	ok := s.Store.CompareAndSwap(value, version)
	if s.dies {
		panic("dead")
	}
	return ok
}
