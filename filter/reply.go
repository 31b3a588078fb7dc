package main

import (
	"encoding/binary"
	"strconv"
	"time"
)

// retryAfter writes a retry-after header's value: whole seconds, rounded up, at least one.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// appendHeaders serializes a header map for proxy-wasm: the number of pairs, the sizes of each key and value, then the
// keys and values themselves, each closed by a NUL.
// https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1#serialized-map
func appendHeaders(b []byte, pairs ...[2]string) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(pairs)))
	for _, p := range pairs {
		b = le.AppendUint32(b, uint32(len(p[0])))
		b = le.AppendUint32(b, uint32(len(p[1])))
	}
	for _, p := range pairs {
		b = append(b, p[0]...)
		b = append(b, 0)
		b = append(b, p[1]...)
		b = append(b, 0)
	}
	return b
}
