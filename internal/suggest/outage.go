package suggest

import (
	"slices"
	"time"
)

// An Outage is some time in which more requests were bad than usual. Times are Unix nanoseconds.
type Outage struct {
	Begin    int64 // of the first bad request
	End      int64 // of the last one
	Requests int   // that began from the first bad one to the last, but for neutral ones
	Bad      int   // of these
	Slow     int   // of these waited for longer than too slow

	last    int64 // when the last bad one began
	at, end int   // which samples these are
}

// lasted is for how long bad requests began. How long the last one hung says nothing of that.
func (o *Outage) lasted() time.Duration { return time.Duration(o.last - o.Begin) }

const (
	// tolerated is the part of what is not usually bad that may be bad all the same: with no bad requests usually, a share of 20 %.
	tolerated = 0.2
	// evidence is how many bad requests more than tolerated it takes: as much as ten of them in a row, where none are usual, by chance
	// once in ten thousand times even where a third is always bad.
	evidence = 8
	leastBad = 10
	// mostSum bounds the sum, so that it is soon back to nothing when an outage is over, however long that was.
	mostSum = 20
	// leastGap is how long nothing may be known within an outage: as long as the longest window that is searched, or gapIntervals times
	// the usual interval between requests where that is longer.
	leastGap     = int64(time.Minute)
	gapIntervals = 20
)

// gapOf is how long nothing may be known within an outage.
func gapOf(samples []sample) int64 {
	intervals := make([]int64, 0, len(samples))
	for i := 1; i < len(samples); i++ {
		intervals = append(intervals, samples[i].began-samples[i-1].began)
	}
	if len(intervals) == 0 {
		return leastGap
	}
	slices.Sort(intervals)
	return max(leastGap, gapIntervals*intervals[len(intervals)/2])
}

// detect finds the outages in the requests of a cluster, in the order of their beginnings, of which a share is usually bad; and how many
// were shorter than an outage is at least. An outage begins where the cumulative sum of what is bad, less what is tolerated, leaves zero,
// and ends where it was last at its highest before it came back to zero. (CUSUM, Page 1954, https://www.jstor.org/stable/2333009)
func detect(samples []sample, usual float64, least time.Duration) (outages []Outage, blips int) {
	share, gap := usual+tolerated*(1-usual), gapOf(samples)
	var found []Outage
	for begin := 0; begin < len(samples); {
		if !samples[begin].bad {
			begin++
			continue
		}
		end, next, highest := climb(samples, begin, share, gap)
		if highest >= evidence {
			found = append(found, outageOf(samples, begin, end))
		}
		begin = next
	}
	for _, o := range joined(samples, found, share, min(int64(least), gap)) {
		switch {
		case o.Bad < leastBad:
		case o.lasted() < least:
			blips++
		default:
			outages = append(outages, o)
		}
	}
	return outages, blips
}

// climb follows the sum from a bad sample on until it is back at zero, or nothing is known for too long. It returns which sample it was
// last at its highest with, which one is next, and how high that was.
func climb(samples []sample, begin int, share float64, gap int64) (end, next int, highest float64) {
	sum := 0.0
	for i := begin; i < len(samples); i++ {
		if i > begin && samples[i].began-samples[i-1].began > gap {
			return end, i, highest
		}
		if !samples[i].bad {
			if sum -= share; sum <= 0 {
				return end, i + 1, highest
			}
			continue
		}
		if sum = min(sum+1-share, mostSum); sum >= highest {
			highest, end = sum, i
		}
	}
	return end, len(samples), highest
}

func outageOf(samples []sample, begin, end int) Outage {
	o := Outage{Begin: samples[begin].began, at: begin}
	o.take(samples, begin, end)
	return o
}

// take makes an outage last until a sample, from another on.
func (o *Outage) take(samples []sample, from, end int) {
	for i := from; i <= end; i++ {
		if samples[i].slow {
			o.Slow++
		}
		if samples[i].bad {
			o.Bad++
			o.End = max(o.End, samples[i].ended)
		}
	}
	o.Requests, o.last, o.end = end-o.at+1, samples[end].began, end
}

// joined makes one outage of those that are nearer to each other than some time, where more than what is tolerated was bad from the
// beginning of the first to the end of the last: a service that comes and goes.
func joined(samples []sample, found []Outage, share float64, near int64) (all []Outage) {
	for _, o := range found {
		if n := len(all); n > 0 && o.Begin-all[n-1].last < near {
			both := all[n-1]
			both.take(samples, both.end+1, o.end)
			if float64(both.Bad) > share*float64(both.Requests) {
				all[n-1] = both
				continue
			}
		}
		all = append(all, o)
	}
	return all
}
