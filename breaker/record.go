package breaker

import (
	"strconv"

	"envoy-circuit-breaker/internal/time"
)

// A Time is a reading of a steady clock, in nanoseconds since some start that all workers share: it never goes back and
// knows nothing of the wall clock.
type Time int64

// Add returns the time d later.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns how much later t is than u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// State is the state of a breaker. The numbers are the values of the stat "state".
type State uint8

const (
	Closed State = iota
	Open
	HalfOpen
)

// String returns the state's name in stats, logs and replies.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return "state(" + strconv.Itoa(int(s)) + ")"
}

// MaxTrials is the most trials that can be in flight, and so the leases that a record has room for.
const MaxTrials = 20

// A lease is the permit of one trial as the record keeps it: its place is taken back after its deadline, and its serial tells
// it from every other of its epoch (rule 10).
type lease struct {
	serial   uint32
	deadline Time
}

// Owner says which policy a record belongs to. A policy loaded later has the higher generation.
type Owner struct {
	Policy     uint64 // Policy.Hash, and Config.Verdicts
	Generation uint32
}

// A Record is the whole state of one breaker, as all workers share it.
type Record struct {
	State State
	// Epoch changes at every transition. A fresh record starts at the steady clock, so that streams which were admitted
	// under a record that has been lost never match the new one.
	Epoch uint64

	Owner   Owner
	OwnedAt Time // when the owner last wrote the record

	// StoredTally is set when counters do not count, and the tally lives in a store instead (rule 14).
	StoredTally bool
	// SetBack is set when the window began afresh because counters were set back (rule 14).
	SetBack bool

	Trips     uint32 // trips in a row, 0 after a long enough closed time
	OpenedAt  Time
	OpenUntil Time
	DueAt     Time // OpenUntil without what probes have added
	ClosedAt  Time // when the breaker closed last; meaningful where Trips > 0
	ProbeAt   Time // open: when the next probe may begin

	// EpochFailures is the total of failures when the closed epoch began: a streak is no longer than the failures since (rule 7).
	EpochFailures uint64

	Window Window // closed only; while open or half-open just its Kind and Size

	Successes uint32           // half-open: successful trials so far; open: successful probes in a row
	Expired   uint32           // half-open: trials in a row that expired (rule 17)
	Serial    uint32           // serial of the last lease or probe of this epoch
	leases    [MaxTrials]lease // half-open
	live      int              // leases in use
}
