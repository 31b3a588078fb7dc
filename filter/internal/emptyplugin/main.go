//go:build wasip1

// Command emptyplugin is the measure of the benchmark (cmd/bench): the least that a filter in Go costs. It has the SDK's
// default contexts, with the callbacks for request headers, response headers and the log exported.
//
// It is here because no package outside of filter may use the bridge.
package main

import (
	_ "unsafe" // for go:linkname

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	_ "envoy-circuit-breaker/filter/internal/bridge" // for the buffers that the host fills
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct{ types.DefaultPluginContext }

func (*plugin) NewHttpContext(uint32) types.HttpContext { return &types.DefaultHttpContext{} }

//go:linkname sdkOnContextCreate github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnContextCreate
func sdkOnContextCreate(id, pluginID uint32)

//go:linkname sdkOnVMStart github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnVMStart
func sdkOnVMStart(contextID uint32, configurationSize int) types.OnVMStartStatus

//go:linkname sdkOnConfigure github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnConfigure
func sdkOnConfigure(pluginContextID uint32, configurationSize int) types.OnPluginStartStatus

//go:linkname sdkOnRequestHeaders github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnRequestHeaders
func sdkOnRequestHeaders(id uint32, headers int, endOfStream bool) types.Action

//go:linkname sdkOnResponseHeaders github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnResponseHeaders
func sdkOnResponseHeaders(id uint32, headers int, endOfStream bool) types.Action

//go:linkname sdkOnLog github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnLog
func sdkOnLog(id uint32)

//go:linkname sdkOnDelete github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnDelete
func sdkOnDelete(id uint32)

//go:wasmexport proxy_on_context_create
func onContextCreate(id, pluginID uint32) { sdkOnContextCreate(id, pluginID) }

//go:wasmexport proxy_on_vm_start
func onVMStart(id, size uint32) bool { return bool(sdkOnVMStart(id, int(size))) }

//go:wasmexport proxy_on_configure
func onConfigure(id, size uint32) bool { return bool(sdkOnConfigure(id, int(size))) }

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, headers, endOfStream uint32) uint32 {
	return uint32(sdkOnRequestHeaders(id, int(headers), endOfStream != 0))
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, headers, endOfStream uint32) uint32 {
	return uint32(sdkOnResponseHeaders(id, int(headers), endOfStream != 0))
}

// onLog also has the SDK forget the stream, so that it takes no callback of its own.
//
//go:wasmexport proxy_on_log
func onLog(id uint32) {
	sdkOnLog(id)
	sdkOnDelete(id)
}
