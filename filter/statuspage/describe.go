package statuspage

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/time"
)

// Describe tells of a transition in one line, with the numbers that caused it: "from -> to: why".
func Describe(p *breaker.Policy, m breaker.Transition) string {
	var b []byte
	add := func(format string, args ...any) { b = smallfmt.Appendf(b, format, args...) }
	add("%v -> %v: ", m.From, m.To)
	switch m.Reason {
	case breaker.FailureRate:
		add("%d/%d failed in %s, threshold %v%%", m.Window.Failures, m.Window.Calls, window(p), p.FailureRate)
	case breaker.SlowCallRate:
		add("%d/%d slower than %v", m.Window.SlowCalls, m.Window.Calls, p.SlowCallDuration)
		if m.Waiting > 0 {
			add(", %d of them still waiting,", m.Waiting)
		}
		add(" in %s, threshold %v%%", window(p), p.SlowCallRate)
	case breaker.Consecutive:
		add("%d failures in a row, threshold %d", m.Streak, p.ConsecutiveFailures)
	case breaker.HalfOpenFailure:
		if m.Expired > 0 {
			add("%d trials in a row expired without an answer", m.Expired)
			break
		}
		add("a trial failed after %d good of %d", m.Successes, p.HalfOpenSuccessThreshold)
	case breaker.OpenElapsed:
		add("the open time is over, trying")
	case breaker.Probed:
		add("%d probes in a row succeeded", m.Successes)
	case breaker.Recovered:
		add("%d trials succeeded", m.Successes)
	}
	if m.Ramp {
		add(", in the ramp")
	}
	if m.To == breaker.Open {
		add("; open for %v, trip %d in a row", m.OpenFor.Round(10*time.Millisecond), m.Trips)
	}
	if p.Mode == breaker.Shadow {
		add(" (shadow: nothing is rejected)")
	}
	return string(b)
}

func window(p *breaker.Policy) string {
	if p.WindowRequests > 0 {
		return smallfmt.Sprintf("the last %d calls", p.WindowRequests)
	}
	return p.WindowDuration.String()
}
