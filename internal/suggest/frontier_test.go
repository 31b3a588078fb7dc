package suggest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
)

// points are trials that avoid and lose so much, as good as each other in all else.
func points(s *search, of ...[2]int64) (all []*trial) {
	for i, p := range of {
		t := &trial{Figures: Figures{Caught: 1, Avoided: p[0], Lost: p[1], LostMost: float64(p[1]) / 100}}
		t.settings[streak] = float64(i)
		all = append(all, t)
	}
	s.trials = all
	s.start = &trial{}
	return all
}

// Those are shown beside the best that are apart, and leave little to be wished for; never one that another is better than.
func TestAlternatives(t *testing.T) {
	for name, c := range map[string]struct {
		points [][2]int64 // the best first
		want   []int
	}{
		"none":                               {[][2]int64{{1000, 100}}, nil},
		"nearly the same":                    {[][2]int64{{1000, 100}, {990, 98}, {980, 96}}, nil},
		"half as much is lost for little":    {[][2]int64{{1000, 100}, {990, 50}}, []int{1}},
		"one is better than another":         {[][2]int64{{1000, 100}, {800, 60}, {790, 70}}, []int{1}},
		"a corner rather than what is on it": {[][2]int64{{1000, 100}, {970, 90}, {900, 30}, {880, 29}, {500, 28}, {300, 10}, {100, 5}}, []int{2, 5, 6}},
		"beyond the limit":                   {[][2]int64{{1000, 100}, {900, 50}, {2000, 600}}, []int{1}},
		"another that avoids more":           {[][2]int64{{1000, 100}, {1100, 200}, {900, 50}}, []int{2}},
	} {
		s := &search{limit: 5}
		all := points(s, c.points...)
		got := s.alternatives(all[0], 3)
		ok := len(got) == len(c.want)
		for i := 0; ok && i < len(got); i++ {
			ok = got[i] == all[c.want[i]]
		}
		if !ok {
			t.Errorf("%s: %d, want %v", name, len(got), c.want)
			for _, g := range got {
				t.Logf("%+v", g.Figures)
			}
		}
	}
}

// Breeding uses up its budget, and finds better policies than it started from.
func TestBreed(t *testing.T) {
	base := baseOf(t, "{}")
	s := &search{history: logOf(t, 1, parsed(t, short)).inOrder()[0].look(base.rules("payments"), 0, 10*time.Second), base: base, cluster: "payments",
		limit: 5, played: func(int) {}}
	s.begin()
	s.try(s.grid.spread(spread))
	best := s.best(1, s.compare, s.isUseful)[0]
	before := frontier(s.equals(best))
	s.breed()
	if len(s.known) != bred {
		t.Errorf("%d are known", len(s.known))
	}
	after := frontier(s.equals(s.best(1, s.compare, s.isUseful)[0]))
	lost := before[0].Lost
	if a, b := covered(before, lost), covered(after, lost); after[0].Avoided < before[0].Avoided || b < a*1.05 {
		t.Errorf("the frontier covered %v, and now %v", a, b)
	}
}

// What is bred is in the grid, and beside its parent.
func TestBeside(t *testing.T) {
	usual := breaker.DefaultPolicy()
	start := settingsOf(&usual)
	g := newGrid(start, 600*time.Millisecond, 1)
	random := rand.New(rand.NewPCG(1, 1))
	changed := map[int]int{}
	for range 1000 {
		next := g.beside(start, random)
		n := 0
		for a := range g {
			from, to := slices.Index(g[a], start[a]), slices.Index(g[a], next[a])
			if to < 0 || math.Abs(float64(from-to)) > 4 {
				t.Fatalf("axis %d has %v", a, next[a])
			}
			if from != to {
				n++
			}
		}
		changed[n]++
	}
	if changed[1] < 200 || changed[2] < 200 || len(changed) > 3 {
		t.Errorf("so many keys have changed: %v", changed)
	}
}

// What is a step away from an edge comes before neighbours that would avoid more.
func TestAwayFromTheEdge(t *testing.T) {
	usual := breaker.DefaultPolicy()
	start := settingsOf(&usual)
	start[streak] = 100
	grid := newGrid(start, 600*time.Millisecond, 1)
	s := &search{limit: 5, grid: grid, rest: start, known: map[settings]*trial{}, start: &trial{settings: start}}
	leader := &trial{settings: start, Figures: Figures{Caught: 1, Avoided: 100}}
	for _, next := range grid.around(start) {
		n := &trial{settings: next.settled(start), Figures: Figures{Caught: 1, Avoided: 110}}
		switch next[streak] {
		case 50:
			n.Needless = 1
		case 0:
			n.Avoided = 95
		}
		s.known[n.settings] = n
	}
	all := s.beside([]*trial{leader}, leader)
	if len(all) != mostBeside || all[0].settings[streak] != 0 || all[1].Avoided != 110 {
		t.Errorf("%d, the first with %v", len(all), all[0].settings)
	}
}
