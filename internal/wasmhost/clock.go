package wasmhost

import (
	"errors"
	"time"
)

// epoch is what the wall clock reads when the monotonic one reads 0: 2026-01-01 00:00:00 UTC.
const epoch = 1767225600 * int64(time.Second)

func (h *Host) wall() int64 { return epoch + h.clock.Load() }

// Now is the monotonic clock, which all workers share.
func (h *Host) Now() time.Duration { return time.Duration(h.clock.Load()) }

// Advance moves the clock on, and has each tick that becomes due on the way fire at its time, in order. A worker that is
// within a host call (a hook calls Advance) is busy: its ticks fire late, at the next Advance. The error tells of workers
// that died in a tick.
//
// Only one goroutine may advance the clock at a time.
func (h *Host) Advance(d time.Duration) error {
	if d < 0 {
		panic("wasmhost: the monotonic clock does not go back")
	}
	var errs []error
	target := h.Now() + d
	for {
		vm, due := h.nextTick(target)
		if vm == nil {
			break
		}
		h.raiseClock(due)
		errs = append(errs, vm.tick(due))
	}
	h.raiseClock(target)
	return errors.Join(errs...)
}

// raiseClock sets the clock unless it is past that already, as it can be for a tick that is late.
func (h *Host) raiseClock(to time.Duration) { h.clock.Store(max(h.clock.Load(), int64(to))) }

// nextTick finds the first worker to tick by a time, nil if there is none.
func (h *Host) nextTick(until time.Duration) (next *VM, due time.Duration) {
	for _, vm := range h.vms {
		if vm.stalled.Load() {
			continue
		}
		if t, ticks := vm.nextTick(); ticks && t <= until && (next == nil || t < due) {
			next, due = vm, t
		}
	}
	return next, due
}

func (vm *VM) nextTick() (due time.Duration, ticks bool) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.dead != nil {
		return 0, false
	}
	for _, r := range vm.roots {
		if r.tickPeriod > 0 && (!ticks || r.tickDue < due) {
			due, ticks = r.tickDue, true
		}
	}
	return due, ticks
}

// tick fires a tick that is due by a time; the next one is due a period after this one ran.
func (vm *VM) tick(by time.Duration) error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	for _, r := range vm.roots {
		if r.tickPeriod == 0 || r.tickDue > by {
			continue
		}
		_, err := vm.call(onTick, target{root: r}, uint64(r.id))
		r.tickDue = vm.host.Now() + r.tickPeriod
		return err
	}
	return nil
}

func (vm *VM) setTickPeriod(args []uint64) Status {
	r := vm.target().root
	r.tickPeriod = time.Duration(args[0]) * time.Millisecond
	r.tickDue = vm.host.Now() + r.tickPeriod
	return OK
}

func (vm *VM) currentTime(args []uint64) Status { return vm.write64(args[0], uint64(vm.host.wall())) }
