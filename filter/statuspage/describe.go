package statuspage

import (
	"fmt"
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"
)

// Describe tells of a transition in one line, with the numbers that caused it: "from -> to: why".
func Describe(p *breaker.Policy, m breaker.Transition) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v -> %v: ", m.From, m.To)
	switch m.Reason {
	case breaker.FailureRate:
		fmt.Fprintf(&s, "%d/%d failed in %s, threshold %v%%", m.Window.Failures, m.Window.Calls, window(p), p.FailureRate)
	case breaker.SlowCallRate:
		fmt.Fprintf(&s, "%d/%d slower than %v", m.Window.SlowCalls, m.Window.Calls, p.SlowCallDuration)
		if m.Waiting > 0 {
			fmt.Fprintf(&s, ", %d of them still waiting,", m.Waiting)
		}
		fmt.Fprintf(&s, " in %s, threshold %v%%", window(p), p.SlowCallRate)
	case breaker.Consecutive:
		fmt.Fprintf(&s, "%d failures in a row, threshold %d", m.Streak, p.ConsecutiveFailures)
	case breaker.HalfOpenFailure:
		if m.Expired > 0 {
			fmt.Fprintf(&s, "%d trials in a row expired without an answer", m.Expired)
			break
		}
		fmt.Fprintf(&s, "a trial failed after %d good of %d", m.Successes, p.HalfOpenSuccessThreshold)
	case breaker.OpenElapsed:
		s.WriteString("the open time is over, trying")
	case breaker.Probed:
		fmt.Fprintf(&s, "%d probes in a row succeeded", m.Successes)
	case breaker.Recovered:
		fmt.Fprintf(&s, "%d trials succeeded", m.Successes)
	}
	if m.Ramp {
		s.WriteString(", in the ramp")
	}
	if m.To == breaker.Open {
		fmt.Fprintf(&s, "; open for %v, trip %d in a row", m.OpenFor.Round(10*time.Millisecond), m.Trips)
	}
	if p.Mode == breaker.Shadow {
		s.WriteString(" (shadow: nothing is rejected)")
	}
	return s.String()
}

func window(p *breaker.Policy) string {
	if p.WindowRequests > 0 {
		return fmt.Sprintf("the last %d calls", p.WindowRequests)
	}
	return p.WindowDuration.String()
}
