//go:build linux

package main

import (
	"context"
	"os"
	"time"
)

const startRounds = 5

// measureStart measures the plugin's file, and how much later Envoy's first answer comes with it.
func (b *bench) measureStart(ctx context.Context) error {
	file, err := os.Stat(pluginFile)
	if err != nil {
		return err
	}
	b.report("plugin", "MB", most(4.5), float64(file.Size())/megabyte)

	var added []float64
	for round := range startRounds {
		b.progress.at(float64(round)/float64(startRounds), "start of Envoy, round %d of %d", round+1, startRounds)
		var took [2]time.Duration
		for with, l := range [2]listener{none("main"), ours("main", defaultConfig)} {
			if took[with], err = b.startOf(ctx, l); err != nil {
				return err
			}
		}
		added = append(added, (took[1] - took[0]).Seconds())
	}
	b.report("start of Envoy: added until its first answer", "s", most(1), added...)
	return nil
}

// startOf returns how long an Envoy takes from nothing to its first answer.
func (b *bench) startOf(ctx context.Context, l listener) (took time.Duration, err error) {
	began := time.Now()
	e, err := b.startEnvoy(ctx, 1, 1, l)
	if err != nil {
		return 0, err
	}
	defer e.stop()
	_, err = b.loop.run(load{port: e.ports[l.Name], requests: [][]byte{request(okPath, 0)}, connections: 1, count: 1}, nil,
		func() error { took = time.Since(began); return nil })
	return took, err
}
