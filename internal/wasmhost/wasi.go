package wasmhost

import "encoding/binary"

// Error numbers of WASI.
const (
	errBadFile      Status = 8
	errFault        Status = 21
	errInvalid      Status = 28
	errNoSystem     Status = 52
	errNotSupported Status = 58
)

// maxRandomSize is how many random bytes Envoy gives at once.
const maxRandomSize = 64 << 10

func success(*VM, []uint64) Status  { return 0 }
func badFile(*VM, []uint64) Status  { return errBadFile }
func noSystem(*VM, []uint64) Status { return errNoSystem }

// noStrings says that there are no arguments or environment variables.
func (vm *VM) noStrings(args []uint64) Status {
	return max(vm.wasiWrite32(args[0], 0), vm.wasiWrite32(args[1], 0))
}

func (vm *VM) clockTimeGet(args []uint64) Status {
	const realtime, monotonic = 0, 1
	var now int64
	switch args[0] {
	case realtime:
		now = vm.host.wall()
	case monotonic:
		now = int64(vm.host.Now())
	default:
		return errNotSupported
	}
	if !vm.memory.WriteUint64Le(uint32(args[2]), uint64(now)) {
		return errFault
	}
	return 0
}

// fdStat says that standard output and error can be written, and that nothing else is open.
func (vm *VM) fdStat(args []uint64) Status {
	const canWrite = 64
	if args[0] != 1 && args[0] != 2 {
		return errBadFile
	}
	var stat [24]byte
	binary.LittleEndian.PutUint64(stat[8:], canWrite)
	if !vm.memory.Write(uint32(args[1]), stat[:]) {
		return errFault
	}
	return 0
}

// pollOneoff returns at once, with no event.
func (vm *VM) pollOneoff(args []uint64) Status { return vm.wasiWrite32(args[3], 0) }

func (vm *VM) randomGet(args []uint64) Status {
	if args[1] > maxRandomSize {
		return errInvalid
	}
	buffer, ok := vm.read(args[0], args[1])
	if !ok {
		return errFault
	}
	vm.random.Read(buffer)
	return 0
}

func (vm *VM) wasiWrite32(at uint64, value uint32) Status {
	if !vm.memory.WriteUint32Le(uint32(at), value) {
		return errFault
	}
	return 0
}
