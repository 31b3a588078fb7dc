//go:build wasip1 && faulty

package main

import "envoy-circuit-breaker/filter/internal/bridge"

// injectFault crashes the virtual machine where a request asks for it. It is only in the build that tests see crashes with.
func injectFault() {
	if bridge.Header(bridge.RequestHeaders, "x-test-only-panic") != nil {
		panic("a request asked for it")
	}
}
