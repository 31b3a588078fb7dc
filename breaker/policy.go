package breaker

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"strconv"

	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/time"
)

// Mode says what a breaker does with its decisions.
type Mode uint8

const (
	// Enforce rejects what the breaker does not admit.
	Enforce Mode = iota
	// Shadow runs the whole machine on what really happens and counts what it would have rejected, but admits everything.
	Shadow
	// ForceOpen rejects every request and leaves the machine alone.
	ForceOpen
	// Disabled admits every request and counts nothing.
	Disabled
)

// Modes are the names of the modes, in their order.
var Modes = [...]string{"enforce", "shadow", "force_open", "disabled"}

// String returns the mode's name in a configuration.
func (m Mode) String() string {
	if int(m) < len(Modes) {
		return Modes[m]
	}
	return "mode(" + strconv.Itoa(int(m)) + ")"
}

// A Policy says when a breaker opens, for how long, and how it recovers. [DefaultPolicy] has the defaults;
// [Policy.Validate] has the ranges. Fields that are off have the value 0.
type Policy struct {
	Mode Mode

	// The window is either the last so long (1s to 1h), or the last so many calls (10 to 100,000). It has ten buckets and
	// looks back over at least its size and at most one bucket more.
	WindowDuration time.Duration
	WindowRequests int

	// MinRequests calls must be in the window before a rate is judged (1 to 1,000,000; at most WindowRequests).
	MinRequests int
	// FailureRate trips at this percentage of failures or more (0 to 100; 0 is off).
	FailureRate float64
	// ConsecutiveFailures trips at this many failures in a row, over all workers (0 to 100,000; 0 is off).
	ConsecutiveFailures int
	// SlowCallDuration makes a call that takes longer slow (0s to 1h; 0s is off). The breaker is told which calls were
	// slow; here it only turns the condition on.
	SlowCallDuration time.Duration
	// SlowCallRate trips at this percentage of slow calls or more (1 to 100), where SlowCallDuration is on.
	SlowCallRate float64

	// OpenDuration is how long the breaker stays open after its first trip (10ms to 1h), multiplied by OpenMultiplier
	// (1 to 10) for every further trip, up to OpenMaxDuration (OpenDuration to 24h). Trips are counted from zero again once
	// the breaker has stayed closed for OpenMaxDuration (or for Ramp, if that is longer).
	OpenDuration    time.Duration
	OpenMultiplier  float64
	OpenMaxDuration time.Duration
	// OpenJitter shortens every open time by a random share up to this (0 to 1), so that many breakers do not try again
	// at once.
	OpenJitter float64

	// HalfOpenMaxRequests is how many trials may be in flight, and how many in a row that expire open the breaker again
	// (1 to 20).
	HalfOpenMaxRequests int
	// HalfOpenSuccessThreshold is how many successful trials close the breaker (1 to 1000).
	HalfOpenSuccessThreshold int
	// HalfOpenPermitTimeout is how long a trial's permit holds (10ms to 1h). If no verdict has come half a second after
	// that, it has expired.
	HalfOpenPermitTimeout time.Duration

	// Ramp is how long after closing the admitted share grows, linearly, up to all (0s to 1h; 0s is off).
	Ramp time.Duration

	// ProbeInterval is how often an open breaker's upstream is probed (100ms to 1h; 0 is off), by one worker at a time; see
	// [Breaker.BeginProbe]. The first probe comes one interval after opening.
	ProbeInterval time.Duration
	// ProbeTimeout is how long a probe may take (10ms to 1m).
	ProbeTimeout time.Duration
	// ProbeCloses lets HalfOpenSuccessThreshold good probes in a row close the breaker; otherwise they make it half-open.
	ProbeCloses bool
}

// DefaultPolicy returns the defaults.
func DefaultPolicy() Policy {
	return Policy{
		WindowDuration:           10 * time.Second,
		MinRequests:              20,
		FailureRate:              50,
		SlowCallRate:             100,
		OpenDuration:             5 * time.Second,
		OpenMultiplier:           2,
		OpenMaxDuration:          60 * time.Second,
		OpenJitter:               0.2,
		HalfOpenMaxRequests:      3,
		HalfOpenSuccessThreshold: 3,
		HalfOpenPermitTimeout:    30 * time.Second,
		ProbeTimeout:             time.Second,
	}
}

