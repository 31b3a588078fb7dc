//go:build wasip1

// Command foreignplugin is for tests: a plugin that shares another's shared data and overwrites it. Each line of its configuration is a
// key in hexadecimal. At each tick it overwrites each key that exists: with nothing, with garbage, or with a value that the key had
// long ago.
//
// It is here because no package outside of filter may use the bridge.
package main

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"envoy-circuit-breaker/filter/internal/bridge"
)

const tickMS = 20

func main() {}

var plugins = map[uint32]*plugin{}

type plugin struct {
	keys   []string
	old    map[string][]byte // the first value seen of each
	random *rand.Rand
	count  uint32 // the id of the counter of values written
}

// start reads the configuration, and reports whether it can work with that.
func (p *plugin) start() bool {
	text, err := bridge.Configuration()
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		key, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return false
		}
		p.keys = append(p.keys, string(key))
	}
	p.count, err = bridge.DefineMetric(bridge.Counter, []byte("foreign.written"))
	return err == nil && bridge.SetTickPeriod(tickMS) == nil
}

func (p *plugin) tick() {
	for _, key := range p.keys {
		value, version := bridge.SharedData([]byte(key))
		if version == 0 {
			continue
		}
		if p.old[key] == nil {
			p.old[key] = append([]byte{}, value...)
		}
		bridge.SetSharedData([]byte(key), p.bad(value, p.old[key]), 0)
		bridge.AddMetric(p.count, 1)
	}
}

// bad returns a value that the key should not have.
func (p *plugin) bad(value, old []byte) []byte {
	switch p.random.IntN(5) {
	case 0:
		return nil
	case 1:
		return old
	case 2: // all but right
		value = append([]byte{}, value...)
		if len(value) > 0 {
			value[p.random.IntN(len(value))] ^= byte(1 + p.random.IntN(255))
		}
		return value
	case 3: // as long as a good one
		value = append([]byte{}, value...)
		for i := range value {
			value[i] = byte(p.random.Uint32())
		}
		return value
	}
	value = make([]byte, p.random.IntN(1000))
	for i := range value {
		value[i] = byte(p.random.Uint32())
	}
	return value
}

//go:wasmexport proxy_on_context_create
func onContextCreate(id, pluginID uint32) {
	if pluginID == 0 {
		plugins[id] = &plugin{old: map[string][]byte{}, random: rand.New(rand.NewPCG(1, 2))}
	}
}

//go:wasmexport proxy_on_vm_start
func onVMStart(_, _ uint32) bool { return true }

//go:wasmexport proxy_on_configure
func onConfigure(id, _ uint32) bool { return plugins[id].start() }

//go:wasmexport proxy_on_tick
func onTick(id uint32) { plugins[id].tick() }
