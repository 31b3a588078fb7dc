package suggest

import (
	"encoding/json"
	"math"
	"sync/atomic"
	"time"
)

// Options say what to search for.
type Options struct {
	Base    *Base
	MaxLost float64 // percent of the good requests of a cluster that may be lost, 0 to 100
	// TooSlow is how long a request may wait for its answer; 0 is three times the usual 99th percentile, 100 ms at least.
	TooSlow time.Duration
	// LeastOutage is how long an outage lasts at least; shorter ones are blips.
	LeastOutage time.Duration
	Truncated   bool // the log has more requests, which were not read
	// Progress is told the part that is done, 0 to 1, one call at a time, from any goroutine. It may be nil.
	Progress func(part float64)
}

// A Report is what a search has found. Durations are in seconds, shares in percent.
type Report struct {
	From time.Time `json:"from"` // when the first request began,
	To   time.Time `json:"to"`   // and the last one
	Counts
	Requests    int      `json:"requests"`  // learnt from
	Truncated   bool     `json:"truncated"` // the log has more, which were not read
	MaxLost     float64  `json:"max_lost_percent"`
	LeastOutage float64  `json:"least_outage_seconds"`
	Clusters    []Result `json:"clusters"` // by name
	// Configuration is that of the base with the first suggestion of each cluster; empty where there is none.
	Configuration string   `json:"configuration,omitempty"`
	Notes         []string `json:"notes"`

	tooSlow time.Duration // as given
}

// A Result is what was found for a cluster.
type Result struct {
	Cluster  string       `json:"cluster"`
	Envoys   int          `json:"instances"`
	Requests int          `json:"requests"`
	Bad      float64      `json:"usually_bad_percent"`
	P99      float64      `json:"usual_p99_seconds"` // of the time to a good answer
	TooSlow  float64      `json:"too_slow_seconds"`
	Outages  []OutageTold `json:"outages"`
	Blips    int          `json:"blips"`

	Tried       int      `json:"policies_tried,omitempty"`
	Now         *Policy  `json:"now,omitempty"`          // what the search started from; absent where nothing was searched
	Suggestions []Policy `json:"suggestions"`            // the first one is recommended; none where none within the limit opens in an outage
	Beyond      *Policy  `json:"beyond_limit,omitempty"` // opens in more outages, and loses more than may be lost; absent where there is none
}

// An OutageTold is an [Outage].
type OutageTold struct {
	Begin    time.Time `json:"begin"`
	Lasted   float64   `json:"seconds"` // for which bad requests began
	Requests int       `json:"requests"`
	Bad      int       `json:"bad"`
}

// A Policy is one that was tried.
type Policy struct {
	Override json.RawMessage `json:"override"` // of the configuration's clusters
	IsNow    bool            `json:"is_now"`   // it is what the search started from
	Figures
}

// Search searches the policies of all clusters that have outages. It is done once: what the log holds is given up on the way.
func (l *Log) Search(o Options) *Report {
	r := &Report{
		Counts: l.counts, Requests: l.requests, Truncated: o.Truncated, MaxLost: o.MaxLost,
		LeastOutage: o.LeastOutage.Seconds(), Clusters: []Result{}, Notes: []string{}, tooSlow: o.TooSlow,
	}
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	var searches []*search
	for _, c := range l.inOrder() {
		h := c.look(o.Base.rules(c.name), o.TooSlow, o.LeastOutage)
		from, to = min(from, h.from), max(to, h.to)
		s := &search{history: h, base: o.Base, cluster: c.name, limit: o.MaxLost}
		if searches = append(searches, s); !s.isPossible() {
			h.tapes = nil
		}
		delete(l.clusters, c.name) // so that the memory is free once it is no longer needed
	}
	if l.requests > 0 {
		r.From, r.To = time.Unix(0, from).UTC(), time.Unix(0, to).UTC()
	}
	progress := newProgress(searches, o.Progress)
	var overrides []map[string]any
	for _, s := range searches {
		if s.isPossible() {
			progress.start(s)
			s.played = progress.add
			s.run()
		}
		if len(s.chosen) > 0 && s.chosen[0] != s.start {
			overrides = append(overrides, s.chosen[0].keys)
		}
		r.Clusters = append(r.Clusters, s.result())
		s.tapes, s.known, s.widened, s.trials = nil, nil, nil, nil
	}
	if len(overrides) > 0 {
		r.Configuration = string(o.Base.with(overrides))
	}
	r.note(o.Base)
	return r
}

func (s *search) result() Result {
	r := Result{
		Cluster: s.cluster, Envoys: s.envoys, Requests: s.requests, Bad: s.usual * 100, P99: s.p99.Seconds(), TooSlow: s.tooSlow.Seconds(),
		Blips: s.blips, Outages: []OutageTold{}, Suggestions: []Policy{}, Tried: s.tried,
	}
	for _, o := range s.outages {
		r.Outages = append(r.Outages, OutageTold{time.Unix(0, o.Begin).UTC(), o.lasted().Seconds(), o.Requests, o.Bad})
	}
	policy := func(t *trial) Policy { return Policy{appendJSON(nil, t.keys), t == s.start, t.Figures} }
	for _, t := range s.chosen {
		r.Suggestions = append(r.Suggestions, policy(t))
	}
	if s.start != nil {
		now := policy(s.start)
		r.Now = &now
	}
	if s.further != nil {
		beyond := policy(s.further)
		r.Beyond = &beyond
	}
	return r
}

// A progress is how far a search of several clusters is, in requests played.
type progress struct {
	total   int64
	until   int64 // when the cluster is done that is searched; it may take longer than that
	done    atomic.Int64
	told    func(float64)
	telling atomic.Bool
}

func newProgress(searches []*search, told func(float64)) *progress {
	p := &progress{told: told}
	for _, s := range searches {
		if s.isPossible() {
			p.total += usualPlays * int64(s.requests)
		}
	}
	return p
}

// start goes on to a cluster, whether the one before took as long as estimated or not.
func (p *progress) start(s *search) {
	p.done.Store(p.until)
	p.until += usualPlays * int64(s.requests)
}

// add counts the requests of a play. One that finds another telling does not wait.
func (p *progress) add(n int) {
	done := p.done.Add(int64(n))
	if p.told != nil && p.telling.CompareAndSwap(false, true) {
		p.told(float64(min(done, p.until)) / float64(p.total))
		p.telling.Store(false)
	}
}
