package wasmhost

import "math"

func (vm *VM) getSharedData(args []uint64) Status {
	key, ok := vm.read(args[0], args[1])
	if !ok {
		return InvalidMemoryAccess
	}
	d, found := vm.host.data.get(key)
	if !found {
		return NotFound
	}
	return max(lend(vm, d.value, args[2], args[3]), vm.write32(args[4], d.cas))
}

func (vm *VM) setSharedData(args []uint64) Status {
	key, ok1 := vm.read(args[0], args[1])
	value, ok2 := vm.read(args[2], args[3])
	if !ok1 || !ok2 {
		return InvalidMemoryAccess
	}
	return vm.host.data.compareAndSet(key, value, uint32(args[4]))
}

// getBuffer reads a buffer. An empty one is found; its address is 0, which the SDK takes for "not found".
func (vm *VM) getBuffer(args []uint64) Status {
	const (
		httpCallBody = 4
		vmConfig     = 6
		pluginConfig = 7
		maxType      = 8
	)
	r := vm.target().root
	var buffer string
	switch kind := args[0]; {
	case kind > maxType:
		return BadArgument
	case kind == httpCallBody && r.answer != nil:
		buffer = r.answer.body
	case kind == pluginConfig && r.configuring:
		buffer = r.plugin.Config
	case kind != vmConfig:
		return NotFound
	}
	start, size := args[1], args[2]
	if start+size > math.MaxUint32 {
		return BadArgument
	}
	start = min(start, uint64(len(buffer)))
	end := min(start+size, uint64(len(buffer)))
	return lend(vm, buffer[start:end], args[3], args[4])
}

func (vm *VM) callForeignFunction(args []uint64) Status {
	if _, ok := vm.read(args[0], args[1]); !ok {
		return InvalidMemoryAccess
	}
	return NotFound
}

// setEffectiveContext has the host calls that follow in this callback be about another context; 0 undoes that.
func (vm *VM) setEffectiveContext(args []uint64) Status {
	t, found := vm.contexts[uint32(args[0])]
	if !found && args[0] != 0 {
		return BadArgument
	}
	vm.effective = t
	return OK
}

// Types of streams.
const (
	requestStream  = 0
	responseStream = 1
	maxStreamType  = 3
)

// continueStream lets a request that the plugin has paused go on, after the callback.
func (vm *VM) continueStream(args []uint64) Status {
	switch s := vm.target().stream; {
	case args[0] > maxStreamType:
		return BadArgument
	case args[0] > responseStream:
		return Unimplemented
	case args[0] == requestStream && s != nil:
		vm.after = append(vm.after, func() error {
			if s.state == paused {
				s.state = continued
			}
			return nil
		})
	}
	return OK
}

// closeStream resets a stream, after the callback.
func (vm *VM) closeStream(args []uint64) Status {
	s := vm.target().stream
	if args[0] > maxStreamType {
		return BadArgument
	}
	if s != nil && args[0] <= responseStream {
		vm.after = append(vm.after, func() error {
			if s.ended {
				return nil
			}
			return s.end(End{Details: "wasm_close_stream"})
		})
	}
	return OK
}

// Types of header maps.
const (
	requestHeaders   = 0
	requestTrailers  = 1
	responseHeaders  = 2
	responseTrailers = 3
	httpCallHeaders  = 6
	maxMapType       = 7
)

// headerMap finds a header map that can be read now. At the log, those that there are none of read as empty.
func (vm *VM) headerMap(kind uint64) (h Headers, status Status) {
	t := vm.target()
	if kind == httpCallHeaders && t.root.answer != nil {
		return t.root.answer.headers, OK
	}
	if kind < httpCallHeaders && t.stream != nil {
		s := t.stream
		if s.phase == logging && kind <= responseTrailers {
			return [...]Headers{s.request, nil, s.response, s.trailers}[kind], OK
		}
		if m := s.mutable(kind); m != nil {
			return *m, OK
		}
	}
	return nil, BadArgument
}

func (vm *VM) getHeader(args []uint64) Status {
	name, ok := vm.read(args[1], args[2])
	if !ok {
		return InvalidMemoryAccess
	}
	h, status := vm.headerMap(args[0])
	if status != OK {
		return status
	}
	value, found := h.lookup(string(name))
	if !found {
		return NotFound
	}
	return lend(vm, value, args[3], args[4])
}

// getHeaders serializes a header map. One that cannot be read is empty.
func (vm *VM) getHeaders(args []uint64) Status {
	if args[0] > maxMapType {
		return BadArgument
	}
	h, _ := vm.headerMap(args[0])
	vm.scratch = h.marshal(vm.scratch[:0])
	return lend(vm, vm.scratch, args[1], args[2])
}

// changeHeaders puts another header map in a stream's. Changed request headers have the route chosen anew.
func (vm *VM) changeHeaders(kind uint64, change func(Headers) Headers) Status {
	s := vm.target().stream
	if s == nil {
		return BadArgument
	}
	m := s.mutable(kind)
	if m == nil {
		return BadArgument
	}
	*m = change(*m)
	s.reroute = s.reroute || kind == requestHeaders
	return OK
}

// nameAndValue reads the name and the value that follow a map's type.
func (vm *VM) nameAndValue(args []uint64) (name, value string, status Status) {
	n, ok1 := vm.read(args[1], args[2])
	v, ok2 := vm.read(args[3], args[4])
	if !ok1 || !ok2 {
		return "", "", InvalidMemoryAccess
	}
	return string(n), string(v), OK
}

func (vm *VM) addHeader(args []uint64) Status {
	name, value, status := vm.nameAndValue(args)
	if status != OK {
		return status
	}
	return vm.changeHeaders(args[0], func(h Headers) Headers { return h.With(name, value) })
}

func (vm *VM) replaceHeader(args []uint64) Status {
	name, value, status := vm.nameAndValue(args)
	if status != OK {
		return status
	}
	return vm.changeHeaders(args[0], func(h Headers) Headers { return h.replaced(name, value) })
}

func (vm *VM) removeHeader(args []uint64) Status {
	name, ok := vm.read(args[1], args[2])
	if !ok {
		return InvalidMemoryAccess
	}
	return vm.changeHeaders(args[0], func(h Headers) Headers { return h.without(string(name)) })
}

func (vm *VM) setHeaders(args []uint64) Status {
	pairs, ok := vm.read(args[1], args[2])
	if !ok {
		return InvalidMemoryAccess
	}
	return vm.changeHeaders(args[0], func(Headers) Headers { return unmarshalHeaders(pairs) })
}
