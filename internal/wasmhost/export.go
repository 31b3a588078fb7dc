package wasmhost

import "fmt"

// Call calls an export of the guest's by itself: one that is none of proxy-wasm's, or a callback as Envoy does not make it. It is in
// no Counts, but the host calls that it makes are.
func (vm *VM) Call(export string, args ...uint64) (result uint64, err error) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.dead != nil {
		return 0, vm.dead
	}
	f := vm.module.ExportedFunction(export)
	if f == nil {
		return 0, fmt.Errorf("%s: the guest does not export %q", vm, export)
	}
	copy(vm.stack[:], args)
	if err := f.CallWithStack(vm.ctx, vm.stack[:]); err != nil {
		vm.dead = fmt.Errorf("%s died in %s: %w%s", vm, export, err, vm.lastWords())
		return 0, vm.dead
	}
	return vm.stack[0], nil
}
