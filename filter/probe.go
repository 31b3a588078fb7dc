//go:build wasip1

package main

import (
	"strings"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/reply"
	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/smallfmt"
)

// probe calls the cluster if its breaker is open and the turn is this worker's.
func (c *cluster) probe() {
	if c.probing {
		return
	}
	probe, ok := c.breaker.BeginProbe()
	if !ok {
		return
	}
	r := &c.rules.Probe
	host := r.Host
	if host == "" {
		// In Istio's names, outbound|PORT|SUBSET|HOST, it is what comes last. Many servers refuse a host with a |.
		host = c.name[strings.LastIndexByte(c.name, '|')+1:]
	}
	headers := append([][2]string{{":method", r.Method}, {":path", r.Path}, {":authority", host}}, r.Headers...)
	timeout := uint32(c.rules.Policy.ProbeTimeout.Milliseconds())
	c.probing = true
	call, err := bridge.Call(c.name, reply.SerializeHeaders(headers), timeout)
	if err != nil {
		c.probing = false
		c.probeFailed(probe, err)
		return
	}
	c.plugin.calls[call] = func(answered bool) {
		c.probing = false
		c.breaker.EndProbe(probe, answered && r.Good.Has(verdict.ParseStatus(bridge.Header(bridge.CallHeaders, ":status"))))
	}
	c.probeError = ""
}

// probeFailed ends a probe that could not even be made. That is most likely a mistake in the configuration, so it is
// logged, but not again and again.
func (c *cluster) probeFailed(probe breaker.Probe, err error) {
	if text := smallfmt.Sprintf("%v cannot be probed: %v", c.owner, err); text != c.probeError {
		c.probeError = text
		bridge.LogWarnf("%s", text)
	}
	c.breaker.EndProbe(probe, false)
}
