//go:build wasip1

package main

import (
	"encoding/binary"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
)

// The gauges "state" and "mode" tell what holds for a cluster now. They are set when that changes, and shown again whenever they
// might be missing or wrong: a plugin has been loaded, whose stats may be new to Envoy though its breakers are not, or one is gone.
// Where several configurations of a name meet, they tell of the one loaded last.

// inForce is what all workers know of the configuration loaded last for a cluster.
type inForce struct {
	generation uint32
	mode       breaker.Mode
	born       breaker.Time // when the youngest plugin was loaded that has made Envoy show all stats
}

const inForceSize = 4 + 1 + 8

func (c *cluster) inForceStore() *sharedData {
	return c.stored("in force")
}

func decodeInForce(b []byte) (f inForce) {
	if len(b) != inForceSize {
		return f
	}
	le := binary.LittleEndian
	return inForce{le.Uint32(b), breaker.Mode(b[4]), breaker.Time(le.Uint64(b[5:]))}
}

// enforce makes the cluster's mode the one in force, unless that of a configuration loaded later is. It reports whether no plugin as
// young as this one has made Envoy show all stats: stats belong to a plugin, and can end with it; and whether the gauges may have to
// be set anew.
func (c *cluster) enforce() (isFirst, changed bool) {
	p, store := c.plugin, c.inForceStore()
	for range 1000 {
		value, version := store.Load()
		old := decodeInForce(value)
		next := old
		if p.generation > old.generation {
			next.generation, next.mode = p.generation, c.rules.Policy.Mode
		}
		next.born = max(old.born, p.born)
		if c.stats.mode = next.mode; next == old {
			return false, false
		}
		b := binary.LittleEndian.AppendUint32(nil, next.generation)
		b = binary.LittleEndian.AppendUint64(append(b, byte(next.mode)), uint64(next.born))
		if store.CompareAndSwap(b, version) {
			return next.born != old.born, true
		}
	}
	return true, true
}

// show sets the gauges.
func (c *cluster) show() {
	c.readMode()
	c.stats.Set(modeGauge, uint64(c.stats.mode))
	shown := breaker.State(255)
	for range 1000 { // until no other worker has changed the state meanwhile, whose gauge would be the one that is overwritten
		value, _ := (*recordOf)(c).Load()
		state := stateIn(value)
		if state == shown {
			return
		}
		shown = state
		c.stats.Set(breaker.StateGauge, uint64(shown))
	}
}

// stateIn is the state of a record; closed where there is none.
func stateIn(value []byte) breaker.State {
	var r breaker.Record
	if r.UnmarshalBinary(value) != nil {
		return breaker.Closed
	}
	return r.State
}

// readMode learns of the mode that is in force.
func (c *cluster) readMode() {
	value, _ := c.inForceStore().Load()
	c.stats.mode = decodeInForce(value).mode
}

// hide lets the gauges of a removed plugin read 0.
func (c *cluster) hide() {
	c.stats.mode = breaker.Enforce
	c.stats.Set(modeGauge, 0)
	c.stats.Set(breaker.StateGauge, 0)
}

func (p *plugin) showAll() {
	for _, at := range p.registry.clusters {
		if at.cluster != nil {
			at.cluster.show()
		}
	}
}

// meetsPerTick is how many clusters a plugin looks at in one tick when it is new.
const meetsPerTick = 100

// meet lets a plugin whose turn is new find the breakers that there are, without waiting for a request: the gauges of one that is open, or
// that is not to work, are shown at once. Those that an older one of its name adds it meets at its next look at the roll.
func (p *plugin) meet() {
	for range meetsPerTick {
		if p.metAll || p.generation == 0 {
			return
		}
		name, version := p.registry.place(p.met).Load()
		if version == 0 {
			p.metAll = true
			return
		}
		p.met++
		if p.registry.clusters[string(name)].cluster != nil {
			continue
		}
		id := string(name)
		o := ownerOf(id)
		if p.config.OwnRoute(o.name, o.route) != o.route {
			p.retire(o)
			continue
		}
		record, _ := sharedData{"record", p.name, id}.Load()
		matters := stateIn(record) != breaker.Closed || p.config.For(o.name, o.route).Policy.Mode >= breaker.ForceOpen
		if matters {
			p.addCluster(o)
		}
	}
}

// retire says of the breaker of a route that it is disabled: by the configuration in force the cluster's is asked in its place.
func (p *plugin) retire(o owner) {
	policy := breaker.DefaultPolicy()
	policy.Mode = breaker.Disabled
	c := &cluster{stats: stats{plugin: p, owner: o}, id: o.id(), rules: &config.Rules{Policy: policy}}
	if p.announce(o, &policy) {
		c.enforce()
		c.show()
	}
}
