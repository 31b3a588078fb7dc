//go:build wasip1

package main

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/internal/time"
)

// As long as all breakers of the plugin's name are plainly closed, each request is admitted, whichever cluster it is for. So nobody asks
// Envoy for its cluster before the answer comes: the first buffer that a callback asks for is the dear one, and the answer's asks for
// others anyway. See breaker.Group for how workers agree that all is calm.

// A bell is a counter of Envoy's, "circuit_breaker.PLUGIN.bell".
type bell struct{ id uint32 }

func (b *bell) Ring()         { bridge.AddMetric(b.id, 1) }
func (b *bell) Value() uint64 { return bridge.MetricValue(b.id) }

// startGroup begins the group of the plugin's breakers.
func (p *plugin) startGroup() {
	b := &bell{}
	b.id, _ = bridge.DefineMetric(bridge.Counter, []byte("circuit_breaker."+p.name+".bell")) // without it there is no calm
	p.group = breaker.NewGroup(breaker.GroupConfig{
		List:  &sharedData{kind: "not plainly closed", plugin: p.name},
		Bell:  b,
		Clock: clock{},
		Members: func() uint32 {
			p.registry.read()
			return uint32(p.registry.next)
		},
		Passes: p.passesAll,
	})
}

// passesAll reports whether the breaker at a place of the registry admits every request. Where nobody asks it, requests pass whatever
// its record says.
func (p *plugin) passesAll(place uint32) bool {
	name, version := p.registry.place(int(place)).Load()
	if version == 0 {
		return false // shared data has lost it
	}
	o := ownerOf(string(name))
	policy := &p.config.For(o.name, o.route).Policy
	return policy.Mode == breaker.Disabled || p.config.OwnRoute(o.name, o.route) != o.route ||
		policy.Plain(&sharedData{"record", p.name, o.id()}, clock{}.Coarse())
}

// look finds out whether requests need not be asked for their clusters until the next tick.
func (p *plugin) look() {
	if p.mayBeCalm() {
		p.group.Look()
	} else {
		p.group.Rest()
	}
}

// mayBeCalm reports whether requests may be admitted without being asked anything: none is for the status page or meets force_open,
// and the only configuration of the plugin's name is this one, by which breakers are taken off the list.
func (p *plugin) mayBeCalm() bool {
	return p.alone && !p.invalid && p.placed && !p.misplaced && p.config.StatusPath == "" && !p.config.ForcesOpen() &&
		clock{}.Coarse() >= p.calmFrom
}

// isAlone is told how many configurations of the plugin's name there are. Others may have taken breakers off the list by policies of
// their own, with a shorter ramp.
func (p *plugin) isAlone(configurations int) {
	was := p.alone
	if p.alone = configurations == 1; p.alone && !was {
		p.group.Doubt()
		if p.isAfterVersion1() {
			p.calmFrom = p.born.Add(settling)
		}
	}
}

// settling is for how long a plugin that has come after version 1 asks each request for its cluster. A breaker that is open there is
// taken over when its cluster's name is known, and nothing else tells of it.
const settling = time.Minute

// isAfterVersion1 reports whether version 1 of the plugin has been loaded in this Envoy, under the same name.
func (p *plugin) isAfterVersion1() bool {
	_, version := bridge.SharedData([]byte("circuit_breaker/1\x00generation\x00" + p.nameBefore + "\x00"))
	return version != 0
}

// findCluster finds the breaker of a request that was admitted without one, by where it has gone. It reports false if there is none: it
// is a direct response, a redirect, or beyond max_breakers.
func (s *stream) findCluster() bool {
	if s.cluster != nil {
		return true
	}
	if !s.calm {
		return false
	}
	name := bridge.Property(clusterName)
	if len(name) == 0 {
		return false
	}
	c := s.plugin.cluster(name)
	if c == nil {
		return false
	}
	s.cluster, s.permit = c, c.breaker.Take(s.permit)
	return true
}
