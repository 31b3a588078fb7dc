package breaker

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	type change func(*Policy)
	duration := func(field func(*Policy) *time.Duration, d time.Duration) change {
		return func(p *Policy) { *field(p) = d }
	}
	window := func(p *Policy) *time.Duration { return &p.WindowDuration }
	slow := func(p *Policy) *time.Duration { return &p.SlowCallDuration }
	open := func(p *Policy) *time.Duration { return &p.OpenDuration }
	maxOpen := func(p *Policy) *time.Duration { return &p.OpenMaxDuration }
	permit := func(p *Policy) *time.Duration { return &p.HalfOpenPermitTimeout }
	ramp := func(p *Policy) *time.Duration { return &p.Ramp }
	probe := func(p *Policy) *time.Duration { return &p.ProbeInterval }
	timeout := func(p *Policy) *time.Duration { return &p.ProbeTimeout }
	requests := func(n int) change {
		return func(p *Policy) { p.WindowDuration, p.WindowRequests, p.MinRequests = 0, n, 1 }
	}
	day, hour := 24*time.Hour, time.Hour

	tests := []struct {
		field, value, allowed string
		low, high             change // the first and the last that are allowed
		under, over           change // the last before and the first after them; over has the value
	}{
		{"mode", "mode(4)", `one of "enforce", "shadow", "force_open", "disabled"`,
			func(p *Policy) { p.Mode = Enforce }, func(p *Policy) { p.Mode = Disabled }, nil, func(p *Policy) { p.Mode = 4 }},
		{"window.duration", "1h0m0.000000001s", "from 1s to 1h0m0s",
			duration(window, time.Second), duration(window, hour), duration(window, time.Second-1), duration(window, hour+1)},
		{"window.requests", "100001", "from 10 to 100000", requests(10), requests(100_000), requests(9), requests(100_001)},
		{"window", "duration 10s with requests 100", "either a duration (1s to 1h0m0s) or requests (10 to 100000)",
			requests(100), duration(window, hour), duration(window, 0), func(p *Policy) { p.WindowRequests = 100 }},
		{"min_requests", "1000001", "from 1 to 1000000",
			func(p *Policy) { p.MinRequests = 1 }, func(p *Policy) { p.MinRequests = 1_000_000 },
			func(p *Policy) { p.MinRequests = 0 }, func(p *Policy) { p.MinRequests = 1_000_001 }},
		{"min_requests", "51", "at most window.requests (50), or no rate would ever be judged",
			requests(50), func(p *Policy) { requests(50)(p); p.MinRequests = 50 },
			nil, func(p *Policy) { requests(50)(p); p.MinRequests = 51 }},
		{"failure_rate", "100.5", "from 0 to 100",
			func(p *Policy) { p.FailureRate = 0 }, func(p *Policy) { p.FailureRate = 100 },
			func(p *Policy) { p.FailureRate = -0.1 }, func(p *Policy) { p.FailureRate = 100.5 }},
		{"failure_rate", "NaN", "from 0 to 100", nil, nil,
			func(p *Policy) { p.FailureRate = math.Inf(1) }, func(p *Policy) { p.FailureRate = math.NaN() }},
		{"consecutive_failures", "100001", "from 0 to 100000",
			func(p *Policy) { p.ConsecutiveFailures = 0 }, func(p *Policy) { p.ConsecutiveFailures = 100_000 },
			func(p *Policy) { p.ConsecutiveFailures = -1 }, func(p *Policy) { p.ConsecutiveFailures = 100_001 }},
		{"slow_call.duration", "1h0m0.000000001s", "from 0s to 1h0m0s",
			duration(slow, 0), duration(slow, hour), duration(slow, -1), duration(slow, hour+1)},
		{"slow_call.rate", "101", "from 1 to 100",
			func(p *Policy) { p.SlowCallRate = 1 }, func(p *Policy) { p.SlowCallRate = 100 },
			func(p *Policy) { p.SlowCallRate = 0.9 }, func(p *Policy) { p.SlowCallRate = 101 }},
		{"open.duration", "1h0m0.000000001s", "from 10ms to 1h0m0s",
			duration(open, 10*time.Millisecond), func(p *Policy) { p.OpenDuration, p.OpenMaxDuration = hour, hour },
			duration(open, 10*time.Millisecond-1), duration(open, hour+1)},
		{"open.multiplier", "10.5", "from 1 to 10",
			func(p *Policy) { p.OpenMultiplier = 1 }, func(p *Policy) { p.OpenMultiplier = 10 },
			func(p *Policy) { p.OpenMultiplier = 0.99 }, func(p *Policy) { p.OpenMultiplier = 10.5 }},
		{"open.max_duration", "24h0m0.000000001s", "from 5s to 24h0m0s",
			duration(maxOpen, 5*time.Second), duration(maxOpen, day), duration(maxOpen, 5*time.Second-1), duration(maxOpen, day+1)},
		{"open.jitter", "1.5", "from 0 to 1",
			func(p *Policy) { p.OpenJitter = 0 }, func(p *Policy) { p.OpenJitter = 1 },
			func(p *Policy) { p.OpenJitter = -0.1 }, func(p *Policy) { p.OpenJitter = 1.5 }},
		{"half_open.max_requests", "21", "from 1 to 20",
			func(p *Policy) { p.HalfOpenMaxRequests = 1 }, func(p *Policy) { p.HalfOpenMaxRequests = 20 },
			func(p *Policy) { p.HalfOpenMaxRequests = 0 }, func(p *Policy) { p.HalfOpenMaxRequests = 21 }},
		{"half_open.success_threshold", "1001", "from 1 to 1000",
			func(p *Policy) { p.HalfOpenSuccessThreshold = 1 }, func(p *Policy) { p.HalfOpenSuccessThreshold = 1000 },
			func(p *Policy) { p.HalfOpenSuccessThreshold = 0 }, func(p *Policy) { p.HalfOpenSuccessThreshold = 1001 }},
		{"half_open.permit_timeout", "1h0m0.000000001s", "from 10ms to 1h0m0s",
			duration(permit, 10*time.Millisecond), duration(permit, hour), duration(permit, 10*time.Millisecond-1), duration(permit, hour+1)},
		{"ramp", "1h0m0.000000001s", "from 0s to 1h0m0s",
			duration(ramp, 0), duration(ramp, hour), duration(ramp, -1), duration(ramp, hour+1)},
		{"probe.interval", "1h0m0.000000001s", "from 100ms to 1h0m0s",
			duration(probe, 100*time.Millisecond), duration(probe, hour), duration(probe, 1), duration(probe, hour+1)},
		{"probe.timeout", "1m0.000000001s", "from 10ms to 1m0s",
			duration(timeout, 10*time.Millisecond), duration(timeout, time.Minute), duration(timeout, 0), duration(timeout, time.Minute+1)},
	}
	validate := func(c change) error {
		p := DefaultPolicy()
		if c != nil {
			c(&p)
		}
		return p.Validate()
	}
	for _, tt := range tests {
		for _, c := range []change{nil, tt.low, tt.high} {
			if err := validate(c); err != nil {
				t.Errorf("%s: %v", tt.field, err)
			}
		}
		var wrong *PolicyError
		if tt.under != nil && (!errors.As(validate(tt.under), &wrong) || wrong.Field != tt.field) {
			t.Errorf("%s, under: got %v", tt.field, wrong)
		}
		if err := validate(tt.over); !errors.As(err, &wrong) || *wrong != (PolicyError{tt.field, tt.value, tt.allowed}) ||
			err.Error() != tt.field+": "+tt.value+" is not allowed: must be "+tt.allowed {
			t.Errorf("%s, over: got %v", tt.field, err)
		}
	}
}

