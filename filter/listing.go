//go:build wasip1

package main

import (
	"math"
	"slices"
)

// A listing is what one worker has read of the registry so far, in the order of the names: a cluster's own breaker comes before those
// of its routes.
type listing struct {
	read  int      // places
	names []string // ids of owners
}

// readAtOnce is how many places are read at one tick or view: a fraction of a millisecond.
const readAtOnce = 256

// readListing reads what is new in the registry. It reports whether that was all.
func (p *plugin) readListing() bool {
	l := &p.listing
	for range readAtOnce {
		name, version := p.registry.place(l.read).Load()
		if version == 0 {
			return true
		}
		l.read++
		own := string(name)
		if i, found := slices.BinarySearch(l.names, own); !found && own != "" {
			l.names = append(l.names, "")
			copy(l.names[i+1:], l.names[i:])
			l.names[i] = own
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
		for id, at := range other.registry.clusters { // which begins anywhere
			c := at.cluster
			if c == nil {
				continue
			}
			other.announce(c.owner, &c.rules.Policy)
			if _, found := slices.BinarySearch(p.listing.names, id); !found {
				delete(other.registry.clusters, id) // it has lost its place, and takes another whatever the limit
				other.registry.claim(id, math.MaxInt)
				other.registry.set(id, c)
				_ = c.makeBreaker() // which the group knows by its place
			}
			if n++; n == mendAtTick {
				break
			}
		}
	}
}
