// Package report is what came of trying policies of the circuit breaker on requests: a table, a page and JSON.
package report

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"envoy-circuit-breaker/filter/config"
)

// A Report is what came of a replay or a simulation. Durations are in seconds.
type Report struct {
	From  time.Time `json:"from"`           // when the first request began, or the scenario,
	To    time.Time `json:"to"`             // and when the last request, or the scenario, was over
	Lines int64     `json:"lines"`          // of the logs; requests of a simulation
	Logs  []Log     `json:"logs,omitempty"` // by format

	Version  string `json:"version,omitempty"`   // of breakerctl, by which a log's report was made,
	MadeWith string `json:"made_with,omitempty"` // and the flags that it depends on, in one order and spelling

	Broken          int64        `json:"broken_lines"`           // could not be understood
	BrokenLines     []BrokenLine `json:"first_broken,omitempty"` // the first of them
	WithoutCluster  int64        `json:"without_cluster"`        // answered without an upstream, such as redirects and direct responses
	AlreadyRejected int64        `json:"already_rejected"`       // by a breaker, when the log was written: nobody knows how they would have ended
	TooLate         int64        `json:"too_late"`               // beyond the horizon, and left out
	LatestBy        float64      `json:"latest_by,omitempty"`
	// HeldFor is what the horizon shrank to because too many requests had to be held; 0 where it did not.
	HeldFor  float64 `json:"held_for,omitempty"`
	Recovery bool    `json:"recovery"` // trials ended as other requests at that time did

	Simulation *Simulation `json:"simulation,omitempty"` // nil where the requests are a log's

	Policies []Policy `json:"policies"`
	Notes    []string `json:"notes"` // what the reader must know of the log, and what is assumed

	Axis Axis `json:"-"` // of the timelines
}

// A BrokenLine is one that could not be understood.
type BrokenLine struct {
	File  string `json:"file"`
	Line  int64  `json:"line"`
	Error string `json:"error"`
}

// MostBroken is how many broken lines are told one by one.
const MostBroken = 20

// A Policy is what one policy would have done.
type Policy struct {
	Name           string    `json:"name"`
	Fingerprint    string    `json:"fingerprint"` // of the configuration: where it differs, so may what comes of it
	Breakers       []Breaker `json:"breakers"`    // by cluster, then route, then instance
	Total          Counts    `json:"total"`
	MaxBreakers    int       `json:"max_breakers"`
	WithoutBreaker int64     `json:"without_breaker"` // requests beyond max_breakers

	Unmatched  []string `json:"unmatched_overrides,omitempty"` // overrides that gave no breaker its rules, in their order
	Fallback   bool     `json:"fallback,omitempty"`            // some rules have one
	Probe      bool     `json:"probe,omitempty"`               // some rules have one, which was not simulated
	RetryAfter bool     `json:"honor_retry_after,omitempty"`   // some rules would, which a log does not tell

	Fleet []Phase `json:"fleet,omitempty"` // of a simulation: what the service got from all Envoys
}

// Counts are requests, each of which is one of Calls, Late, Neutral, Unjudged and Rejected; and what became of them.
type Counts struct {
	Requests int64 `json:"requests"`

	Calls     int64 `json:"calls"`      // counted by the breaker
	Failures  int64 `json:"failures"`   // of these
	SlowCalls int64 `json:"slow_calls"` // of these, whether or not they failed
	Late      int64 `json:"late"`       // ended in another state than they were admitted in
	Neutral   int64 `json:"neutral"`    // ended by something other than the upstream
	Elsewhere int64 `json:"elsewhere"`  // of these: answered by other filters, and so not asked about
	Unjudged  int64 `json:"unjudged"`   // where the breaker is disabled

	Rejected        int64 `json:"rejected"` // would have been rejected, or sent to the fallback
	Saved           int64 `json:"saved"`    // of these: failed or were slow
	Lost            int64 `json:"lost"`     // of these: succeeded
	RejectedNeutral int64 `json:"rejected_neutral"`
	CallsAvoided    int64 `json:"upstream_calls_avoided"` // the attempts of these, retries included

	Trials         int64 `json:"trials"`           // requests that were let through to try the upstream
	Probes         int64 `json:"probes,omitempty"` // calls of the breaker's own
	Trips          int64 `json:"trips"`            // all, those of failed trials included
	Outages        int64 `json:"outages"`          // trips out of closed
	PermitsExpired int64 `json:"permits_expired"`

	OpenFor       float64  `json:"open_seconds"` // of all breakers, up to the last request of each, in a simulation to its end
	HalfOpenFor   float64  `json:"half_open_seconds"`
	NoticedMedian *float64 `json:"noticed_median_seconds"` // from an outage's beginning to the trip, by a log of those that are listed; null where there is none
	NoticedMax    *float64 `json:"noticed_max_seconds"`
}

