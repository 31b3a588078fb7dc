//go:build wasip1

package main

import (
	"math/rand/v2"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/reply"
	"envoy-circuit-breaker/filter/statuspage"
)

// A cluster is an upstream cluster as one worker sees it.
type cluster struct {
	plugin  *plugin
	name    string
	rules   *config.Rules
	breaker *breaker.Breaker
	record  sharedData
	counts  sharedData
	stats   stats
	reply   *reply.Reply // the last one, which serves until its retry-after changes

	probing    bool   // a probe is out
	probeError string // why the last probe could not be made, as logged
}

// newCluster connects a breaker to Envoy. Stats and keys of shared data carry the plugin's name, since all the plugins of
// an Envoy may share one namespace (Istio gives each the same empty vm_id).
func newCluster(p *plugin, name string) (*cluster, error) {
	if err := p.takeGeneration(); err != nil {
		return nil, err
	}
	c := &cluster{
		plugin: p, name: name, rules: p.config.For(name),
		record: sharedData{"record", p.name, name}, counts: sharedData{"counts", p.name, name}, stats: stats{plugin: p.name, cluster: name},
	}
	// A cluster's first worker makes Envoy show all of its stats, at zero.
	shown := breaker.Calls + 1
	if first := p.announce(name, &c.rules.Policy); first {
		shown = breaker.NumStats
	}
	for s := range shown {
		if err := c.stats.define(s); err != nil {
			return nil, err
		}
	}
	var err error
	c.breaker, err = breaker.New(breaker.Config{
		Policy:       c.rules.Policy,
		Store:        &c.record,
		Counts:       &c.counts,
		Tally:        &c.stats,
		Clock:        clock{},
		Rand:         rand.Uint64,
		Generation:   p.generation,
		OnTransition: c.onTransition,
		OnHiddenStat: c.onHiddenStat,
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *cluster) onTransition(m breaker.Transition) {
	text := statuspage.Describe(&c.rules.Policy, m)
	proxywasm.LogWarnf("cluster %q: %s", c.name, text)
	remember(c.plugin.name, c.name, m, text)
}

func (c *cluster) onHiddenStat(s breaker.Stat) {
	if c.plugin.warned {
		return
	}
	c.plugin.warned = true
	proxywasm.LogWarnf("cluster %q: the stat %v always reads 0, so a stats_matcher hides it: the breaker counts in shared data instead, which is slower. "+
		"Let the stats that contain circuit_breaker pass", c.name, s)
}

// reject answers a request in the upstream's place. One without a body is none of gRPC-Web.
func (c *cluster) reject(p *breaker.Permit, bodied bool) {
	grpcWeb := ""
	if bodied {
		grpcWeb = grpcWebType()
	}
	seconds := reply.WholeSeconds(p.RetryAfter)
	r := c.reply
	if r == nil || r.State != p.State() || r.Seconds != seconds || grpcWeb != "" {
		r = c.rules.Reject.Fill(c.name, p.State(), seconds, grpcWeb)
		if grpcWeb == "" {
			c.reply = r
		}
	}
	note("rejected", p.State(), c.name, "", "")
	bridge.SendLocalResponse(r.Status, r.Details, r.Body, r.Headers, reply.GRPCUnavailable)
}

// grpcWebType returns the content type of a gRPC-Web request, and "" for any other.
func grpcWebType() string {
	if t := bridge.Header(bridge.RequestHeaders, "content-type"); reply.IsGRPCWeb(t) {
		return string(t)
	}
	return ""
}

// sharedData is a breaker.Store under one key of proxy-wasm's shared data.
type sharedData struct {
	kind   string // of value
	plugin string
	rest   string // of the key, as a cluster's name
}

// key is valid until the next key or name is made. The record's version is in it, so that two versions of the plugin side by
// side never read each other's values; the parts are separated by NUL, which is in no name.
func (s *sharedData) key() []byte {
	names = append(names[:0], "circuit_breaker/"...)
	names = append(names, '0'+breaker.RecordVersion, 0)
	names = append(append(names, s.kind...), 0)
	names = append(append(names, s.plugin...), 0)
	names = append(names, s.rest...)
	return names
}

// names is the buffer of keys and names: many clusters have many, and each is needed seldom.
var names []byte

// absent is a CAS number that is never given out. With it, a set succeeds only where the key does not exist; with 0 it
// would overwrite.
const absent = 0xFFFFFFFF

func (s *sharedData) Load() ([]byte, uint32) { return bridge.SharedData(s.key()) }

func (s *sharedData) CompareAndSwap(value []byte, version uint32) bool {
	if version == 0 {
		version = absent
	}
	return bridge.SetSharedData(s.key(), value, version) == bridge.OK
}

// set writes a value, whatever there was before.
func (s *sharedData) set(value []byte) { bridge.SetSharedData(s.key(), value, 0) }

// stats is a breaker.Tally of Envoy stats. Each is defined when it is first needed: a worker uses few of them as long as a
// cluster is healthy, and each takes memory for each cluster and worker.
type stats struct {
	plugin  string
	cluster string
	ids     [breaker.NumStats]uint32
	defined uint32 // bit s: ids[s] is known
}

// define makes Envoy show a stat.
func (t *stats) define(s breaker.Stat) error {
	kind := bridge.Counter
	if s.Gauge() {
		kind = bridge.Gauge
	}
	names = append(append(names[:0], "circuit_breaker."...), t.plugin...)
	names = append(append(names, ".cluster."...), t.cluster...)
	names = append(append(names, '.'), s.String()...)
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

func (t *stats) Add(s breaker.Stat)            { bridge.AddMetric(t.id(s), 1) }
func (t *stats) Value(s breaker.Stat) uint64   { return bridge.MetricValue(t.id(s)) }
func (t *stats) Set(s breaker.Stat, to uint64) { bridge.RecordMetric(t.id(s), to) }

// clock is Envoy's steady clock. Every exact reading and every tick sets the coarse one, which so lags by no more than
// the tick's period and costs a request nothing.
type clock struct{}

var coarse breaker.Time

func (clock) Now() breaker.Time {
	coarse = breaker.Time(bridge.Now())
	return coarse
}

func (clock) Coarse() breaker.Time { return coarse }
