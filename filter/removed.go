//go:build wasip1

package main

const (
	// silence is for how many rounds a plugin has not ticked, while others have, when it counts as removed. Rounds stand still where
	// the whole process does: a frozen container, a paused machine.
	silence = 600
	// answerWithin is for how many rounds a call is answered.
	answerWithin = 2 * lookSeldom
)

// A departed plugin has been removed, and left gauges that nobody of its name in this virtual machine keeps.
type departed struct {
	*plugin
	call uint32 // of the roll: whether any plugin of its name lives elsewhere
	due  uint64 // the round by which one has answered
}

var departures []departed

// forgetRemoved drops the plugins that have been removed. Others of the name set its gauges right; if there is none, they read 0.
func (p *plugin) forgetRemoved() {
	var removed []*plugin
	for id, other := range plugins {
		if other.streams == 0 && round-other.round > silence {
			removed = append(removed, other)
			delete(plugins, id)
			recent = nil
		}
	}
	for _, gone := range removed {
		if gone.showOthers() || gone.turn == 0 {
			continue
		}
		d := departed{plugin: gone, due: round + answerWithin}
		if _, err := changeRoll(gone.name, func(r *roll) bool {
			r.calls++
			d.call = r.calls
			return true
		}); err == nil {
			departures = append(departures, d)
		}
	}
	for len(departures) > 0 && departures[0].due <= round {
		departures[0].conclude()
		departures = departures[1:]
	}
}

// showOthers lets the plugins of the same name in this virtual machine show their gauges again, and reports whether there are any.
func (p *plugin) showOthers() (any bool) {
	for _, other := range plugins {
		if other.name == p.name && other.turn != 0 {
			other.showAll()
			any = true
		}
	}
	return any
}

// conclude sets the gauges to 0, unless the call has been answered.
func (d *departed) conclude() {
	value, _ := rollStore(d.name).Load()
	if r := decodeRoll(value); int32(r.answered-d.call) >= 0 {
		return
	}
	for _, at := range d.registry.clusters {
		if at.cluster != nil {
			at.cluster.hide()
		}
	}
	for i := range d.met {
		name, _ := d.registry.place(i).Load()
		if o := ownerOf(string(name)); d.config.OwnRoute(o.name, o.route) != o.route { // it has been shown as disabled
			(&cluster{stats: stats{plugin: d.plugin, owner: o}}).hide()
		}
	}
	r, _ := changeRoll(d.name, func(r *roll) bool {
		r.list = r.list[:r.list.good()]
		return true
	})
	d.showInvalid(r.list)
	d.versionGauge.set(d.name, "version", 0)
}
