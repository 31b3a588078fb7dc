package breaker

// A viewCell is where a breaker keeps its view. WebAssembly has one thread, so a view is overwritten in place and leaves no garbage.
type viewCell struct{ v view }

// Load returns the view, nil if there is none. It is good until the next Store.
func (c *viewCell) Load() *view {
	if !c.v.known {
		return nil
	}
	return &c.v
}

func (c *viewCell) Store(v view) { c.v = v }
