//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"envoy-circuit-breaker/internal/envoy"
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
	slice       = 100 * time.Millisecond // of a variant, in each round
	settling    = 25 * time.Millisecond  // before each slice: new connections, cold caches
	warmUps     = 3000                   // requests

	// envoys are measured one after the other: how the parts of one happen to lie in memory makes more of a difference than
	// the rounds do.
	envoys = 3
)

// measureRequests measures what filters add to a request. Envoy is loaded as much as it can take, so its core is busy with
// requests all the time; all its CPU time, whichever of its threads took it, is divided by the requests that it answered.
func (b *bench) measureRequests(ctx context.Context) error {
	none := &variant{name: "no filter", listener: "none", path: okPath}
	noneFailing := &variant{name: "no filter, half of all requests fail", listener: "none", path: halfPath}
	noneMessage := &variant{name: "no filter, with a body", listener: "none", path: messagePath}
	emptyPlugin := &variant{name: "empty Go plugin", listener: "empty", path: okPath, base: none}
	healthy := &variant{name: "ours, healthy", listener: "healthy", path: okPath, base: none}
	full := &variant{name: "ours, healthy, with a body, slow calls, overrides and gRPC", listener: "full", path: messagePath, base: noneMessage}
	failing := &variant{name: "ours, half of all requests fail", listener: "failing", path: halfPath, base: noneFailing}
	direct := &variant{name: "empty Go plugin, direct_response", listener: "empty", path: directPath}
	open := &variant{name: "ours, open: rejects", listener: "open", path: okPath}
	b.variants = []*variant{
		none, noneFailing, noneMessage, emptyPlugin,
		{name: "admission_control (native)", listener: "admission_control", path: okPath, base: none},
		{name: "Lua, nothing shared", listener: "lua", path: okPath, base: none},
	}
	listeners := []envoy.Listener{unfiltered("none"), empty(), admissionControl, lua,
		ours("healthy", defaultConfig), ours("full", fullConfig), ours("failing", failingConfig), ours("open", openConfig)}
	rust := &variant{name: "Rust peer", listener: "peer", path: okPath, base: none}
	if b.peer != "" {
		b.variants = append(b.variants, rust)
		listeners = append(listeners, rustPeer(b.peer))
	}
	b.variants = append(b.variants, healthy, full, failing, direct, open)
	var latencies *latency
	for n := range envoys {
		b.progress.at(0.8*float64(n)/envoys, "starting Envoy %d of %d", n+1, envoys)
		err := func() error {
			e, err := b.startEnvoy(ctx, 1, 1, listeners...)
			if err != nil {
				return err
			}
			defer e.Stop()
			if err := b.measureVariants(ctx, e, n); err != nil || n < envoys-1 {
				return err
			}
			latencies, err = b.measureLatency(ctx, e, emptyPlugin, healthy)
			return err
		}()
		if err != nil {
			return err
		}
	}
	for _, v := range b.variants {
		v.ratio = shares(v.added, median(emptyPlugin.added))
	}
	b.report("healthy: CPU added ÷ empty plugin's", "", most(1.6), healthy.ratio...)
	if b.peer != "" {
		b.report("the same ÷ the Rust peer's", "", most(0.9), shares(healthy.added, median(rust.added))...)
	}
	b.report("with a body, slow calls, overrides and gRPC: CPU added ÷ empty plugin's", "", most(1.75), full.ratio...)
	b.report("half of all requests fail: CPU added ÷ empty plugin's", "", most(1.9), failing.ratio...)
	b.report("open: rejects/s ÷ direct_response/s behind the empty plugin", "", least(0.8), quotients(open.rate, direct.rate)...)
	latencies.report(b)
	return nil
}

