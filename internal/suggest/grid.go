package suggest

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"envoy-circuit-breaker/breaker"
)

// An axis is a key that is searched.
type axis int

const (
	failureRate axis = iota
	minRequests
	window
	slowCall
	slowRate
	streak // consecutive_failures
	open
	openMost // open.max_duration
	axes
)

// Settings are the values of the keys that are searched: durations in nanoseconds, a window of requests as their number below 0, and what
// is off as 0.
type settings [axes]float64

func settingsOf(p *breaker.Policy) settings {
	s := settings{
		failureRate: p.FailureRate, minRequests: float64(p.MinRequests), window: float64(p.WindowDuration), slowCall: float64(p.SlowCallDuration),
		slowRate: p.SlowCallRate, streak: float64(p.ConsecutiveFailures), open: float64(p.OpenDuration), openMost: float64(p.OpenMaxDuration),
	}
	if p.WindowRequests > 0 {
		s[window] = float64(-p.WindowRequests)
	}
	return s
}

// write gives the keys of an override these settings, where it does not inherit them.
func (s *settings) write(keys map[string]any, inherited settings) {
	duration := func(a axis) string { return shortDuration(time.Duration(s[a])) }
	put := func(key string, v any, differs bool) {
		if delete(keys, key); differs {
			keys[key] = v
		}
	}
	put("failure_rate", s[failureRate], s[failureRate] != inherited[failureRate])
	put("min_requests", s[minRequests], s[minRequests] != inherited[minRequests])
	put("consecutive_failures", s[streak], s[streak] != inherited[streak])
	if s[window] < 0 {
		put("window", map[string]any{"requests": -s[window]}, s[window] != inherited[window])
	} else {
		put("window", map[string]any{"duration": duration(window)}, s[window] != inherited[window])
	}
	slow := map[string]any{}
	if s[slowCall] != inherited[slowCall] {
		slow["duration"] = duration(slowCall)
	}
	if s[slowCall] > 0 && s[slowRate] != inherited[slowRate] {
		slow["rate"] = s[slowRate]
	}
	put("slow_call", slow, len(slow) > 0)
	rest := map[string]any{}
	if own, is := keys["open"].(map[string]any); is {
		rest = maps.Clone(own)
	}
	delete(rest, "duration")
	delete(rest, "max_duration")
	if s[open] != inherited[open] {
		rest["duration"] = duration(open)
	}
	if s[openMost] != inherited[openMost] || s.naturalMost() != s[openMost] && inherited.naturalMost() == inherited[openMost] {
		rest["max_duration"] = duration(openMost)
	}
	put("open", rest, len(rest) > 0)
}

// naturalMost is what open.max_duration is where it is not given.
func (s *settings) naturalMost() float64 { return max(s[open], float64(time.Minute)) }

// settled has in place of values that have no effect those of another, and is open for no longer at first than at most.
func (s settings) settled(other settings) settings {
	if s[slowCall] == 0 {
		s[slowRate] = other[slowRate]
	}
	if s[slowCall] == 0 && s[failureRate] == 0 {
		s[minRequests], s[window] = other[minRequests], other[window]
	}
	s[openMost] = max(s[openMost], s[open])
	return s
}

// distance is how many keys have other values.
func (s settings) distance(other settings) (n int) {
	s = s.settled(other)
	for a := range s {
		if s[a] != other[a] {
			n++
		}
	}
	return n
}

// A grid has the values that are tried, in order, off behind the highest, since it is the last to open. Those of the policy that the search
// starts from are among them.
type grid [axes][]float64

// newGrid returns the grid for a cluster in which more than a duration is too slow, and each Envoy has so many requests a second. Without
// that duration slow_call stays as it is.
func newGrid(start settings, tooSlow time.Duration, perSecond float64) *grid {
	const second = float64(time.Second)
	g := &grid{
		failureRate: {0, 10, 20, 30, 40, 50, 60, 70, 80},
		minRequests: {5, 10, 20, 50, 100, 200},
		window:      {10 * second, 30 * second, 60 * second},
		streak:      {0, 5, 10, 20, 50, 100},
		open:        {second, 2 * second, 5 * second, 10 * second, 20 * second, 30 * second, 60 * second},
		openMost:    {5 * second, 10 * second, 20 * second, 30 * second, 60 * second},
	}
	// Fewer than a second has are too few to matter, and more than a minute has there never are.
	g[minRequests] = slices.DeleteFunc(g[minRequests], func(n float64) bool { return n < perSecond || n > 60*perSecond })
	if tooSlow > 0 {
		g[slowCall] = []float64{0, float64(tooSlow)} // nothing below: that is not too slow
		for _, times := range []float64{1.25, 1.5, 2} {
			g[slowCall] = append(g[slowCall], float64(rounded(time.Duration(times*float64(tooSlow)))))
		}
		g[slowRate] = []float64{30, 40, 50, 60, 70, 80, 90, 100}
	}
	for a := range g {
		g[a] = append(g[a], start[a])
		slices.SortFunc(g[a], func(v, w float64) int { return cmp.Or(cmp.Compare(off(v), off(w)), cmp.Compare(v, w)) })
		g[a] = slices.Compact(g[a])
	}
	return g
}

// cautious are the settings that lose least: they open only where nothing but bad requests comes, and never for longer than the shortest
// time that is tried.
func (g *grid) cautious(start settings) (all []settings) {
	for _, n := range g[streak] {
		s := start
		s[failureRate], s[slowCall], s[streak], s[open], s[openMost] = 0, 0, n, g[open][0], g[open][0]
		if n > 0 && slices.Contains(g[slowCall], 0) {
			all = append(all, s)
		}
	}
	return all
}

// off is 1 for what is off.
func off(v float64) int {
	if v == 0 {
		return 1
	}
	return 0
}

// around are the settings that differ in one key, from the value before to the next one, where they are in the grid.
func (g *grid) around(s settings) (all []settings) {
	for a, values := range g {
		i := slices.Index(values, s[a])
		for _, j := range []int{i - 1, i + 1} {
			if j >= 0 && j < len(values) {
				s := s
				s[a] = values[j]
				all = append(all, s)
			}
		}
	}
	return all
}

// along are the settings that differ in one key.
func (g *grid) along(s settings) (all []settings) {
	for a, values := range g {
		for _, v := range values {
			if v != s[a] {
				s := s
				s[a] = v
				all = append(all, s)
			}
		}
	}
	return all
}

// spread are so many settings from all over the grid, in which each value of a key comes as often as any other: a Latin hypercube
// (McKay, Beckman and Conover 1979, https://www.jstor.org/stable/1268522). They are always the same.
func (g *grid) spread(n int) []settings {
	all := make([]settings, n)
	for a, values := range g {
		for i, at := range rand.New(rand.NewPCG(1, uint64(a))).Perm(n) {
			all[i][a] = values[at*len(values)/n]
		}
	}
	return all
}
