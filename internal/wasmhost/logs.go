package wasmhost

import (
	"fmt"
	"strings"
)

// A Level is the severity of a log line.
type Level uint32

const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
	Critical
)

func (l Level) String() string {
	return [...]string{"trace", "debug", "info", "warn", "error", "critical"}[l]
}

// A Log is a line that a guest has logged, or written to standard output (Info) or standard error (Error).
type Log struct {
	VM      int // the worker, MainThread included
	Level   Level
	Message string
}

func (l Log) String() string { return fmt.Sprintf("%s: %s: %s", workerName(l.VM), l.Level, l.Message) }

// Logs returns all lines so far.
func (h *Host) Logs() []Log { return h.logsSince(0) }

func (h *Host) logsSince(n int) []Log {
	h.logMu.Lock()
	defer h.logMu.Unlock()
	return h.logs[n:len(h.logs):len(h.logs)]
}

func (h *Host) log(l Log) {
	h.logMu.Lock()
	defer h.logMu.Unlock()
	h.logs = append(h.logs, l)
}

func (vm *VM) proxyLog(args []uint64) Status {
	if args[0] > uint64(Critical) {
		return BadArgument
	}
	message, ok := vm.read(args[1], args[2])
	if !ok {
		return InvalidMemoryAccess
	}
	vm.host.log(Log{vm.index, Level(args[0]), string(message)})
	return OK
}

// fdWrite logs what the guest writes to standard output and error, a line for each call.
func (vm *VM) fdWrite(args []uint64) Status {
	const stdout, stderr = 1, 2
	fd, vectors, n, written := args[0], args[1], args[2], args[3]
	if fd != stdout && fd != stderr {
		return badFile(vm, args)
	}
	var text []byte
	for i := range n {
		ptr, ok1 := vm.memory.ReadUint32Le(uint32(vectors + 8*i))
		size, ok2 := vm.memory.ReadUint32Le(uint32(vectors + 8*i + 4))
		part, ok3 := vm.read(uint64(ptr), uint64(size))
		if !ok1 || !ok2 || !ok3 {
			return errFault
		}
		text = append(text, part...)
	}
	level := Info
	if fd == stderr {
		level = Error
		vm.stderr = append(vm.stderr, text...)
	}
	if len(text) > 0 {
		vm.host.log(Log{vm.index, level, strings.TrimSuffix(string(text), "\n")})
	}
	return vm.wasiWrite32(written, uint32(len(text)))
}
