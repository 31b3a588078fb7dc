package main

import (
	"context"
	"fmt"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
)

// policy is the breaker's. Ten failures in a row open it, since half of all within 10 s, the default, would take seconds at
// this rate. It stays open for 0.5 s, then 1 s, then 2 s, up to a fifth less by jitter; two trials at a time find out whether
// the service is back. An outage of hours would deserve a longer maximum, at the price of noticing its end later.
const policy = `{
  "consecutive_failures": 10,
  "open": {"duration": "500ms", "multiplier": 2, "max_duration": "2s"},
  "half_open": {"max_requests": 2, "success_threshold": 3}
}`

const settleTimeout = 5 * time.Second // for the last request to be counted

// A proxy is the demo's running Envoy.
type proxy struct{ *envoy.Envoy }

// startEnvoy starts an Envoy with the listeners "without" and "with", and waits until it serves.
func startEnvoy(ctx context.Context, binary, withoutService, withService string) (*proxy, error) {
	e, err := envoy.Start(ctx, envoy.Options{
		Binary: binary, Bootstrap: bootstrap(withoutService, withService), Workers: 2, Flags: []string{"--log-level", "warning"},
	})
	if err != nil {
		return nil, err
	}
	return &proxy{e}, nil
}

// bootstrap is that of the demo's Envoy: two listeners with a service of their own behind each, one of them with the breaker.
func bootstrap(withoutService, withService string) (b envoy.Bootstrap) {
	for _, side := range []struct {
		name, service string
		plugin        *envoy.Plugin
	}{
		{"without", withoutService, nil},
		{"with", withService, &envoy.Plugin{Config: policy}},
	} {
		cluster := clusterPrefix + side.name
		b.Clusters = append(b.Clusters, envoy.Cluster{Name: cluster, Address: side.service, Extra: "connect_timeout: 1s"})
		b.Listeners = append(b.Listeners, envoy.Listener{Name: side.name, Plugin: side.plugin, Routes: []envoy.Route{
			{Prefix: "/", Cluster: cluster, Action: fmt.Sprintf("timeout: %gs", routeTimeout.Seconds())},
		}})
	}
	return b
}

const clusterPrefix = "payments-"

// stats reads the stats of the breaker before the payment service: all 0 before the first request.
func (p *proxy) stats(ctx context.Context) (envoy.BreakerStats, error) {
	all, err := p.Breakers(ctx, "breaker")
	return all[clusterPrefix+"with"], err
}

// settled waits until the breaker has counted so many requests, each once, and returns its stats. An error says that it
// has not.
func (p *proxy) settled(ctx context.Context, requests int) (envoy.BreakerStats, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	poll := time.NewTicker(sampleInterval)
	defer poll.Stop()
	for {
		stats, err := p.stats(ctx)
		if err != nil {
			return stats, err
		}
		if stats.Sum() == uint64(requests) && stats[breaker.Errors] == 0 {
			return stats, nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return stats, fmt.Errorf("the breaker's numbers do not add up: calls + late + neutral + rejected = %d, with %d requests: %v",
				stats.Sum(), requests, stats)
		}
	}
}
