package breaker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzDecode decodes arbitrary bytes, once as they are and once made to pass the checks of size, version and checksum, so
// that the contents get their turn. It never panics; what decodes encodes to the same bytes; and two workers with different
// policies that find those bytes in the store, beside arbitrary totals, carry on from there.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, calls, failures uint64, script []byte) {
		for _, value := range [][]byte{data, mended(data)} {
			var r Record
			switch err := r.UnmarshalBinary(value); {
			case err == nil:
				if again, _ := r.AppendBinary(nil); !bytes.Equal(again, value) {
					t.Fatalf("decoded %x\nencoded %x", value, again)
				}
			case !errors.Is(err, ErrCorrupt):
				t.Fatalf("not a corrupt record: %v", err)
			case r != Record{}:
				t.Fatalf("with an error came a record: %+v", r)
			}
			w := newWorld(t)
			w.store.CompareAndSwap(value, 0)
			w.tally.Set(Calls, calls)
			w.tally.Set(Failures, failures)
			w.tally.Set(Changes, calls) // at 0 the counters were set back
			other := DefaultPolicy()
			other.WindowDuration, other.WindowRequests, other.MinRequests = 0, 100, 10
			other.ConsecutiveFailures, other.SlowCallDuration = 5, time.Second
			other.Ramp, other.ProbeInterval = time.Minute, time.Second
			play(t, w, script, DefaultPolicy(), other)
		}
	})
}

// TestDecodeSeeds keeps the seeds of FuzzDecode what their names say when the layout changes: -rewrite writes them anew.
func TestDecodeSeeds(t *testing.T) {
	p := DefaultPolicy()
	p.ConsecutiveFailures, p.ProbeInterval = 5, time.Second
	now := Time(1000 * time.Second)
	fresh := p.fresh(Owner{p.Hash(), 1}, now, Totals{100, 10, 0})
	closed := fresh
	closed.Window.move(now.Add(time.Second), Totals{120, 15, 0}, false)
	counting := fresh
	counting.Window = Window{Kind: CountWindow, Size: 100}
	counting.beginWindow(counting.Window, now, Totals{100, 10, 0})
	counting.Window.move(now, Totals{250, 10, 0}, true)
	open := closed
	p.trip(&open, Transition{}, 0, now, 0)
	halfOpen := open
	p.admit(&halfOpen, open.OpenUntil, 0)
	p.admit(&halfOpen, open.OpenUntil, 0)
	lastSerial := halfOpen
	lastSerial.Serial = math.MaxUint32

	encode := func(r Record) []byte {
		b, _ := r.AppendBinary(nil)
		return b
	}
	with := func(b []byte, at int, to byte) []byte {
		b[at] = to
		return b
	}
	for name, data := range map[string][]byte{
		"closed":                  encode(closed),
		"closed-count-window":     encode(counting),
		"open":                    encode(open),
		"half-open":               encode(halfOpen),
		"half-open-last-serial":   encode(lastSerial),
		"wrong-version":           with(encode(closed), 0, RecordVersion+1),
		"bad-checksum":            with(encode(open), 1, byte(Closed)),
		"too-short":               encode(closed)[:100],
		"too-many-leases":         mended(with(encode(halfOpen), 3, MaxTrials+1)),
		"something-after-the-end": mended(with(encode(open), RecordSize-5, 1)),
	} {
		// A request; fail until it trips, wait, three trials, one of them fails; a probe; wait, a trial without a verdict. Then
		// one more that is released, one that is given up unanswered and one that waits; and a call that waits, and fails.
		script := []byte{0, 165, 110, 0, 0, 0, 1, 1, 2, 118, 7, 15, 142, 0, 4, 0, 150, 0, 1, 0, 1,
			0, 19, 0, 12, 0, 11, 1, 0, 11, 2, 110, 0, 1, 0, 1, 0, 1, 0, 11, 2}
		want := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\nuint64(130)\nuint64(15)\n[]byte(%q)\n", data, script)
		file := filepath.Join("testdata/fuzz/FuzzDecode", name)
		if *rewrite {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what the layout makes of it (%v)", file, err)
		}
	}
}

