//go:build wasip1

package bridge

import (
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Run registers a plugin with the SDK. It must be called from an init function: the module is a reactor, whose main
// never runs.
func Run(vm types.VMContext) {
	currentHost = host{}
	keepMethods(currentHost)
	proxywasm.SetVMContext(vm)
}

//go:linkname currentHost github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.currentHost
var currentHost hostCalls

//go:linkname sdkOnContextCreate github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnContextCreate
func sdkOnContextCreate(contextID, pluginContextID uint32)

//go:linkname sdkOnVMStart github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnVMStart
func sdkOnVMStart(contextID uint32, configurationSize int) types.OnVMStartStatus

//go:linkname sdkOnConfigure github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnConfigure
func sdkOnConfigure(pluginContextID uint32, configurationSize int) types.OnPluginStartStatus

//go:linkname sdkOnTick github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnTick
func sdkOnTick(pluginContextID uint32)

//go:linkname sdkOnHTTPCallResponse github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnHttpCallResponse
func sdkOnHTTPCallResponse(pluginContextID, calloutID uint32, numHeaders, bodySize, numTrailers int)

//go:linkname sdkOnDelete github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnDelete
func sdkOnDelete(contextID uint32)

// host makes the SDK's calls. Those that this plugin never makes through the SDK answer "unimplemented".
type host struct{}

// unimplemented is the status for host calls that are not bridged (types.ErrorUnimplemented).
const unimplemented = 12

func (host) ProxyLog(level uint32, data *byte, size int) uint32 {
	return proxyLog(level, unsafe.Pointer(data), uint32(size))
}

func (host) ProxySetProperty(path *byte, pathSize int, value *byte, valueSize int) uint32 {
	return proxySetProperty(unsafe.Pointer(path), uint32(pathSize), unsafe.Pointer(value), uint32(valueSize))
}

func (host) ProxyGetProperty(path *byte, pathSize int, data **byte, size *int) uint32 {
	return proxyGetProperty(unsafe.Pointer(path), uint32(pathSize), unsafe.Pointer(data), unsafe.Pointer(size))
}

func (host) ProxySendLocalResponse(code uint32, details *byte, detailsSize int, body *byte, bodySize int, headers *byte, headersSize int, grpcStatus int32) uint32 {
	return proxySendLocalResponse(code, unsafe.Pointer(details), uint32(detailsSize), unsafe.Pointer(body), uint32(bodySize), unsafe.Pointer(headers), uint32(headersSize), grpcStatus)
}

func (host) ProxyGetSharedData(key *byte, keySize int, data **byte, size *int, cas *uint32) uint32 {
	return proxyGetSharedData(unsafe.Pointer(key), uint32(keySize), unsafe.Pointer(data), unsafe.Pointer(size), unsafe.Pointer(cas))
}

func (host) ProxySetSharedData(key *byte, keySize int, value *byte, valueSize int, cas uint32) uint32 {
	return proxySetSharedData(unsafe.Pointer(key), uint32(keySize), unsafe.Pointer(value), uint32(valueSize), cas)
}

func (host) ProxyGetHeaderMapValue(mapType uint32, key *byte, keySize int, data **byte, size *int) uint32 {
	return proxyGetHeaderMapValue(mapType, unsafe.Pointer(key), uint32(keySize), unsafe.Pointer(data), unsafe.Pointer(size))
}

func (host) ProxyReplaceHeaderMapValue(mapType uint32, key *byte, keySize int, value *byte, valueSize int) uint32 {
	return proxyReplaceHeaderMapValue(mapType, unsafe.Pointer(key), uint32(keySize), unsafe.Pointer(value), uint32(valueSize))
}

func (host) ProxyGetHeaderMapPairs(mapType uint32, data **byte, size *int) uint32 {
	return proxyGetHeaderMapPairs(mapType, unsafe.Pointer(data), unsafe.Pointer(size))
}

func (host) ProxyGetBufferBytes(bufferType uint32, start, maxSize int, data **byte, size *int) uint32 {
	return proxyGetBufferBytes(bufferType, uint32(start), uint32(maxSize), unsafe.Pointer(data), unsafe.Pointer(size))
}

func (host) ProxyHttpCall(upstream *byte, upstreamSize int, headers *byte, headersSize int, body *byte, bodySize int, trailers *byte, trailersSize int, timeout uint32, calloutID *uint32) uint32 {
	return proxyHTTPCall(unsafe.Pointer(upstream), uint32(upstreamSize), unsafe.Pointer(headers), uint32(headersSize), unsafe.Pointer(body), uint32(bodySize), unsafe.Pointer(trailers), uint32(trailersSize), timeout, unsafe.Pointer(calloutID))
}

func (host) ProxySetTickPeriodMilliseconds(period uint32) uint32 {
	return proxySetTickPeriodMilliseconds(period)
}

func (host) ProxySetEffectiveContext(contextID uint32) uint32 {
	return proxySetEffectiveContext(contextID)
}

func (host) ProxyDefineMetric(metricType uint32, name *byte, nameSize int, id *uint32) uint32 {
	return proxyDefineMetric(metricType, unsafe.Pointer(name), uint32(nameSize), unsafe.Pointer(id))
}

func (host) ProxyIncrementMetric(id uint32, offset int64) uint32 {
	return proxyIncrementMetric(id, offset)
}

func (host) ProxyRecordMetric(id uint32, value uint64) uint32 {
	return proxyRecordMetric(id, value)
}

func (host) ProxyGetMetric(id uint32, value *uint64) uint32 {
	return proxyGetMetric(id, unsafe.Pointer(value))
}

func (host) ProxyRegisterSharedQueue(*byte, int, *uint32) uint32            { return unimplemented }
func (host) ProxyResolveSharedQueue(*byte, int, *byte, int, *uint32) uint32 { return unimplemented }
func (host) ProxyDequeueSharedQueue(uint32, **byte, *int) uint32            { return unimplemented }
func (host) ProxyEnqueueSharedQueue(uint32, *byte, int) uint32              { return unimplemented }
func (host) ProxyAddHeaderMapValue(uint32, *byte, int, *byte, int) uint32   { return unimplemented }
func (host) ProxyContinueStream(uint32) uint32                              { return unimplemented }
func (host) ProxyCloseStream(uint32) uint32                                 { return unimplemented }
func (host) ProxyRemoveHeaderMapValue(uint32, *byte, int) uint32            { return unimplemented }
func (host) ProxySetHeaderMapPairs(uint32, *byte, int) uint32               { return unimplemented }
func (host) ProxySetBufferBytes(uint32, int, int, *byte, int) uint32        { return unimplemented }
func (host) ProxyCallForeignFunction(*byte, int, *byte, int, **byte, *int) uint32 {
	return unimplemented
}
func (host) ProxyDone() uint32 { return unimplemented }

// calls is false for ever, which the linker cannot know.
var calls bool

// keepMethods refers to every method through hostCalls. The linker drops methods that no reachable interface call
// can mean, judging by name and signature, and the SDK's signatures have the SDK's types in them; without this the
// first host call would die with "unreachable method called. linker bug?".
func keepMethods(h hostCalls) {
	if !calls {
		return
	}
	h.ProxyLog(0, nil, 0)
	h.ProxySetProperty(nil, 0, nil, 0)
	h.ProxyGetProperty(nil, 0, nil, nil)
	h.ProxySendLocalResponse(0, nil, 0, nil, 0, nil, 0, 0)
	h.ProxyGetSharedData(nil, 0, nil, nil, nil)
	h.ProxySetSharedData(nil, 0, nil, 0, 0)
	h.ProxyRegisterSharedQueue(nil, 0, nil)
	h.ProxyResolveSharedQueue(nil, 0, nil, 0, nil)
	h.ProxyDequeueSharedQueue(0, nil, nil)
	h.ProxyEnqueueSharedQueue(0, nil, 0)
	h.ProxyGetHeaderMapValue(0, nil, 0, nil, nil)
	h.ProxyAddHeaderMapValue(0, nil, 0, nil, 0)
	h.ProxyReplaceHeaderMapValue(0, nil, 0, nil, 0)
	h.ProxyContinueStream(0)
	h.ProxyCloseStream(0)
	h.ProxyRemoveHeaderMapValue(0, nil, 0)
	h.ProxyGetHeaderMapPairs(0, nil, nil)
	h.ProxySetHeaderMapPairs(0, nil, 0)
	h.ProxyGetBufferBytes(0, 0, 0, nil, nil)
	h.ProxySetBufferBytes(0, 0, 0, nil, 0)
	h.ProxyHttpCall(nil, 0, nil, 0, nil, 0, nil, 0, 0, nil)
	h.ProxyCallForeignFunction(nil, 0, nil, 0, nil, nil)
	h.ProxySetTickPeriodMilliseconds(0)
	h.ProxySetEffectiveContext(0)
	h.ProxyDone()
	h.ProxyDefineMetric(0, nil, 0, nil)
	h.ProxyIncrementMetric(0, 0)
	h.ProxyRecordMetric(0, 0)
	h.ProxyGetMetric(0, nil)
}
