package replay

import "envoy-circuit-breaker/breaker"

// A prober calls the upstream of a breaker while it is open, as the plugin does from its ticks.
type prober struct {
	breaker.Probe
	asking, out bool // the next tick will ask; a probe is out
	good        bool // what it will find
}

// ask lets the next tick ask whether it is time for a probe, and the one after it, for as long as the breaker is open.
func (o *owner) ask() {
	if o.prober == nil || o.prober.asking || o.state != breaker.Open {
		return
	}
	o.prober.asking = true
	o.run.agenda.add(item{at: tickAfter(o.run.now), owner: o, probe: (*owner).askNow})
}

func (o *owner) askNow() {
	p := o.prober
	p.asking = false
	if !p.out && o.state == breaker.Open {
		if p.Probe, p.out = o.breaker.BeginProbe(); p.out {
			o.report.Probes++
			o.bin().Probes++
			timeout := o.rules.Policy.ProbeTimeout
			good, took := o.run.probe(o.run.now)
			p.good = good && took < timeout
			o.run.agenda.add(item{at: o.run.now + int64(min(took, timeout)), owner: o, probe: (*owner).endProbe})
		}
	}
	o.ask()
}

func (o *owner) endProbe() {
	o.prober.out = false
	o.breaker.EndProbe(o.prober.Probe, o.prober.good)
}
