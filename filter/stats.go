//go:build wasip1

package main

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
)

// stats is a breaker.Tally of Envoy stats. Each is defined when it is first needed: a worker uses few of them as long as a
// cluster is healthy, and each takes memory for each cluster and worker.
type stats struct {
	plugin *plugin
	owner
	mode    breaker.Mode // the one in force: what "state" tells depends on it
	ids     [numStats]uint32
	defined uint32 // bit s: ids[s] is known
}

// Stats of a cluster beside those of its breaker.
const (
	modeGauge      = breaker.NumStats + iota // gauge: a breaker.Mode
	fallbackMissed                           // sent to a fallback that has no route
	numStats
)

// mayMove reports whether a stat can ever be anything but 0 by the cluster's configuration. Those that cannot are not shown.
func (c *cluster) mayMove(s breaker.Stat) bool {
	switch p := &c.rules.Policy; s {
	case breaker.Probes, breaker.ProbeFailures:
		return p.ProbeInterval > 0
	case breaker.Waiting, breaker.OpenedSlowRate:
		return p.SlowCallDuration > 0
	case breaker.Streak, breaker.Successes, breaker.OpenedConsecutive:
		return p.ConsecutiveFailures > 0
	case breaker.OpenedRamp:
		return p.Ramp > 0
	case breaker.ShadowRejected:
		return p.Mode == breaker.Shadow
	case fallbackMissed:
		return c.rules.Fallback.Header != ""
	}
	return true
}

// statName is a stat's name, and its kind.
func statName(s breaker.Stat) (name string, kind uint32) {
	switch {
	case s == modeGauge:
		return "mode", bridge.Gauge
	case s == fallbackMissed:
		return "fallback_missed", bridge.Counter
	case s.Gauge():
		return s.String(), bridge.Gauge
	}
	return s.String(), bridge.Counter
}

// define makes Envoy show a stat.
func (t *stats) define(s breaker.Stat) error {
	name, kind := statName(s)
	names = append(append(names[:0], "circuit_breaker."...), t.plugin.name...)
	names = append(append(names, ".cluster."...), t.name...)
	if t.route != "" {
		names = append(append(names, ".route."...), t.route...)
	}
	names = append(append(names, '.'), name...)
	id, err := bridge.DefineMetric(kind, names)
	if err == nil {
		t.ids[s], t.defined = id, t.defined|1<<s
	}
	return err
}

// id is 0, which no metric has, where Envoy does not define the stat.
func (t *stats) id(s breaker.Stat) uint32 {
	if t.defined&(1<<s) == 0 {
		_ = t.define(s)
	}
	return t.ids[s]
}

func (t *stats) Add(s breaker.Stat)          { bridge.AddMetric(t.id(s), 1) }
func (t *stats) Subtract(s breaker.Stat)     { bridge.AddMetric(t.id(s), -1) }
func (t *stats) Value(s breaker.Stat) uint64 { return bridge.MetricValue(t.id(s)) }

// Set sets a gauge. The state of the machine is what requests meet, unless the mode is one that leaves it alone.
func (t *stats) Set(s breaker.Stat, to uint64) {
	if s == breaker.StateGauge {
		switch t.mode {
		case breaker.ForceOpen:
			to = uint64(breaker.Open)
		case breaker.Disabled:
			to = uint64(breaker.Closed)
		}
	}
	bridge.RecordMetric(t.id(s), to)
}

// pluginGauge is the id of a gauge that a plugin has once, whatever its clusters are; 0 while it is not defined.
type pluginGauge uint32

func (g *pluginGauge) set(plugin, name string, to uint64) {
	if *g == 0 {
		id, _ := bridge.DefineMetric(bridge.Gauge, []byte("circuit_breaker."+plugin+"."+name))
		*g = pluginGauge(id)
	}
	bridge.RecordMetric(uint32(*g), to)
}
