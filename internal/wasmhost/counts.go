package wasmhost

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// Counts says how much a guest and its host have called each other. What never happened has no entry.
type Counts struct {
	Calls     map[string]uint64 // host calls by name, WASI's included: "proxy_get_property", "clock_time_get"
	Buffers   map[string]uint64 // those of them that returned a buffer, which costs a call of the guest's allocator
	Callbacks map[string]uint64 // calls of the guest's exports by name, the allocator's apart: "proxy_on_log"

	CASMismatches uint64 // of proxy_set_shared_data
}

// Sub returns what has been added since an earlier snapshot.
func (c Counts) Sub(earlier Counts) Counts {
	return Counts{
		Calls:         subtract(c.Calls, earlier.Calls),
		Buffers:       subtract(c.Buffers, earlier.Buffers),
		Callbacks:     subtract(c.Callbacks, earlier.Callbacks),
		CASMismatches: c.CASMismatches - earlier.CASMismatches,
	}
}

func subtract(a, b map[string]uint64) map[string]uint64 {
	difference := maps.Clone(a)
	for name, n := range b {
		if difference[name] -= n; difference[name] == 0 {
			delete(difference, name)
		}
	}
	return difference
}

// Total is the number of host calls.
func (c Counts) Total() uint64 { return sum(c.Calls) }

// TotalBuffers is the number of host calls that returned a buffer.
func (c Counts) TotalBuffers() uint64 { return sum(c.Buffers) }

func sum(m map[string]uint64) (total uint64) {
	for _, n := range m {
		total += n
	}
	return total
}

// String lists callbacks, then host calls, one a line.
func (c Counts) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.Callbacks)) {
		fmt.Fprintf(&b, "%7d %s\n", c.Callbacks[name], name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Calls)) {
		fmt.Fprintf(&b, "%7d   %s", c.Calls[name], name)
		if n := c.Buffers[name]; n > 0 {
			fmt.Fprintf(&b, ", %d with a buffer", n)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%7d CAS mismatches", c.CASMismatches)
	return b.String()
}

// Counts is a snapshot of all workers' counts together.
func (h *Host) Counts() Counts { return snapshot(h.vms...) }

// Counts is a snapshot of the worker's counts.
func (vm *VM) Counts() Counts { return snapshot(vm) }

// A tally counts for one virtual machine, and can be read while that runs.
type tally struct {
	calls, buffers []atomic.Uint64 // by index in hostCalls
	callbacks      [numCallbacks]atomic.Uint64
	mismatches     atomic.Uint64
}

func newTally() tally {
	return tally{calls: make([]atomic.Uint64, len(hostCalls)), buffers: make([]atomic.Uint64, len(hostCalls))}
}

func snapshot(vms ...*VM) Counts {
	c := Counts{Calls: map[string]uint64{}, Buffers: map[string]uint64{}, Callbacks: map[string]uint64{}}
	add := func(to map[string]uint64, name string, n uint64) {
		if n > 0 {
			to[name] += n
		}
	}
	for _, vm := range vms {
		for id := range hostCalls {
			add(c.Calls, hostCalls[id].name, vm.tally.calls[id].Load())
			add(c.Buffers, hostCalls[id].name, vm.tally.buffers[id].Load())
		}
		for cb := range callbacks {
			add(c.Callbacks, callbacks[cb].name, vm.tally.callbacks[cb].Load())
		}
		c.CASMismatches += vm.tally.mismatches.Load()
	}
	return c
}
