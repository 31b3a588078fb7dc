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

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/filter/internal/bridge"
)

const tickMS = 20

func main() {}

func init() { bridge.Run(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext {
	return &plugin{old: map[string][]byte{}, random: rand.New(rand.NewPCG(1, 2))}
}

type plugin struct {
	types.DefaultPluginContext
	keys   []string
	old    map[string][]byte // the first value seen of each
	random *rand.Rand
	count  uint32 // the id of the counter of values written
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	text, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		return types.OnPluginStartStatusFailed
	}
	for line := range strings.Lines(string(text)) {
		key, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return types.OnPluginStartStatusFailed
		}
		p.keys = append(p.keys, string(key))
	}
	if p.count, err = bridge.DefineMetric(bridge.Counter, []byte("foreign.written")); err != nil || proxywasm.SetTickPeriodMilliSeconds(tickMS) != nil {
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnTick() {
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
		bridge.CreatePlugin(id)
	}
}

//go:wasmexport proxy_on_tick
func onTick(id uint32) { bridge.Tick(id) }
