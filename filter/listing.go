//go:build wasip1

package main

import (
	"slices"
	"strconv"
)

// The clusters that have a breaker are listed in shared data: each under the next number, from 0. A number is taken by CAS, so that
// there is no gap, and the list ends at the first number that has none. Nothing counts them: a count could be wrong.

// entry is where the list has its i-th cluster.
func (p *plugin) entry(i int) *sharedData {
	return &sharedData{"cluster", p.name, strconv.Itoa(i)}
}

// list puts a cluster at the end of the list.
func (p *plugin) list(cluster string) {
	taken := func(i int) bool { _, version := p.entry(i).Load(); return version != 0 }
	// The end is beyond low, and not beyond high: doubled until it is so, then halved.
	low, high := -1, 0
	for taken(high) {
		low, high = high, 2*high+1
	}
	for high-low > 1 {
		if middle := (low + high) / 2; taken(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	for i := range 1000 { // others may be at it
		if p.entry(high+i).CompareAndSwap([]byte(cluster), 0) {
			return
		}
	}
}

// A listing is the list as one worker has read it so far, in the order of the names.
type listing struct {
	read  int // entries
	names []string
}

// readAtOnce is how many entries of the list are read at one tick or view: a fraction of a millisecond.
const readAtOnce = 256

// readListing reads what is new in the list. It reports whether that was all.
func (p *plugin) readListing() bool {
	l := &p.listing
	for range readAtOnce {
		name, version := p.entry(l.read).Load()
		if version == 0 {
			return true
		}
		l.read++
		own := string(name)
		if i, found := slices.BinarySearch(l.names, own); !found && own != "" {
			l.names = slices.Insert(l.names, i, own)
		}
	}
	return false
}

// mendAtTick is how many clusters of each plugin a tick looks at.
const mendAtTick = 5

// mend looks at some clusters that this worker has breakers for, other ones at each tick, and writes anew what the status page
// lacks of them: shared data may have been broken by something else.
func (p *plugin) mend() {
	for _, other := range plugins {
		if other.name != p.name {
			continue
		}
		n := 0
		for name, c := range other.clusters { // which begins anywhere
			if c == nil {
				continue
			}
			other.announce(name, &c.rules.Policy)
			if _, found := slices.BinarySearch(p.listing.names, name); !found {
				other.list(name)
			}
			if n++; n == mendAtTick {
				break
			}
		}
	}
}
