package replay

import (
	"hash/fnv"
	"math/rand/v2"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/statuspage"
	"envoy-circuit-breaker/filter/verdict"
	"envoy-circuit-breaker/internal/report"
)

// tick is how often the plugin looks for requests that wait.
const tick = int64(100 * time.Millisecond)

// tickAfter is the first tick after a time.
func tickAfter(at int64) int64 { return (at/tick + 1) * tick }

// An owner is a cluster of an instance, or a route to it, with its breaker by one policy.
type owner struct {
	run     *run
	policy  int // whose flights are this one's
	rules   *config.Rules
	breaker *breaker.Breaker
	tally   breaker.MemoryTally
	record  breaker.MemoryStore
	streaks breaker.MemoryStore

	report report.Breaker
	state  breaker.State
	since  int64
	last   int64 // when its last request began or ended
	epoch  int   // how many transitions there have been
	onset  onset
	drawn  *drawn  // nil where trials end as their requests did
	prober *prober // nil where there are no probes
	bins   []report.Bin
}

func newOwner(r *run, policy int, c *config.Config, id identity) (*owner, error) {
	rules := c.For(id.cluster, id.route)
	o := &owner{
		run: r, policy: policy, rules: rules, since: r.now, onset: newOnset(&rules.Policy),
		report: report.Breaker{Instance: id.instance, Cluster: id.cluster, Route: id.route, Mode: rules.Policy.Mode.String()},
	}
	// The same log has the same report, and another cluster in it does not change this one's. Policies have the same luck
	// as far as they draw as often.
	seed := fnv.New64a()
	for _, text := range []string{id.instance, id.cluster, id.route} {
		seed.Write([]byte(text + "\x00"))
	}
	random := rand.New(rand.NewPCG(seed.Sum64(), r.seed))
	if r.recovery {
		o.drawn = &drawn{random: rand.New(rand.NewPCG(seed.Sum64(), 1))}
	}
	if rules.Policy.Mode == breaker.ForceOpen {
		o.state = breaker.Open // the machine knows nothing of it
	}
	simulated := rules.Policy
	if r.probe != nil && simulated.ProbeInterval > 0 {
		o.prober = &prober{}
	} else {
		simulated.ProbeInterval = 0 // no log has what probes would have found
	}
	if simulated.Mode == breaker.Enforce {
		simulated.Mode = breaker.Shadow // all requests of the log have happened
	}
	var err error
	o.breaker, err = breaker.New(breaker.Config{
		Policy: &simulated, Store: &o.record, Streaks: &o.streaks, Tally: &o.tally,
		Clock: breaker.ClockFunc(func() breaker.Time { return breaker.Time(r.now) }),
		Rand:  random.Uint64, OnTransition: o.moved,
	})
	return o, err
}

// begin asks the breaker to let a call through.
func (o *owner) begin(i uint32, c *call, f *flight) {
	o.report.Requests++
	o.last = o.run.now
	if !c.asks() {
		return
	}
	f.permit = o.breaker.TryAcquire()
	f.epoch = o.epoch
	bin := o.bin()
	bin.Asked++
	if f.rejected = f.permit.Shadowed() || !f.permit.Admitted(); f.rejected {
		return
	}
	bin.Admitted++
	due := func(at int64, does action) {
		if at < c.end {
			o.run.agenda.add(item{at: at, call: i, owner: o, does: does, flight: f.serial})
		}
	}
	slow := int64(o.rules.Policy.SlowCallDuration)
	if slow > 0 && c.sent != never && !c.flags.has(unasked) && c.waitEnd()-c.sent > slow {
		if at := tickAfter(c.sent + slow); at < c.waitEnd() {
			due(at, tellSlow)
		}
	}
	if !f.permit.Trial() {
		return
	}
	o.report.Trials++
	bin.Trials++
	if at := tickAfter(c.begin + int64(verdict.Patience) - 1); at < c.sent {
		due(at, release)
	}
	switch {
	case c.origin != verdict.Answered:
	case !c.flags.has(isGRPC):
		due(c.answered, tellAnswer)
	case c.status == 200: // a stream of gRPC's is not over when it works
		due(tickAfter(max(c.answered, c.begin+int64(o.rules.Policy.HalfOpenPermitTimeout)-2*tick-1)), tellAnswer)
	}
}

// act does what the agenda says.
func (o *owner) act(c *call, f *flight, does action) {
	switch {
	case f.told || f.waited:
	case does == release:
		f.permit = o.breaker.Release(f.permit)
	case does == tellAnswer:
		outcome, _ := o.rules.Judge(c.answer())
		o.tell(c, f, outcome)
		f.told = true
	case f.permit.Trial() && o.drawn != nil:
		o.tell(c, f, breaker.Outcome{Slow: true})
		f.told = true
	default:
		o.count(c, f, true)
		f.told = f.permit.Trial()
		f.permit = o.breaker.StillWaiting(f.permit)
		f.waited = !f.told
	}
}

