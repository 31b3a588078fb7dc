//go:build wasip1

package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/reply"
)

// Properties of a request.
const (
	clusterName = "xds\x00cluster_name"   // of the upstream cluster, as the route has it
	trialOf     = "circuit_breaker_trial" // our own: the name of the plugin whose trial it is
)

// onRequestHeaders asks the breaker of the request's cluster, unless all is calm. A request that is not admitted goes to the fallback,
// or gets a reply here and now.
//
//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, _, endOfStream uint32) uint32 {
	s := find(id)
	if s == nil {
		return uint32(types.ActionContinue)
	}
	injectFault()
	s.bodied = endOfStream == 0
	if s.plugin.config.StatusPath != "" && s.plugin.answerStatus() {
		forget(s)
		return uint32(types.ActionPause)
	}
	if s.permit, s.calm = s.plugin.group.Acquire(); s.calm {
		s.follow(endOfStream)
		return uint32(types.ActionContinue)
	}
	if s.plugin.passes() || s.plugin.isMisplaced() {
		forget(s)
		return uint32(types.ActionContinue)
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
		if permit.State() == "half_open" && s.plugin.isTwice() {
			forget(s)
			return uint32(types.ActionContinue)
		}
		marked := fallBack(s, c)
		if !marked {
			c.breaker.Reject()
			c.reject(&permit, s.bodied)
			forget(s)
			return uint32(types.ActionPause)
		}
		c.breaker.FallBack()
		note("fallback", permit.State(), c.owner, "", "")
	} else {
		s.cluster, s.permit = c, permit
	}
	s.follow(endOfStream)
	return uint32(types.ActionContinue)
}

// fallBack marks a request that its cluster does not take by a header, which changes its route. It reports false if no
// fallback is configured or its route is missing, or if the fallback's own breaker does not take the request either.
func fallBack(s *stream, c *cluster) bool {
	f := &c.rules.Fallback
	if f.Header == "" || c.routeIsMissing() {
		return false
	}
	s.marked, s.cluster = c, c
	if f.Cluster != "" {
		to := s.plugin.clusterOf(owner{f.Cluster, f.Route})
		if to == c {
			return false // which has just refused it
		}
		if to != nil { // or it has no breaker, and takes everything
			if s.permit = to.breaker.TryAcquire(); !s.permit.Admitted() {
				return false
			}
			s.cluster = to
		}
	}
	if c.mayTryRoute() && bridge.SetHeader(bridge.RequestHeaders, f.Header, f.Value) == bridge.OK {
		return true
	}
	s.cluster.breaker.Done(s.permit, breaker.Outcome{Result: breaker.Neutral})
	return false
}

// isTwice reports whether another filter of the chain is a plugin of the same name, and has made a trial of the request. Each would
// take the other's permits for its own, and no trial would ever get through.
func (p *plugin) isTwice() bool {
	if string(bridge.Property(trialOf)) != p.name {
		return false
	}
	if !p.saidTwice {
		p.saidTwice = true
		bridge.LogWarnf("the plugin %q is twice in one filter chain, and counts each request twice: take one of the two out, or give it another name", p.name)
	}
	return true
}

// isMisplaced finds out, by the first request, whether the plugin is an upstream filter: there it is asked when the request is with the
// upstream already, and never hears of its end.
func (p *plugin) isMisplaced() bool {
	if !p.placed {
		p.placed = true
		if p.misplaced = asked(); p.misplaced {
			bridge.LogWarnf("the plugin %q is an upstream filter, where it can do nothing: put it among the filters of the listener, last before the router", p.name)
		}
	}
	return p.misplaced
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
		r = c.rules.Reject.Fill(c.name, c.route, p.State(), seconds, grpcWeb)
		if grpcWeb == "" {
			c.reply = r
		}
	}
	note("rejected", p.State(), c.owner, "", "")
	bridge.SendLocalResponse(r.Status, r.Details, r.Body, r.Headers, reply.GRPCUnavailable)
}

// grpcWebType returns the content type of a gRPC-Web request, and "" for any other.
func grpcWebType() string {
	if t := bridge.Header(bridge.RequestHeaders, "content-type"); reply.IsGRPCWeb(t) {
		return string(t)
	}
	return ""
}