// measureVariants measures the CPU of each variant in the rounds that are the nth Envoy's.
func (b *bench) measureVariants(ctx context.Context, e *server, n int) error {
	// Open the breaker that is to be measured open.
	if _, err := b.loop.run(load{port: e.port("open"), requests: [][]byte{request(failPath, 0)}, connections: 1, count: 100}, nil, nil); err != nil {
		return err
	}
	for _, v := range b.variants {
		if _, err := b.loop.run(v.load(e, load{connections: connections, count: warmUps}), nil, nil); err != nil {
			return err
		}
	}
	for round := n * b.rounds / envoys; round < (n+1)*b.rounds/envoys; round++ {
		for _, i := range rand.Perm(len(b.variants)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			v := b.variants[i]
			b.progress.at(0.8*(float64(round)/float64(b.rounds)+0.2/envoys), "CPU a request, round %d of %d", round+1, b.rounds)
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
	return nil
}

// slice loads Envoy as much as it can take for a moment, and returns how many µs of CPU a request takes.
func (b *bench) slice(e *server, w load) (cpu float64, l loaded, err error) {
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

func (v *variant) load(e *server, l load) load {
	l.port, l.requests = e.port(v.listener), [][]byte{request(v.path, 0)}
	return l
}

// check fails if the answers are not those that the variant is meant to get.
func (v *variant) check(l loaded) error {
	if l.answered == 0 {
		return fmt.Errorf("no answer in %v: this machine is too busy to measure anything", l.took.Round(time.Millisecond))
	}
	good := false
	switch ok, failed := l.statuses[200], l.statuses[500]; {
	case v.path == directPath, v.listener == "open":
		good = l.statuses[503] == l.answered
	case v.path == halfPath:
		good = ok+failed == l.answered && max(ok, failed)-min(ok, failed) <= 2*connections
	default:
		good = ok == l.answered
	}
	if !good {
		return fmt.Errorf("unexpected answers: of %d, %d are 200, %d are 500, %d are 503", l.answered, l.statuses[200], l.statuses[500], l.statuses[503])
	}
	return nil
}

// shares returns the values in parts of a whole.
func shares(values []float64, whole float64) []float64 {
	s := make([]float64, len(values))
	for i := range values {
		s[i] = values[i] / whole
	}
	return s
}

func quotients(a, b []float64) []float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i] / b[i]
	}
	return q
}

// latencyRounds are as many as give a median that means something.
const latencyRounds = 15

// A latency is how long answers take, with the empty plugin and with ours: µs, by quantile and round.
type latency struct {
	rate float64 // requests/s
	took [len(quantiles)][2][]float64
}

var quantiles = [...]struct {
	name  string
	share float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}}

// measureLatency measures how long answers take at half of the load that Envoy can take with the empty plugin. Both plugins get
// requests at the same moments in a round.
func (b *bench) measureLatency(ctx context.Context, e *server, empty, ours *variant) (*latency, error) {
	m := &latency{rate: median(empty.rate) / 2}
	for round := range latencyRounds {
		for i, n := range rand.Perm(2) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b.progress.at(0.8+0.2*(float64(round)+float64(i)/2)/latencyRounds, "latency, round %d of %d", round+1, latencyRounds)
			v := [2]*variant{empty, ours}[n]
			l, err := b.loop.run(v.load(e, load{connections: 8 * connections, rate: m.rate, seed: uint64(round), warmUp: settling, length: time.Second}), nil, nil)
			if err != nil {
				return nil, err
			}
			if err := v.check(l); err != nil {
				return nil, err
			}
			for q := range quantiles {
				m.took[q][n] = append(m.took[q][n], float64(l.latencies[int(quantiles[q].share*float64(len(l.latencies)))])/1e3)
			}
		}
	}
	return m, nil
}

func (m *latency) report(b *bench) {
	const p99 = 1
	b.report(fmt.Sprintf("p99 at half load (%.0f requests/s) ÷ empty plugin's", m.rate), "", most(1.15), quotients(m.took[p99][1], m.took[p99][0])...)
	for q := range quantiles {
		b.report(quantiles[q].name+" of the empty plugin", "µs", goal{}, m.took[q][0]...)
		b.report(quantiles[q].name+" of ours", "µs", goal{}, m.took[q][1]...)
	}
}