// mended returns data with the size, version and checksum of a record.
func mended(data []byte) []byte {
	b := make([]byte, RecordSize)
	copy(b, data)
	b[0] = RecordVersion
	body := b[:RecordSize-4]
	binary.LittleEndian.PutUint32(b[RecordSize-4:], crc32.ChecksumIEEE(body))
	return b
}

// FuzzPolicy validates arbitrary policies. An error names a field, its value and what it may be, and is gone once that
// field has a value that is allowed. A valid policy opens for as long as it says, has a hash of its own, and runs any
// script; and whatever has happened, a request gets through in the end.
func FuzzPolicy(f *testing.F) {
	f.Fuzz(func(t *testing.T, mode byte, windowDuration int64, windowRequests, minRequests int, failureRate float64,
		consecutive int, slowDuration int64, slowRate float64, open int64, multiplier float64, openMax int64, jitter float64,
		trials, threshold int, timeout, ramp, probeInterval, probeTimeout int64, probeCloses bool, script []byte) {
		p := Policy{
			Mode:           Mode(mode),
			WindowDuration: time.Duration(windowDuration), WindowRequests: windowRequests,
			MinRequests: minRequests, FailureRate: failureRate, ConsecutiveFailures: consecutive,
			SlowCallDuration: time.Duration(slowDuration), SlowCallRate: slowRate,
			OpenDuration: time.Duration(open), OpenMultiplier: multiplier, OpenMaxDuration: time.Duration(openMax),
			OpenJitter:          jitter,
			HalfOpenMaxRequests: trials, HalfOpenSuccessThreshold: threshold, HalfOpenPermitTimeout: time.Duration(timeout),
			Ramp:          time.Duration(ramp),
			ProbeInterval: time.Duration(probeInterval), ProbeTimeout: time.Duration(probeTimeout), ProbeCloses: probeCloses,
		}
		mendPolicy(t, &p)
		checkHash(t, p)
		checkOpenTimes(t, p)

		w := newWorld(t)
		play(t, w, script, p, p)
		if n := w.tally.Value(Errors); n != 0 {
			t.Errorf("errors = %d", n)
		}
		// Whatever is open or lent by now, and the ramp, is over then. Perhaps the first one finds that all trials have expired.
		var permit Permit
		for range 2 {
			w.now = w.now.Add(p.OpenMaxDuration + p.HalfOpenPermitTimeout + expiryGrace + p.Ramp)
			if permit = w.worker(p).Acquire(); permit.Admitted() || permit.basis != basis(Open) {
				break
			}
		}
		if !permit.Admitted() && p.Mode != ForceOpen {
			t.Errorf("stuck: %+v", permit)
		}
	})
}

// mendPolicy sets right what [Policy.Validate] says is wrong, until nothing is.
func mendPolicy(t *testing.T, p *Policy) {
	d := DefaultPolicy()
	fields := map[string]struct {
		value any
		mend  func()
	}{
		"mode": {p.Mode, func() { p.Mode = d.Mode }},
		"window": {fmt.Sprintf("duration %v with requests %d", p.WindowDuration, p.WindowRequests),
			func() { p.WindowDuration, p.WindowRequests = d.WindowDuration, 0 }},
		"window.duration":             {p.WindowDuration, func() { p.WindowDuration = d.WindowDuration }},
		"window.requests":             {p.WindowRequests, func() { p.WindowRequests = 100 }},
		"min_requests":                {p.MinRequests, func() { p.MinRequests = 10 }},
		"failure_rate":                {p.FailureRate, func() { p.FailureRate = d.FailureRate }},
		"consecutive_failures":        {p.ConsecutiveFailures, func() { p.ConsecutiveFailures = 0 }},
		"slow_call.duration":          {p.SlowCallDuration, func() { p.SlowCallDuration = 0 }},
		"slow_call.rate":              {p.SlowCallRate, func() { p.SlowCallRate = d.SlowCallRate }},
		"open.duration":               {p.OpenDuration, func() { p.OpenDuration = d.OpenDuration }},
		"open.multiplier":             {p.OpenMultiplier, func() { p.OpenMultiplier = d.OpenMultiplier }},
		"open.max_duration":           {p.OpenMaxDuration, func() { p.OpenMaxDuration = 24 * time.Hour }},
		"open.jitter":                 {p.OpenJitter, func() { p.OpenJitter = d.OpenJitter }},
		"half_open.max_requests":      {p.HalfOpenMaxRequests, func() { p.HalfOpenMaxRequests = 3 }},
		"half_open.success_threshold": {p.HalfOpenSuccessThreshold, func() { p.HalfOpenSuccessThreshold = 3 }},
		"half_open.permit_timeout":    {p.HalfOpenPermitTimeout, func() { p.HalfOpenPermitTimeout = time.Second }},
		"ramp":                        {p.Ramp, func() { p.Ramp = 0 }},
		"probe.interval":              {p.ProbeInterval, func() { p.ProbeInterval = 0 }},
		"probe.timeout":               {p.ProbeTimeout, func() { p.ProbeTimeout = d.ProbeTimeout }},
	}
	for {
		err := p.Validate()
		if err == nil {
			return
		}
		var wrong *PolicyError
		if !errors.As(err, &wrong) {
			t.Fatalf("not a PolicyError: %v", err)
		}
		field, ok := fields[wrong.Field]
		if !ok {
			t.Fatalf("no such field, or still wrong when mended: %v", err)
		}
		if wrong.Value != fmt.Sprint(field.value) || wrong.Allowed == "" {
			t.Fatalf("%v, but its value is %v", err, field.value)
		}
		field.mend()
		delete(fields, wrong.Field)
	}
}

