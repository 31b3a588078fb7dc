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
type cluster struct {
	owner
	id      string // the owner's
	plugin  *plugin
	rules   *config.Rules
	breaker *breaker.Breaker
	record  sharedData
	counts  sharedData
	streaks sharedData
	stats   stats
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
	rules, id := p.config.For(o.name, o.route), o.id()
	c := &cluster{
		owner: o, id: id, plugin: p, rules: rules, queue: p.queueOf(rules.Policy.SlowCallDuration),
		record: sharedData{"record", p.name, id}, counts: sharedData{"counts", p.name, id},
		streaks: sharedData{"streak", p.name, id}, stats: stats{plugin: p.name, owner: o},
	}
	// One worker is enough to make Envoy show all stats of a cluster, at zero if they are new.
	p.announce(o, &c.rules.Policy)
	shown := breaker.Calls + 1
	if c.enforce() {
		shown = numStats
	}
	for s := range shown {
		if err := c.stats.define(s); err != nil {
			return nil, err
		}
	}
	if err := c.makeBreaker(); err != nil {
		return nil, err
	}
	c.show()
	return c, nil
}

func (c *cluster) makeBreaker() (err error) {
	c.breaker, err = breaker.New(breaker.Config{
		Policy:       c.rules.Policy,
		Store:        &c.record,
		Counts:       &c.counts,
		Streaks:      &c.streaks,
		Before:       c.recordBefore,
		Tally:        &c.stats,
		Clock:        clock{},
		Rand:         rand.Uint64,
		Generation:   c.plugin.generation,
		Verdicts:     c.rules.Verdicts(),
		OnTransition: c.onTransition,
		OnHiddenStat: c.onHiddenStat,
	})
	return err
}

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
