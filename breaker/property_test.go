package breaker

import (
	"flag"
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkSteps lets rapid check a property until at least total of its steps have been taken, in runs of each of them on
// average. A failure prints the shortest sequence of actions that rapid finds for it.
func checkSteps(t *testing.T, total, each int, property func(t *rapid.T, actions func(map[string]func(*rapid.T)))) {
	old := flag.Lookup("rapid.steps").Value.String()
	flag.Set("rapid.steps", strconv.Itoa(each))
	defer flag.Set("rapid.steps", old)
	steps := 0
	for steps < total {
		rapid.Check(t, func(t *rapid.T) {
			property(t, func(actions map[string]func(*rapid.T)) {
				for name, action := range actions {
					actions[name] = func(t *rapid.T) { steps++; action(t) }
				}
				t.Repeat(actions)
			})
		})
	}
	t.Logf("%d steps", steps)
}

// anyPolicy draws valid policies with numbers so small that a random sequence gets to every state, and often to the very
// edge of a limit.
var anyPolicy = rapid.Custom(func(t *rapid.T) Policy {
	p := DefaultPolicy()
	p.Mode = rapid.SampledFrom([]Mode{Enforce, Enforce, Enforce, Shadow}).Draw(t, "mode")
	p.WindowDuration = rapid.SampledFrom([]time.Duration{10 * time.Second, time.Second, 2500 * time.Millisecond,
		time.Second + 7, 0}).Draw(t, "window.duration")
	p.MinRequests = rapid.IntRange(1, 12).Draw(t, "min_requests")
	if p.WindowDuration == 0 {
		p.WindowRequests = rapid.SampledFrom([]int{10, 20, 11, 15, 19, 37}).Draw(t, "window.requests")
		p.MinRequests = min(p.MinRequests, p.WindowRequests)
	}
	p.FailureRate = rapid.SampledFrom([]float64{50, 0, 100, 20, 33.3, 1}).Draw(t, "failure_rate")
	p.ConsecutiveFailures = rapid.SampledFrom([]int{0, 1, 3, 5}).Draw(t, "consecutive_failures")
	p.SlowCallDuration = rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "slow_call.duration")
	p.SlowCallRate = rapid.SampledFrom([]float64{100, 50, 1}).Draw(t, "slow_call.rate")
	p.OpenDuration = rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Millisecond, 5 * time.Second}).Draw(t, "open.duration")
	p.OpenMultiplier = rapid.SampledFrom([]float64{2, 1, 1.5, 10}).Draw(t, "open.multiplier")
	p.OpenMaxDuration = p.OpenDuration * time.Duration(rapid.SampledFrom([]int{4, 1, 50, 1000}).Draw(t, "open.max_duration/open.duration"))
	p.OpenJitter = rapid.SampledFrom([]float64{0, 0.2, 1}).Draw(t, "open.jitter")
	p.HalfOpenMaxRequests = rapid.SampledFrom([]int{1, 2, 3, MaxTrials}).Draw(t, "half_open.max_requests")
	p.HalfOpenSuccessThreshold = rapid.IntRange(1, 4).Draw(t, "half_open.success_threshold")
	p.HalfOpenPermitTimeout = rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Millisecond, longestPermit}).Draw(t, "half_open.permit_timeout")
	p.Ramp = rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second}).Draw(t, "ramp")
	p.ProbeInterval = rapid.SampledFrom([]time.Duration{0, 0, time.Second, 100 * time.Millisecond}).Draw(t, "probe.interval")
	p.ProbeCloses = rapid.Bool().Draw(t, "probe.on_success = close")
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
})

const longestPermit = 30 * time.Second

// anyOutcome draws outcomes, more often bad than good: a healthy breaker has not much to show.
var anyOutcome = rapid.Custom(func(t *rapid.T) Outcome {
	return Outcome{
		Result:     rapid.SampledFrom([]Result{Success, Failure, Failure, Neutral}).Draw(t, "result"),
		Slow:       rapid.SampledFrom([]bool{false, false, true}).Draw(t, "slow"),
		Unanswered: rapid.Bool().Draw(t, "unanswered"),
		RetryAfter: rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 3 * time.Second, time.Hour}).Draw(t, "retry after"),
	}
})

