// Package wasmhost runs a compiled plugin in process as Envoy would: in several virtual machines (Envoy's workers) that
// share one map of shared data and one set of stats. The caller holds the clock, plays the streams, counts and traces host
// calls, and can make any host call fail or have something else happen just before it.
//
//	program, err := wasmhost.Compile(ctx, "build/plugin.wasm")
//	h, err := wasmhost.New(program, wasmhost.Options{Workers: 2, Plugin: "edge", Config: `{"min_requests": 5}`})
//	s, err := h.VM(0).Request(wasmhost.Req{Cluster: "payments"})
//	if s.Continued() {
//		err = s.End(wasmhost.Timeout)
//	}
//	err = h.Advance(5 * time.Second)
//
// It follows proxy-wasm ABI 0.2.1 as proxy-wasm-cpp-host and Envoy 1.40 implement it, WASI included, which Envoy implements
// itself. What a plugin may ask at which callback, and the status that it gets, are theirs too.
//
// Workers can be driven from different goroutines at once. One worker runs one callback at a time, behind its own lock.
package wasmhost
