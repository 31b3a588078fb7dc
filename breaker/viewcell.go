//go:build !wasm

package breaker

import (
	"sync"
	"sync/atomic"
)

// A viewCell is where a breaker keeps its view.
type viewCell struct{ p atomic.Pointer[view] }

// Load returns the view, nil if there is none. It is good until the next Store.
func (c *viewCell) Load() *view { return c.p.Load() }

func (c *viewCell) Store(v view) { c.p.Store(&v) }

// buffers are for records on their way into a store: nobody knows of one behind an interface that it does not keep what it is given.
var buffers = sync.Pool{New: func() any { return new([RecordSize]byte) }}

func borrow() *[RecordSize]byte      { return buffers.Get().(*[RecordSize]byte) }
func giveBack(buf *[RecordSize]byte) { buffers.Put(buf) }
