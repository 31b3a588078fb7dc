//go:build !wasm

package breaker

import "sync/atomic"

// A viewCell is where a breaker keeps its view.
type viewCell struct{ p atomic.Pointer[view] }

// Load returns the view, nil if there is none. It is good until the next Store.
func (c *viewCell) Load() *view { return c.p.Load() }

func (c *viewCell) Store(v view) { c.p.Store(&v) }