func TestNewRefusesABadPolicy(t *testing.T) {
	w := newWorld(t)
	p := DefaultPolicy()
	p.Ramp = -1
	var wrong *PolicyError
	if b, err := New(w.config(p)); b != nil || !errors.As(err, &wrong) {
		t.Errorf("got %v, %v", b, err)
	}
}

func TestHashTellsPoliciesApart(t *testing.T) {
	changes := []func(*Policy){
		func(p *Policy) {},
		func(p *Policy) { p.Mode = Shadow },
		func(p *Policy) { p.WindowDuration++ },
		func(p *Policy) { p.WindowRequests++ },
		func(p *Policy) { p.MinRequests++ },
		func(p *Policy) { p.FailureRate++ },
		func(p *Policy) { p.ConsecutiveFailures++ },
		func(p *Policy) { p.SlowCallDuration++ },
		func(p *Policy) { p.SlowCallRate-- },
		func(p *Policy) { p.OpenDuration++ },
		func(p *Policy) { p.OpenMultiplier++ },
		func(p *Policy) { p.OpenMaxDuration++ },
		func(p *Policy) { p.OpenJitter++ },
		func(p *Policy) { p.HalfOpenMaxRequests++ },
		func(p *Policy) { p.HalfOpenSuccessThreshold++ },
		func(p *Policy) { p.HalfOpenPermitTimeout++ },
		func(p *Policy) { p.Ramp++ },
		func(p *Policy) { p.ProbeInterval++ },
		func(p *Policy) { p.ProbeTimeout++ },
		func(p *Policy) { p.ProbeCloses = true },
	}
	seen := map[uint64]int{}
	for i, change := range changes {
		p := DefaultPolicy()
		change(&p)
		if j, ok := seen[p.Hash()]; ok {
			t.Errorf("policies %d and %d have the same hash", i, j)
		}
		seen[p.Hash()] = i
	}
}

