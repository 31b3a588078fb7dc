package wasmhost

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// A VM is a virtual machine: one of Envoy's workers.
type VM struct {
	host    *Host
	index   int
	tally   tally
	stalled atomic.Bool // a hook runs, so the guest waits

	mu        sync.Mutex // held while guest code runs; guards what follows
	module    api.Module
	ctx       context.Context
	allocator api.Function
	callbacks [numCallbacks]api.Function // nil where the guest does not export one
	memory    api.Memory
	random    *rand.ChaCha8
	stack     [8]uint64 // parameters and result of a callback
	scratch   []byte    // a value on its way into the guest
	stderr    []byte    // all that the guest has written there
	dead      error     // why the guest cannot run any more

	roots    []*root
	contexts map[uint32]target
	lastID   uint32 // of a context
	lastCall uint32 // token of an HTTP call
	metrics  [numMetricKinds][]*stat

	// What holds for the callback that is running.
	place     place
	serving   int // index in hostCalls
	current   target
	effective target // set by proxy_set_effective_context
	after     []func() error
	trace     *[]string
}

// A target is what a callback is for: a stream, or a plugin itself where stream is nil.
type target struct {
	root   *root
	stream *Stream
}

func (h *Host) newVM(index int) (*VM, error) {
	seed := [32]byte{byte(index)}
	for i := range 8 {
		seed[8+i] = byte(h.options.Seed >> (8 * i))
	}
	vm := &VM{
		host:     h,
		index:    index,
		tally:    newTally(),
		random:   rand.NewChaCha8(seed),
		contexts: map[uint32]target{},
		place:    inInit,
	}
	vm.ctx = vmContext{context.Background(), vm}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize")
	module, err := h.program.runtime.InstantiateModule(vm.ctx, h.program.compiled, config)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w%s", vm, err, vm.lastWords())
	}
	vm.place = 0
	vm.module, vm.memory = module, module.Memory()
	for cb := range callbacks {
		vm.callbacks[cb] = module.ExportedFunction(callbacks[cb].name)
	}
	if vm.allocator = module.ExportedFunction("malloc"); vm.allocator == nil {
		vm.allocator = module.ExportedFunction("proxy_on_memory_allocate")
	}
	if vm.allocator == nil {
		return nil, fmt.Errorf("starting %s: the module exports neither malloc nor proxy_on_memory_allocate", vm)
	}
	return vm, nil
}

func (vm *VM) String() string { return workerName(vm.index) }

func workerName(index int) string {
	if index == MainThread {
		return "main thread"
	}
	return fmt.Sprintf("worker %d", index)
}

// Index is the worker's number, as Options.Workers counts them, from 0.
func (vm *VM) Index() int { return vm.index }

// Err tells why the worker is dead; nil if it is not. All that is asked of a dead worker returns that error.
func (vm *VM) Err() error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.dead
}

// MemorySize is the size of the guest's linear memory in bytes. It never shrinks.
func (vm *VM) MemorySize() int {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return int(vm.memory.Size())
}

// Streams is the number of streams in flight.
func (vm *VM) Streams() int {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	n := 0
	for _, r := range vm.roots {
		n += r.streams
	}
	return n
}

// call runs a callback and what it has put off until after it. It requires that vm.mu is held.
func (vm *VM) call(cb callback, t target, args ...uint64) (result uint64, err error) {
	if vm.dead != nil {
		return 0, vm.dead
	}
	f := vm.callbacks[cb]
	if f == nil {
		return callbacks[cb].absent, nil
	}
	vm.tally.callbacks[cb].Add(1)
	if vm.trace != nil {
		*vm.trace = append(*vm.trace, fmt.Sprintf("%s %d", callbacks[cb].name, args[0]))
	}
	vm.current, vm.effective = t, target{}
	copy(vm.stack[:], args)
	if err := f.CallWithStack(vm.ctx, vm.stack[:]); err != nil {
		vm.after = nil
		vm.dead = fmt.Errorf("%s died in %s: %w%s", vm, callbacks[cb].name, err, vm.lastWords())
		return 0, vm.dead
	}
	result = uint64(uint32(vm.stack[0])) // the upper half is undefined
	for len(vm.after) > 0 {
		next := vm.after[0]
		vm.after = vm.after[1:]
		if err := next(); err != nil {
			return 0, err
		}
	}
	return result, nil
}

