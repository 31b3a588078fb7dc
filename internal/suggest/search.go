package suggest

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"envoy-circuit-breaker/filter/config"
)

const (
	// most is how many policies are tried for a cluster: first spread ones from all over the grid, then in some rounds what differs in
	// one key from the best, then what is bred from the frontier, then what is around those that are chosen from.
	most   = 720
	spread = 64
	rounds = 1
	// lucks are how often those are played, of which one is chosen: what a breaker rejects depends on when it happens to try requests
	// again, and one that was lucky once would seem to be better than it is.
	lucks = 5
)

// usualPlays is how often the requests of a cluster are played, more or less: for an estimate of how long that takes.
const usualPlays int64 = 900

// A search tries policies for a cluster.
type search struct {
	*history
	base    *Base
	cluster string
	limit   float64     // percent of the good requests that may be lost
	played  func(n int) // is told how many requests a play had, from any goroutine

	grid    *grid
	rest    settings // where values have no effect
	start   *trial
	warns   int // how often the configuration is warned of that it starts with
	known   map[settings]*trial
	trials  []*trial // those that hold, in the order in which they were tried
	tried   int      // how many these were
	widened map[*trial]bool

	chosen  []*trial // the first one is to be recommended; none where no policy within the limit opens in an outage
	further *trial   // opens in more outages than the chosen ones, beyond the limit; nil where none does
}

// A trial is a policy that was tried.
type trial struct {
	settings
	Figures
	plays  []Figures      // one of each luck that it was played with
	once   feat           // what it did in the first one
	keys   map[string]any // of its override
	config *config.Config

	// How sturdy it is: of its neighbours in the grid so many miss an outage or open at other times, that share is as good, and so many
	// were not tried.
	falls   int
	stands  float64
	unknown int
}

// A feat is what a trial did in one play.
type feat struct {
	caught, needless int
	avoided, lost    int64
}

// isPossible reports whether there is something to learn from, and one breaker of the cluster that could be better.
func (s *search) isPossible() bool { return len(s.outages) > 0 && !s.base.byRoute(s.cluster) }

// begin tries what the search starts from.
func (s *search) begin() {
	start := settingsOf(&s.base.rules(s.cluster).Policy)
	s.known, s.widened = map[settings]*trial{}, map[*trial]bool{}
	slow := s.tooSlow
	if !s.triesSlow() {
		slow = 0
	}
	s.grid = newGrid(start, slow, s.perSecond())
	s.rest = start
	if start[slowCall] == 0 {
		s.rest[slowRate] = 60 // to begin with where slow calls are switched on
	}
	s.try([]settings{start})
	s.start = s.trials[0]
}

// run tries policies, and chooses.
func (s *search) run() {
	s.begin()
	s.try(s.grid.spread(spread))
	for round := 0; round < rounds || round < 3*rounds && !slices.ContainsFunc(s.trials, s.isUseful); round++ {
		s.widen()
	}
	s.breed()
	s.choose()
}

// widen tries all that differs in one key from the best trial, from the one that avoids most beyond what it loses, and from the one that
// is best apart from the limit; as long as none within the limit opens in an outage, from the one that loses least and opens in any, too.
func (s *search) widen() {
	orders := []func(a, b *trial) int{s.compare, s.compareNet, s.compareBeyond}
	if !slices.ContainsFunc(s.trials, s.isUseful) {
		orders = append(orders, func(a, b *trial) int { return cmp.Or(cmp.Compare(a.Lost, b.Lost), s.compareBeyond(a, b)) })
	}
	opens := func(t *trial) bool { return t.Caught > 0 }
	some := slices.ContainsFunc(s.trials, opens)
	var next []settings
	for _, order := range orders {
		for _, t := range s.best(1, order, func(t *trial) bool { return !s.widened[t] && (opens(t) || !some) }) {
			s.widened[t] = true
			next = append(next, s.grid.along(t.settings)...)
		}
	}
	s.try(next)
}

// try plays policies that have not been tried. What comes of it does not depend on how many cores there are.
func (s *search) try(all []settings) {
	var fresh []*trial
	for _, settings := range all {
		settings = settings.settled(s.rest)
		if _, is := s.known[settings]; is || len(s.known) == most {
			continue
		}
		t := s.prepare(settings)
		if s.known[settings] = t; t != nil {
			fresh = append(fresh, t)
		}
	}
	s.play(fresh, 1)
	for _, t := range fresh {
		t.once = feat{t.Caught, t.Needless, t.Avoided, t.Lost}
	}
	s.trials = append(s.trials, fresh...)
	s.tried += len(fresh)
}

