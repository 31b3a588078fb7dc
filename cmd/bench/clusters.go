//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

const manyClusters = 10_000

// measureClusters compares what a request takes where the requests go to 10,000 clusters in turn, to what it takes where there is
// one cluster only. Each has an Envoy, with a listener without the filter: many clusters cost Envoy something by itself.
func (b *bench) measureClusters(ctx context.Context) error {
	if err := raiseFileLimit(); err != nil {
		return err
	}
	counts := [2]int{1, manyClusters}
	listeners := [2]string{"none", "many"}
	var envoys [2]*server
	var requests [2][][]byte
	for i, n := range counts {
		b.progress.at(0.1*float64(i), "starting Envoy with %d clusters", n)
		e, err := b.startEnvoy(ctx, 1, n, unfiltered("none"), ours("many", manyConfig))
		if err != nil {
			return err
		}
		defer e.Stop()
		envoys[i] = e
		for c := range n {
			requests[i] = append(requests[i], request(okPath, c))
		}
		for j, l := range listeners {
			b.progress.at(0.1*float64(i)+0.05*float64(j), "warming up %d clusters", n)
			if _, err := b.loop.run(load{port: e.port(l), requests: requests[i], connections: connections, count: warmUps + 2*n}, nil, nil); err != nil {
				return err
			}
		}
	}

	var cpu [2][2][]float64 // µs a request, by clusters and listener
	var added [2][]float64  // µs more with the filter, by clusters
	var whole, without []float64
	for round := range b.rounds {
		for _, n := range rand.Perm(4) {
			if err := ctx.Err(); err != nil {
				return err
			}
			b.progress.at(0.3+0.7*float64(round)/float64(b.rounds), "10,000 clusters against 1, round %d of %d", round+1, b.rounds)
			i, j := n/2, n%2
			e := envoys[i]
			took, l, err := b.slice(e, load{port: e.port(listeners[j]), requests: requests[i], length: 2 * slice})
			if err != nil {
				return err
			}
			if l.statuses[200] != l.answered {
				return fmt.Errorf("%d of %d requests to %d clusters failed", l.answered-l.statuses[200], l.answered, counts[i])
			}
			cpu[i][j] = append(cpu[i][j], took)
		}
		last := func(i, j int) float64 { return cpu[i][j][round] }
		for i := range added {
			added[i] = append(added[i], last(i, 1)-last(i, 0))
		}
		whole = append(whole, last(1, 1)/last(0, 1))
		without = append(without, last(1, 0)/last(0, 0))
	}
	b.report("growth of CPU a request from 1 to 10,000 clusters: ÷ that without filter", "", most(1.1), quotients(whole, without)...)
	b.report("that growth with the filter", "", goal{}, whole...)
	b.report("that growth without it", "", goal{}, without...)
	b.report("that growth of what the filter adds", "", goal{}, shares(added[1], median(added[0]))...)
	return nil
}