// lastWords is what the guest wrote to standard error, which is where Go reports a panic.
func (vm *VM) lastWords() string {
	if len(vm.stderr) == 0 {
		return ""
	}
	return "\nstandard error:\n" + string(vm.stderr)
}

// target is what host calls are about.
func (vm *VM) target() target {
	if vm.effective.root != nil {
		return vm.effective
	}
	return vm.current
}

// serve makes a host call.
func (vm *VM) serve(id int, args []uint64) Status {
	c := &hostCalls[id]
	if vm.place != 0 && c.also&vm.place == 0 {
		where := "_initialize"
		if vm.place == inAlloc {
			where = "the allocator"
		}
		panic(fmt.Sprintf("restricted_callback: %s called in %s", c.name, where))
	}
	vm.tally.calls[id].Add(1)
	hook, key := vm.host.hook.Load(), ""
	if c.key != nil && (hook != nil || vm.trace != nil) {
		key = c.key(vm, args)
	}
	status := OK
	if hook != nil {
		status = vm.interrupt(*hook, c.name, key)
	}
	if status == OK {
		vm.serving = id
		status = c.run(vm, args)
	}
	if status == CASMismatch && c.name == "proxy_set_shared_data" {
		vm.tally.mismatches.Add(1)
	}
	if vm.trace != nil {
		*vm.trace = append(*vm.trace, strings.TrimRight("  "+c.name+" "+key, " ")+fmt.Sprintf(" = %d", status))
	}
	return status
}

func (vm *VM) interrupt(hook Hook, call, key string) Status {
	vm.stalled.Store(true)
	defer vm.stalled.Store(false)
	return hook(vm.index, call, key)
}

// Trace lists, in order, the callbacks of this worker while do runs, with their context's id, and indented below each
// the host calls that it makes, with their key and status.
func (vm *VM) Trace(do func()) []string {
	var lines []string
	set := func(to *[]string) {
		vm.mu.Lock()
		defer vm.mu.Unlock()
		vm.trace = to
	}
	set(&lines)
	defer set(nil)
	do()
	return lines
}

func (vm *VM) read(ptr, size uint64) ([]byte, bool) { return vm.memory.Read(uint32(ptr), uint32(size)) }

func (vm *VM) write32(at uint64, value uint32) Status {
	if !vm.memory.WriteUint32Le(uint32(at), value) {
		return InvalidMemoryAccess
	}
	return OK
}

func (vm *VM) write64(at, value uint64) Status {
	if !vm.memory.WriteUint64Le(uint32(at), value) {
		return InvalidMemoryAccess
	}
	return OK
}

// lend puts a value into memory that the guest's allocator gives, and writes where it is and its size, 32 bits each. An
// empty value needs no memory: its address is 0.
func lend[T string | []byte](vm *VM, value T, at, size uint64) Status {
	var ptr uint32
	if len(value) > 0 {
		vm.tally.buffers[vm.serving].Add(1)
		ptr = vm.allocate(len(value))
		buffer, ok := vm.memory.Read(ptr, uint32(len(value)))
		if ptr == 0 || !ok {
			return InvalidMemoryAccess
		}
		copy(buffer, value)
	}
	return max(vm.write32(at, ptr), vm.write32(size, uint32(len(value))))
}

// allocate calls the guest's allocator in the middle of a host call. A trap in it takes the callback down too.
func (vm *VM) allocate(size int) uint32 {
	vm.place = inAlloc
	defer func() { vm.place = 0 }()
	stack := [1]uint64{uint64(size)}
	if err := vm.allocator.CallWithStack(vm.ctx, stack[:]); err != nil {
		panic(err)
	}
	return uint32(stack[0])
}
