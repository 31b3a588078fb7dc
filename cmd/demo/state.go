package main

import "time"

// A state is what the breaker's gauge says.
type state int

const (
	closed state = iota
	open
	halfOpen
	states // how many there are
)

var stateNames = [states]string{"closed", "open", "half-open"}

// A sample is what the breaker's stats said at a time.
type sample struct {
	at           time.Duration
	state        state
	failedTrials int // times that it opened out of half-open, so far
}

// A span is a time in one state.
type span struct {
	from, to time.Duration
	state    state
}

// spans joins samples, which must be in order, to spans. A half-open state too short to be sampled shows in the number of
// failed trials; its span has no length.
func spans(samples []sample) []span {
	var all []span
	add := func(at time.Duration, s state) {
		if n := len(all); n > 0 {
			all[n-1].to = at
			if all[n-1].state == s {
				return
			}
		}
		all = append(all, span{at, at, s})
	}
	for i, s := range samples {
		if i > 0 && s.failedTrials > samples[i-1].failedTrials && samples[i-1].state == open {
			add(s.at, halfOpen)
		}
		add(s.at, s.state)
	}
	return all
}
