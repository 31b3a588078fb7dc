package wasmhost

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// stats are the counters and gauges of the process: one of a name, whichever worker defines it.
type stats struct {
	exists func(name string) bool // nil if all do

	mu     sync.Mutex
	byName map[statName]*stat
}

type statName struct {
	kind metricKind
	name string
}

// A stat that the matcher rejects is hidden: it takes everything and reads 0.
type stat struct {
	statName
	hidden bool
	value  atomic.Uint64
}

// A metricKind is also the lowest two bits of a metric's id.
type metricKind uint32

const (
	counter metricKind = iota
	gauge
	numMetricKinds // histograms are not supported
)

func (s *stats) define(kind metricKind, name string) *stat {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := statName{kind, name}
	if known, ok := s.byName[key]; ok {
		return known
	}
	made := &stat{statName: key, hidden: s.exists != nil && !s.exists(name)}
	s.byName[key] = made
	return made
}

func (s *stat) add(n uint64) {
	if !s.hidden {
		s.value.Add(n)
	}
}

func (s *stat) set(n uint64) {
	if !s.hidden {
		s.value.Store(n)
	}
}

// Stat reads a stat by the name that the plugin gave it. It panics if no plugin has defined it: a misspelt name in a test
// would read as 0 for ever.
func (h *Host) Stat(name string) uint64 { return h.find(name).value.Load() }

// AddToStat adds to a counter or gauge from outside, as a hot restart does: the child's stats get the parent's. It panics like Stat.
func (h *Host) AddToStat(name string, n uint64) { h.find(name).add(n) }

func (h *Host) find(name string) *stat {
	h.stats.mu.Lock()
	defer h.stats.mu.Unlock()
	for kind := range numMetricKinds {
		if s := h.stats.byName[statName{kind, name}]; s != nil {
			return s
		}
	}
	var names []string
	for key := range h.stats.byName {
		names = append(names, key.name)
	}
	slices.Sort(names)
	panic(fmt.Sprintf("wasmhost: no stat %q; there are:\n%s", name, strings.Join(names, "\n")))
}

// Stats reads all stats that Envoy would list: those that the matcher does not reject.
func (h *Host) Stats() map[string]uint64 {
	h.stats.mu.Lock()
	defer h.stats.mu.Unlock()
	values := map[string]uint64{}
	for s := range maps.Values(h.stats.byName) {
		if !s.hidden {
			values[s.name] = s.value.Load()
		}
	}
	return values
}

// ResetCounters sets all counters to 0, as /reset_counters of Envoy's admin interface does. Gauges keep their values.
func (h *Host) ResetCounters() {
	h.stats.mu.Lock()
	defer h.stats.mu.Unlock()
	for _, s := range h.stats.byName {
		if s.kind == counter {
			s.value.Store(0)
		}
	}
}

// ForgetStats drops all stats, as Envoy does when what has defined them is gone: a plugin defines a new one, at 0, and the ids that
// there are stand for the old ones.
func (h *Host) ForgetStats() {
	h.stats.mu.Lock()
	defer h.stats.mu.Unlock()
	h.stats.byName = map[statName]*stat{}
}

// metric finds a metric by its id, which counts per virtual machine and kind.
func (vm *VM) metric(id uint64) *stat {
	kind, number := id&3, id>>2
	if kind >= uint64(numMetricKinds) || number == 0 || number > uint64(len(vm.metrics[kind])) {
		return nil
	}
	return vm.metrics[kind][number-1]
}

func metricKey(vm *VM, args []uint64) string {
	if s := vm.metric(args[0]); s != nil {
		return s.name
	}
	return ""
}

func (vm *VM) defineMetric(args []uint64) Status {
	kind := metricKind(args[0])
	name, ok := vm.read(args[1], args[2])
	switch {
	case !ok:
		return InvalidMemoryAccess
	case kind > numMetricKinds:
		return BadArgument
	case kind == numMetricKinds:
		return Unimplemented
	}
	vm.metrics[kind] = append(vm.metrics[kind], vm.host.stats.define(kind, string(name)))
	return vm.write32(args[3], uint32(len(vm.metrics[kind]))<<2|uint32(kind))
}

// incrementMetric takes increments of counters that are above 0 only, and any of gauges.
func (vm *VM) incrementMetric(args []uint64) Status {
	s, offset := vm.metric(args[0]), int64(args[1])
	switch {
	case s == nil:
		return NotFound
	case s.kind == counter && offset <= 0:
		return BadArgument
	}
	s.add(uint64(offset))
	return OK
}

// recordMetric sets a gauge, and adds to a counter.
func (vm *VM) recordMetric(args []uint64) Status {
	s := vm.metric(args[0])
	switch {
	case s == nil:
		return NotFound
	case s.kind == counter:
		s.add(args[1])
	default:
		s.set(args[1])
	}
	return OK
}

func (vm *VM) getMetric(args []uint64) Status {
	s := vm.metric(args[0])
	if s == nil {
		return NotFound
	}
	return vm.write64(args[1], s.value.Load())
}