// A PolicyError tells which field of a policy is wrong.
type PolicyError struct {
	Field   string // the key of the configuration reference, such as "open.max_duration"
	Value   string // what it was given
	Allowed string // what it may be
}

func (e *PolicyError) Error() string {
	return smallfmt.Sprintf("%s: %s is not allowed: must be %s", e.Field, e.Value, e.Allowed)
}

// Validate returns a [*PolicyError] for each field that is out of range, joined by [errors.Join].
func (p *Policy) Validate() error {
	var c ranges
	if int(p.Mode) >= len(Modes) {
		c.wrong("mode", p.Mode.String(), `one of "enforce", "shadow", "force_open", "disabled"`)
	}
	if (p.WindowDuration != 0) == (p.WindowRequests != 0) {
		c.wrong("window", smallfmt.Sprintf("duration %v with requests %d", p.WindowDuration, p.WindowRequests),
			"either a duration (1s to 1h0m0s) or requests (10 to 100000)")
	}
	if p.WindowDuration != 0 {
		c.duration("window.duration", p.WindowDuration, time.Second, time.Hour)
	}
	if p.WindowRequests != 0 {
		c.integer("window.requests", p.WindowRequests, 10, 100_000)
	}
	c.integer("min_requests", p.MinRequests, 1, 1_000_000)
	c.number("failure_rate", p.FailureRate, 0, 100)
	c.integer("consecutive_failures", p.ConsecutiveFailures, 0, 100_000)
	c.duration("slow_call.duration", p.SlowCallDuration, 0, time.Hour)
	c.number("slow_call.rate", p.SlowCallRate, 1, 100)
	leastMax := p.OpenDuration
	if !c.duration("open.duration", p.OpenDuration, 10*time.Millisecond, time.Hour) {
		leastMax = 0 // what is wrong is told once
	}
	c.number("open.multiplier", p.OpenMultiplier, 1, 10)
	c.duration("open.max_duration", p.OpenMaxDuration, leastMax, 24*time.Hour)
	c.number("open.jitter", p.OpenJitter, 0, 1)
	c.integer("half_open.max_requests", p.HalfOpenMaxRequests, 1, MaxTrials)
	c.integer("half_open.success_threshold", p.HalfOpenSuccessThreshold, 1, 1000)
	c.duration("half_open.permit_timeout", p.HalfOpenPermitTimeout, 10*time.Millisecond, time.Hour)
	c.duration("ramp", p.Ramp, 0, time.Hour)
	if p.ProbeInterval != 0 {
		c.duration("probe.interval", p.ProbeInterval, 100*time.Millisecond, time.Hour)
	}
	c.duration("probe.timeout", p.ProbeTimeout, 10*time.Millisecond, time.Minute)
	if p.WindowRequests != 0 && p.MinRequests > p.WindowRequests {
		c.wrong("min_requests", strconv.Itoa(p.MinRequests),
			smallfmt.Sprintf("at most window.requests (%d), or no rate would ever be judged", p.WindowRequests))
	}
	return errors.Join(c.errors...)
}

// ranges collects what is out of its range. Its methods report whether a value is in it: low ≤ value ≤ high.
type ranges struct{ errors []error }

func (r *ranges) wrong(field, value, allowed string) {
	r.errors = append(r.errors, &PolicyError{field, value, allowed})
}

func (r *ranges) integer(field string, value, low, high int) bool {
	ok := value >= low && value <= high
	if !ok {
		r.wrong(field, strconv.Itoa(value), smallfmt.Sprintf("from %d to %d", low, high))
	}
	return ok
}