// anyPause draws pauses about which the policy has an opinion, give or take a nanosecond.
func anyPause(t *rapid.T, p Policy) time.Duration {
	w := p.window()
	bucket := w.bucket()
	if p.WindowRequests > 0 {
		bucket = int64(time.Second)
	}
	d := rapid.SampledFrom([]time.Duration{
		time.Millisecond, time.Duration(bucket), time.Duration(bucket) / 3, 10 * time.Duration(bucket), p.OpenDuration,
		p.HalfOpenPermitTimeout, p.HalfOpenPermitTimeout + expiryGrace, p.Ramp / 3, p.Ramp, p.OpenMaxDuration, maxViewAge, p.ProbeInterval, p.ProbeTimeout + probeGrace,
	}).Draw(t, "pause")
	return max(0, d+time.Duration(rapid.IntRange(-1, 1).Draw(t, "±ns")))
}

func anyRandom(t *rapid.T) uint64 {
	return random(rapid.SampledFrom([]float64{0, 0.5, 0.04, 0.9, 0.999}).Draw(t, "dice"))
}

// ledger keeps books on a breaker, from outside, and looks into its record after each step.
type ledger struct {
	*world
	t        *rapid.T
	policy   Policy
	workers  []*Breaker
	flights  []entry
	probes   []Probe       // under way
	longest  time.Duration // that any policy would have had it open, since it did
	interval time.Duration // of the probes, when it opened

	taken, returned, dropped int    // permits; returned by an end or a release; dropped by a transition or lost with the record
	expired                  int    // in a row, those that were given up unanswered included
	finished                 uint64 // requests that ended, were refused, or were counted while they waited
	last                     Record // the last that was sound
	corrupt                  bool
}

// entry is a request in flight, on a worker.
type entry struct {
	worker  int
	permit  Permit
	expires Time
	place   bool // a trial that has one
	found   bool // or had, until it was found to have expired
}

func newLedger(t *rapid.T) *ledger {
	l := &ledger{world: newWorld(t), t: t, policy: anyPolicy.Draw(t, "policy")}
	switch rapid.SampledFrom([]string{"none", "none", "all", "some"}).Draw(t, "muted stats") {
	case "all":
		for s := range l.mute {
			l.mute[s] = true
		}
	case "some":
		for _, s := range rapid.SliceOf(rapid.SampledFrom([]Stat{Calls, Failures, SlowCalls, Streak, Successes, Changes})).Draw(t, "muted") {
			l.mute[s] = true
		}
	}
	for range rapid.IntRange(1, 3).Draw(t, "workers") {
		l.workers = append(l.workers, l.worker(l.policy))
	}
	l.workers[0].load(l.now)
	l.last = l.record()
	return l
}

func (l *ledger) any() int { return rapid.IntRange(0, len(l.workers)-1).Draw(l.t, "worker") }

// takeBack finds, without the record's help, the trials that have expired, as the next request does. It returns how many others
// are in flight and have their place.
func (l *ledger) takeBack() (live int) {
	for i := range l.flights {
		switch f := &l.flights[i]; {
		case !f.place || f.permit.epoch != l.last.Epoch:
		case l.now >= f.expires:
			f.place, f.found = false, true
			l.expired++
		default:
			live++
		}
	}
	return live
}

func (l *ledger) request(worker int) Permit { return l.ask(l.workers[worker].Acquire, worker) }

