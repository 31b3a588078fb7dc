package wasmhost

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MainThread is the number, for hooks and logs, of the virtual machine in which Envoy tries a plugin's start before any
// worker gets it. What that does to shared data and stats stays; it is not in any Counts.
const MainThread = -1

// A Plugin is a configured plugin, with a context of its own in each worker.
type Plugin struct {
	Name   string // plugin_name
	Config string

	host    *Host
	removed bool
}

// A root is a plugin's context in one virtual machine.
type root struct {
	plugin      *Plugin
	id          uint32
	configuring bool
	answer      *httpAnswer // while the callback for it runs
	streams     int         // in flight
	removed     bool        // to be deleted after its last stream
	waiting     bool        // proxy_on_done has asked to wait for proxy_done

	tickPeriod time.Duration // 0 if it has no ticks
	tickDue    time.Duration
}

// Plugin is the plugin that New has started.
func (h *Host) Plugin() *Plugin { return h.main }

// AddPlugin starts a further plugin in the virtual machines that run already, as Envoy does where several filters have
// the same code and vm_id, and when a configuration changes. A plugin that fails on the main thread is refused, and the
// workers have not heard of it. The error has what the plugin logged.
func (h *Host) AddPlugin(name, config string) (*Plugin, error) {
	p := &Plugin{Name: name, Config: config, host: h}
	canary, err := h.newVM(MainThread)
	if err != nil {
		return nil, err
	}
	defer canary.module.Close(context.Background())
	for _, vm := range append([]*VM{canary}, h.vms...) {
		if err := vm.start(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// start creates and configures a plugin's context.
func (vm *VM) start(p *Plugin) error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	seen := len(vm.host.Logs())
	vm.lastID++
	r := &root{plugin: p, id: vm.lastID}
	t := target{root: r}
	vm.roots = append(vm.roots, r)
	vm.contexts[r.id] = t
	if _, err := vm.call(onContextCreate, t, uint64(r.id), 0); err != nil {
		return err
	}
	const vmConfigSize = 0
	started, err := vm.call(onVMStart, t, uint64(r.id), vmConfigSize)
	if err != nil {
		return err
	}
	configured := uint64(0)
	if started != 0 {
		r.configuring = true
		configured, err = vm.call(onConfigure, t, uint64(r.id), uint64(len(p.Config)))
		r.configuring = false
		if err != nil {
			return err
		}
	}
	if configured != 0 {
		return nil
	}
	// A worker that fails where the main thread did not is lost, with all its plugins.
	failed := callbacks[onConfigure].name
	if started == 0 {
		failed = callbacks[onVMStart].name
	}
	vm.dead = fmt.Errorf("plugin %q failed in %s on %s%s", p.Name, failed, vm, logText(vm.host.logsSince(seen)))
	return vm.dead
}

func logText(logs []Log) string {
	var b strings.Builder
	for _, l := range logs {
		b.WriteString("\n" + l.String())
	}
	return b.String()
}

// Remove takes the plugin out of all workers: out of each as soon as it has no more streams there.
func (p *Plugin) Remove() error {
	if p.removed {
		panic(fmt.Sprintf("wasmhost: plugin %q is removed already", p.Name))
	}
	p.removed = true
	for _, vm := range p.host.vms {
		if err := vm.remove(p); err != nil {
			return err
		}
	}
	return nil
}

func (vm *VM) remove(p *Plugin) error {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	r := vm.root(p)
	r.removed = true
	if r.streams > 0 {
		return nil
	}
	return vm.shutDown(r)
}

// root finds a plugin's context.
func (vm *VM) root(p *Plugin) *root {
	i := slices.IndexFunc(vm.roots, func(r *root) bool { return r.plugin == p })
	if i < 0 {
		panic(fmt.Sprintf("wasmhost: plugin %q is not in %s: it was removed, or belongs to another host", p.Name, vm))
	}
	return vm.roots[i]
}

// shutDown tells a plugin that it is done, and deletes its context unless it wants to call proxy_done first.
func (vm *VM) shutDown(r *root) error {
	done, err := vm.call(onDone, target{root: r}, uint64(r.id))
	if err != nil {
		return err
	}
	if done == 0 {
		r.waiting = true
		return nil
	}
	return vm.delete(r)
}

func (vm *VM) delete(r *root) error {
	_, err := vm.call(onDelete, target{root: r}, uint64(r.id))
	delete(vm.contexts, r.id)
	vm.roots = slices.DeleteFunc(vm.roots, func(other *root) bool { return other == r })
	vm.host.cancelHTTPCalls(r)
	return err
}

// proxyDone ends the wait that proxy_on_done asked for.
func (vm *VM) proxyDone([]uint64) Status {
	r := vm.target().root
	if !r.waiting {
		return NotFound
	}
	r.waiting = false
	vm.after = append(vm.after, func() error { return vm.delete(r) })
	return OK
}
