// Package scenario describes load and failures of a service over time, and makes the requests of Envoys to it: the same ones for the
// same seed. It knows no breaker.
package scenario

import (
	"math"
	"math/rand/v2"
	"time"
)

// A Scenario is what a service and its clients do, phase by phase.
type Scenario struct {
	Cluster   string        // of the service
	Instances int           // how many Envoys send requests to it, each as many as the phases say
	Timeout   time.Duration // the route's, whole milliseconds: what hangs ends then
	Phases    []Phase       // one after the other, at least one
}

// A Phase is some time with the same load, or with one that changes all the while.
type Phase struct {
	Name     string
	Duration time.Duration
	Gradual  bool // it goes from what the phase before ends with to the load, which holds at its end only
	Load
}

// A Load is what clients ask of a service at some time, and how it answers.
type Load struct {
	Rate     float64       // requests a second to each Envoy
	P50, P99 time.Duration // of the time to an answer, which is lognormal; what would take longer than the timeout hangs
	Failures float64       // percent of the requests that are answered with 503, after that time
	Hangs    float64       // percent that are never answered
}

// Begin is when every scenario begins.
var Begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Duration is how long requests begin. The last ones may end later.
func (s *Scenario) Duration() (all time.Duration) {
	for i := range s.Phases {
		all += s.Phases[i].Duration
	}
	return all
}

// At returns what holds at a time since the beginning; before it what holds at first, and after the end what holds last.
func (s *Scenario) At(since time.Duration) Load {
	for i := range s.Phases {
		p := &s.Phases[i]
		if since < p.Duration {
			return s.during(i, float64(since)/float64(p.Duration))
		}
		since -= p.Duration
	}
	return s.Phases[len(s.Phases)-1].Load
}

// before is what a phase begins with.
func (s *Scenario) before(phase int) Load {
	if p := &s.Phases[phase]; !p.Gradual || phase == 0 {
		return p.Load
	}
	return s.Phases[phase-1].Load
}

// during is what holds when a part of a phase is over.
func (s *Scenario) during(phase int, part float64) Load {
	p := &s.Phases[phase]
	if !p.Gradual {
		return p.Load
	}
	from, to := s.before(phase), p.Load
	return Load{
		Rate: linear(from.Rate, to.Rate, part), Failures: linear(from.Failures, to.Failures, part), Hangs: linear(from.Hangs, to.Hangs, part),
		P50: geometric(from.P50, to.P50, part), P99: geometric(from.P99, to.P99, part),
	}
}

func linear(from, to, part float64) float64 { return from + (to-from)*part }

func geometric(from, to time.Duration, part float64) time.Duration {
	if from == to {
		return to
	}
	return time.Duration(math.Round(float64(from) * math.Pow(float64(to)/float64(from), part)))
}

// Expected is how many requests each Envoy gets, on average.
func (s *Scenario) Expected() (all float64) {
	for i := range s.Phases {
		all += s.expected(i)
	}
	return all
}

// expected is how many requests a phase has for each Envoy, on average.
func (s *Scenario) expected(phase int) float64 {
	p := &s.Phases[phase]
	return (s.before(phase).Rate + p.Rate) / 2 * p.Duration.Seconds()
}

// An outcome is how a request ends.
type outcome uint8

const (
	answered outcome = iota
	failed
	hung
)

// sigmas99 is how many standard deviations above the median of a normal distribution 99 % of it are reached.
const sigmas99 = 2.3263478740408408

// draw decides how a request ends that begins under a load, and after how long, in Envoy's precision.
func (s *Scenario) draw(l *Load, random *rand.Rand) (outcome, time.Duration) {
	percent := random.Float64() * 100
	if percent < l.Hangs {
		return hung, s.Timeout
	}
	took := float64(l.P50)
	if l.P99 > l.P50 {
		took *= math.Exp(math.Log(float64(l.P99)/float64(l.P50)) / sigmas99 * random.NormFloat64())
	}
	if took > float64(s.Timeout) {
		return hung, s.Timeout
	}
	o := answered
	if percent < l.Hangs+l.Failures {
		o = failed
	}
	return o, time.Duration(took).Round(time.Millisecond)
}

// Probe returns how a probe of the service ends that begins at a Unix nanosecond, as a request would then: whether it is answered
// well, and after how long, which is the timeout for one that hangs.
func (s *Scenario) Probe(at int64, random *rand.Rand) (good bool, took time.Duration) {
	load := s.At(time.Duration(at - Begin.UnixNano()))
	o, took := s.draw(&load, random)
	return o == answered, took
}
