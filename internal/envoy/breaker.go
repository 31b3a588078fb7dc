package envoy

import (
	"context"
	"fmt"
	"strings"

	"envoy-circuit-breaker/breaker"
)

// BreakerStats are the stats of one circuit breaker, by [breaker.Stat].
type BreakerStats [breaker.NumStats]uint64

// Breakers returns the stats of the breakers of the plugin with that name, by "CLUSTER" or "CLUSTER.route.ROUTE". A breaker has none
// before its first request.
func (e *Envoy) Breakers(ctx context.Context, plugin string) (map[string]BreakerStats, error) {
	prefix := "wasmcustom.circuit_breaker." + plugin + ".cluster."
	stats, err := e.Stats(ctx, prefix)
	if err != nil {
		return nil, err
	}
	breakers := map[string]BreakerStats{}
	for name, value := range stats {
		// The names of clusters and routes can have dots, a stat's has none.
		dot := strings.LastIndex(name, ".")
		if stat, known := statsByName[name[dot+1:]]; known && dot > len(prefix) {
			b := breakers[name[len(prefix):dot]]
			b[stat] = value
			breakers[name[len(prefix):dot]] = b
		}
	}
	return breakers, nil
}

var statsByName = func() map[string]breaker.Stat {
	byName := map[string]breaker.Stat{}
	for s := range breaker.NumStats {
		byName[s.String()] = s
	}
	return byName
}()

// State is what the breaker's gauge says.
func (b BreakerStats) State() breaker.State { return breaker.State(b[breaker.StateGauge]) }

// Sum is the number of requests: each ends up in exactly one of these stats, unless it was admitted in doubt.
func (b BreakerStats) Sum() uint64 {
	return b[breaker.Calls] + b[breaker.Late] + b[breaker.Neutrals] + b[breaker.Rejected]
}

// String lists the stats that are not 0.
func (b BreakerStats) String() string {
	var parts []string
	for s := range breaker.NumStats {
		if b[s] != 0 {
			parts = append(parts, fmt.Sprintf("%v: %d", s, b[s]))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
