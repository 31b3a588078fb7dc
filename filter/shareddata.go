//go:build wasip1

package main

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
)

// sharedData is a breaker.Store under one key of proxy-wasm's shared data.
type sharedData struct {
	kind   string // of value
	plugin string
	rest   string // of the key, as a cluster's name
}

// key is valid until the next key or name is made. The record's version is in it, so that two versions of the plugin side by
// side never read each other's values; the parts are separated by NUL, which is in no name.
func (s sharedData) key() []byte {
	names = append(names[:0], "circuit_breaker/"...)
	names = append(names, '0'+breaker.RecordVersion, 0)
	names = append(append(names, s.kind...), 0)
	names = append(append(names, s.plugin...), 0)
	names = append(names, s.rest...)
	return names
}

// names is the buffer of keys and names: many clusters have many, and each is needed seldom.
var names []byte

// absent is a CAS number that is never given out. With it, a set succeeds only where the key does not exist; with 0 it
// would overwrite.
const absent = 0xFFFFFFFF

func (s sharedData) Load() ([]byte, uint32) { return bridge.SharedData(s.key()) }

func (s sharedData) CompareAndSwap(value []byte, version uint32) bool {
	if version == 0 {
		version = absent
	}
	return bridge.SetSharedData(s.key(), value, version) == bridge.OK
}

// set writes a value, whatever there was before.
func (s sharedData) set(value []byte) { bridge.SetSharedData(s.key(), value, 0) }
