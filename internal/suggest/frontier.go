package suggest

import (
	"math/rand/v2"
	"slices"
)

const (
	// bred is how many policies have been tried when breeding ends, brood how many it tries at once.
	bred  = 500
	brood = 20
	// fronts are so many of which the policies are played again: what stands in the first one by a single play has been lucky, too.
	fronts = 2
	// mostFinal is how many of these are.
	mostFinal = 16
)

// breed tries policies that differ in one or two keys from those of the frontier, until enough have been tried. They are always the same.
func (s *search) breed() {
	random := rand.New(rand.NewPCG(2, 0))
	for fails := 0; len(s.known) < bred && fails < 5; fails++ {
		parents := s.parents()
		var next []settings
		seen := map[settings]bool{}
		for range 10 * brood {
			child := s.grid.beside(parents[random.IntN(len(parents))].settings, random).settled(s.rest)
			if _, known := s.known[child]; !known && !seen[child] && len(next) < min(brood, bred-len(s.known)) {
				seen[child] = true
				next = append(next, child)
			}
		}
		if s.try(next); len(next) > 0 {
			fails = 0
		}
	}
}

// parents are the trials of the frontier; as long as none within the limit opens in an outage, a ladder down to it.
func (s *search) parents() []*trial {
	if best := s.best(1, s.compare, s.isUseful); len(best) > 0 {
		return frontier(s.equals(best[0]))
	}
	if all := ladder(s.best(len(s.trials), s.compareBeyond, func(t *trial) bool { return t.Caught > 0 }), len(s.trials)); len(all) > 0 {
		return all
	}
	return s.trials
}

// beside are settings that differ in one key or two, by a step or two in the grid.
func (g *grid) beside(s settings, random *rand.Rand) settings {
	steps := [...]int{-2, -1, 1, 2}
	for range 1 + random.IntN(2) {
		a := random.IntN(len(g))
		at := slices.Index(g[a], s[a]) + steps[random.IntN(len(steps))]
		s[a] = g[a][min(max(at, 0), len(g[a])-1)]
	}
	return s
}

// equals are the trials that open where another does, within the limit: those that avoid most first.
func (s *search) equals(best *trial) []*trial {
	return s.best(len(s.trials), s.compare, func(t *trial) bool {
		return s.within(t) && t.Caught == best.Caught && t.Needless == best.Needless
	})
}

// frontier are those of some trials, that avoid most first, of which none of the others avoids as much for as little that is lost.
func frontier(trials []*trial) (all []*trial) {
	for _, t := range trials {
		if len(all) == 0 || t.Lost < all[len(all)-1].Lost {
			all = append(all, t)
		}
	}
	return all
}

// contenders are the trials of the first frontiers, at most mostFinal.
func (s *search) contenders(best *trial) (all []*trial) {
	rest := s.equals(best)
	for range fronts {
		front := frontier(rest)
		all = append(all, front...)
		rest = slices.DeleteFunc(rest, func(t *trial) bool { return slices.Contains(front, t) })
	}
	return thinned(all, mostFinal)
}

// alternatives are at most n trials that avoid less than the best and lose less: of the frontier those that together with it leave the
// least to be wished for, each apart from the others in what it loses.
func (s *search) alternatives(best *trial, n int) []*trial {
	chosen := []*trial{best}
	front := frontier(s.equals(best))
	for len(chosen) <= n {
		var next *trial
		most := 0.0
		for _, t := range front {
			if t.Avoided >= best.Avoided || slices.ContainsFunc(chosen, func(c *trial) bool { return isNear(t, c) }) {
				continue
			}
			with := append(slices.Clone(chosen), t)
			slices.SortFunc(with, s.compare)
			if area := covered(with, best.Lost); area > most {
				next, most = t, area
			}
		}
		if next == nil {
			break
		}
		chosen = append(chosen, next)
		slices.SortFunc(chosen, s.compare)
	}
	return chosen[1:]
}

// isNear reports whether two trials lose nearly the same, or avoid nearly the same at not much less.
func isNear(a, b *trial) bool {
	less := func(part float64, v, w int64) bool {
		return float64(min(v, w)) < (1-part)*float64(max(v, w))
	}
	return !less(apart, a.Lost, b.Lost) || !less(apart, a.Avoided, b.Avoided) && !less(4*apart, a.Lost, b.Lost)
}

// covered is the area of what trials avoid and do not lose, of so much: each covers what avoids less and loses more. Those that avoid most
// are first. (The hypervolume of Zitzler and Thiele 1998, https://doi.org/10.1007/BFb0056872)
func covered(trials []*trial, lost int64) (area float64) {
	for i, t := range trials {
		next := int64(0)
		if i+1 < len(trials) {
			next = trials[i+1].Avoided
		}
		area += float64(t.Avoided-next) * float64(lost-t.Lost)
	}
	return area
}