// Rule 16.
func TestOpenTime(t *testing.T) {
	tests := []struct {
		open, limit        time.Duration
		multiplier, jitter float64
		trips              uint32
		dice               float64
		want               time.Duration
	}{
		{5 * time.Second, time.Minute, 2, 0, 1, 0.9, 5 * time.Second},
		{5 * time.Second, time.Minute, 2, 0, 2, 0.9, 10 * time.Second},
		{5 * time.Second, time.Minute, 2, 0, 4, 0.9, 40 * time.Second},
		{5 * time.Second, time.Minute, 2, 0, 5, 0.9, time.Minute}, // capped
		{5 * time.Second, time.Minute, 1, 0, 50, 0.9, 5 * time.Second},
		{time.Second, time.Minute, 1.5, 0, 3, 0, 2250 * time.Millisecond},
		{10 * time.Millisecond, 24 * time.Hour, 10, 0, math.MaxUint32, 0, 24 * time.Hour}, // 10^MaxUint32 is infinite
		{10 * time.Second, time.Minute, 2, 0.2, 1, 0, 10 * time.Second},
		{10 * time.Second, time.Minute, 2, 0.2, 1, 0.5, 9 * time.Second},
		{10 * time.Second, time.Minute, 2, 0.5, 9, 0.5, 45 * time.Second}, // jitter comes off the capped value
		{10 * time.Second, time.Minute, 2, 1, 1, 0.75, 2500 * time.Millisecond},
		{10 * time.Millisecond, time.Minute, 2, 1, 1, 1 - 1.0/(1<<53), 1}, // never nothing
	}
	for _, tt := range tests {
		p := DefaultPolicy()
		p.OpenDuration, p.OpenMaxDuration, p.OpenMultiplier, p.OpenJitter = tt.open, tt.limit, tt.multiplier, tt.jitter
		if got := p.openTime(tt.trips, random(tt.dice)); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
	if first, last := share(0), share(math.MaxUint64); first != 0 || last >= 1 {
		t.Errorf("share goes from %v to %v", first, last)
	}
}

// Rule 16.
func TestTripsStayAtTheMost(t *testing.T) {
	p := DefaultPolicy()
	r := Record{State: HalfOpen, Trips: math.MaxUint32}
	if p.trip(&r, Transition{Reason: HalfOpenFailure}, 0, 1000, 0); r.Trips != math.MaxUint32 {
		t.Errorf("trips = %d after one more than fit", r.Trips)
	}
}

// A rate trips at exactly its percentage, also where that is no binary fraction.
func TestRateAtTheEdge(t *testing.T) {
	for tenths := 1; tenths <= 1000; tenths++ {
		percent := float64(tenths) / 10
		for whole := uint64(1000); whole <= 9000; whole += 1000 {
			part := uint64(tenths) * whole / 1000
			if !atLeast(part, whole, percent) {
				t.Errorf("%d of %d are not %v %%", part, whole, percent)
			}
			if atLeast(part-1, whole, percent) {
				t.Errorf("%d of %d are %v %%", part-1, whole, percent)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Closed.String(): "closed", Open.String(): "open", HalfOpen.String(): "half_open", State(9).String(): "state(9)",
		Shadow.String(): "shadow", Mode(9).String(): "mode(9)",
		FailureRate.String(): "failure_rate", Recovered.String(): "recovered", Reason(99).String(): "reason(99)",
		Calls.String(): "calls", ShadowRejected.String(): "shadow_rejected", Streak.String(): "consecutive_failures", Waiting.String(): "waiting",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	seen := map[string]bool{}
	for s := range NumStats {
		if name := s.String(); name == "" || seen[name] || name != strings.ToLower(name) {
			t.Errorf("stat %d is named %q", s, name)
		} else {
			seen[name] = true
		}
		if s.Gauge() != (s == StateGauge || s == Streak || s == Waiting) {
			t.Errorf("is %v a gauge?", s)
		}
	}
}
