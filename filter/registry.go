//go:build wasip1

package main

import (
	"strconv"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/time"
)

// A registry knows which clusters have breakers, or routes to them, under one plugin's name. All workers share it: places in shared data, numbered
// from 0, each with the name of a cluster. Who finds the first free place writes there, and that is all there is to a claim. So
// there is one order, no place is lost and no cluster has two. Places come free only when Envoy restarts: it can delete neither
// stats nor keys of shared data.
type registry struct {
	plugin   string
	clusters map[string]placed // by the owner's id: those in the places that have been read
	next     int               // the first place that has not been read
	gauge    pluginGauge       // "breakers"
}

// A placed cluster has a place.
type placed struct {
	cluster *cluster // nil: this worker has not met it
	number  uint32   // of the place
}

func (r *registry) place(i int) sharedData {
	return sharedData{kind: "cluster", plugin: r.plugin, rest: strconv.Itoa(i)}
}

// read learns of the clusters that other workers have added.
func (r *registry) read() {
	if r.clusters == nil {
		r.clusters = map[string]placed{}
	}
	for {
		name, version := r.place(r.next).Load()
		if version == 0 {
			return
		}
		if _, has := r.clusters[string(name)]; !has {
			r.clusters[string(name)] = placed{number: uint32(r.next)}
		}
		r.next++
	}
}

// set lets a cluster that has a place be the one that this worker has met, or none.
func (r *registry) set(id string, c *cluster) {
	r.clusters[id] = placed{c, r.clusters[id].number}
}

func (r *registry) has(cluster string) bool {
	_, has := r.clusters[cluster]
	return has
}

// claim reports whether a cluster has a place, or has got one: there are most of them.
func (r *registry) claim(cluster string, most int) bool {
	for !r.has(cluster) {
		r.read()
		if r.has(cluster) {
			break
		}
		if r.next >= most {
			return false
		}
		next := r.next
		written := r.place(next).CompareAndSwap([]byte(cluster), 0)
		if r.read(); !written && r.next == next {
			return false // shared data takes nothing
		}
	}
	return true
}

// show sets the gauge, and again if another worker has added clusters meanwhile, or its gauge would be the one that is overwritten.
func (r *registry) show() {
	for shown := -1; shown < r.next; r.read() {
		shown = r.next
		r.gauge.set(r.plugin, "breakers", uint64(shown))
	}
}

// retry is how long a cluster is left alone that could get no breaker.
const retry = time.Second

// A failure is why a cluster has no breaker.
type failure struct {
	text  string
	until breaker.Time // when to try again
}

// addCluster makes the breaker of a cluster that this worker has not met. It returns nil where there is none to be had for now.
func (p *plugin) addCluster(o owner) *cluster {
	now, id := clock{}.Coarse(), o.id()
	if !p.registry.has(id) && now < p.fullUntil || now < p.failed[id].until {
		return nil
	}
	if !p.registry.claim(id, p.config.MaxBreakers) {
		p.fullUntil = now.Add(retry)
		p.sayFull(o)
		return nil
	}
	p.registry.show()
	c, err := newCluster(p, o)
	if err != nil {
		if text := err.Error(); text != p.failed[id].text {
			bridge.LogErrorf("%v passes without a breaker: %v", o, err)
		}
		if p.failed == nil {
			p.failed = map[string]failure{}
		}
		p.failed[id] = failure{err.Error(), now.Add(retry)}
		return nil
	}
	delete(p.failed, id)
	p.registry.set(c.id, c)
	if p.config.ByRoute(o.name) {
		if p.routes[o.name] == nil {
			p.routes[o.name] = &routes{o.name, map[string]*cluster{}}
		}
		p.routes[o.name].breakers[o.route] = c
	}
	if c.rules.Probe.Path != "" {
		p.probed = append(p.probed, c)
	}
	return c
}

// sayFull has the first worker that reaches max_breakers by a configuration say so.
func (p *plugin) sayFull(o owner) {
	if p.full {
		return
	}
	p.full = true
	most := p.config.MaxBreakers
	if (&sharedData{kind: "full", plugin: p.name, rest: smallfmt.Sprintf("%d %d", most, p.generation)}).CompareAndSwap([]byte(o.id()), 0) {
		bridge.LogWarnf("max_breakers (%d) reached: what comes next passes without a breaker, first %v", most, o)
	}
}