func (l *ledger) ask(acquire func() Permit, worker int) Permit {
	before, known := l.last, !l.corrupt
	live, expired := 0, 0
	if known && before.State == HalfOpen {
		live = l.takeBack()
		expired = l.expired
	}
	p := acquire()
	if p.kind != refused {
		l.flights = append(l.flights, entry{worker: worker, permit: p, place: p.kind == trial,
			expires: l.now.Add(l.policy.HalfOpenPermitTimeout + expiryGrace)})
	}
	switch p.kind {
	case refused, doubtful, unmanaged:
		l.finished++
	case trial:
		if l.taken++; known && live+expired >= l.policy.HalfOpenMaxRequests {
			l.t.Fatalf("a trial beside %d others, and %d have expired in a row", live, expired)
		}
	}
	l.check(before)
	if reopened := known && before.State == HalfOpen && !l.corrupt && l.last.State == Open; reopened !=
		(known && before.State == HalfOpen && expired >= l.policy.HalfOpenMaxRequests) {
		l.t.Fatalf("%v after a request, and %d have expired in a row", l.last.State, expired)
	}
	if known && !l.corrupt && (p.kind == refused || p.kind == shadowed) {
		switch r := l.last; {
		case r.State == Open && l.now >= r.OpenUntil:
			l.t.Fatalf("refused by an open breaker at %d, until %d: %+v", l.now, r.OpenUntil, p)
		case r.State == Open:
			until := r.OpenUntil
			if l.policy.ProbeInterval > 0 { // which may fail for as long as that
				until = max(until, r.OpenedAt.Add(l.policy.OpenMaxDuration))
			}
			if p.RetryAfter != until.Sub(l.now) {
				l.t.Fatalf("refused by an open breaker at %d, wait for it until %d: %+v", l.now, until, p)
			}
		case r.State == HalfOpen && live+expired < l.policy.HalfOpenMaxRequests:
			l.t.Fatalf("refused by a half-open breaker with %d trials, and %d that have expired in a row", live, expired)
		case r.State == Closed && !l.policy.ramping(&r, l.now):
			l.t.Fatal("refused by a closed breaker")
		}
	}
	return p
}

func (l *ledger) end(i int, o Outcome) {
	f := l.flights[i]
	l.flights = append(l.flights[:i:i], l.flights[i+1:]...)
	before, known := l.last, !l.corrupt
	was := l.outcomes()
	current := known && f.permit.epoch == before.Epoch
	l.workers[f.worker].Done(f.permit, o)
	switch f.permit.kind {
	case counted, trial, shadowed:
		l.finished++
	}
	after := l.outcomes()
	switch {
	case f.permit.kind == trial && current:
		l.endTrial(f, o, after[Calls] > was[Calls])
	case f.place:
		l.dropped++
	}
	l.check(before)
	if f.permit.kind == waiting || f.permit.kind == settled {
		l.checkRest(f.permit, o, before, was, after)
		return
	}

	if !known || o.Result == Neutral || f.permit.epoch == before.Epoch ||
		f.permit.kind != trial && f.permit.kind != counted {
		return
	}
	// An outcome of an older epoch.
	if was[Late]++; after != was {
		l.t.Fatalf("an outcome of an older epoch changed the tally: %v, want %v", after, was)
	}
	now := l.last
	before.Window, before.OwnedAt, before.EpochFailures = now.Window, now.OwnedAt, now.EpochFailures
	before.StoredTally = now.StoredTally // a good one may be what finds out about the tally
	if before != now {
		l.t.Fatalf("an outcome of an older epoch changed the record:\n%+v\n%+v", before, now)
	}
}

// endTrial notes the end of a trial of the current epoch.
func (l *ledger) endTrial(f entry, o Outcome, counted bool) {
	if counted != (o.Result != Neutral) {
		l.t.Fatalf("%+v of a trial; counted: %v", o, counted)
	}
	if f.place {
		l.returned++
	}
	switch {
	case o.Result == Neutral && o.Unanswered && !f.found:
		l.expired++
	case o.Result == Success:
		l.expired = 0
	}
}

// checkRest checks that what comes of a request that was counted while it waited adds nothing but a failure, and that only in
// the same epoch.
func (l *ledger) checkRest(p Permit, o Outcome, before Record, was, after [NumStats]uint64) {
	if after[Failures] > was[Failures] {
		was[Failures]++
		if o.Result != Failure || p.kind != waiting || p.epoch != before.Epoch {
			l.t.Fatalf("%+v of %+v counts as a failure", o, p)
		}
	}
	was[Streak] = after[Streak]
	if after != was {
		l.t.Fatalf("%+v of %+v: %v, then %v", o, p, was, after)
	}
}

