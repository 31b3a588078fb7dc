package main

import (
	"time"

	"envoy-circuit-breaker/breaker"
)

// stateNames are for people.
var stateNames = [...]string{breaker.Closed: "closed", breaker.Open: "open", breaker.HalfOpen: "half-open"}

// A sample is what the breaker's stats said at a time.
type sample struct {
	at           time.Duration
	state        breaker.State
	failedTrials uint64 // times that it opened out of half-open, so far
}

// A span is a time in one state.
type span struct {
	from, to time.Duration
	state    breaker.State
}

// spans joins samples, which must be in order, to spans. A half-open state too short to be sampled shows in the number of
// failed trials; its span has no length.
func spans(samples []sample) []span {
	var all []span
	add := func(at time.Duration, s breaker.State) {
		if n := len(all); n > 0 {
			all[n-1].to = at
			if all[n-1].state == s {
				return
			}
		}
		all = append(all, span{at, at, s})
	}
	for i, s := range samples {
		if i > 0 && s.failedTrials > samples[i-1].failedTrials && samples[i-1].state == breaker.Open {
			add(s.at, breaker.HalfOpen)
		}
		add(s.at, s.state)
	}
	return all
}
