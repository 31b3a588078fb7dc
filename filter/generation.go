//go:build wasip1

package main

import (
	"encoding/binary"
	"errors"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/internal/time"
	"envoy-circuit-breaker/internal/version"
)

// Configurations of one plugin's name are in an order, by when they were loaded: their generations. One value in shared data has
// them all, and when a plugin with each was last seen. A plugin that starts has its configuration's generation as long as another
// plugin with that configuration lives, and else a new one: so a configuration has one however many workers load it, and one that
// comes back after another is the newest again.
//
// An old listener can drain for long beside the new one, and outlive it where a change is taken back at once. So a plugin looks from
// time to time whether all newer configurations are gone, and takes a new generation then.

// A generation is the place of one configuration in that order.
type generation struct {
	hash    uint64
	number  uint32
	seen    breaker.Time // a plugin with it lived then
	invalid bool         // it does not hold: see keep.go
}

const (
	generationSize = 8 + 4 + 8 + 1
	// maxGenerations bounds the list. Beyond it, the oldest is not known any more.
	maxGenerations = 16
	// goneAfter is for how long no plugin with a configuration has been seen, when it counts as gone. Each that lives says so after
	// stampEvery at the latest.
	goneAfter  = 4 * time.Second
	stampEvery = time.Second
	goneTicks  = int(goneAfter / tick)
	// lookEvery is how many ticks there are between two looks at the list, and lookSeldom while there is but one configuration.
	lookEvery, lookSeldom = 10, 30
)

// generations are in the order of their numbers.
type generations []generation

// roll is all that the plugins of one name tell each other.
type roll struct {
	// calls counts how often somebody has asked whether any of them lives: a plugin is gone, and there was no other of its name that
	// it knew of. answered is the last such call that has been answered.
	calls, answered uint32
	list            generations
}

func decodeRoll(b []byte) (r roll) {
	if len(b) < 8 {
		return r
	}
	le := binary.LittleEndian
	r.calls, r.answered = le.Uint32(b), le.Uint32(b[4:])
	r.list = decodeGenerations(b[8:])
	return r
}

func (r *roll) encode() []byte {
	le := binary.LittleEndian
	return append(le.AppendUint32(le.AppendUint32(nil, r.calls), r.answered), r.list.encode()...)
}

// answer reports whether there was a call to answer.
func (r *roll) answer() bool {
	called := r.calls != r.answered
	r.answered = r.calls
	return called
}

func decodeGenerations(b []byte) (list generations) {
	le := binary.LittleEndian
	for ; len(b) >= generationSize; b = b[generationSize:] {
		if n := le.Uint32(b[8:]); n == 0 || n >= 1<<31 { // nobody has written that
			continue
		}
		list = append(list, generation{le.Uint64(b), le.Uint32(b[8:]), breaker.Time(le.Uint64(b[12:])), b[20] == 1})
	}
	return list
}

func (list generations) encode() (b []byte) {
	le := binary.LittleEndian
	for _, g := range list[max(0, len(list)-maxGenerations):] {
		b = le.AppendUint64(b, g.hash)
		b = le.AppendUint32(b, g.number)
		b = append(le.AppendUint64(b, uint64(g.seen)), 0)
		if g.invalid {
			b[len(b)-1] = 1
		}
	}
	return b
}

// find returns the index of a configuration, -1 if it is not there.
func (list generations) find(hash uint64) int {
	for i := range list {
		if list[i].hash == hash {
			return i
		}
	}
	return -1
}

// renew makes a configuration the newest.
func (list generations) renew(hash uint64, invalid bool, now breaker.Time, atLeast uint32) generations {
	number := atLeast + 1
	if n := len(list); n > 0 {
		number = max(number, list[n-1].number+1)
	}
	if i := list.find(hash); i >= 0 {
		list = append(list[:i], list[i+1:]...)
	}
	if len(list) == 1 {
		list[0].seen = now // its plugins have had no reason to say that they live
	}
	for len(list) >= maxGenerations { // who lives stays, however old it is
		gone := 0
		for i := range list {
			if list[i].seen < list[gone].seen {
				gone = i
			}
		}
		list = append(list[:gone], list[gone+1:]...)
	}
	return append(list, generation{hash, number, now, invalid})
}

// insert puts a configuration in its place.
func (list generations) insert(g generation) generations {
	list = append(list, g)
	for i := len(list) - 1; i > 0 && list[i-1].number > g.number; i-- {
		list[i-1], list[i] = list[i], list[i-1]
	}
	return list
}

// endInvalid reports whether the newest configuration does not hold.
func (list generations) endInvalid() bool { return len(list) > 0 && list[len(list)-1].invalid }

// good is how many configurations are left without the newest that do not hold.
func (list generations) good() int {
	n := len(list)
	for n > 0 && list[n-1].invalid {
		n--
	}
	return n
}

// rollStore is where the roll of a plugin's name is.
func rollStore(plugin string) *sharedData { return &sharedData{kind: "generations", plugin: plugin} }