func (r *ranges) number(field string, value, low, high float64) bool {
	ok := value >= low && value <= high // NaN is in no range
	if !ok {
		r.wrong(field, smallfmt.Sprintf("%v", value), smallfmt.Sprintf("from %v to %v", low, high))
	}
	return ok
}

func (r *ranges) duration(field string, value, low, high time.Duration) bool {
	ok := value >= low && value <= high
	if !ok {
		r.wrong(field, value.String(), smallfmt.Sprintf("from %v to %v", low, high))
	}
	return ok
}

// String tells the policy in one line.
func (p Policy) String() string {
	off := func(isOff bool, text string) string {
		if isOff {
			return "off"
		}
		return text
	}
	window := p.WindowDuration.String()
	if p.WindowRequests > 0 {
		window = smallfmt.Sprintf("%d requests", p.WindowRequests)
	}
	return smallfmt.Sprintf("mode=%v window=%s min_requests=%d failure_rate=%s consecutive_failures=%s slow_call=%s "+
		"open=%v x%v up to %v jitter=%v half_open=%d in flight, %d to close, permit %v ramp=%s probe=%s",
		p.Mode, window, p.MinRequests, off(p.FailureRate == 0, smallfmt.Sprintf("%v%%", p.FailureRate)),
		off(p.ConsecutiveFailures == 0, strconv.Itoa(p.ConsecutiveFailures)),
		off(p.SlowCallDuration == 0, smallfmt.Sprintf("%v at %v%%", p.SlowCallDuration, p.SlowCallRate)),
		p.OpenDuration, p.OpenMultiplier, p.OpenMaxDuration, p.OpenJitter,
		p.HalfOpenMaxRequests, p.HalfOpenSuccessThreshold, p.HalfOpenPermitTimeout,
		off(p.Ramp == 0, p.Ramp.String()), off(p.ProbeInterval == 0, "every "+p.ProbeInterval.String()))
}

// Hash identifies the policy in a record: policies that differ in anything the machine goes by differ in it.
func (p *Policy) Hash() uint64 {
	h := fnv.New64a()
	var b [8]byte
	var probeCloses uint64
	if p.ProbeCloses {
		probeCloses = 1
	}
	for _, v := range [...]uint64{
		uint64(p.Mode), uint64(p.WindowDuration), uint64(p.WindowRequests), uint64(p.MinRequests),
		math.Float64bits(p.FailureRate), uint64(p.ConsecutiveFailures),
		uint64(p.SlowCallDuration), math.Float64bits(p.SlowCallRate),
		uint64(p.OpenDuration), math.Float64bits(p.OpenMultiplier), uint64(p.OpenMaxDuration), math.Float64bits(p.OpenJitter),
		uint64(p.HalfOpenMaxRequests), uint64(p.HalfOpenSuccessThreshold), uint64(p.HalfOpenPermitTimeout), uint64(p.Ramp),
		uint64(p.ProbeInterval), uint64(p.ProbeTimeout), probeCloses,
	} {
		binary.LittleEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
	return h.Sum64()
}

// window returns the policy's window, without a snapshot in it.
func (p *Policy) window() Window {
	if p.WindowRequests > 0 {
		return Window{Kind: CountWindow, Size: int64(p.WindowRequests)}
	}
	return Window{Kind: TimeWindow, Size: int64(p.WindowDuration)}
}

// openTime returns how long the breaker stays open at its trips-th trip in a row, between 1 ns and OpenMaxDuration:
// OpenDuration × OpenMultiplier^(trips-1), capped, then shortened by a random share up to OpenJitter. That is "full
// jitter" bounded below, as in https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
func (p *Policy) openTime(trips uint32, rnd uint64) time.Duration {
	d := float64(p.OpenDuration) * math.Pow(p.OpenMultiplier, float64(trips)-1)
	d = min(d, float64(p.OpenMaxDuration)) // before it becomes an integer, which +Inf cannot
	d *= 1 - p.OpenJitter*share(rnd)
	return max(1, time.Duration(d))
}

// share turns 64 random bits into a number in [0, 1).
func share(rnd uint64) float64 { return float64(rnd>>11) / (1 << 53) }
