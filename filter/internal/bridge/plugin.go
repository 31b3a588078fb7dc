//go:build wasip1

package bridge

import (
	"math"
	"unsafe"

	"envoy-circuit-breaker/internal/smallfmt"
)

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion() {}

// Configuration reads the configuration of the plugin, in its proxy_on_configure. It is empty where there is none, and valid until the
// next host call.
func Configuration() ([]byte, error) {
	const pluginConfiguration = 7 // a buffer type of proxy-wasm
	raw = true
	status := proxyGetBufferBytes(pluginConfiguration, 0, math.MaxInt32, unsafe.Pointer(&outData), unsafe.Pointer(&outSize))
	text := result(status)
	if s := Status(status); s != OK && s != NotFound {
		return nil, smallfmt.Errorf("host status %d", status)
	}
	return text, nil
}

// SetTickPeriod has the host call proxy_on_tick from now on, every so many milliseconds.
func SetTickPeriod(milliseconds uint32) error {
	if status := proxySetTickPeriodMilliseconds(milliseconds); Status(status) != OK {
		return smallfmt.Errorf("setting the tick: host status %d", status)
	}
	return nil
}

// Call sends a request of the plugin's own to a cluster. proxy_on_http_call_response tells of the answer by the call's id; without
// headers, if there is none within so many milliseconds. headers is a serialized header map.
func Call(cluster string, headers []byte, timeout uint32) (id uint32, err error) {
	var noTrailers [4]byte // a serialized header map
	status := proxyHTTPCall(unsafe.Pointer(unsafe.StringData(cluster)), uint32(len(cluster)),
		unsafe.Pointer(unsafe.SliceData(headers)), uint32(len(headers)), nil, 0,
		unsafe.Pointer(&noTrailers), uint32(len(noTrailers)), timeout, unsafe.Pointer(&outID))
	if Status(status) != OK {
		return 0, smallfmt.Errorf("host status %d", status)
	}
	return outID, nil
}