// stillWaits tells of a request that it still waits.
func (l *ledger) stillWaits(i int) {
	f := &l.flights[i]
	before, known := l.last, !l.corrupt
	was := l.outcomes()
	p := l.workers[f.worker].StillWaiting(f.permit)
	after := l.outcomes()
	switch {
	case p == f.permit:
		if after != was || known && p.epoch == before.Epoch && l.policy.SlowCallDuration > 0 && (p.kind == counted || p.kind == trial) {
			l.t.Fatalf("%+v is not told to wait", p)
		}
	case p.kind == waiting:
		l.finished++
		was[Calls]++
		was[SlowCalls]++
		if l.moves == nil && after != was || l.moves != nil && after[Calls] != was[Calls] {
			l.t.Fatalf("counted while it waits: %v, want %v", after, was)
		}
	case f.permit.kind == trial:
		l.finished++
		switch {
		case known && p.epoch == before.Epoch:
			l.endTrial(*f, Outcome{Result: Failure}, after[Calls] > was[Calls])
		case f.place:
			l.dropped++
		}
	default:
		l.t.Fatalf("%+v became %+v", f.permit, p)
	}
	f.permit, f.place = p, f.place && p == f.permit
	l.check(before)
}

// release gives a place back.
func (l *ledger) release(i int) {
	f := &l.flights[i]
	before, was := l.last, l.outcomes()
	current := !l.corrupt && f.permit.epoch == before.Epoch
	p := l.workers[f.worker].Release(f.permit)
	if f.place && current {
		l.returned++
		if p.lease != 0 {
			l.t.Fatalf("%+v was not released", f.permit)
		}
		f.place = false
	} else if p != f.permit && !l.corrupt && current {
		l.t.Fatalf("%+v was released", f.permit)
	}
	f.permit = p
	l.check(before)
	if after := l.outcomes(); after != was {
		l.t.Fatalf("a release counts: %v, then %v", was, after)
	}
}

func (l *ledger) outcomes() (v [NumStats]uint64) {
	for _, s := range [...]Stat{Calls, Failures, SlowCalls, Streak, Late, Neutrals, Errors} {
		v[s] = l.tally.Value(s)
	}
	return v
}

// check looks at everything that must hold after a step.
func (l *ledger) check(before Record) {
	t := l.t
	wasCorrupt := l.corrupt
	value, _ := l.store.Load()
	var r Record
	l.corrupt = r.UnmarshalBinary(value) != nil

	var sum uint64
	for _, s := range [...]Stat{Calls, Late, Neutrals, Rejected, Errors, FellBack} {
		sum += l.tally.Value(s)
	}
	if sum != l.finished {
		t.Fatalf("%d requests ended or were refused, %d were counted", l.finished, sum)
	}
	if l.corrupt {
		return
	}
	if again, _ := r.AppendBinary(nil); string(again) != string(value) {
		t.Fatalf("encoding a decoded record makes another: %+v", r)
	}
	if gauge := l.tally.Value(StateGauge); gauge != uint64(r.State) {
		t.Fatalf("state is %v, its gauge is %d", r.State, gauge)
	}
	moves := l.moves
	l.moves = nil
	switch {
	case wasCorrupt:
		if r.Epoch <= before.Epoch {
			t.Fatalf("epoch %d in the record after one with epoch %d", r.Epoch, before.Epoch)
		}
	case r.Epoch != before.Epoch+uint64(len(moves)):
		t.Fatalf("epoch %d after %d and %d transitions", r.Epoch, before.Epoch, len(moves))
	case len(moves) > 1 || (len(moves) == 1) != (r.State != before.State):
		t.Fatalf("%v after %v with %d transitions", r.State, before.State, len(moves))
	}
	if r.Epoch != before.Epoch {
		l.expired = 0
		for i := range l.flights {
			if f := &l.flights[i]; f.place && f.permit.epoch != r.Epoch {
				f.place = false
				l.dropped++
			}
		}
	}
	if r.State == HalfOpen && int(r.Expired) != l.expired {
		t.Fatalf("%d trials in a row have expired, want %d", r.Expired, l.expired)
	}
	streak := l.tally.Value(Streak)
	if len(moves) > 0 && streak > 0 {
		t.Fatalf("the new epoch begins with %d failures in a row", streak)
	}
	for _, m := range moves {
		if m.To == Open && (r.OpenUntil <= l.now || r.OpenUntil.Sub(l.now) > l.policy.OpenMaxDuration || r.OpenedAt != l.now) {
			t.Fatalf("opened at %d until %d", l.now, r.OpenUntil)
		}
		l.longest, l.interval = l.policy.OpenMaxDuration, l.policy.ProbeInterval
	}
	if r.State == Open && r.OpenUntil.Sub(r.OpenedAt) > l.longest {
		t.Fatalf("stays open until %d, %v after opening", r.OpenUntil, r.OpenUntil.Sub(r.OpenedAt))
	}
	expired := int(l.tally.Value(PermitsExpired))
	if l.taken != l.returned+l.dropped+expired+r.live {
		t.Fatalf("permits: %d taken; %d returned, %d dropped, %d expired, %d live", l.taken, l.returned, l.dropped, expired, r.live)
	}
	l.last = r
}

