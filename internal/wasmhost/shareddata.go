package wasmhost

import (
	"maps"
	"slices"
	"sync"
)

// SharedData is the map that all workers share, as Envoy keeps one for each vm_id.
type SharedData struct {
	mu      sync.Mutex
	entries map[string]datum
	lastCAS uint32
}

type datum struct {
	value []byte // never changed in place
	cas   uint32
}

// Get returns a key's value and CAS number. The value must not be changed.
func (d *SharedData) Get(key string) (value []byte, cas uint32, found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, found := d.entries[key]
	return e.value, e.cas, found
}

// Set writes a key whatever is there.
func (d *SharedData) Set(key string, value []byte) { d.compareAndSet([]byte(key), value, 0) }

// Keys lists the keys in order.
func (d *SharedData) Keys() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.entries))
}

func (d *SharedData) get(key []byte) (e datum, found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, found = d.entries[string(key)]
	return e, found
}

// compareAndSet writes a key if its CAS number is still cas. A cas of 0 overwrites; where there is no such key, any does.
func (d *SharedData) compareAndSet(key, value []byte, cas uint32) Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, found := d.entries[string(key)]; found && cas != 0 && cas != e.cas {
		return CASMismatch
	}
	if d.lastCAS++; d.lastCAS == 0 {
		d.lastCAS++ // 0 is not a CAS number
	}
	d.entries[string(key)] = datum{slices.Clone(value), d.lastCAS}
	return OK
}
