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

// buffer is for the record on its way into a store, of which there is one at a time. (A sync.Pool would be 10 KB of the plugin's code.)
var buffer [RecordSize]byte

func borrow() *[RecordSize]byte  { return &buffer }
func giveBack(*[RecordSize]byte) {}
