package replay

import (
	"cmp"
	"math"
	"slices"
	"time"

	"envoy-circuit-breaker/filter/config"
)

// A Report is what came of a replay. Durations are in seconds.
type Report struct {
	From  time.Time `json:"from"` // of the requests that were replayed: the first one's begin,
	To    time.Time `json:"to"`   // and the last one's end
	Lines int64     `json:"lines"`

	Broken          int64        `json:"broken_lines"`           // could not be understood
	BrokenLines     []BrokenLine `json:"first_broken,omitempty"` // the first of them
	WithoutCluster  int64        `json:"without_cluster"`        // answered without an upstream, such as redirects and direct responses
	AlreadyRejected int64        `json:"already_rejected"`       // by a breaker, when the log was written: nobody knows how they would have ended
	TooLate         int64        `json:"too_late"`               // beyond the horizon, and left out
	LatestBy        float64      `json:"latest_by,omitempty"`
	// HeldFor is what the horizon shrank to because too many requests had to be held; 0 where it did not.
	HeldFor  float64 `json:"held_for,omitempty"`
	Recovery bool    `json:"recovery"` // trials ended as other requests at that time did

	Policies []PolicyReport `json:"policies"`
	Notes    []string       `json:"notes"` // what the reader must know of the log, and what is assumed

	axis axis
}

// A BrokenLine is one that could not be understood.
type BrokenLine struct {
	File  string `json:"file"`
	Line  int64  `json:"line"`
	Error string `json:"error"`
}

// MostBroken is how many broken lines are told one by one.
const MostBroken = 20

// A PolicyReport is what one policy would have done.
type PolicyReport struct {
	Name           string  `json:"name"`
	Owners         []Owner `json:"breakers"`
	Total          Counts  `json:"total"`
	WithoutBreaker int64   `json:"without_breaker"` // requests beyond max_breakers
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

	Trips          int64 `json:"trips"`   // all, those of failed trials included
	Outages        int64 `json:"outages"` // trips out of closed
	PermitsExpired int64 `json:"permits_expired"`

	OpenFor       float64  `json:"open_seconds"`
	HalfOpenFor   float64  `json:"half_open_seconds"`
	NoticedMedian *float64 `json:"noticed_median_seconds"` // from an outage's beginning to the trip; null where there is none
	NoticedMax    *float64 `json:"noticed_max_seconds"`

	noticed durations
}

// An Owner is a breaker's cluster, or route to it, as an Envoy has it.
type Owner struct {
	Instance string `json:"instance,omitempty"`
	Cluster  string `json:"cluster"`
	Route    string `json:"route,omitempty"`
	Mode     string `json:"mode"`
	State    string `json:"state"` // at the end
	Counts
	Transitions        []Transition `json:"transitions"`
	TransitionsLeftOut int          `json:"transitions_left_out,omitempty"`

	policy *Policy
	rules  *config.Rules
	bins   []bin
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

func seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }

// toMilliseconds takes the dust of sums off a number of seconds.
func toMilliseconds(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }

func unix(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }

func (r *Replay) finish() *Report {
	out := &r.report
	out.Recovery = r.options.Recovery
	if r.axis.begun {
		out.axis = r.axis
		out.From, out.To = unix(r.axis.start), unix(r.now)
	}
	for _, p := range r.policies {
		report := PolicyReport{Name: p.Name, WithoutBreaker: p.withoutBreaker, Owners: []Owner{}}
		for _, o := range p.owners {
			owner := o.finish(r.now)
			owner.policy, owner.rules, owner.bins = &p.Policy, o.rules, o.bins
			if owner.Transitions == nil {
				owner.Transitions = []Transition{}
			}
			report.Owners = append(report.Owners, owner)
		}
		slices.SortFunc(report.Owners, compareOwners)
		for i := range report.Owners {
			report.Total.add(&report.Owners[i].Counts)
		}
		report.Total.NoticedMedian, report.Total.NoticedMax = report.Total.noticed.median(), report.Total.noticed.max()
		out.Policies = append(out.Policies, report)
	}
	r.note()
	return out
}

// compareOwners orders them by cluster, then route, then instance.
func compareOwners(a, b Owner) int {
	return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Instance, b.Instance))
}

func (c *Counts) add(o *Counts) {
	for _, x := range []struct {
		to *int64
		n  int64
	}{
		{&c.Requests, o.Requests}, {&c.Calls, o.Calls}, {&c.Failures, o.Failures}, {&c.SlowCalls, o.SlowCalls}, {&c.Late, o.Late},
		{&c.Neutral, o.Neutral}, {&c.Elsewhere, o.Elsewhere}, {&c.Unjudged, o.Unjudged}, {&c.Rejected, o.Rejected}, {&c.Saved, o.Saved},
		{&c.Lost, o.Lost}, {&c.RejectedNeutral, o.RejectedNeutral}, {&c.CallsAvoided, o.CallsAvoided}, {&c.Trips, o.Trips},
		{&c.Outages, o.Outages}, {&c.PermitsExpired, o.PermitsExpired},
	} {
		*x.to += x.n
	}
	c.OpenFor = toMilliseconds(c.OpenFor + o.OpenFor)
	c.HalfOpenFor = toMilliseconds(c.HalfOpenFor + o.HalfOpenFor)
	c.noticed = append(c.noticed, o.noticed...)
}
