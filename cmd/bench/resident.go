//go:build linux

package main

import (
	"context"
	"time"

	"envoy-circuit-breaker/internal/envoy"
)

const (
	residentRounds  = 2
	residentWorkers = 2
	// settled is when an Envoy that has come to serve has given back of what its start took what it ever will.
	settled = 8 * time.Second

	// releaseMemory is what envoy.yaml has in its bootstrap.
	releaseMemory = "memory_allocator_manager: { bytes_to_release: 104857600, memory_release_interval: 1s }"
)

// measureResident measures by how much a plugin makes an Envoy larger that has just started: without clusters in use, and with and
// without the lines by which Envoy gives memory back to the machine.
func (b *bench) measureResident(ctx context.Context) error {
	filters := []envoy.Listener{unfiltered("none"), empty(), ours("main", defaultConfig)}
	bootstraps := []string{"", releaseMemory}
	var added [2][2][]float64 // MB, by bootstrap; of the empty plugin and of ours
	for round := range residentRounds {
		for i, bootstrap := range bootstraps {
			share := (float64(round) + float64(i)/float64(len(bootstraps))) / residentRounds
			b.progress.at(share, "memory of a process, round %d of %d", round+1, residentRounds)
			sizes, err := b.residentSizes(ctx, bootstrap, filters)
			if err != nil {
				return err
			}
			for j := range added[i] {
				added[i][j] = append(added[i][j], (sizes[j+1]-sizes[0])/megabyte)
			}
		}
	}
	b.report("resident memory added, two workers", "MB", most(92), added[0][1]...)
	b.report("the same with memory_allocator_manager", "MB", most(75), added[1][1]...)
	b.report("resident memory that the empty plugin adds", "MB", goal{}, added[0][0]...)
	b.report("the same with memory_allocator_manager, of the empty plugin", "MB", goal{}, added[1][0]...)
	return nil
}

// residentSizes starts an Envoy for each filter, so that they settle side by side, and returns their sizes.
func (b *bench) residentSizes(ctx context.Context, bootstrap string, filters []envoy.Listener) ([]float64, error) {
	var envoys []*server
	for _, f := range filters {
		e, err := b.startEnvoyAs(ctx, setup{b.machine.allCores(), residentWorkers, 1, bootstrap}, f)
		if err != nil {
			return nil, err
		}
		defer e.Stop()
		envoys = append(envoys, e)
	}
	select {
	case <-time.After(settled):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var sizes []float64
	for _, e := range envoys {
		size, err := e.memory()
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}
