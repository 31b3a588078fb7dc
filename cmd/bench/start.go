//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"os"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/wasmcode"
)

const startRounds = 3

// measureStart measures the plugin's file, and how much later Envoy's first answer comes with it.
func (b *bench) measureStart(ctx context.Context) error {
	file, err := os.ReadFile(pluginFile)
	if err != nil {
		return err
	}
	code, err := wasmcode.Size(file)
	if err != nil {
		return err
	}
	b.report("plugin", "MB", most(4.5), float64(len(file))/megabyte)
	b.report("code in the plugin", "MB", most(2), float64(code)/megabyte)

	filters := []envoy.Listener{unfiltered("main"), empty(), ours("main", defaultConfig)}
	var added [2][]float64 // s, of the empty plugin and of ours
	for round := range startRounds {
		var took [3]time.Duration
		for n, i := range rand.Perm(len(filters)) {
			share := (float64(round) + float64(n)/float64(len(filters))) / (startRounds + 1)
			b.progress.at(share, "start of Envoy, round %d of %d", round+1, startRounds)
			if took[i], err = b.startOf(ctx, b.machine.envoyCores(), filters[i]); err != nil {
				return err
			}
		}
		for i := range added {
			added[i] = append(added[i], (took[i+1] - took[0]).Seconds())
		}
	}
	b.report("start of Envoy: added until its first answer ÷ empty plugin's", "", most(1.4), quotients(added[1], added[0])...)
	b.report("added by ours", "s", goal{}, added[1]...)
	b.report("added by the empty plugin", "s", goal{}, added[0]...)

	b.progress.at(float64(startRounds)/(startRounds+1), "start of Envoy, with all cores")
	without, err := b.startOf(ctx, b.machine.allCores(), filters[0])
	if err != nil {
		return err
	}
	with, err := b.startOf(ctx, b.machine.allCores(), filters[2])
	b.report("added by ours, with all cores", "s", goal{}, (with - without).Seconds())
	return err
}

// startOf returns how long an Envoy that may run on the cores takes from nothing to its first answer.
func (b *bench) startOf(ctx context.Context, cores string, l envoy.Listener) (took time.Duration, err error) {
	began := time.Now()
	e, err := b.startEnvoyAs(ctx, setup{cores: cores, workers: 1, clusters: 1}, l)
	if err != nil {
		return 0, err
	}
	defer e.Stop()
	_, err = b.loop.run(load{port: e.port(l.Name), requests: [][]byte{request(okPath, 0)}, connections: 1, count: 1}, nil,
		func() error { took = time.Since(began); return nil })
	return took, err
}
