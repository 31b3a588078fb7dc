//go:build linux

package main

import (
	"context"
	"fmt"

	"envoy-circuit-breaker/internal/envoy"
)

const (
	megabyte = 1e6

	memoryRounds  = 2
	moreWorkers   = 4
	someClusters  = 1000
	growthWarmUp  = 200_000
	sizeWarmUp    = 5000
	growthPortion = 50_000 // requests between two looks at the clock of the progress bar
)

// measureMemory measures what Envoy has in memory: for a worker more, for 1,000 clusters more, and after very many requests.
func (b *bench) measureMemory(ctx context.Context) error {
	var perWorker, perThousand, perThousandFurther []float64
	for round := range memoryRounds {
		var size [2][2]float64  // without and with the filter; with one worker and more
		var thousand [2]float64 // with one worker and more
		for n, workers := range [2]int{1, moreWorkers} {
			for with := range 2 {
				b.progress.at(0.5*(float64(round)+float64(2*n+with)/4)/memoryRounds, "memory, round %d of %d", round+1, memoryRounds)
				var err error
				if size[with][n], thousand[n], err = b.sizeOf(ctx, workers, with == 1); err != nil {
					return err
				}
			}
		}
		perWorker = append(perWorker, ((size[1][1]-size[1][0])-(size[0][1]-size[0][0]))/(moreWorkers-1)/megabyte)
		perThousand = append(perThousand, thousand[0]/megabyte)
		perThousandFurther = append(perThousandFurther, (thousand[1]-thousand[0])/(moreWorkers-1)/megabyte)
	}
	b.report("memory of a further worker", "MB", most(5), perWorker...)
	b.report("memory of 1,000 clusters and the first worker, with all that the workers share", "MB", most(2), perThousand...)
	b.report("memory of 1,000 clusters and a further worker", "MB", most(2), perThousandFurther...)

	grown, err := b.growthOver(ctx, b.growth)
	if err != nil {
		return err
	}
	b.report(fmt.Sprintf("growth over %d requests after %d", b.growth, growthWarmUp), "MB", most(1), grown/megabyte)
	return nil
}

// sizeOf returns how large an Envoy is, with requests behind it, and with the filter also by how much it grows when the filter
// sees 1,000 clusters more.
func (b *bench) sizeOf(ctx context.Context, workers int, with bool) (size, thousand float64, err error) {
	listeners, used := []envoy.Listener{unfiltered("none")}, "none"
	if with {
		listeners, used = append(listeners, ours("many", manyConfig)), "many"
	}
	e, err := b.startEnvoyAs(ctx, setup{cores: b.machine.allCores(), workers: workers, clusters: someClusters + 1}, listeners...)
	if err != nil {
		return 0, 0, err
	}
	defer e.Stop()
	send := func(listener string, requests [][]byte, count int) error {
		_, err := b.loop.run(load{port: e.port(listener), requests: requests, connections: 8 * connections, count: count}, nil, nil)
		return err
	}
	if err := send(used, [][]byte{request(okPath, someClusters)}, sizeWarmUp); err != nil {
		return 0, 0, err
	}
	if size, err = e.memory(); err != nil || !with {
		return size, 0, err
	}
	var spread [][]byte
	for c := range someClusters {
		spread = append(spread, request(okPath, c))
	}
	// So many that each worker has had each cluster. First without the filter, for Envoy's own connections to them.
	count := 10 * workers * someClusters
	if err := send("none", spread, count); err != nil {
		return 0, 0, err
	}
	before, err := e.memory()
	if err != nil {
		return 0, 0, err
	}
	if err := send("many", spread, count); err != nil {
		return 0, 0, err
	}
	after, err := e.memory()
	return size, after - before, err
}

// growthOver returns by how much Envoy grows over so many requests.
func (b *bench) growthOver(ctx context.Context, requests int) (float64, error) {
	e, err := b.startEnvoy(ctx, 1, 1, ours("healthy", defaultConfig))
	if err != nil {
		return 0, err
	}
	defer e.Stop()
	var before float64
	for sent := -growthWarmUp; sent < requests; sent += growthPortion {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if sent == 0 {
			if before, err = e.memory(); err != nil {
				return 0, err
			}
		}
		b.progress.at(0.5+0.5*float64(sent+growthWarmUp)/float64(requests+growthWarmUp), "growth, %d of %d requests", max(sent, 0), requests)
		portion := min(growthPortion, requests-sent)
		_, err := b.loop.run(load{port: e.port("healthy"), requests: [][]byte{request(okPath, 0)}, connections: connections, count: portion}, nil, nil)
		if err != nil {
			return 0, err
		}
	}
	after, err := e.memory()
	return after - before, err
}