func checkHash(t *testing.T, p Policy) {
	q := p
	if p != q || p.Hash() != q.Hash() { // NaN is not equal to itself
		t.Errorf("two hashes of one policy: %+v", p)
	}
	q.HalfOpenSuccessThreshold++
	if p.Hash() == q.Hash() {
		t.Errorf("one hash of two policies: %+v", p)
	}
}

func checkOpenTimes(t *testing.T, p Policy) {
	for _, trips := range []uint32{1, 2, 3, 10, 1000, math.MaxUint32} {
		for _, u := range []float64{0, 0.5, math.Nextafter(1, 0)} {
			if d := p.openTime(trips, random(u)); d <= 0 || d > p.OpenMaxDuration {
				t.Errorf("open time of trip %d: %v, with %+v", trips, d, p)
			}
		}
		if first, d := p.openTime(1, 0), p.openTime(trips, 0); first != p.OpenDuration || d < first {
			t.Errorf("open time of trip %d is %v, of the first %v, with %+v", trips, d, first, p)
		}
	}
}

// A lent permit is one that has not been handed back. It expires then, unless its place has been given back.
type lent struct {
	permit  Permit
	worker  *Breaker
	policy  *Policy
	expires Time
}

// play lets workers, one for each policy, live through a script, one byte a step, and checks after each that the record in
// the store can follow from the one before. What is there at first may be anything.
func play(t *testing.T, w *world, script []byte, policies ...Policy) {
	t.Helper()
	var workers []*Breaker
	for _, p := range policies {
		workers = append(workers, w.worker(p))
		w.generation++
	}
	var out []lent
	var probe Probe
	var before Record
	found := stored(w)
	known := before.UnmarshalBinary(found) == nil
	foundEpoch, foundLive := before.Epoch, before.live
	for i, step := range script[:min(len(script), 500)] {
		n := int(step >> 3)
		worker, p := workers[n%len(workers)], &policies[n%len(workers)]
		moves := len(w.moves)
		w.rnd = w.rnd*6364136223846793005 + 1442695040888963407

		request := func() {
			permit := worker.Acquire()
			if permit.RetryAfter < 0 {
				t.Fatalf("step %d: %+v", i, permit)
			}
			if permit.Admitted() {
				out = append(out, lent{permit, worker, p, w.now.Add(p.HalfOpenPermitTimeout + expiryGrace)})
			}
		}
		done := func(o Outcome) {
			if len(out) > 0 {
				out[0].worker.Done(out[0].permit, o)
				out = out[1:]
			}
		}
		switch step & 7 {
		case 0:
			request()
		case 1:
			done(Outcome{})
		case 2:
			done(Outcome{Result: Failure, RetryAfter: time.Duration(n) << 32})
		case 3:
			switch {
			case n%4 == 0 || len(out) == 0:
				done(Outcome{Slow: true})
			case n%4 == 1:
				out[0].permit = out[0].worker.StillWaiting(out[0].permit)
			case n%4 == 2:
				out[0].permit = out[0].worker.Release(out[0].permit)
			default: // to the back of the queue
				out = append(out[1:], out[0])
			}
		case 4:
			done(Outcome{Result: Neutral, Unanswered: n%2 == 1})
		case 5: // one after the other fails
			for range n {
				request()
				done(Outcome{Result: Failure})
			}
		case 6:
			w.now = w.now.Add(time.Millisecond << (n % 28)) // up to one and a half days
		case 7:
			if begun, ok := worker.BeginProbe(); ok {
				probe = begun
			}
			worker.EndProbe(probe, n < 16)
		}

		if !known && bytes.Equal(stored(w), found) {
			continue // nobody has needed a record so far
		}
		r := w.record()
		if again, _ := r.AppendBinary(nil); !bytes.Equal(again, stored(w)) {
			t.Fatalf("step %d: decoded %x\nencoded %x", i, stored(w), again)
		}
		for _, m := range w.moves[moves:] {
			if m.From == m.To || known && (m.From != before.State || m.Epoch != before.Epoch+1) {
				t.Fatalf("step %d: %+v from epoch %d, %v", i, m, before.Epoch, before.State)
			}
			if limit := openMax(policies); m.To == Open && (m.OpenFor <= 0 || m.OpenFor > limit) {
				t.Fatalf("step %d: opens for %v, limit %v", i, m.OpenFor, limit)
			}
			before.State, before.Epoch, known = m.To, m.Epoch, true
		}
		if known && (r.State != before.State || r.Epoch != before.Epoch) {
			t.Fatalf("step %d: no transition from %d, %v to %d, %v", i, before.Epoch, before.State, r.Epoch, r.State)
		}
		before, known = r, true

		limit, live := 0, 0
		for _, p := range policies {
			limit = max(limit, p.HalfOpenMaxRequests)
		}
		for _, l := range out {
			if l.permit.epoch == r.Epoch && r.State == HalfOpen && w.now < l.expires && l.policy.Mode == Enforce {
				if !l.permit.Trial() {
					t.Fatalf("step %d: admitted by a half-open breaker without a lease: %+v", i, l.permit)
				}
				if l.permit.lease != 0 {
					live++
				}
			}
		}
		if r.Epoch == foundEpoch {
			limit, live = max(limit, foundLive), 0 // leases that nobody gave, perhaps of one serial
		}
		if r.live > limit || live > r.live {
			t.Fatalf("step %d: %d permits in use, %d leases, limit %d", i, live, r.live, limit)
		}
	}
}

