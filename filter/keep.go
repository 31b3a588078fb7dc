//go:build wasip1

package main

import (
	"encoding/binary"
	"slices"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/internal/checked"
)

// Envoy refuses what a plugin's start fails for, and a control plane then cannot change that listener any more, nor start a new proxy.
// So a configuration may say, by invalid_config: keep, that it is no reason to fail if it does not hold. The plugin then goes by the
// last good one of its name that took a turn, under that one's turn: for the breakers nothing has changed. Its text is in shared data,
// where a new virtual machine finds it. As long as there is none, all requests pass.
//
// A configuration that does not hold takes a turn of its own all the same, which no breaker goes by. So it is known which was loaded
// last, a good one or a wrong one, however many workers start either of them again; and that is what the gauge "config_invalid" tells.

// startInvalid starts a plugin whose own configuration does not hold. The first with it says so in the log.
func (p *plugin) startInvalid(why error, statusPath string) {
	p.invalid, p.statusPath = true, statusPath
	p.hash = ^p.hash // another version of the plugin may take what this one does not
	p.config = &config.Config{StatusPath: statusPath}
	isNew, err := p.takeTurn()
	p.follow()
	if !isNew && err == nil {
		return
	}
	instead := "the last good one stays in force"
	if p.passes() {
		instead = "there is no good one to go by, so requests pass without a breaker"
	}
	bridge.LogCriticalf("configuration refused, and %s: %v", instead, why)
}

// follow goes by the last good configuration, if that is another one than before.
func (p *plugin) follow() {
	value, _ := p.lastGood().Load()
	turn, text := decodeLastGood(value)
	if turn == 0 || turn == p.followed {
		return
	}
	c, err := config.Parse(slices.Clone(text))
	if p.followed = turn; err != nil {
		return // it is good to another version of the plugin
	}
	if p.statusPath != "" {
		c.StatusPath = p.statusPath
	}
	// Streams in flight keep the breakers that have admitted them.
	p.config, p.generation = c, turn
	for id := range p.registry.clusters {
		p.registry.set(id, nil)
	}
	p.routes, p.last, p.probed = map[string]*routes{}, nil, nil
	p.failed, p.met, p.metAll, p.full = nil, 0, false, false
}

// passes reports whether all requests pass, since there is no configuration to go by.
func (p *plugin) passes() bool { return p.invalid && p.generation == 0 }

// lastGood is where the last good configuration of the plugin's name is: a checksum of the rest, its turn, and its text.
func (p *plugin) lastGood() *sharedData { return &sharedData{kind: "last good", plugin: p.name} }

const lastGoodHeader = checked.Header + 4

func decodeLastGood(b []byte) (turn uint32, text []byte) {
	if _, ok := checked.Open(b); !ok || len(b) < lastGoodHeader {
		return 0, nil
	}
	return binary.LittleEndian.Uint32(b[checked.Header:]), b[lastGoodHeader:]
}

// becomeLastGood makes the plugin's configuration the last good one, unless that of a later turn is.
func (p *plugin) becomeLastGood() {
	store := p.lastGood()
	b := binary.LittleEndian.AppendUint32(make([]byte, checked.Header, lastGoodHeader+len(p.text)), p.generation)
	b = checked.Seal(append(b, p.text...))
	for range 1000 {
		value, version := store.Load()
		if turn, _ := decodeLastGood(value); turn >= p.generation || store.CompareAndSwap(b, version) {
			return
		}
	}
}

// showInvalid sets the gauge "config_invalid". Where two workers set it at once, the next look at the roll puts it right.
func (p *plugin) showInvalid(list generations) {
	value := uint64(0)
	if list.endInvalid() {
		value = 1
	}
	p.invalidGauge.set(p.name, "config_invalid", value)
}
