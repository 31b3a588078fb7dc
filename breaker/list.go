package breaker

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// A list has the breakers of a [Group] that may not be plainly closed: the bit number%8 of the byte number/8 for each, and no byte after
// the last of these. A store keeps it between the layout's version and the CRC-32 (IEEE) of what comes before. It is one value, so a
// worker that takes breakers off it can see whether any worker has written it meanwhile; and a small one, or an outage of thousands
// of clusters, of which each writes it several times, would be one of the proxy too.
type list []byte

const listVersion = 1

// decodeList decodes a list into the memory of an old one. It reports false for anything but what encode writes: nothing is known then,
// also where there is no list yet.
func decodeList(into list, b []byte) (list, bool) {
	end := len(b) - 4
	if end < 1 || b[0] != listVersion || crc32.ChecksumIEEE(b[:end]) != binary.LittleEndian.Uint32(b[end:]) || end > 1 && b[end-1] == 0 {
		return nil, false
	}
	return append(into[:0], b[1:end]...), true
}

func (l list) encode() []byte {
	b := append(make([]byte, 0, 1+len(l)+4), listVersion)
	b = append(b, l...)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// everyone is a list of all breakers whose numbers are less.
func everyone(numbers uint32) (l list) {
	if numbers == 0 {
		return nil
	}
	l = make(list, (numbers+7)/8)
	for i := range l {
		l[i] = 0xff
	}
	l[len(l)-1] >>= -numbers % 8
	return l
}

func (l list) with(member uint32) list {
	for uint32(len(l)) <= member/8 {
		l = append(l, 0)
	}
	l[member/8] |= 1 << (member % 8)
	return l
}

func (l list) without(member uint32) list {
	l[member/8] &^= 1 << (member % 8)
	for len(l) > 0 && l[len(l)-1] == 0 {
		l = l[:len(l)-1]
	}
	return l
}

// next returns the least number on the list from a given one on.
func (l list) next(from uint32) (member uint32, ok bool) {
	for ; from/8 < uint32(len(l)); from = from/8*8 + 8 {
		if b := l[from/8] >> (from % 8); b != 0 {
			return from + uint32(bits.TrailingZeros8(b)), true
		}
	}
	return 0, false
}