// end gives the verdict on a call.
func (o *owner) end(c *call, f *flight) {
	o.last = o.run.now
	if !c.asks() {
		o.report.Elsewhere++
		o.bin().Neutral++
		return
	}
	ending := c.ending()
	outcome, _ := o.rules.Judge(ending)
	if o.drawn != nil {
		o.drawn.add(o.run.now, outcome)
	}
	o.show(outcome, f.rejected)
	if f.rejected {
		o.saveOrLose(c, outcome)
	}
	if f.told {
		return
	}
	if f.permit.Trial() && c.origin == verdict.Answered && !c.flags.has(isGRPC) { // told by the headers, which came as it ended
		outcome, _ = o.rules.Judge(c.answer())
	}
	o.tell(c, f, outcome)
}

// tell gives the breaker a verdict.
func (o *owner) tell(c *call, f *flight, outcome breaker.Outcome) {
	if f.permit.Trial() && o.drawn != nil {
		outcome = o.drawn.draw(o.run.now, outcome)
	}
	if outcome.Result != breaker.Neutral && !f.rejected && !f.waited {
		o.count(c, f, isBad(outcome))
	}
	o.breaker.Done(f.permit, outcome)
}

// isBad reports whether an outcome is one that a breaker opens for.
func isBad(o breaker.Outcome) bool { return o.Result == breaker.Failure || o.Slow }

// saveOrLose counts a call that would have been rejected by what became of it.
func (o *owner) saveOrLose(c *call, outcome breaker.Outcome) {
	r := &o.report
	r.Rejected++
	if !c.flags.has(unasked) {
		r.CallsAvoided += int64(c.attempts)
	}
	switch {
	case outcome.Result == breaker.Neutral:
		r.RejectedNeutral++
	case isBad(outcome):
		r.Saved++
	default:
		r.Lost++
	}
}

// count keeps track of where an outage may have begun.
func (o *owner) count(c *call, f *flight, bad bool) {
	if o.state == breaker.Closed && f.epoch == o.epoch {
		o.onset.count(bad, c.begin, o.run.now)
	}
}

// moved notes a transition.
func (o *owner) moved(m breaker.Transition) {
	r, at := &o.report, int64(m.At)
	o.spend(at)
	o.state = m.To
	o.epoch++
	o.ask()
	if o.run.watch != nil {
		o.run.watch(m)
	}
	t := report.Transition{
		At: time.Unix(0, at).UTC(), From: m.From.String(), To: m.To.String(), Reason: m.Reason.String(),
		Text: statuspage.Describe(&o.rules.Policy, m),
	}
	if m.To == breaker.Open {
		r.Trips++
		if m.From == breaker.Closed {
			r.Outages++
			took := report.Seconds(at - o.onset.began)
			t.Noticed = &took
		}
	}
	if m.To == breaker.Closed {
		o.onset.restart()
	}
	if len(r.Transitions) == report.MostTransitions {
		r.TransitionsLeftOut++
		return
	}
	r.Transitions = append(r.Transitions, t)
}

// spend counts the time until now that the breaker was in its state.
func (o *owner) spend(at int64) {
	switch o.state {
	case breaker.Open:
		o.report.OpenFor += report.Seconds(at - o.since)
	case breaker.HalfOpen:
		o.report.HalfOpenFor += report.Seconds(at - o.since)
	}
	o.draw(o.since, at)
	o.since = at
}

// finish completes what is reported. What state it is in after its last request counts for nothing: so the report of one
// breaker does not depend on what others are in the log.
func (o *owner) finish() report.Breaker {
	o.spend(max(o.last, o.since))
	o.draw(o.last, o.run.now)
	r := o.report
	r.Rules, r.Bins = o.rules, o.bins
	r.Calls, r.Failures, r.SlowCalls = o.value(breaker.Calls), o.value(breaker.Failures), o.value(breaker.SlowCalls)
	r.Neutral = o.value(breaker.Neutrals) + r.Elsewhere
	r.State = o.state.String()
	// A rejected call is late to the breaker, or neutral.
	switch o.rules.Policy.Mode {
	case breaker.Enforce, breaker.Shadow:
		r.Neutral -= r.RejectedNeutral
		r.Late = o.value(breaker.Late) - r.Saved - r.Lost
	case breaker.Disabled:
		r.Unjudged = r.Requests - r.Elsewhere
	}
	r.PermitsExpired = o.value(breaker.PermitsExpired)
	return r
}

func (o *owner) value(s breaker.Stat) int64 { return int64(o.tally.Value(s)) }
