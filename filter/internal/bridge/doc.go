// Package bridge makes the host calls of proxy-wasm as the standard Go toolchain can make them. The Go SDK for proxy-wasm makes its own
// for TinyGo only, and brings along package fmt, which brings os: 100 KB more of code for each Envoy to compile and keep.
// https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
//
//   - imports.go declares the host calls, raw.go, plugin.go and log.go make them;
//   - memory.go hands out the buffers that the host fills;
//   - gc.go sets how much garbage there may be.
//
// Callbacks are exported by package main itself: each exported one costs every request about 0.3 µs, so none is exported that is not
// needed.
package bridge