func TestProperties(t *testing.T) {
	checkSteps(t, 500_000, 150, func(t *rapid.T, repeat func(map[string]func(*rapid.T))) {
		l := newLedger(t)
		request := func(t *rapid.T) { l.request(l.any()) }
		end := func(t *rapid.T) {
			if len(l.flights) > 0 {
				l.end(rapid.IntRange(0, len(l.flights)-1).Draw(t, "which"), anyOutcome.Draw(t, "outcome"))
			}
		}
		repeat(map[string]func(*rapid.T){
			"request": request, "request ": request, "end": end, "end ": end, "end  ": end,
			"several": func(t *rapid.T) {
				worker, o := l.any(), anyOutcome.Draw(t, "outcome")
				for range rapid.IntRange(1, 15).Draw(t, "how many") {
					if p := l.request(worker); p.kind != refused {
						l.end(len(l.flights)-1, o)
					}
				}
			},
			"still waits": func(t *rapid.T) {
				if len(l.flights) > 0 {
					l.stillWaits(rapid.IntRange(0, len(l.flights)-1).Draw(t, "which"))
				}
			},
			"several wait": func(t *rapid.T) {
				worker := l.any()
				for range rapid.IntRange(1, 10).Draw(t, "how many") {
					if p := l.request(worker); p.kind != refused {
						l.stillWaits(len(l.flights) - 1)
					}
				}
			},
			"release": func(t *rapid.T) {
				if len(l.flights) > 0 {
					l.release(rapid.IntRange(0, len(l.flights)-1).Draw(t, "which"))
				}
			},
			"advance": func(t *rapid.T) { l.now = l.now.Add(anyPause(t, l.policy)) },
			"dice":    func(t *rapid.T) { l.rnd = anyRandom(t) },
			"observe": func(t *rapid.T) {
				before := l.last
				l.workers[l.any()].Observe(anyOutcome.Draw(t, "outcome"))
				l.finished++
				l.check(before)
			},
			"fall back": func(t *rapid.T) {
				i := l.any()
				l.ask(func() Permit {
					p := l.workers[i].TryAcquire()
					if p.kind == refused {
						l.workers[i].FallBack()
					}
					return p
				}, i)
			},
			"begin a probe": func(t *rapid.T) {
				before, known := l.last, !l.corrupt
				probe, ok := l.workers[l.any()].BeginProbe()
				l.check(before)
				if !ok {
					return
				}
				if known && (before.State != Open || l.now < before.OpenedAt.Add(l.interval)) {
					t.Fatalf("a probe %v after opening, %v", l.now.Sub(before.OpenedAt), before.State)
				}
				for _, other := range l.probes {
					if other.epoch == probe.epoch && l.now < other.began.Add(l.policy.ProbeTimeout+probeGrace) {
						t.Fatal("two probes at once")
					}
				}
				l.probes = append(l.probes, probe)
			},
			"end a probe": func(t *rapid.T) {
				if len(l.probes) == 0 {
					return
				}
				i := rapid.IntRange(0, len(l.probes)-1).Draw(t, "which")
				probe, before := l.probes[i], l.last
				l.probes = append(l.probes[:i:i], l.probes[i+1:]...)
				l.workers[l.any()].EndProbe(probe, rapid.Bool().Draw(t, "good"))
				known := !l.corrupt
				l.check(before)
				if known && probe.epoch != before.Epoch && l.last.Epoch != before.Epoch {
					t.Fatal("a probe of an older epoch moved the breaker")
				}
			},
			"load another policy": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "seldom") < 9 {
					return
				}
				l.generation++
				l.policy = anyPolicy.Draw(t, "policy")
				l.longest = max(l.longest, l.policy.OpenMaxDuration)
				before := l.last
				for i := range l.workers {
					l.workers[i] = l.worker(l.policy)
					l.workers[i].load(l.now)
				}
				l.check(before)
				l.probes = nil
				if r := l.last; r.State == Open && r.OpenUntil.Sub(l.now) > l.policy.OpenMaxDuration {
					t.Fatal("open for longer than the new policy ever is")
				}
			},
			"corrupt": func(t *rapid.T) {
				if l.corrupt || rapid.IntRange(0, 9).Draw(t, "seldom") < 9 {
					return
				}
				l.now = l.now.Add(time.Millisecond) // the epoch of what replaces it is the time
				value, version := l.store.Load()
				value = append([]byte(nil), value...)
				value[rapid.IntRange(0, RecordSize-1).Draw(t, "byte")] ^= byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
				l.store.CompareAndSwap(value, version)
				l.corrupt = true
			},
			"recover": func(t *rapid.T) {
				for i := 0; !l.corrupt && l.last.State == HalfOpen; i++ {
					if i > l.policy.HalfOpenSuccessThreshold {
						t.Fatal("half-open in spite of successes")
					}
					p := l.request(l.any())
					if p.kind != trial {
						l.now = l.now.Add(longestPermit + expiryGrace)
						if p = l.request(l.any()); p.kind != trial && l.last.State != Open {
							t.Fatalf("no trial, though all permits have expired: %+v", p)
						}
					}
					if p.kind == trial {
						l.end(len(l.flights)-1, Outcome{})
					}
				}
			},
		})
	})
}

