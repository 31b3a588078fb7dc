package suggest

import (
	"cmp"
	"slices"
)

const (
	// nearly is the part of the most calls avoided that is as good.
	nearly = 0.9
	// finalists are played again, in halves: the sturdiest as far as it is known, such as lose less, those that lose least, and a ladder.
	finalists = 12
	// candidates are how many are made simpler, and leaders how many are compared in the end, once all that is around them is known.
	candidates = 6
	leaders    = 3
	// mostBeside is how many of the leaders' neighbours are played again.
	mostBeside = 8
	// mostChosen is how many policies are shown, and apart how much they must be, in parts of what they avoid and lose.
	mostChosen = 4
	apart      = 0.05
)

// choose chooses what is shown of the trials.
func (s *search) choose() {
	pool := []*trial{s.start}
	for _, best := range s.best(1, s.compare, s.isUseful) {
		sturdy := s.sturdiest(best, finalists/2)
		pool = slices.Concat(pool, sturdy, s.simplified(sturdy[:min(candidates, len(sturdy))], best))
		pool = append(pool, s.contenders(best)...)
	}
	all := s.best(len(s.trials), s.compareBeyond, func(t *trial) bool { return t.Caught > 0 })
	pool = once(slices.Concat(pool, all[:min(finalists/2, len(all))], ladder(all, finalists/2)))
	s.playAgain(pool)
	pool = append(pool, s.holding(pool)...)

	beyond := slices.DeleteFunc(slices.Clone(pool), func(t *trial) bool { return s.within(t) })
	pool = slices.DeleteFunc(pool, func(t *trial) bool { return !s.isUseful(t) })
	caught := 0
	if len(pool) > 0 {
		best := s.recommended(pool)
		s.trials = pool
		s.chosen = s.plain(append([]*trial{best}, s.alternatives(best, mostChosen-1)...))
		caught = best.Caught
	}
	beyond = slices.DeleteFunc(beyond, func(t *trial) bool { return t.Caught <= caught || t == s.start })
	if len(beyond) > 0 {
		s.further = slices.MinFunc(beyond, s.compareBeyond)
	}
}

// holding are more trials, played again, where none of the pool is useful in all plays: those that lost least in one, the cautious ones
// among them, until one holds.
func (s *search) holding(pool []*trial) (all []*trial) {
	if !slices.ContainsFunc(pool, s.isUseful) {
		s.try(s.grid.cautious(s.start.settings)) // too far from all others to be come by
	}
	leastLost := func(a, b *trial) int { return cmp.Or(cmp.Compare(a.Lost, b.Lost), s.compare(a, b)) }
	rest := s.best(4*finalists, leastLost, func(t *trial) bool { return s.isUseful(t) && !slices.Contains(pool, t) })
	for some := range slices.Chunk(rest, finalists) {
		if slices.ContainsFunc(slices.Concat(pool, all), s.isUseful) {
			break
		}
		s.playAgain(some)
		all = append(all, some...)
	}
	return all
}

// ladder are at most n of trials in the order of compareBeyond: each opens in fewer outages than the one before, or more often at other
// times, and loses less. So there are some that keep to a limit, however few outages these open in.
func ladder(trials []*trial, n int) (all []*trial) {
	for _, t := range trials {
		if len(all) == 0 || t.Lost < all[len(all)-1].Lost {
			all = append(all, t)
		}
	}
	return thinned(all, n)
}

// thinned are n trials from all along some, or all where these are fewer.
func thinned(trials []*trial, n int) []*trial {
	if len(trials) <= n {
		return trials
	}
	all := make([]*trial, n)
	for i := range all {
		all[i] = trials[(2*i+1)*len(trials)/(2*n)]
	}
	return all
}

