//go:build wasip1 && allocs

package main

import "runtime"

// memory is a variable because reading it into a local one would itself allocate.
var memory runtime.MemStats

// allocated returns how many bytes have ever been allocated. It is only in the build that tests and the benchmark measure
// the garbage of a request with.
//
//go:wasmexport allocated
func allocated() uint64 {
	runtime.ReadMemStats(&memory)
	return memory.TotalAlloc
}

// inUse returns how many bytes are in use, when all garbage has been collected.
//
//go:wasmexport in_use
func inUse() uint64 {
	runtime.GC()
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}
