package reply

import "encoding/binary"

// SerializeHeaders writes a header map for proxy-wasm: the number of pairs, the sizes of each key and value, then the
// keys and values themselves, each closed by a NUL.
// https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1#serialized-map
func SerializeHeaders(pairs [][2]string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(pairs)))
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
