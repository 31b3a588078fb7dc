package replay

import (
	"cmp"
	"slices"
)

// An event is the beginning or the end of a call.
type event struct {
	at    int64 // Unix nanoseconds
	call  uint32
	order uint32 // of those at one time: the place of its log, and for an end ends beside it
}

// ends makes an end come after what begins at the same time: a call of no length begins before it ends.
const ends = 1 << 31

// slotBits makes a slot of the wheel 17 ms long: short enough that its events are sorted fast, long enough that there are few.
const slotBits = 24

func slotOf(at int64) int64 { return at >> slotBits }

// A wheel puts events in order that come in any, within the horizon: those of the slots from first on are still held.
type wheel struct {
	slots [][]event // a ring
	first int64
	spare [][]event
}

func newWheel(horizon int64) *wheel {
	n := 1
	for int64(n) < slotOf(horizon)+3 {
		n *= 2
	}
	return &wheel{slots: make([][]event, n), first: slotOf(-1 << 62)}
}

func (w *wheel) slot(number int64) *[]event { return &w.slots[number&int64(len(w.slots)-1)] }

// add holds an event, which may not be of an earlier slot than the first, nor of a later one than the ring has room for.
func (w *wheel) add(e event) {
	s := w.slot(slotOf(e.at))
	if *s == nil && len(w.spare) > 0 {
		last := len(w.spare) - 1
		*s, w.spare = w.spare[last], w.spare[:last]
	}
	*s = append(*s, e)
}

// take removes the events of the first slot and returns them in order, which those of other logs do not change: one log's at one
// time are as they came. They are valid until the next call of add.
func (w *wheel) take() []event {
	s := w.slot(w.first)
	events := *s
	w.first++
	if events == nil {
		return nil
	}
	*s = nil
	w.spare = append(w.spare, events[:0])
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	return events
}

// A pool is a growing array whose free places are used again. Pointers to its items hold.
type pool[T any] struct {
	chunks [][]T
	free   []uint32
	used   int
}

const poolChunk = 4096

func (p *pool[T]) at(i uint32) *T { return &p.chunks[i/poolChunk][i%poolChunk] }

func (p *pool[T]) take() uint32 {
	p.used++
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i
	}
	first := uint32(len(p.chunks) * poolChunk)
	p.chunks = append(p.chunks, make([]T, poolChunk))
	for i := first + poolChunk - 1; i > first; i-- {
		p.free = append(p.free, i)
	}
	return first
}

func (p *pool[T]) give(i uint32) {
	p.used--
	p.free = append(p.free, i)
}
