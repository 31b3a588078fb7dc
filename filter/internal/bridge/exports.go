//go:build wasip1

package bridge

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion() {}

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(contextID, configurationSize uint32) bool {
	return bool(sdkOnVMStart(contextID, int(configurationSize)))
}

//go:wasmexport proxy_on_configure
func proxyOnConfigure(pluginContextID, configurationSize uint32) bool {
	return bool(sdkOnConfigure(pluginContextID, int(configurationSize)))
}

// CreatePlugin makes the SDK's context of a plugin. Package main calls it from proxy_on_context_create, which it
// exports itself because streams pass through it too.
func CreatePlugin(contextID uint32) { sdkOnContextCreate(contextID, 0) }

// Tick passes a tick on to a plugin's context, which the SDK must know: it panics otherwise. So package main exports proxy_on_tick
// itself, and proxy_on_http_call_response.
func Tick(contextID uint32) { sdkOnTick(contextID) }

// HTTPCallResponse passes the answer to a call of the plugin's own on to who made it.
func HTTPCallResponse(contextID, calloutID, numHeaders, bodySize, numTrailers uint32) {
	sdkOnHTTPCallResponse(contextID, calloutID, int(numHeaders), int(bodySize), int(numTrailers))
}

// DeletePlugin drops the SDK's context of a plugin.
func DeletePlugin(contextID uint32) { sdkOnDelete(contextID) }