func stored(w *world) []byte {
	value, _ := w.store.Load()
	return value
}

func openMax(policies []Policy) (d time.Duration) {
	for _, p := range policies {
		d = max(d, p.OpenMaxDuration)
	}
	return d
}

// FuzzStored reads arbitrary bytes as what hidden stats are kept in, and as a streak: what is neither reads as nothing, and what is
// written is read again.
func FuzzStored(f *testing.F) {
	f.Add(make([]byte, storedTallySize))
	f.Add(make([]byte, streakSize))
	f.Add([]byte("anything"))
	f.Fuzz(func(t *testing.T, value []byte) {
		var store MemoryStore
		store.CompareAndSwap(value, 0)
		tally := storedTally{&store}
		totals, good := tally.read()
		if len(value) != storedTallySize && (totals != Totals{} || good != 0) {
			t.Errorf("%x reads as %+v, %d", value, totals, good)
		}
		tally.add(addition{call: true, failure: true})
		want := totals
		want.Calls++
		want.Failures++
		if got, now := tally.read(); got != want || now != good {
			t.Errorf("%x and a failure reads as %+v, %d, want %+v, %d", value, got, now, want, good)
		}
		s := decodeStreak(value)
		if len(value) != streakSize && s != (streak{}) {
			t.Errorf("%x reads as %+v", value, s)
		}
		if again := decodeStreak(s.append(nil)); again != s {
			t.Errorf("%+v reads again as %+v", s, again)
		}
	})
}
