//go:build wasip1

package main

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"envoy-circuit-breaker/breaker"
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
	_, err := proxywasm.DispatchHttpCall(c.name, headers, nil, nil, timeout, func(numHeaders, _, _ int) {
		c.probing = false
		c.breaker.EndProbe(probe, numHeaders > 0 && r.Good.Has(probeStatus()))
	})
	if err != nil {
		c.probing = false
		c.probeFailed(probe, err)
		return
	}
	c.probeError = ""
}

// probeFailed ends a probe that could not even be made. That is most likely a mistake in the configuration, so it is
// logged, but not again and again.
func (c *cluster) probeFailed(probe breaker.Probe, err error) {
	if text := smallfmt.Sprintf("%v cannot be probed: %v", c.owner, err); text != c.probeError {
		c.probeError = text
		proxywasm.LogWarn(text)
	}
	c.breaker.EndProbe(probe, false)
}

// probeStatus reads the status of the probe's answer; -1 if there is none.
func probeStatus() int {
	headers, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		return -1
	}
	for _, h := range headers {
		if h[0] == ":status" {
			return verdict.ParseStatus([]byte(h[1]))
		}
	}
	return -1
}
