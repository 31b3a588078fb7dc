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

//go:wasmexport proxy_on_tick
func proxyOnTick(pluginContextID uint32) {
	sdkOnTick(pluginContextID)
}

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(pluginContextID, calloutID, numHeaders, bodySize, numTrailers uint32) {
	sdkOnHTTPCallResponse(pluginContextID, calloutID, int(numHeaders), int(bodySize), int(numTrailers))
}

// CreatePlugin makes the SDK's context of a plugin. Package main calls it from proxy_on_context_create, which it
// exports itself because streams pass through it too.
func CreatePlugin(contextID uint32) { sdkOnContextCreate(contextID, 0) }

// DeletePlugin drops the SDK's context of a plugin.
func DeletePlugin(contextID uint32) { sdkOnDelete(contextID) }
