package breaker

import "envoy-circuit-breaker/internal/time"

// A Status is what there is to see of a breaker from outside.
type Status struct {
	State  State
	Window Totals // what the window holds, while closed

	OpenFor   time.Duration // how long it stays open still, while open
	OpenedFor time.Duration // how long it has been open, while open
	ProbeIn   time.Duration // until a probe may begin, while open; of no meaning without probes
	Trips     uint32        // trips in a row
	Successes uint32        // successful trials so far, while half-open; good probes in a row, while open
	Trials    int           // trials in flight, while half-open
}

// ReadStatus reads the status of a breaker of which there need be no [Breaker] here, and changes nothing. counts may be
// nil, as in [Config]. It reports false if there is no record, or none that can be read.
func ReadStatus(store, counts Store, tally Tally, now Time) (Status, bool) {
	var r Record
	value, _ := store.Load()
	if r.UnmarshalBinary(value) != nil {
		return Status{}, false
	}
	s := Status{State: r.State, Trips: r.Trips}
	switch r.State {
	case Closed:
		t := Totals{tally.Value(Calls), tally.Value(Failures), tally.Value(SlowCalls)}
		if r.StoredTally && counts != nil {
			t, _ = (&storedTally{counts}).read()
		}
		if r.Window.due(now, t, false) {
			r.Window.move(now, t, false) // nobody has called for a while, and what is too old must not show
		}
		if in, ok := r.Window.count(t); ok {
			s.Window = in
		}
	case Open:
		s.OpenFor, s.OpenedFor, s.ProbeIn = max(0, r.OpenUntil.Sub(now)), now.Sub(r.OpenedAt), max(0, r.ProbeAt.Sub(now))
		s.Successes = r.Successes
	case HalfOpen:
		r.reclaim(now)
		s.Successes, s.Trials = r.Successes, r.live
	}
	return s, true
}
