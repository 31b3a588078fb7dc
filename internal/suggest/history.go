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
	// mostPieces is how many pieces of time a log is cut into, of leastPiece requests on average at least. What is usual is the lower
	// quartile of the pieces: so outages do not change it in up to three quarters of the time.
	mostPieces = 60
	leastPiece = 50
	// leastSlow is the least that is too slow, for people.
	leastSlow = 100 * time.Millisecond
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
	h.usual = usualShare(pieces(samples))
	h.outages, h.blips = detect(samples, h.usual, leastOutage)
	return h
}

// A sample is a request, as far as it matters to what is usual, and to outages. Times are Unix nanoseconds.
type sample struct {
	began, ended int64
	waited       time.Duration
	bad          bool
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
	for _, piece := range pieces(answers) {
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
			samples = append(samples, sample{began: r.Began, ended: r.Ended, bad: isBad})
		})
	}
	slices.SortFunc(samples, compareSamples)
	return samples
}

// perSecond is how many requests an Envoy has in a second, on average.
func (h *history) perSecond() float64 {
	return float64(h.requests) / float64(h.envoys) / max(1, time.Duration(h.to-h.from).Seconds())
}

// pieces cuts samples into pieces of equal time. Those without a sample are left out.
func pieces(samples []sample) (all [][]sample) {
	if len(samples) == 0 {
		return nil
	}
	n := int64(min(max(len(samples)/leastPiece, 1), mostPieces))
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

// usualShare is the share of what is bad.
func usualShare(pieces [][]sample) float64 {
	var shares []float64
	for _, piece := range pieces {
		n := 0
		for i := range piece {
			if piece[i].bad {
				n++
			}
		}
		shares = append(shares, float64(n)/float64(len(piece)))
	}
	if len(shares) == 0 {
		return 0
	}
	slices.Sort(shares)
	return shares[(len(shares)-1)/4]
}

// rounded is a duration with two digits, whole milliseconds.
func rounded(d time.Duration) time.Duration {
	unit := time.Millisecond
	for unit*100 <= d {
		unit *= 10
	}
	return d.Round(unit)
}