// play gives trials the figures of so many plays, each with luck of its own, all cores at work.
func (s *search) play(trials []*trial, times int) {
	type job struct {
		*trial
		luck int
	}
	var jobs []job
	for _, t := range once(trials) {
		for luck := len(t.plays); luck < times; luck++ {
			jobs = append(jobs, job{t, luck})
		}
	}
	plays := make([]play, len(jobs)*len(s.tapes))
	var next atomic.Int64
	var players sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(plays)) {
		players.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(plays); i = int(next.Add(1)) - 1 {
				j, tape := jobs[i/len(s.tapes)], &s.tapes[i%len(s.tapes)]
				plays[i] = s.history.play(tape, j.config, j.luck)
				s.played(tape.Len())
			}
		})
	}
	players.Wait()
	for i, j := range jobs {
		j.plays = append(j.plays, s.sum(plays[i*len(s.tapes):(i+1)*len(s.tapes)]))
	}
	for _, t := range trials {
		t.Figures = together(t.plays)
	}
}

// prepare makes a policy of settings, or nil if they are none that anybody would want: they do not hold, or are warned of. That which the
// search starts from is as it is.
func (s *search) prepare(settings settings) *trial {
	t := &trial{settings: settings, keys: s.base.override(s.cluster, settings)}
	first := s.start == nil
	if first {
		t.keys = s.base.own(s.cluster)
		t.keys["match"] = s.cluster
	}
	var err error
	if t.config, err = config.Parse(s.base.alone(t.keys)); err != nil {
		return nil
	}
	warns := len(t.config.Warnings())
	if first {
		s.warns = warns
	}
	if warns > s.warns {
		return nil
	}
	return t
}

// compare orders trials, the best first: one that loses no more than may be lost, opens in more outages, and less often at other times,
// avoids more calls, loses less.
func (s *search) compare(a, b *trial) int {
	within := s.within(a)
	switch {
	case within && !s.within(b):
		return -1
	case !within && s.within(b):
		return 1
	case !within:
		return s.compareBeyond(a, b)
	}
	return cmp.Or(-cmp.Compare(a.Caught, b.Caught), cmp.Compare(a.Needless, b.Needless),
		-cmp.Compare(a.Avoided, b.Avoided), cmp.Compare(a.Lost, b.Lost), s.tie(a, b))
}

// compareBeyond orders trials where it does not matter how much may be lost: then that which loses less is better than that which avoids
// more.
func (s *search) compareBeyond(a, b *trial) int {
	return cmp.Or(-cmp.Compare(a.Caught, b.Caught), cmp.Compare(a.Needless, b.Needless),
		cmp.Compare(a.Lost, b.Lost), -cmp.Compare(a.Avoided, b.Avoided), s.tie(a, b))
}

// compareNet orders trials as compare does, but for what they avoid beyond what they lose.
func (s *search) compareNet(a, b *trial) int {
	if !s.within(a) || !s.within(b) {
		return s.compare(a, b)
	}
	return cmp.Or(-cmp.Compare(a.Caught, b.Caught), cmp.Compare(a.Needless, b.Needless),
		-cmp.Compare(a.Avoided-a.Lost, b.Avoided-b.Lost), s.tie(a, b))
}

// tie orders trials that have done the same: that which changes less first.
func (s *search) tie(a, b *trial) int {
	return cmp.Or(cmp.Compare(a.distance(s.start.settings), b.distance(s.start.settings)), slices.Compare(a.settings[:], b.settings[:]))
}

// within reports whether a trial loses no more than may be lost, in whatever play.
func (s *search) within(t *trial) bool { return t.LostMost <= s.limit }

// isUseful reports whether a trial opens in an outage and loses no more than may be lost.
func (s *search) isUseful(t *trial) bool { return s.within(t) && t.Caught > 0 }

// best are the best trials of some by an order, at most n.
func (s *search) best(n int, order func(a, b *trial) int, of func(*trial) bool) (best []*trial) {
	for _, t := range s.trials {
		if of(t) {
			best = append(best, t)
		}
	}
	slices.SortFunc(best, order)
	return best[:min(n, len(best))]
}