// A Breaker is that of a cluster, or of a route to it, as an Envoy has it.
type Breaker struct {
	Instance string `json:"instance,omitempty"`
	Cluster  string `json:"cluster"`
	Route    string `json:"route,omitempty"`
	Mode     string `json:"mode"`
	State    string `json:"state"`               // at the end; "mixed" where those of several Envoys differ
	Envoys   int    `json:"instances,omitempty"` // whose breakers are added up here; 0 where it is one
	Counts
	Transitions        []Transition `json:"transitions"`
	TransitionsLeftOut int          `json:"transitions_left_out,omitempty"`

	Rules *config.Rules `json:"-"`
	Bins  []Bin         `json:"-"` // its timeline, where there is one

	Noticed []float64 `json:"-"` // of outages whose transitions are not listed
}

// A Transition is a change of a breaker's state.
type Transition struct {
	At      time.Time `json:"at"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Reason  string    `json:"reason"`
	Text    string    `json:"text"` // as the plugin logs it
	Noticed *float64  `json:"noticed_seconds,omitempty"`
}

// MostTransitions of a breaker are listed one by one.
const MostTransitions = 1000

// Seconds turns nanoseconds into what a report has.
func Seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }

// toMilliseconds takes the dust of sums off a number of seconds.
func toMilliseconds(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }

// Valid is the text as JSON can have it: UTF-8.
func Valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Complete puts the breakers in order, adds them up, and writes the notes. It may be called again when there is more in the report.
func (r *Report) Complete() {
	for i := range r.BrokenLines {
		b := &r.BrokenLines[i]
		b.File, b.Error = Valid(b.File), Valid(b.Error)
	}
	for i := range r.Policies {
		r.Policies[i].complete()
	}
	r.Notes = nil
	r.note()
}

func (p *Policy) complete() {
	p.Name = Valid(p.Name)
	p.Total = Counts{}
	if p.Breakers == nil {
		p.Breakers = []Breaker{}
	}
	slices.SortFunc(p.Breakers, func(a, b Breaker) int { return a.compare(&b) })
	var noticed []float64
	for i := range p.Breakers {
		b := &p.Breakers[i]
		if b.Transitions == nil {
			b.Transitions = []Transition{}
		}
		b.OpenFor, b.HalfOpenFor = toMilliseconds(b.OpenFor), toMilliseconds(b.HalfOpenFor)
		own := b.Noticed
		for _, m := range b.Transitions {
			if m.Noticed != nil {
				own = append(own, *m.Noticed)
			}
		}
		b.setNoticed(own)
		p.Total.Add(&b.Counts)
		noticed = append(noticed, own...)
	}
	p.Total.setNoticed(noticed)
}

func (c *Counts) setNoticed(all []float64) {
	if len(all) > 0 {
		c.NoticedMedian, c.NoticedMax = MedianAndMost(all)
	}
}

// MedianAndMost are those of some numbers, which it sorts; nil where there are none.
func MedianAndMost(all []float64) (median, most *float64) {
	if len(all) == 0 {
		return nil, nil
	}
	slices.Sort(all)
	middle, last := (all[(len(all)-1)/2]+all[len(all)/2])/2, all[len(all)-1]
	return &middle, &last
}

// compare orders breakers by cluster, then route, then instance.
func (b *Breaker) compare(o *Breaker) int {
	return cmp.Or(cmp.Compare(b.Cluster, o.Cluster), cmp.Compare(b.Route, o.Route), cmp.Compare(b.Instance, o.Instance))
}

// Add adds other counts, but for how soon outages were noticed.
func (c *Counts) Add(o *Counts) {
	for _, x := range []struct {
		to *int64
		n  int64
	}{
		{&c.Requests, o.Requests}, {&c.Calls, o.Calls}, {&c.Failures, o.Failures}, {&c.SlowCalls, o.SlowCalls}, {&c.Late, o.Late},
		{&c.Neutral, o.Neutral}, {&c.Elsewhere, o.Elsewhere}, {&c.Unjudged, o.Unjudged}, {&c.Rejected, o.Rejected}, {&c.Saved, o.Saved},
		{&c.Lost, o.Lost}, {&c.RejectedNeutral, o.RejectedNeutral}, {&c.CallsAvoided, o.CallsAvoided}, {&c.Trials, o.Trials},
		{&c.Probes, o.Probes}, {&c.Trips, o.Trips}, {&c.Outages, o.Outages}, {&c.PermitsExpired, o.PermitsExpired},
	} {
		*x.to += x.n
	}
	c.OpenFor = toMilliseconds(c.OpenFor + o.OpenFor)
	c.HalfOpenFor = toMilliseconds(c.HalfOpenFor + o.HalfOpenFor)
}
