//go:build wasip1

package bridge

import "unsafe"

// The host asks for memory in the middle of a host call, fills it and holds the only reference to it until the call
// returns. A collection that starts in between must find the buffer reachable from here, or it frees it.
var (
	lent []byte // the buffer handed out last

	// scratch serves the raw host calls of the request path, whose results are consumed before the next call, so
	// that a request leaves no garbage. raw is set around such a call.
	scratch [4096]byte
	raw     bool
)

//go:wasmexport proxy_on_memory_allocate
func proxyOnMemoryAllocate(size uint32) unsafe.Pointer {
	switch {
	case raw && size <= uint32(len(scratch)):
		lent = scratch[:]
	case size == 0:
		lent = make([]byte, 1)
	default:
		lent = make([]byte, size)
	}
	return unsafe.Pointer(unsafe.SliceData(lent))
}

// Out-parameters of the raw calls. The host writes 32 bits into each; they are globals so that none escapes to the heap.
var (
	outData, outSize, outCas, outID uint32
	outWord                         uint64
)
