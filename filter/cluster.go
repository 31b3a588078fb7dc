//go:build wasip1

package main

import (
	"math/rand/v2"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/reply"
	"envoy-circuit-breaker/filter/statuspage"
)

// A cluster is an upstream cluster as one worker sees it, or one route to it that has a breaker of its own.
//
// There are many of them, and each worker has its own. So one is a single allocation, but for its name, and what many clusters have in
// common it only points to.
type cluster struct {
	stats          // with the owner, and the plugin
	id      string // the owner's, which shares its memory
	rules   *config.Rules
	breaker breaker.Breaker
	queue   *queue       // nil where slow calls are off
	reply   *reply.Reply // the last one, which serves until its retry-after changes

	fallback fallbackRoute

	probing    bool   // a probe is out
	probeError string // why the last probe could not be made, as logged
}

// newCluster connects a breaker to Envoy. Stats and keys of shared data carry the plugin's name, since all the plugins of
// an Envoy may share one namespace (Istio gives each the same empty vm_id).
func newCluster(p *plugin, o owner) (*cluster, error) {
	if err := p.takeGeneration(); err != nil {
		return nil, err
	}
	id := o.id()
	rules := p.config.For(o.name, o.route)
	c := &cluster{stats: stats{plugin: p, owner: ownerOf(id)}, id: id, rules: rules, queue: p.queueOf(rules.Policy.SlowCallDuration)}
	p.announce(o, &c.rules.Policy)
	isFirst, changed := c.enforce()
	for s := range numStats {
		// One worker is enough to make Envoy show all stats of a cluster, at zero if they are new.
		if s == breaker.Calls || isFirst && c.mayMove(s) {
			if err := c.stats.define(s); err != nil {
				return nil, err
			}
		}
	}
	if err := c.makeBreaker(); err != nil {
		return nil, err
	}
	if changed {
		c.show()
	}
	return c, nil
}

func (c *cluster) makeBreaker() error {
	return c.breaker.Init(breaker.Config{
		Policy:       &c.rules.Policy,
		Store:        (*recordOf)(c),
		Counts:       (*countsOf)(c),
		Streaks:      (*streakOf)(c),
		Before:       c.recordBefore,
		Tally:        &c.stats,
		Clock:        clock{},
		Rand:         rand.Uint64,
		Generation:   c.plugin.generation,
		Verdicts:     c.rules.Verdicts(),
		Group:        c.plugin.group,
		Member:       c.plugin.registry.clusters[c.id].number,
		OnTransition: c.onTransition,
		OnHiddenStat: c.onHiddenStat,
	})
}

// The values of a cluster that its breaker keeps in shared data, each a breaker.Store.
type (
	recordOf cluster
	countsOf cluster
	streakOf cluster
)

func (c *recordOf) Load() ([]byte, uint32) { return (*cluster)(c).stored("record").Load() }
func (c *countsOf) Load() ([]byte, uint32) { return (*cluster)(c).stored("counts").Load() }
func (c *streakOf) Load() ([]byte, uint32) { return (*cluster)(c).stored("streak").Load() }

func (c *recordOf) CompareAndSwap(value []byte, version uint32) bool {
	return (*cluster)(c).stored("record").CompareAndSwap(value, version)
}

func (c *countsOf) CompareAndSwap(value []byte, version uint32) bool {
	return (*cluster)(c).stored("counts").CompareAndSwap(value, version)
}

func (c *streakOf) CompareAndSwap(value []byte, version uint32) bool {
	return (*cluster)(c).stored("streak").CompareAndSwap(value, version)
}

func (c *cluster) stored(kind string) *sharedData { return &sharedData{kind, c.plugin.name, c.id} }

// renew lets the breaker go by the plugin's new generation. What it has admitted it still knows by the record.
func (c *cluster) renew() {
	c.plugin.announce(c.owner, &c.rules.Policy)
	c.enforce()
	c.show()
	_ = c.makeBreaker() // the policy is good: it has made one before
}

// recordBefore reads the record that version 1 of the plugin has, by its key. It knew no routes.
func (c *cluster) recordBefore() []byte {
	if c.route != "" {
		return nil
	}
	value, _ := bridge.SharedData([]byte("circuit_breaker/1\x00record\x00" + c.plugin.nameBefore + "\x00" + c.name))
	return value
}

func (c *cluster) onTransition(m breaker.Transition) {
	text := statuspage.Describe(&c.rules.Policy, m)
	bridge.LogWarnf("%v: %s", c.owner, text)
	remember(c.plugin.name, c.id, m, text)
	c.readMode() // the gauge is set next
}

func (c *cluster) onHiddenStat(s breaker.Stat) {
	if c.plugin.warned {
		return
	}
	c.plugin.warned = true
	bridge.LogWarnf("%v: the stat %v always reads 0, so a stats_matcher hides it: the breaker counts in shared data instead, which is slower. "+
		"Let the stats that contain circuit_breaker pass", c.owner, s)
}
