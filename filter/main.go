// Command filter is the Envoy plugin: an HTTP filter that keeps a circuit breaker per upstream cluster. It is compiled to
// WebAssembly by the standard Go toolchain:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm ./filter
//
// Package config is what it is configured with, verdict decides how a request ended, and reply answers one that is not
// admitted. The rest is compiled for WebAssembly only: plugin (plugin.go) is one configured plugin in one worker, streams.go
// follows the requests, and cluster.go connects package breaker to Envoy's stats and shared data.
package main

// main never runs: the module is a reactor, and init registers the plugin.
func main() {}
