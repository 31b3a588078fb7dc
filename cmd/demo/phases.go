package main

import "time"

// A health is what a service does with requests.
type health int

const (
	healthy health = iota
	hanging        // answers nothing
	failing        // answers 500
)

// A phase is a part of the outage.
type phase struct {
	name   string
	length time.Duration
	health health
}

// phases are the whole outage.
var phases = []phase{
	{"healthy", 6 * time.Second, healthy},
	{"hangs", 12 * time.Second, hanging},
	{"fails", 8 * time.Second, failing},
	{"back", 10 * time.Second, healthy},
}

const (
	rate         = 200 // requests a second, to each side
	routeTimeout = 250 * time.Millisecond
	// sampleInterval is how often the breaker's state is read.
	sampleInterval = 50 * time.Millisecond
	// bearableLag is how late a request may be sent without a word about it.
	bearableLag = 20 * time.Millisecond
)

// phaseAt returns the phase at a time, and when it began. The last one does not end.
func phaseAt(at time.Duration) (p phase, since time.Duration) {
	for _, p = range phases[:len(phases)-1] {
		if at < since+p.length {
			return p, since
		}
		since += p.length
	}
	return phases[len(phases)-1], since
}

// wholeLength is how long the outage takes, healthy times before and after included.
func wholeLength() time.Duration {
	last, since := phaseAt(time.Hour)
	return since + last.length
}

// backAt is when the service comes back.
func backAt() time.Duration {
	_, since := phaseAt(time.Hour)
	return since
}
