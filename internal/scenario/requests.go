package scenario

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"envoy-circuit-breaker/internal/accesslog"
)

// Requests are those that an instance sends, from 0 on, as its log would tell them, but in the order in which they begin. They
// arrive independently of each other (Poisson). Each instance has others, and the same seed has the same ones.
func (s *Scenario) Requests(seed uint64, instance int) iter.Seq[accesslog.Entry] {
	return func(yield func(accesslog.Entry) bool) {
		a := s.arrivals(seed, instance)
		// What all requests that end alike have in common.
		var common [hung + 1]accesslog.Entry
		for o := range common {
			common[o] = accesslog.Entry{Status: statusOf[o], GRPC: -1, Attempts: 1, Method: "GET", Details: detailsOf[o], Flags: flagsOf[o],
				Cluster: s.Cluster, Instance: a.instance}
		}
		for r, ok := a.next(); ok; r, ok = a.next() {
			e := common[r.outcome]
			e.Start, e.Duration, e.Response = r.start, r.took, r.response()
			if !yield(e) {
				return
			}
		}
	}
}

// What a log tells by how a request ends.
var (
	statusOf  = [...]int{answered: 200, failed: 503, hung: 504}
	detailsOf = [...]string{answered: "via_upstream", failed: "via_upstream", hung: "response_timeout"}
	flagsOf   = [...]string{answered: "", failed: "", hung: "UT"}
)

// A request is all that differs between those of an instance.
type request struct {
	start   int64 // Unix nanoseconds, in Envoy's precision
	took    time.Duration
	outcome outcome
}

// end is when it ended, Unix nanoseconds.
func (r *request) end() int64 { return r.start + int64(r.took) }

// response is how long it took to the answer's headers, which came with its end; -1 if none came.
func (r *request) response() time.Duration {
	if r.outcome == hung {
		return -1
	}
	return r.took
}

// arrivals are an instance's requests.
type arrivals struct {
	scenario *Scenario
	instance string
	random   *rand.Rand
	phase    int
	began    time.Duration // the phase, since the scenario's beginning
	since    float64       // seconds from the phase's beginning to the last arrival, before thinning
}

func (s *Scenario) arrivals(seed uint64, instance int) *arrivals {
	return &arrivals{scenario: s, instance: s.instance(instance), random: rand.New(rand.NewPCG(seed, uint64(instance)))}
}

// instance is the name of an Envoy; empty where there is only one.
func (s *Scenario) instance(number int) string {
	if s.Instances == 1 {
		return ""
	}
	return fmt.Sprintf("envoy-%0*d", len(strconv.Itoa(s.Instances)), number+1)
}

// next draws the next request. It reports whether there is one.
func (a *arrivals) next() (request, bool) {
	s := a.scenario
	for ; a.phase < len(s.Phases); a.phase++ {
		p := &s.Phases[a.phase]
		if r, ok := a.nextOf(p, s.before(a.phase).Rate); ok {
			return r, true
		}
		a.began += p.Duration
		a.since = 0 // arrivals know nothing of those before
	}
	return request{}, false
}

// nextOf draws the next request within a phase, of which the rate at first is given. Where the rate changes, as many are drawn as at
// its highest, of which those stay that the rate at their time makes likely.
func (a *arrivals) nextOf(p *Phase, first float64) (request, bool) {
	highest := max(first, p.Rate)
	if highest == 0 {
		return request{}, false
	}
	length := p.Duration.Seconds()
	for {
		a.since += a.random.ExpFloat64() / highest
		if a.since >= length {
			return request{}, false
		}
		part := a.since / length
		if p.Gradual && a.random.Float64()*highest >= linear(first, p.Rate, part) {
			continue
		}
		load := a.scenario.during(a.phase, part)
		o, took := a.scenario.draw(&load, a.random)
		since := a.began + time.Duration(a.since*float64(time.Second))
		return request{Begin.UnixNano() + int64(since.Truncate(time.Millisecond)), took, o}, true
	}
}
