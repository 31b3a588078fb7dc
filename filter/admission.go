//go:build wasip1

package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/reply"
)

// clusterName is the property that has the name of the upstream cluster, as the route has it.
const clusterName = "xds\x00cluster_name"

// onRequestHeaders asks the breaker of the request's cluster. A request that is not admitted goes to the fallback, or gets a
// reply here and now.
//
//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, _, endOfStream uint32) uint32 {
	s := find(id)
	if s == nil {
		return uint32(types.ActionContinue)
	}
	s.bodied = endOfStream == 0
	if s.plugin.config.StatusPath != "" && s.plugin.answerStatus() {
		forget(s)
		return uint32(types.ActionPause)
	}
	name := bridge.Property(clusterName)
	if len(name) == 0 {
		forget(s) // a direct response or redirect
		return uint32(types.ActionContinue)
	}
	c := s.plugin.cluster(name)
	if c == nil {
		forget(s)
		return uint32(types.ActionContinue)
	}
	permit := c.breaker.TryAcquire()
	if !permit.Admitted() {
		marked := fallBack(s, c)
		if !marked {
			c.breaker.Reject()
			c.reject(&permit, s.bodied)
			forget(s)
			return uint32(types.ActionPause)
		}
		c.breaker.FallBack()
		note("fallback", permit.State(), c.name, "", "")
	} else {
		s.cluster, s.permit = c, permit
	}
	s.start()
	if endOfStream != 0 {
		s.requestEnds()
	}
	return uint32(types.ActionContinue)
}

// fallBack marks a request that its cluster does not take by a header, which changes its route. It reports false if no
// fallback is configured, or if the fallback's own breaker does not take the request either.
func fallBack(s *stream, c *cluster) bool {
	f := &c.rules.Fallback
	if f.Header == "" {
		return false
	}
	s.marked, s.cluster = true, c
	if f.Cluster != "" {
		to := s.plugin.cluster([]byte(f.Cluster))
		if to == nil {
			return false
		}
		if s.permit = to.breaker.TryAcquire(); !s.permit.Admitted() {
			return false
		}
		s.cluster = to
	}
	return bridge.SetHeader(bridge.RequestHeaders, f.Header, f.Value) == bridge.OK
}

// reject answers a request in the upstream's place. One without a body is none of gRPC-Web.
func (c *cluster) reject(p *breaker.Permit, bodied bool) {
	grpcWeb := ""
	if bodied {
		grpcWeb = grpcWebType()
	}
	seconds := reply.WholeSeconds(p.RetryAfter)
	r := c.reply
	if r == nil || r.State != p.State() || r.Seconds != seconds || grpcWeb != "" {
		r = c.rules.Reject.Fill(c.name, p.State(), seconds, grpcWeb)
		if grpcWeb == "" {
			c.reply = r
		}
	}
	note("rejected", p.State(), c.name, "", "")
	bridge.SendLocalResponse(r.Status, r.Details, r.Body, r.Headers, reply.GRPCUnavailable)
}

// grpcWebType returns the content type of a gRPC-Web request, and "" for any other.
func grpcWebType() string {
	if t := bridge.Header(bridge.RequestHeaders, "content-type"); reply.IsGRPCWeb(t) {
		return string(t)
	}
	return ""
}
