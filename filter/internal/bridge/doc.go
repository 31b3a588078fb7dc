// Package bridge lets the proxy-wasm SDK (github.com/tetratelabs/proxy-wasm-go-sdk v0.24.0) run under the standard Go
// toolchain, and adds the raw host calls that the request path uses.
//
// The SDK declares its host calls and callbacks for TinyGo only. Built by the standard toolchain it sends every host
// call through its variable currentHost, an interface, and its callbacks are plain functions that nothing exports. So:
//
//   - sdk.go links to currentHost and puts in it a host that makes real calls, and links to the SDK's callbacks;
//   - exports.go exports those callbacks under the names that Envoy looks up;
//   - imports.go declares the host calls, raw.go the ones of the request path;
//   - memory.go hands out the buffers that the host fills.
//
// Callbacks that run for every stream are exported by package main itself: each exported callback costs every request
// about 0.3 µs, so none is exported that is not needed.
package bridge
