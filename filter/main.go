//go:build wasip1

// Command filter is the Envoy plugin: an HTTP filter that keeps a circuit breaker per upstream cluster. It is compiled to
// WebAssembly by the standard Go toolchain:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm ./filter
//
// A request meets the parts in this order:
//
//   - Configuration: package config has read it when the worker started the plugin (plugin.go), and has a cluster's rules.
//   - Admission: at the request's headers (admission.go) the breaker of its cluster is asked (cluster.go), unless all are closed
//     (calm.go).
//   - Verdict: request.go knows when the request has been sent, answer.go reads the answer as it passes, waiting.go looks at those
//     that hang. When the stream has ended (outcome.go), ending.go puts together how, package verdict judges that, and the breaker
//     is told.
//   - Reply: what is not admitted is marked for a fallback or gets the answer that package reply makes (admission.go); fallback.go
//     finds out whether the fallback has a route.
//
// Streams in flight are in streams.go; note.go tells access logs of them. A breaker reaches Envoy by shareddata.go, stats.go
// and clock.go. Which clusters have one is in registry.go, which of several configurations is in force in generation.go, what
// holds where one does not in keep.go, what the gauges tell in gauges.go, and what becomes of a plugin that is removed in removed.go.
// Beside the requests, probe.go probes clusters, and status.go and listing.go keep and read what package statuspage shows.
//
// This package does what takes an Envoy and nothing else. The packages config, verdict, reply and statuspage know no host;
// internal/bridge is the way to it.
package main

// main never runs: the module is a reactor, and the host calls what it exports.
func main() {}