// changeRoll replaces the roll of a plugin's name by what f makes of it, if f says that it has changed it, and returns it.
func changeRoll(plugin string, f func(*roll) bool) (roll, error) {
	store := rollStore(plugin)
	for range 1000 {
		value, version := store.Load()
		r := decodeRoll(value)
		if !f(&r) || store.CompareAndSwap(r.encode(), version) {
			return r, nil
		}
	}
	return roll{}, errors.New("shared data does not take the configuration's generation")
}

// takeGeneration finds the generation of the plugin's configuration, unless it has one. The first with it says so in the log.
func (p *plugin) takeGeneration() error {
	if p.generation != 0 {
		return nil
	}
	isNew, err := p.takeTurn()
	if err != nil {
		return err
	}
	p.generation = p.turn
	p.becomeLastGood()
	if isNew {
		bridge.LogInfof("configuration loaded: version=%s; %s", version.Version, p.config)
		if warnings := p.config.Warnings(); len(warnings) > 0 {
			bridge.LogWarnf("configuration is valid, but: %v", warnings)
		}
	}
	return nil
}

// takeTurn finds the turn of the plugin's configuration. It reports whether that is a new one.
func (p *plugin) takeTurn() (isNew bool, err error) {
	now := clock{}.Now()
	value, _ := p.lastGood().Load()
	good, _ := decodeLastGood(value) // which has a later turn where the roll has been lost
	r, err := changeRoll(p.name, func(r *roll) bool {
		i, last := r.list.find(p.hash), len(r.list)-1
		isNew = i < 0 || i < last && r.list[i].isGone(now) && !r.list[last].isGone(now)
		if isNew {
			r.list = r.list.renew(p.hash, p.invalid, now, good)
			i = len(r.list) - 1
		}
		p.turn, p.watch.calls = r.list[i].number, r.calls
		return r.answer() || isNew
	})
	if err != nil {
		p.turn = 0
		return false, err
	}
	p.showInvalid(r.list)
	p.versionGauge.set(p.name, "version", version.Number())
	return isNew, nil
}

// isGone is not to be believed where all generations seem to be: then the whole process stood still.
func (g *generation) isGone(now breaker.Time) bool { return now.Sub(g.seen) >= goneAfter }

// A watch is what a plugin sees of the other configurations, or of the newer ones if there are any. It counts its own ticks: they
// stand still where the whole process does, and a clock does not.
type watch struct {
	wait  int          // ticks until the next look
	heard breaker.Time // when one of them was last seen to live
	still int          // ticks since that has changed
	calls uint32       // the last call of the roll that it has heard
}

// keepGeneration says now and then that the plugin lives, and takes a new turn if all newer configurations are gone.
func (p *plugin) keepGeneration(now breaker.Time) {
	w := &p.watch
	w.still++
	if w.wait--; w.wait > 0 || p.turn == 0 && !p.invalid {
		return
	}
	w.wait = lookEvery
	if p.turn == 0 { // shared data has taken nothing when it started
		_, _ = p.takeTurn()
		p.follow()
		return
	}
	turn, calls, isBack := p.turn, w.calls, false
	r, err := changeRoll(p.name, func(r *roll) bool {
		turn, calls, isBack = p.turn, r.calls, false
		changed := r.answer()
		i, last := r.list.find(p.hash), len(r.list)-1
		if i < 0 {
			r.list = r.list.insert(generation{p.hash, p.turn, now, p.invalid})
			return true
		}
		turn = r.list[i].number
		if last == 0 {
			if !p.invalid { // or it waits for a good one
				w.wait = lookSeldom
			}
			return changed
		}
		p.metAll = false // the others may have added breakers
		heard := breaker.Time(0)
		for j := range r.list {
			if j > i || i == last && j < i {
				heard = max(heard, r.list[j].seen)
			}
		}
		if heard != w.heard {
			w.heard, w.still = heard, 0
		}
		switch {
		case i < last && w.still >= goneTicks && i == r.list.good()-1:
			r.list = r.list[:i+1] // it has been in force all the time
			return true
		case i < last && w.still >= goneTicks:
			r.list = r.list.renew(p.hash, p.invalid, now, 0)
			turn, isBack = r.list[last].number, true
			return true
		case i == last && w.still >= 2*goneTicks:
			r.list = r.list[last:]
			return true
		}
		if now.Sub(r.list[i].seen) < stampEvery {
			return changed
		}
		r.list[i].seen = now
		return true
	})
	if err != nil {
		return // the next look will do
	}
	p.isAlone(len(r.list))
	if isBack && !p.invalid {
		bridge.LogInfof("configuration is in force again, since all that were loaded after it are gone: %s", p.config)
	}
	p.showInvalid(r.list)
	if turn != p.turn {
		p.renew(turn)
	}
	if p.invalid {
		p.follow()
	}
	if calls != w.calls {
		w.calls = calls
		p.showAll()
	}
}

// renew gives the plugin's configuration a new turn.
func (p *plugin) renew(turn uint32) {
	p.turn = turn
	if p.invalid {
		return // nothing goes by it
	}
	p.generation, p.met, p.metAll = turn, 0, false
	p.becomeLastGood()
	for _, at := range p.registry.clusters {
		if at.cluster != nil {
			at.cluster.renew()
		}
	}
}