func TestRecordEncoding(t *testing.T) {
	anyTime := rapid.Custom(func(t *rapid.T) Time { return Time(rapid.Int64().Draw(t, "time")) })
	rapid.Check(t, func(t *rapid.T) {
		u64, u32 := rapid.Uint64(), rapid.Uint32()
		r := Record{
			State: rapid.SampledFrom([]State{Closed, Open, HalfOpen}).Draw(t, "state"),
			Epoch: u64.Draw(t, "epoch"), Owner: Owner{u64.Draw(t, "policy"), u32.Draw(t, "generation")},
			OwnedAt: anyTime.Draw(t, "owned at"), StoredTally: rapid.Bool().Draw(t, "stored tally"), SetBack: rapid.Bool().Draw(t, "set back"),
			Trips: u32.Draw(t, "trips"), OpenedAt: anyTime.Draw(t, "opened at"), OpenUntil: anyTime.Draw(t, "open until"), DueAt: anyTime.Draw(t, "due at"),
			ClosedAt: anyTime.Draw(t, "closed at"), EpochFailures: u64.Draw(t, "epoch failures"),
			Successes: u32.Draw(t, "successes"), Expired: u32.Draw(t, "expired"), Serial: u32.Draw(t, "serial"),
			Window: Window{
				Kind: rapid.SampledFrom([]WindowKind{TimeWindow, CountWindow}).Draw(t, "kind"),
				Size: rapid.Int64Range(1, math.MaxInt64).Draw(t, "size"), Watched: rapid.Bool().Draw(t, "watched"),
			},
		}
		switch r.State {
		case Closed:
			for range rapid.IntRange(1, snapshots).Draw(t, "snapshots") {
				r.Window.push(Snapshot{rapid.Int64().Draw(t, "bucket"),
					Totals{u64.Draw(t, "calls"), u64.Draw(t, "failures"), u64.Draw(t, "slow calls")}})
			}
		case HalfOpen:
			for range rapid.IntRange(0, MaxTrials).Draw(t, "leases") {
				r.lend(anyTime.Draw(t, "deadline"))
			}
		}
		b, err := r.AppendBinary([]byte("before"))
		if err != nil || len(b) != len("before")+RecordSize {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		var again Record
		if err := again.UnmarshalBinary(b[len("before"):]); err != nil || again != r {
			t.Fatalf("%v\n%+v\n%+v", err, r, again)
		}
		// One wrong bit, wherever it is, is found.
		i := rapid.IntRange(len("before"), len(b)-1).Draw(t, "byte")
		b[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		kept := again
		if err := again.UnmarshalBinary(b[len("before"):]); err == nil || again != kept {
			t.Fatalf("a wrong bit in byte %d: %v", i, err)
		}
	})
}
