//go:build wasip1

package main

import (
	"encoding/binary"
	"slices"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/internal/checked"
	"envoy-circuit-breaker/filter/statuspage"
)

// Which overrides have given a breaker its policy is in shared data: a bit for each, under the generation of the configuration. So the
// status page can tell which have matched nothing yet, whichever worker and listener have met the clusters.

func (p *plugin) matchedStore() *sharedData { return &sharedData{kind: "matched", plugin: p.name} }

const matchedHeader = checked.Header + 4

// decodeMatched returns the bits of a generation; none if they are another's.
func decodeMatched(b []byte, generation uint32) (bits []byte, isNewer bool) {
	if _, ok := checked.Open(b); !ok || len(b) < matchedHeader {
		return nil, false
	}
	if g := binary.LittleEndian.Uint32(b[checked.Header:]); g != generation {
		return nil, g > generation
	}
	return b[matchedHeader:], false
}

func isSet(bits []byte, i int) bool { return i/8 < len(bits) && bits[i/8]&(1<<(i%8)) != 0 }

// markMatched sets the bit of an override.
func (p *plugin) markMatched(i int) {
	store := p.matchedStore()
	for range 1000 {
		value, version := store.Load()
		bits, isNewer := decodeMatched(value, p.generation)
		if isNewer || isSet(bits, i) {
			return
		}
		b := binary.LittleEndian.AppendUint32(make([]byte, checked.Header, matchedHeader+len(p.config.Overrides)/8+1), p.generation)
		b = append(b, bits...)
		for len(b) <= matchedHeader+i/8 {
			b = append(b, 0)
		}
		b[matchedHeader+i/8] |= 1 << (i % 8)
		if store.CompareAndSwap(checked.Seal(b), version) {
			return
		}
	}
}

// known are the overrides of the configuration in force, which the plugin that shows the page need not have itself.
type known struct {
	generation uint32
	overrides  []statuspage.Override
}

// describeConfiguration tells the status page of the configuration in force.
func (p *plugin) describeConfiguration(h *statuspage.Head) {
	value, _ := rollStore(p.name).Load()
	list := decodeRoll(value).list
	h.ConfigInvalid = list.endInvalid()
	n := list.good()
	if n == 0 {
		return
	}
	generation := list[n-1].number
	p.learnOverrides(generation)
	value, _ = p.matchedStore().Load()
	bits, _ := decodeMatched(value, generation)
	h.Overrides = len(p.known.overrides)
	for i, over := range p.known.overrides {
		if isSet(bits, i) {
			continue
		}
		if h.Unmatched++; len(h.Some) < statuspage.MaxUnmatched {
			h.Some = append(h.Some, over)
		}
	}
}

// learnOverrides reads the overrides of a generation, unless they are known.
func (p *plugin) learnOverrides(generation uint32) {
	if p.known.generation == generation {
		return
	}
	c := p.configOf(generation)
	if c == nil {
		return
	}
	p.known = known{generation: generation}
	for i := range c.Overrides {
		p.known.overrides = append(p.known.overrides, override(c, i))
	}
}

// configOf finds the configuration of a generation: of a plugin here, since thousands of overrides take their time to read, or else by
// its text. It returns nil where that is about to be written. One that only another version of the plugin can read shows as empty.
func (p *plugin) configOf(generation uint32) *config.Config {
	for _, other := range plugins {
		if other.name == p.name && other.generation == generation {
			return other.config
		}
	}
	value, _ := p.lastGood().Load()
	turn, text := decodeLastGood(value)
	if turn != generation {
		return nil
	}
	c, err := config.Parse(slices.Clone(text))
	if err != nil {
		return &config.Config{} // to be looked at once
	}
	return c
}

func override(c *config.Config, i int) statuspage.Override {
	over := &c.Overrides[i]
	return statuspage.Override{Match: over.Match, Route: over.Route}
}