// once are trials without those that come again.
func once(trials []*trial) (all []*trial) {
	for _, t := range trials {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// playAgain gives trials the figures of several plays.
func (s *search) playAgain(trials []*trial) { s.play(trials, lucks) }

// plain are trials without the changes that have changed nothing, or nothing for the better, in all plays together.
func (s *search) plain(trials []*trial) []*trial {
	plain := slices.Clone(trials)
	for i, t := range plain {
		for a := range axes {
			next := s.without(t, a)
			s.try([]settings{next})
			n := s.known[next]
			if n == nil || n.once.caught < t.Caught || n.once.needless > t.Needless || float64(n.once.avoided) < nearly*float64(t.Avoided) {
				continue
			}
			s.playAgain([]*trial{n})
			if s.within(n) && n.Caught >= t.Caught && n.Needless <= t.Needless && n.Avoided >= t.Avoided && n.Lost <= t.Lost {
				t = n
			}
		}
		plain[i] = t
	}
	return once(plain)
}

// isLike reports whether a trial does what the best does, or nearly so, whatever it loses: by a single play that is luck, too.
func (s *search) isLike(t, best *trial) bool {
	return t.Caught == best.Caught && t.Needless == best.Needless && float64(t.Avoided) >= nearly*float64(best.Avoided)
}

// isAsGood reports whether a trial is as good as the best, or nearly so.
func (s *search) isAsGood(t, best *trial) bool { return s.within(t) && s.isLike(t, best) }

// sturdiest are at most n of the trials nearly as good as the best, the sturdiest first as far as that is known.
func (s *search) sturdiest(best *trial, n int) []*trial {
	seen := map[feat]bool{}
	var all []*trial
	for _, t := range s.best(len(s.trials), s.compare, func(t *trial) bool { return s.isAsGood(t, best) }) {
		if !seen[t.once] { // of those that did the same the first is enough
			seen[t.once] = true
			all = append(all, t)
		}
	}
	s.rate(all, best)
	return all[:min(n, len(all))]
}

// simplified are trials with as few changes to what the search started from as are enough to be nearly as good as the best.
func (s *search) simplified(trials []*trial, best *trial) []*trial {
	simple := slices.Clone(trials)
	for a := range axes {
		var next []settings
		for _, t := range simple {
			next = append(next, s.without(t, a))
		}
		s.try(next)
		for i, t := range simple {
			if n := s.known[s.without(t, a)]; n != nil && s.isLike(n, best) {
				simple[i] = n
			}
		}
	}
	return simple
}

// without are a trial's settings without the change of a key.
func (s *search) without(t *trial, a axis) settings {
	next := t.settings
	next[a] = s.start.settings[a]
	return next.settled(s.rest)
}

// rate finds out how sturdy trials are, and puts the sturdiest first: those whose neighbours in the grid are nearly as good as the best.
// What stands at an edge falls in the next outage.
func (s *search) rate(trials []*trial, best *trial) {
	for _, t := range trials {
		t.falls, t.stands, t.unknown = 0, 0, 0
		of := 0
		for _, next := range s.grid.around(t.settings) {
			if next = next.settled(s.rest); next == t.settings {
				continue // it has no effect
			}
			of++
			switch n, tried := s.known[next]; {
			case !tried:
				t.unknown++
			case n == nil: // it is no policy
			case n.isWorse(best):
				t.falls++
			case s.isLike(n, best):
				t.stands++
			}
		}
		t.stands /= float64(max(of, 1))
	}
	slices.SortFunc(trials, s.compareSturdiness)
}

// compareSturdiness puts those first of whose neighbours the fewest miss an outage or open at other times, and then those of which nearly
// all are as good: the ones that avoid most beyond what they lose. Of the others that has more that are as good.
func (s *search) compareSturdiness(a, b *trial) int {
	sturdy := func(t *trial) int {
		if t.stands >= nearly {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.falls, b.falls), cmp.Compare(sturdy(a), sturdy(b)), sturdy(a)*-cmp.Compare(a.stands, b.stands), s.compareNet(a, b))
}

// recommended is the one to be recommended: of those nearly as good as the best it is the sturdiest, and of several that are nearly as
// sturdy the one that avoids the most calls beyond the requests that it loses. It is not worse than what the search started from.
func (s *search) recommended(pool []*trial) *trial {
	best := slices.MinFunc(pool, s.compare)
	isBad := func(t *trial) bool {
		return !s.isAsGood(t, best) || s.isAsGood(s.start, best) && t.Avoided < s.start.Avoided
	}
	all := slices.DeleteFunc(slices.Clone(pool), isBad)
	s.explore(all, best)
	// A step away from the edge, or on to what loses less.
	beside := s.beside(all[:min(leaders, len(all))], best)
	s.playAgain(beside)
	all = once(append(all, slices.DeleteFunc(beside, isBad)...))
	s.explore(all, best)
	if known := slices.DeleteFunc(slices.Clone(all), func(t *trial) bool { return t.unknown > 0 }); len(known) > 0 {
		all = known
	}
	all = all[:min(leaders, len(all))]
	first := all[0]
	all = slices.DeleteFunc(all, func(t *trial) bool { return t.falls > first.falls || t.stands < nearly*first.stands })
	return slices.MinFunc(all, s.compareNet)
}

// beside are at most mostBeside neighbours of trials that are like the best, and are not among these: first those a step away from an edge,
// then those that avoid most beyond what they lose.
func (s *search) beside(trials []*trial, best *trial) []*trial {
	var away, others []*trial
	for _, t := range trials {
		edges := map[axis]bool{}
		s.neighbours(t, func(a axis, n *trial) { edges[a] = edges[a] || n.isWorse(best) })
		s.neighbours(t, func(a axis, n *trial) {
			switch {
			case !s.isLike(n, best) || slices.Contains(trials, n):
			case edges[a]:
				away = append(away, n)
			default:
				others = append(others, n)
			}
		})
	}
	slices.SortFunc(others, s.compareNet)
	all := once(append(away, others...))
	return all[:min(mostBeside, len(all))]
}

// neighbours calls yield with those neighbours of a trial that have been tried, and the key in which they differ.
func (s *search) neighbours(t *trial, yield func(axis, *trial)) {
	for _, next := range s.grid.around(t.settings) {
		a := axis(0)
		for next[a] == t.settings[a] {
			a++
		}
		if n := s.known[next.settled(s.rest)]; n != nil && n != t {
			yield(a, n)
		}
	}
}

// isWorse reports whether a trial misses an outage that the best has caught, or opens more often at other times.
func (t *trial) isWorse(best *trial) bool {
	return t.Caught < best.Caught || t.Needless > best.Needless
}

// explore tries the neighbours of trials until those of the sturdiest are known, which come first then.
func (s *search) explore(trials []*trial, best *trial) {
	explored := map[*trial]bool{}
	for {
		s.rate(trials, best)
		var around []settings
		for _, t := range trials[:min(leaders, len(trials))] {
			if !explored[t] {
				explored[t] = true
				around = append(around, s.grid.around(t.settings)...)
			}
		}
		if len(around) == 0 {
			return
		}
		s.try(around)
	}
}
