//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A variant is a listener and what is asked of it, and what came of that in each round.
type variant struct {
	name     string // for people
	listener string
	path     string
	base     *variant // the same without a filter, which what the filter adds is counted from; nil if that is not of interest

	cpu, rate    []float64 // µs of CPU a request; requests/s
	added, ratio []float64 // µs more than base; the same ÷ the empty plugin's median
}

const (
	connections = 8                      // enough to keep Envoy busy; more of them only wear its caches
	slice       = 200 * time.Millisecond // of a variant, in each round
	settling    = 50 * time.Millisecond  // before each slice: new connections, cold caches
	warmUps     = 20_000                 // requests, by which V8 has compiled what is hot
)

// measureRequests measures what filters add to a request. Envoy is loaded as much as it can take, so its core is busy with
// requests all the time; all its CPU time, whichever of its threads took it, is divided by the requests that it answered.
func (b *bench) measureRequests(ctx context.Context) error {
	b.progress.at(0, "starting Envoy")
	e, err := b.startEnvoy(ctx, 1, 1, none("none"), empty(), admissionControl, lua,
		ours("healthy", defaultConfig), ours("full", fullConfig), ours("failing", failingConfig), ours("open", openConfig))
	if err != nil {
		return err
	}
	defer e.stop()

	none := &variant{name: "no filter", listener: "none", path: okPath}
	noneFailing := &variant{name: "no filter, half of all requests fail", listener: "none", path: halfPath}
	emptyPlugin := &variant{name: "empty Go plugin", listener: "empty", path: okPath, base: none}
	healthy := &variant{name: "ours, healthy", listener: "healthy", path: okPath, base: none}
	full := &variant{name: "ours, healthy, with slow calls, overrides and gRPC", listener: "full", path: okPath, base: none}
	failing := &variant{name: "ours, half of all requests fail", listener: "failing", path: halfPath, base: noneFailing}
	direct := &variant{name: "empty Go plugin, direct_response", listener: "empty", path: directPath}
	open := &variant{name: "ours, open: rejects", listener: "open", path: okPath}
	b.variants = []*variant{
		none, noneFailing, emptyPlugin,
		{name: "admission_control (native)", listener: "admission_control", path: okPath, base: none},
		{name: "Lua, nothing shared", listener: "lua", path: okPath, base: none},
		healthy, full, failing, direct, open,
	}

	// Open the breaker that is to be measured open.
	if _, err := b.loop.run(load{port: e.ports["open"], requests: [][]byte{request(failPath, 0)}, connections: 1, count: 100}, nil, nil); err != nil {
		return err
	}
	for i, v := range b.variants {
		b.progress.at(0.1*float64(i)/float64(len(b.variants)), "warming up: %s", v.name)
		if _, err := b.loop.run(v.load(e, load{connections: connections, count: warmUps}), nil, nil); err != nil {
			return err
		}
	}
	for round := range b.rounds {
		for _, i := range rand.Perm(len(b.variants)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			v := b.variants[i]
			b.progress.at(0.1+0.5*float64(round)/float64(b.rounds), "CPU a request, round %d of %d", round+1, b.rounds)
			cpu, l, err := b.slice(e, v.load(e, load{length: slice}))
			if err == nil {
				err = v.check(l)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			v.cpu = append(v.cpu, cpu)
			v.rate = append(v.rate, float64(l.answered)/l.took.Seconds())
		}
		for _, v := range b.variants {
			if v.base != nil {
				v.added = append(v.added, v.cpu[round]-v.base.cpu[round])
			}
		}
	}
	empty := median(emptyPlugin.added)
	for _, v := range b.variants {
		for _, added := range v.added {
			v.ratio = append(v.ratio, added/empty)
		}
	}
	b.report("healthy: CPU added ÷ empty plugin's", "", most(1.5), healthy.ratio...)
	b.report("the same with slow calls, overrides and gRPC", "", most(1.7), full.ratio...)
	b.report("open: rejects/s ÷ direct_response/s behind the empty plugin", "", least(0.75), quotients(open.rate, direct.rate)...)
	b.report("half of all requests fail: CPU added ÷ empty plugin's", "", most(2.2), failing.ratio...)
	return b.measureLatency(ctx, e, emptyPlugin, healthy)
}

// slice loads Envoy as much as it can take for a moment, and returns how many µs of CPU a request takes.
func (b *bench) slice(e *envoy, w load) (cpu float64, l loaded, err error) {
	w.connections, w.warmUp = connections, settling
	var before, after time.Duration
	l, err = b.loop.run(w,
		func() (err error) { before, err = e.cpu(); return err },
		func() (err error) { after, err = e.cpu(); return err })
	if err != nil {
		return 0, l, err
	}
	b.shares = append(b.shares, (after-before).Seconds()/l.took.Seconds())
	return (after - before).Seconds() * 1e6 / float64(l.answered), l, nil
}

func (v *variant) load(e *envoy, l load) load {
	l.port, l.requests = e.ports[v.listener], [][]byte{request(v.path, 0)}
	return l
}

// check fails if the answers are not those that the variant is meant to get.
func (v *variant) check(l loaded) error {
	good := false
	switch ok, failed := l.statuses[200], l.statuses[500]; {
	case v.path == directPath, v.listener == "open":
		good = l.statuses[503] == l.answered
	case v.path == halfPath:
		good = ok+failed == l.answered && max(ok, failed)-min(ok, failed) <= 2*connections
	default:
		good = ok == l.answered
	}
	if !good || l.answered == 0 {
		return fmt.Errorf("unexpected answers: of %d, %d are 200, %d are 500, %d are 503", l.answered, l.statuses[200], l.statuses[500], l.statuses[503])
	}
	return nil
}

func quotients(a, b []float64) []float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i] / b[i]
	}
	return q
}

// measureLatency measures how long answers take at half of the load that Envoy can take with the empty plugin. Both plugins get
// requests at the same moments in a round.
func (b *bench) measureLatency(ctx context.Context, e *envoy, empty, ours *variant) error {
	rate := median(empty.rate) / 2
	const percentiles = 3
	quantiles := [percentiles]float64{0.5, 0.99, 0.999}
	var took [percentiles][2][]float64 // µs, of the empty plugin and of ours
	for round := range b.rounds {
		for i, n := range rand.Perm(2) {
			if err := ctx.Err(); err != nil {
				return err
			}
			b.progress.at(0.6+0.4*(float64(round)+float64(i)/2)/float64(b.rounds), "latency, round %d of %d", round+1, b.rounds)
			v := [2]*variant{empty, ours}[n]
			l, err := b.loop.run(v.load(e, load{connections: 8 * connections, rate: rate, seed: uint64(round), warmUp: settling, length: 5 * slice}), nil, nil)
			if err != nil {
				return err
			}
			if err := v.check(l); err != nil {
				return err
			}
			for q := range quantiles {
				took[q][n] = append(took[q][n], float64(l.latencies[int(quantiles[q]*float64(len(l.latencies)))])/1e3)
			}
		}
	}
	b.report(fmt.Sprintf("p99 at half load (%.0f requests/s) ÷ empty plugin's", rate), "", most(1.1), quotients(took[1][1], took[1][0])...)
	for q, name := range [percentiles]string{"p50", "p99", "p99.9"} {
		b.report(name+" of the empty plugin", "µs", goal{}, took[q][0]...)
		b.report(name+" of ours", "µs", goal{}, took[q][1]...)
	}
	return nil
}
