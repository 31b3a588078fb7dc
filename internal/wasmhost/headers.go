package wasmhost

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A Header is a header field or trailer field. Pseudo-headers are headers too, such as ":status".
type Header struct{ Name, Value string }

// Headers is a header map in its order, names in lower case. It is never changed in place: streams may share one.
type Headers []Header

// Get returns the first value of a header, "" if there is none.
func (h Headers) Get(name string) string {
	value, _ := h.lookup(name)
	return value
}

func (h Headers) lookup(name string) (value string, found bool) {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return h[i].Value, true
		}
	}
	return "", false
}

// With returns the headers with one more.
func (h Headers) With(name, value string) Headers {
	return append(slices.Clip(h), Header{strings.ToLower(name), value})
}

// replaced returns the headers with the one given in place of all of its name.
func (h Headers) replaced(name, value string) Headers {
	changed := h.without(name)
	if i := slices.IndexFunc(h, func(f Header) bool { return strings.EqualFold(f.Name, name) }); i >= 0 {
		return slices.Insert(changed, i, Header{strings.ToLower(name), value})
	}
	return changed.With(name, value)
}

// without returns a copy of the headers that has none of that name.
func (h Headers) without(name string) Headers {
	return slices.DeleteFunc(slices.Clone(h), func(f Header) bool { return strings.EqualFold(f.Name, name) })
}

// marshal appends the headers as proxy-wasm serializes them: their number, the sizes of each name and value, and then
// each name and value with a NUL behind it. No headers at all are no bytes.
func (h Headers) marshal(b []byte) []byte {
	if len(h) == 0 {
		return b
	}
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(h)))
	for _, f := range h {
		b = le.AppendUint32(b, uint32(len(f.Name)))
		b = le.AppendUint32(b, uint32(len(f.Value)))
	}
	for _, f := range h {
		b = append(append(b, f.Name...), 0)
		b = append(append(b, f.Value...), 0)
	}
	return b
}

// maxPairs is how many headers Envoy takes from a guest at once.
const maxPairs = 1024

// unmarshalHeaders is the inverse of marshal. Like Envoy, it takes malformed bytes for no headers.
func unmarshalHeaders(b []byte) Headers {
	le := binary.LittleEndian
	if len(b) < 4 {
		return nil
	}
	n := uint64(le.Uint32(b))
	if n > maxPairs || uint64(len(b)) < 4+8*n {
		return nil
	}
	sizes, text := b[4:4+8*n], b[4+8*n:]
	next := func(size uint32) (s string, ok bool) {
		if uint64(len(text)) < uint64(size)+1 || text[size] != 0 {
			return "", false
		}
		s, text = string(text[:size]), text[size+1:]
		return s, true
	}
	h := make(Headers, 0, n)
	for ; len(sizes) > 0; sizes = sizes[8:] {
		name, ok1 := next(le.Uint32(sizes))
		value, ok2 := next(le.Uint32(sizes[4:]))
		if !ok1 || !ok2 {
			return nil
		}
		h = append(h, Header{strings.ToLower(name), value})
	}
	if len(text) > 0 {
		return nil
	}
	return h
}
