package suggest

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/replay"
)

// A history is what became of the requests of a cluster.
type history struct {
	tapes    []tape
	envoys   int
	requests int
	good     int64
	from, to int64 // when the first request began, and the last one

	p99     time.Duration // usual, of the time to a good answer
	tooSlow time.Duration
	usual   float64 // share of bad requests
	outages []Outage
	blips   int
}

// A tape is the requests of one Envoy, with what a policy is judged by: it does not depend on the policy, or one that calls all
// requests slow would seem to save all that it rejects.
type tape struct {
	*replay.Tape
	kinds    []kind  // of each request
	attempts []uint8 // of each
}

// A kind is how a request ended.
type kind uint8

const (
	neutral kind = iota // by something other than the upstream
	good
	bad // it failed, or took too long
)

const (
	// What is usual is the lower quartile of equal pieces of the log's time, of leastPiece requests on average at least: so outages do not
	// change it in up to three quarters of the time. There are mostPieces for a percentile, or too few requests in each.
	mostPieces = 60
	leastPiece = 50
	// leastSlow is the least that is too slow, for people.
	leastSlow = 100 * time.Millisecond
	// leastTried is the part of an outage's requests that must have waited for too long before a slow_call is searched: where nothing was
	// slow, one that opens is as good as another, and the next busy hour is too much for it.
	leastTried = 0.1
	// timesUsual is how many times the usual 99th percentile is too slow.
	timesUsual = 3
)

// look finds out what became of a cluster's requests. Too slow is more than a duration, or timesUsual the usual 99th percentile where
// that is 0; an outage is at least so long.
func (c *cluster) look(rules *config.Rules, tooSlow, leastOutage time.Duration) *history {
	h := &history{envoys: len(c.tapes), tooSlow: tooSlow, from: math.MaxInt64, to: math.MinInt64}
	for _, instance := range slices.Sorted(maps.Keys(c.tapes)) {
		t := c.tapes[instance]
		t.Rewind()
		h.requests += t.Len()
		h.tapes = append(h.tapes, tape{Tape: t, kinds: make([]kind, t.Len()), attempts: make([]uint8, t.Len())})
	}
	judging := *rules
	buffer := make([]sample, 0, h.requests)
	h.measure(&judging, buffer)
	if judging.Policy.SlowCallDuration = h.tooSlow; tooSlow == 0 {
		h.tooSlow = max(leastSlow, rounded(timesUsual*h.p99))
		judging.Policy.SlowCallDuration = h.tooSlow
	}
	samples := h.sort(&judging, buffer)
	h.usual = usualShare(samples)
	h.outages, h.blips = detect(samples, h.usual, leastOutage)
	return h
}

// A sample is a request, as far as it matters to what is usual, and to outages. Times are Unix nanoseconds.
type sample struct {
	began, ended int64
	waited       time.Duration
	bad, slow    bool // slow: it waited for longer than too slow, whether it failed or not
}

func compareSamples(a, b sample) int {
	return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.ended, b.ended))
}

// measure finds the usual 99th percentile of the time to a good answer. There is room for all requests in the buffer.
func (h *history) measure(rules *config.Rules, answers []sample) {
	rules.Policy.SlowCallDuration = 0
	for _, t := range h.tapes {
		t.Requests(rules, func(_ int, r replay.Request) {
			h.from, h.to = min(h.from, r.Began), max(h.to, r.Began)
			if r.Outcome.Result == breaker.Success {
				answers = append(answers, sample{began: r.Began, ended: r.Ended, waited: r.Waited})
			}
		})
	}
	slices.SortFunc(answers, compareSamples)
	var all []time.Duration
	for _, piece := range pieces(answers, mostPieces) {
		slices.SortFunc(piece, func(a, b sample) int { return cmp.Compare(a.waited, b.waited) })
		all = append(all, piece[len(piece)*99/100].waited)
	}
	if len(all) > 0 {
		slices.Sort(all)
		h.p99 = all[(len(all)-1)/4]
	}
}

// sort notes the kind of each request, and returns those that are not neutral in the order of their beginnings, in the buffer.
func (h *history) sort(rules *config.Rules, samples []sample) []sample {
	for _, t := range h.tapes {
		t.Requests(rules, func(i int, r replay.Request) {
			t.attempts[i] = uint8(min(r.Attempts, math.MaxUint8))
			if r.Outcome.Result == breaker.Neutral {
				return
			}
			isBad := r.Outcome.Result == breaker.Failure || r.Outcome.Slow
			if t.kinds[i] = good; isBad {
				t.kinds[i] = bad
			} else {
				h.good++
			}
			samples = append(samples, sample{began: r.Began, ended: r.Ended, bad: isBad, slow: r.Waited > h.tooSlow})
		})
	}
	slices.SortFunc(samples, compareSamples)
	return samples
}

// triesSlow reports whether the outages tell what a slow_call would have done: in one of them, enough requests waited for too long.
func (h *history) triesSlow() bool {
	return slices.ContainsFunc(h.outages, func(o Outage) bool { return float64(o.Slow) >= leastTried*float64(o.Requests) })
}

// perSecond is how many requests an Envoy has in a second, on average.
func (h *history) perSecond() float64 {
	return float64(h.requests) / float64(h.envoys) / max(1, time.Duration(h.to-h.from).Seconds())
}

// pieces cuts samples into pieces of equal time, at most so many. Those without a sample are left out.
func pieces(samples []sample, most int) (all [][]sample) {
	if len(samples) == 0 {
		return nil
	}
	n := int64(min(max(len(samples)/leastPiece, 1), most))
	from := samples[0].began
	width := (samples[len(samples)-1].began-from)/n + 1
	begin := 0
	for i := range samples {
		if i == len(samples)-1 || (samples[i+1].began-from)/width > (samples[i].began-from)/width {
			all = append(all, samples[begin:i+1])
			begin = i + 1
		}
	}
	return all
}

// usualShare is the share of what is bad in those pieces that are no worse than the lower quartile and three standard deviations of such a
// piece. The quartile itself would do only for long pieces: in most short ones nothing is bad.
func usualShare(samples []sample) float64 {
	if len(samples) == 0 {
		return 0
	}
	pieces := pieces(samples, len(samples)) // as short as can be, or many short outages would spoil each
	counts := make([]int, len(pieces))
	shares := make([]float64, len(pieces))
	for i, piece := range pieces {
		for j := range piece {
			if piece[j].bad {
				counts[i]++
			}
		}
		shares[i] = float64(counts[i]) / float64(len(piece))
	}
	sorted := slices.Sorted(slices.Values(shares))
	quartile := sorted[(len(sorted)-1)/4]
	bad, all := 0, 0
	for i, share := range shares {
		n := float64(len(pieces[i]))
		likely := max(quartile, min(1/n, 0.5)) // none in a quarter of the pieces does not say never
		if share <= quartile+3*math.Sqrt(likely*(1-likely)/n) {
			bad += counts[i]
			all += len(pieces[i])
		}
	}
	return float64(bad) / float64(all)
}

// rounded is a duration with two digits, whole milliseconds.
func rounded(d time.Duration) time.Duration {
	unit := time.Millisecond
	for unit*100 <= d {
		unit *= 10
	}
	return d.Round(unit)
}
