//go:build linux

package main

import (
	"context"
	"os"
	"time"

	"envoy-circuit-breaker/internal/envoy"
)

const startRounds = 3

// measureStart measures the plugin's file, and how much later Envoy's first answer comes with it.
func (b *bench) measureStart(ctx context.Context) error {
	file, err := os.Stat(pluginFile)
	if err != nil {
		return err
	}
	b.report("plugin", "MB", most(4.5), float64(file.Size())/megabyte)

	var pinned []float64
	for round := range startRounds {
		b.progress.at(0.8*float64(round)/startRounds, "start of Envoy, round %d of %d", round+1, startRounds)
		added, err := b.startAdded(ctx, b.machine.envoyCores(), ours("main", defaultConfig))
		if err != nil {
			return err
		}
		pinned = append(pinned, added)
	}
	b.report("start of Envoy: added until its first answer", "s", most(1), pinned...)

	// For comparison: what any plugin in Go takes, and what it is where Envoy has all cores.
	b.progress.at(0.8, "start of Envoy, for comparison")
	small, err := b.startAdded(ctx, b.machine.envoyCores(), empty())
	if err != nil {
		return err
	}
	b.report("the same of the empty plugin", "s", goal{}, small)
	spread, err := b.startAdded(ctx, b.machine.allCores(), ours("main", defaultConfig))
	if err != nil {
		return err
	}
	b.report("the same of ours, with all cores", "s", goal{}, spread)
	return nil
}

// startAdded returns by how many seconds a plugin delays the first answer of an Envoy that may run on the cores.
func (b *bench) startAdded(ctx context.Context, cores string, plugin envoy.Listener) (float64, error) {
	without, err := b.startOf(ctx, cores, unfiltered("main"))
	if err != nil {
		return 0, err
	}
	with, err := b.startOf(ctx, cores, plugin)
	return (with - without).Seconds(), err
}

// startOf returns how long an Envoy takes from nothing to its first answer.
func (b *bench) startOf(ctx context.Context, cores string, l envoy.Listener) (took time.Duration, err error) {
	began := time.Now()
	e, err := b.startEnvoyOn(ctx, cores, 1, 1, l)
	if err != nil {
		return 0, err
	}
	defer e.Stop()
	_, err = b.loop.run(load{port: e.port(l.Name), requests: [][]byte{request(okPath, 0)}, connections: 1, count: 1}, nil,
		func() error { took = time.Since(began); return nil })
	return took, err
}
