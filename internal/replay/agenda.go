package replay

import "container/heap"

// An item of the agenda is what is to be done with a call while it is in flight, which few calls need, or with a probe.
type item struct {
	at     int64
	order  uint64 // of those at the same time
	owner  *owner
	call   uint32
	does   action
	flight uint64       // the serial of the call's flight: a later one in its place is another
	probe  func(*owner) // it is about no call, but does this
}

type action uint8

const (
	tellSlow   action = iota // it has waited for longer than a call may
	tellAnswer               // the headers of a trial's answer say all
	release                  // a trial whose client takes its time over the request
)

// An agenda has the earliest item first.
type agenda struct {
	items []item
	last  uint64
}

func (a *agenda) Len() int { return len(a.items) }
func (a *agenda) Less(i, j int) bool {
	x, y := &a.items[i], &a.items[j]
	return x.at < y.at || x.at == y.at && x.order < y.order
}
func (a *agenda) Swap(i, j int) { a.items[i], a.items[j] = a.items[j], a.items[i] }
func (a *agenda) Push(x any)    { a.items = append(a.items, x.(item)) }
func (a *agenda) Pop() any {
	last := len(a.items) - 1
	x := a.items[last]
	a.items = a.items[:last]
	return x
}

func (a *agenda) add(x item) {
	a.last++
	x.order = a.last
	heap.Push(a, x)
}

func (a *agenda) next() item { return heap.Pop(a).(item) }
