//go:build wasip1

package main

import (
	"slices"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/internal/checked"
	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/time"
)

func init() { bridge.SetGCPercent(gcPercent) }

// gcPercent is how much garbage the heap may hold, in percent of what is in use. Go's own 100, which is at least 4 MB, is a lot
// for each worker, and requests leave none.
const gcPercent = 25

var (
	plugins = map[uint32]*plugin{}
	recent  *plugin // the one that had the last stream
)

func findPlugin(id uint32) *plugin {
	if recent == nil || recent.id != id {
		recent = plugins[id]
	}
	return recent
}

// A plugin is one configured plugin in one worker.
type plugin struct {
	id         uint32
	name       string
	nameBefore string // what version 1 of the plugin is called
	config     *config.Config
	text       []byte // of its configuration; none where that does not hold
	hash       uint64 // of its configuration
	turn       uint32 // orders its configuration among those of that name by when they were loaded; 0 if it has none yet
	generation uint32 // the turn of the configuration that its breakers go by; 0 if there is none
	watch      watch
	born       breaker.Time       // when it was loaded
	met        int                // how many places of the registry it has looked at
	metAll     bool               // there were no more when it last looked
	routes     map[string]*routes // by the cluster's name: of those that have some
	registry   registry
	failed     map[string]failure             // clusters that could get no breaker
	fullUntil  breaker.Time                   // when to look again for places, where there were none
	last       *cluster                       // the one that had the last request, of those without routes
	round      uint64                         // of its last tick
	streams    int                            // in flight
	probed     []*cluster                     // those that have a probe
	calls      map[uint32]func(answered bool) // of its own, by their ids
	queues     []*queue                       // of requests that wait for an answer
	unasked    *queue                         // of those that have not been asked for their cluster; nil where no calls are slow
	trials     []*stream                      // without a verdict

	// See calm.go.
	group    *breaker.Group
	alone    bool         // there is no other configuration of its name
	calmFrom breaker.Time // not before that

	// Of a plugin whose own configuration does not hold: see keep.go.
	invalid    bool
	statusPath string // what its own configuration says
	followed   uint32 // the turn of the last good configuration that it has looked at

	invalidGauge pluginGauge // "config_invalid"
	versionGauge pluginGauge // "version"

	// Of the status page.
	listing      listing
	known        known
	shown        map[string]*stats // stats of the clusters on the last pages
	pageBuffer   []byte            // of the last page
	policyBuffer []byte            // of the last cluster on it

	placed, misplaced bool // the plugin's place is known; it can do nothing there

	// What the log has been told, and is not to be told again: that max_breakers was reached, that stats are hidden, or that the plugin
	// is twice in a chain.
	full, warned, saidTwice bool
}

const (
	// tick is how far the coarse clock may lag: the bucket of the shortest window. So late a request that hangs is noticed.
	tick = 100 * time.Millisecond
)

func newPlugin(id uint32) *plugin {
	return &plugin{id: id, round: round, routes: map[string]*routes{}, calls: map[uint32]func(bool){}}
}

//go:wasmexport proxy_on_vm_start
func onVMStart(_, _ uint32) bool { return true }

// onConfigure refuses a bad configuration, with one line that says what is wrong, unless that asks to keep the last good one.
//
//go:wasmexport proxy_on_configure
func onConfigure(id, _ uint32) bool {
	p := plugins[id]
	if p == nil {
		return false
	}
	err := p.start()
	if err != nil {
		bridge.LogCriticalf("configuration refused: %v", err)
	}
	return err == nil
}

func (p *plugin) start() error {
	text, err := bridge.Configuration()
	if err != nil {
		return smallfmt.Errorf("reading it: %w", err)
	}
	text = slices.Clone(text) // the next call of the host overwrites it
	p.name, p.nameBefore = pluginName()
	p.registry.plugin = p.name
	p.born = clock{}.Now()
	p.startGroup()
	p.hash = checked.Hash(text)
	if p.config, err = config.Parse(text); err != nil {
		keep, statusPath := config.Invalid(text)
		if !keep {
			return err
		}
		p.startInvalid(err, statusPath)
	} else {
		p.text = text
		p.unasked = p.queueOf(p.config.LeastSlow())
		// A listener for the status page has no breakers of its own, as a rule, and then no place in that order: each worker
		// that starts it beside another listener would move that one's place.
		if p.config.StatusPath == "" {
			if err := p.takeGeneration(); err != nil {
				return err
			}
		}
	}
	return bridge.SetTickPeriod(uint32(tick.Milliseconds()))
}

// pluginName is what a plugin is called in stats and keys. A vm_id that differs from its name is part of it: plugins of one name and
// two vm_ids have two shared datas, but would have one set of stats. Version 1 had the name alone.
func pluginName() (name, before string) {
	name = string(bridge.Property("plugin_name"))
	if name == "" {
		name = "default"
	}
	before = name
	if vm := string(bridge.Property("plugin_vm_id")); vm != "" && vm != name {
		name += "@" + vm
	}
	return name, before
}

// round counts how often the plugins of this virtual machine have ticked: once for all of them in a tick's period.
var round uint64

// onTick ignores what is not known (any more): a tick must not be the end of all requests.
//
//go:wasmexport proxy_on_tick
func onTick(id uint32) {
	if p := plugins[id]; p != nil {
		p.tick()
	}
}

//go:wasmexport proxy_on_http_call_response
func onHTTPCallResponse(id, call, numHeaders, _, _ uint32) {
	p := plugins[id]
	if p == nil || p.calls[call] == nil {
		return
	}
	end := p.calls[call]
	delete(p.calls, call)
	end(numHeaders > 0)
}

// tick keeps the coarse clock, looks for requests that hang, probes, and forgets plugins that Envoy has removed: it tells
// of that only through a callback that every stream would have to pay for as well.
func (p *plugin) tick() {
	now := clock{}.Now()
	if p.round == round {
		round++
	}
	p.round = round
	p.forgetRemoved()
	p.keepGeneration(now)
	p.look()
	p.meet()
	p.lookAtWaiting(now)
	p.lookAtTrials(now)
	for _, c := range p.probed {
		c.probe()
	}
	if p.config.StatusPath != "" && p.readListing() {
		p.mend()
	}
}
