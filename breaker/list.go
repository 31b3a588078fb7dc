package breaker

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// A list has the numbers of the breakers of a [Group] that may not be plainly closed, as a store keeps it: the layout's version, the
// numbers in four bytes each, little-endian, and the CRC-32 (IEEE) of what comes before. It is one value, so a worker that takes
// breakers off it can see whether any worker has written it meanwhile.
type list []uint32

const listVersion = 1

// decodeList decodes a list into the memory of an old one. It reports false for anything but what append writes: nothing is known then,
// also where there is no list yet.
func decodeList(into list, b []byte) (list, bool) {
	le := binary.LittleEndian
	if len(b) < 1+4 || len(b)%4 != 1 || b[0] != listVersion || crc32.ChecksumIEEE(b[:len(b)-4]) != le.Uint32(b[len(b)-4:]) {
		return nil, false
	}
	into = into[:0]
	for b = b[1 : len(b)-4]; len(b) > 0; b = b[4:] {
		into = append(into, le.Uint32(b))
	}
	return into, true
}

func (l list) append(b []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, listVersion)
	for _, member := range l {
		b = le.AppendUint32(b, member)
	}
	return le.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

func (l list) with(member uint32) list {
	if slices.Contains(l, member) {
		return l
	}
	return append(l, member)
}
