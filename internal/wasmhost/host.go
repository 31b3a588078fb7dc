package wasmhost

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Options are how a Host is set up.
type Options struct {
	Workers int    // virtual machines; 1 if 0
	Plugin  string // plugin_name
	VMID    string // plugin_vm_id
	Config  string // the plugin's configuration

	// Beside is a host of the same process with another vm_id: virtual machines and shared data are this one's own, the stats are
	// those of both, and so a Stats of this one's own is ignored. nil is a process of its own.
	Beside *Host

	// Stats is Envoy's stats_matcher: it says which stats exist, by the names that the plugin gives them. Others are hidden:
	// they read 0 whatever is added. nil lets all exist.
	Stats func(name string) bool

	// Clusters are those that proxy_http_call can reach; SetClusters changes them.
	Clusters []string

	Start time.Duration // what the monotonic clock reads at first; 1000 s if 0
	Seed  uint64        // of WASI's random numbers
}

// A Host is one Envoy process.
type Host struct {
	program *Program
	options Options
	vms     []*VM
	main    *Plugin
	data    SharedData
	stats   *stats
	clock   atomic.Int64
	hook    atomic.Pointer[Hook]

	logMu sync.Mutex
	logs  []Log

	httpMu   sync.Mutex
	clusters map[string]bool
	pending  []*HTTPCall
}

// A Hook is run before each host call, within the worker that makes it, and answers in its place unless it returns OK.
// key is what the call is about: the key of shared data, the path of a property (joined by dots), the name of a header or
// stat, the cluster of an HTTP call; "" for others. vm may be MainThread.
//
// A hook may do anything with the host, except drive or inspect the worker that it interrupts: that one waits for it, so
// this would never return.
type Hook func(vm int, call, key string) Status

// New starts the workers and the first plugin in them.
func New(program *Program, options Options) (*Host, error) {
	if options.Workers == 0 {
		options.Workers = 1
	}
	if options.Start == 0 {
		options.Start = 1000 * time.Second
	}
	h := &Host{
		program: program,
		options: options,
		data:    SharedData{entries: map[string]datum{}},
		stats:   &stats{exists: options.Stats, byName: map[statName]*stat{}},
	}
	if options.Beside != nil {
		h.stats = options.Beside.stats
	}
	h.clock.Store(int64(options.Start))
	h.SetClusters(options.Clusters...)
	for i := range options.Workers {
		vm, err := h.newVM(i)
		if err != nil {
			h.Close()
			return nil, err
		}
		h.vms = append(h.vms, vm)
	}
	plugin, err := h.AddPlugin(options.Plugin, options.Config)
	if err != nil {
		h.Close()
		return nil, err
	}
	h.main = plugin
	return h, nil
}

// Close ends the workers, without a callback.
func (h *Host) Close() error {
	for _, vm := range h.vms {
		if err := vm.module.Close(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// VM returns a worker, counted from 0.
func (h *Host) VM(i int) *VM {
	if i < 0 || i >= len(h.vms) {
		panic(fmt.Sprintf("wasmhost: no worker %d of %d", i, len(h.vms)))
	}
	return h.vms[i]
}

// Workers is the number of workers.
func (h *Host) Workers() int { return len(h.vms) }

// SharedData gives direct access to the shared data of all workers.
func (h *Host) SharedData() *SharedData { return &h.data }

// SetHook has a hook run before each host call from now on; nil removes it.
func (h *Host) SetHook(hook Hook) {
	if hook == nil {
		h.hook.Store(nil)
		return
	}
	h.hook.Store(&hook)
}
