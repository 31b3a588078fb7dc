// Package statuspage makes the page that shows all breakers, as HTML and as JSON, and the line that tells of a transition
// there and in the log. Where the figures are read from is for others to know.
package statuspage

import "envoy-circuit-breaker/breaker"

// A Cluster is what the page says of one cluster's breaker.
type Cluster struct {
	Name      string  `json:"cluster"`
	State     string  `json:"state"`
	NextTry   float64 `json:"next_try_seconds"` // rest of the open time, while open
	Trips     uint32  `json:"trips"`            // in a row
	Successes uint32  `json:"successes"`        // of trials, while half-open
	Trials    int     `json:"trials_in_flight"` // while half-open

	// In the window, while closed. Rates are percentages.
	Calls       uint64  `json:"calls"`
	Failures    uint64  `json:"failures"`
	SlowCalls   uint64  `json:"slow_calls"`
	FailureRate float64 `json:"failure_rate"`
	SlowRate    float64 `json:"slow_rate"`

	// Ever.
	Rejected       uint64 `json:"rejected"`
	ShadowRejected uint64 `json:"shadow_rejected"`
	Fallback       uint64 `json:"fallback"`

	Policy      Policy       `json:"policy"`
	Transitions []Transition `json:"transitions"` // the last ones, the newest first
}

// SetStatus takes over what there is to see of the breaker.
func (c *Cluster) SetStatus(s breaker.Status) {
	c.State, c.NextTry, c.Trips, c.Successes, c.Trials = s.State.String(), s.OpenFor.Seconds(), s.Trips, s.Successes, s.Trials
	w := s.Window
	c.Calls, c.Failures, c.SlowCalls = w.Calls, w.Failures, w.SlowCalls
	c.FailureRate, c.SlowRate = percent(w.Failures, w.Calls), percent(w.SlowCalls, w.Calls)
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// A Policy is what a cluster's breaker goes by, as far as it explains the status.
type Policy struct {
	Mode             string  `json:"mode"`
	WindowSeconds    float64 `json:"window_seconds,omitempty"`
	WindowRequests   int     `json:"window_requests,omitempty"`
	MinRequests      int     `json:"min_requests"`
	FailureRate      float64 `json:"failure_rate"`
	Consecutive      int     `json:"consecutive_failures"`
	SlowCallSeconds  float64 `json:"slow_call_seconds"`
	SlowCallRate     float64 `json:"slow_call_rate"`
	MaxTrials        int     `json:"half_open_max_requests"`
	SuccessThreshold int     `json:"half_open_success_threshold"`
}

// NewPolicy returns what the page says of a policy.
func NewPolicy(p *breaker.Policy) Policy {
	return Policy{
		Mode:          p.Mode.String(),
		WindowSeconds: p.WindowDuration.Seconds(), WindowRequests: p.WindowRequests, MinRequests: p.MinRequests,
		FailureRate: p.FailureRate, Consecutive: p.ConsecutiveFailures,
		SlowCallSeconds: p.SlowCallDuration.Seconds(), SlowCallRate: p.SlowCallRate,
		MaxTrials: p.HalfOpenMaxRequests, SuccessThreshold: p.HalfOpenSuccessThreshold,
	}
}
