//go:build wasip1

package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
)

// A stream is a request in flight. The callbacks of streams are exported here and go round the SDK's own dispatch, which
// would allocate a context for each.
type stream struct {
	plugin  *plugin
	cluster *cluster // nil until the request has been admitted
	permit  breaker.Permit
	began   breaker.Time // where slow calls are on
	headers breaker.Time // when response headers came, likewise
}

var (
	streams = map[uint32]*stream{}
	free    []*stream // for reuse
)

//go:wasmexport proxy_on_context_create
func onContextCreate(id, pluginID uint32) {
	if pluginID == 0 {
		bridge.CreatePlugin(id)
		return
	}
	p := plugins[pluginID]
	if p == nil {
		return
	}
	s := &stream{}
	if n := len(free); n > 0 {
		s, free = free[n-1], free[:n-1]
	}
	s.plugin = p
	streams[id] = s
	p.streams++
}

// forget ends a stream for the plugin: whatever Envoy still calls for it is of no interest.
func forget(id uint32, s *stream) {
	delete(streams, id)
	s.plugin.streams--
	*s = stream{}
	free = append(free, s)
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, _, _ uint32) uint32 {
	s := streams[id]
	if s == nil {
		return uint32(types.ActionContinue)
	}
	name := bridge.Property("xds\x00cluster_name")
	if len(name) == 0 {
		forget(id, s) // a direct response or redirect
		return uint32(types.ActionContinue)
	}
	c := s.plugin.cluster(name)
	if c == nil {
		forget(id, s)
		return uint32(types.ActionContinue)
	}
	permit := c.breaker.Acquire()
	if !permit.Admitted() {
		forget(id, s)
		reject(c, &permit)
		return uint32(types.ActionPause)
	}
	s.cluster, s.permit = c, permit
	if c.rules.Policy.SlowCallDuration > 0 {
		s.began = clock{}.Now()
	}
	return uint32(types.ActionContinue)
}

// onResponseHeaders takes the time where slow calls are on, and gives a trial its verdict where that is final already, so
// that a long download does not hold recovery up.
//
//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, _, _ uint32) uint32 {
	s := streams[id]
	if s == nil || s.cluster == nil {
		return uint32(types.ActionContinue)
	}
	if s.began != 0 {
		s.headers = clock{}.Now()
	}
	if s.permit.Trial() && final() {
		done(id, s)
	}
	return uint32(types.ActionContinue)
}

// final reports whether an answer's headers say all: those of the upstream's own, other than gRPC, whose status comes in
// the trailers.
func final() bool {
	const grpc = "application/grpc"
	contentType := bridge.Header(bridge.ResponseHeaders, "content-type")
	if len(contentType) >= len(grpc) && string(contentType[:len(grpc)]) == grpc {
		return false
	}
	return endedBy(bridge.Property(codeDetails)) == answered
}

//go:wasmexport proxy_on_log
func onLog(id uint32) {
	s := streams[id]
	if s == nil {
		return
	}
	if s.cluster == nil {
		forget(id, s) // its request headers were never seen
		return
	}
	done(id, s)
}

const codeDetails = "response\x00code_details"

// done gives the verdict on a stream.
func done(id uint32, s *stream) {
	e := ending{origin: endedBy(bridge.Property(codeDetails)), grpc: -1}
	if e.origin == answered {
		e.status = number(bridge.Header(bridge.ResponseHeaders, ":status"))
		if e.status == 200 && s.cluster.rules.FailureOn.grpc != 0 {
			e.grpc = grpcStatus()
		}
	}
	if s.began != 0 {
		end := s.headers
		if e.hasHeaders = end != 0; !e.hasHeaders {
			end = clock{}.Now()
		}
		e.took = end.Sub(s.began)
	}
	outcome, _ := s.cluster.rules.judge(e)
	s.cluster.breaker.Done(s.permit, outcome)
	forget(id, s)
}

// grpcStatus reads the gRPC status from the trailers, or from the headers of a reply that has no more than them. It
// returns -1 if there is none.
func grpcStatus() int {
	if v := bridge.Header(bridge.ResponseTrailers, "grpc-status"); v != nil {
		return number(v)
	}
	return number(bridge.Header(bridge.ResponseHeaders, "grpc-status"))
}

// number reads a decimal number; -1 if it is none.
func number(digits []byte) int {
	if len(digits) == 0 || len(digits) > 9 {
		return -1
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return -1
		}
		n = n*10 + int(d-'0')
	}
	return n
}

// reject answers a request in the upstream's place.
func reject(c *cluster, p *breaker.Permit) {
	r := &c.rules.Reject
	headers := appendHeaders(nil, [2]string{"retry-after", retryAfter(p.RetryAfter)})
	bridge.SendLocalResponse(uint32(r.Status), "circuit_breaker_"+p.State, []byte(r.Body), headers, -1)
}
