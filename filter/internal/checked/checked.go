// Package checked guards values in shared data by a checksum in front: anything may have broken them, or put another in their place.
package checked

import (
	"encoding/binary"
	"hash/fnv"
)

// Header is how many bytes of a value are for its checksum.
const Header = 8

// Seal writes the checksum of what follows it into the header of a value, and returns the value.
func Seal(value []byte) []byte {
	binary.LittleEndian.PutUint64(value, Hash(value[Header:]))
	return value
}

// Open returns what follows the header of a value; nil, false if Seal has not written it.
func Open(value []byte) ([]byte, bool) {
	if len(value) < Header || binary.LittleEndian.Uint64(value) != Hash(value[Header:]) {
		return nil, false
	}
	return value[Header:], true
}

// Hash is FNV-1a with 64 bits.
func Hash(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}
