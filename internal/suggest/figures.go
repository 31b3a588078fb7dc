package suggest

import (
	"cmp"
	"slices"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
)

// Figures are what a policy would have done.
type Figures struct {
	Caught    int     `json:"outages_caught"`         // in which a breaker opened, in whatever Envoy
	Needless  int     `json:"needless_trips"`         // trips out of closed at other times, in all Envoys
	Avoided   int64   `json:"upstream_calls_avoided"` // attempts of bad requests that would have been rejected
	Lost      int64   `json:"lost"`                   // good requests that would have been rejected
	LostShare float64 `json:"lost_percent"`           // of all good ones
	LostMost  float64 `json:"lost_percent_worst"`     // the same in the play that lost most, which is what a limit holds for
	// From the beginning of an outage to the trip, of each Envoy that opened; null where none did.
	NoticedMedian *float64 `json:"noticed_median_seconds"`
	NoticedMax    *float64 `json:"noticed_max_seconds"`
}

// A play is what a policy would have done in one Envoy.
type play struct {
	avoided, lost int64
	needless      int
	caught        []int     // outages
	noticed       []float64 // seconds, of each
}

// play tells what a policy would have done in an Envoy. Jitter and ramp have the luck of a number.
func (h *history) play(t *tape, c *config.Config, luck int) (p play) {
	t.Play(replay.PlayOptions{Config: c, Seed: uint64(luck), Rejected: func(i int) {
		switch t.kinds[i] {
		case bad:
			p.avoided += int64(t.attempts[i])
		case good:
			p.lost++
		}
	}, Moved: func(m breaker.Transition) {
		if m.To == breaker.Open {
			h.open(&p, int64(m.At), m.From)
		}
	}})
	return p
}

// open counts that a breaker opened, out of a state.
func (h *history) open(p *play, at int64, from breaker.State) {
	i := h.outageAt(at)
	switch {
	case i >= 0 && !slices.Contains(p.caught, i):
		p.caught = append(p.caught, i)
		p.noticed = append(p.noticed, float64(at-h.outages[i].Begin)/1e9)
	case i < 0 && from == breaker.Closed:
		p.needless++
	}
}

// outageAt returns which outage there was at a time, -1 where there was none. What hung at the end of one may end in the next.
func (h *history) outageAt(at int64) int {
	next, _ := slices.BinarySearchFunc(h.outages, at, func(o Outage, at int64) int { return cmp.Or(cmp.Compare(o.Begin, at), -1) })
	for i := next - 1; i >= max(0, next-2); i-- {
		if at <= h.outages[i].End {
			return i
		}
	}
	return -1
}

// sum adds up what a policy would have done in each Envoy.
func (h *history) sum(plays []play) (f Figures) {
	caught := make([]bool, len(h.outages))
	var noticed []float64
	for _, p := range plays {
		f.Avoided += p.avoided
		f.Lost += p.lost
		f.Needless += p.needless
		for _, i := range p.caught {
			caught[i] = true
		}
		noticed = append(noticed, p.noticed...)
	}
	for _, is := range caught {
		if is {
			f.Caught++
		}
	}
	if f.Lost > 0 {
		f.LostShare = float64(f.Lost) * 100 / float64(h.good)
		f.LostMost = f.LostShare
	}
	f.NoticedMedian, f.NoticedMax = report.MedianAndMost(noticed)
	return f
}

// together are the figures of a policy that was played with luck of several kinds: the least that it has caught, the most needless trips
// and lost, and of all else the mean.
func together(all []Figures) Figures {
	f := Figures{Caught: all[0].Caught}
	var medians, most []float64
	for i := range all {
		o := &all[i]
		f.Caught, f.Needless = min(f.Caught, o.Caught), max(f.Needless, o.Needless)
		f.Avoided += o.Avoided
		f.Lost += o.Lost
		f.LostShare += o.LostShare / float64(len(all))
		f.LostMost = max(f.LostMost, o.LostMost)
		if o.NoticedMax != nil {
			medians, most = append(medians, *o.NoticedMedian), append(most, *o.NoticedMax)
		}
	}
	n := int64(len(all))
	f.Avoided, f.Lost = (f.Avoided+n/2)/n, (f.Lost+n/2)/n
	if f.NoticedMedian, f.NoticedMax = report.MedianAndMost(medians); len(most) > 0 {
		*f.NoticedMax = slices.Max(most)
	}
	return f
}
