package suggest

import "time"

// An Outage is some time in which more requests were bad than usual. Times are Unix nanoseconds.
type Outage struct {
	Begin    int64 // of the first bad request
	End      int64 // of the last one
	Requests int   // that began from the first bad one to the last, but for neutral ones
	Bad      int   // of these

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
	// mostGap is how long nothing may be known within an outage: as long as the longest window that is searched.
	mostGap = int64(time.Minute)
)

// detect finds the outages in the requests of a cluster, in the order of their beginnings, of which a share is usually bad; and how many
// were shorter than an outage is at least. An outage begins where the cumulative sum of what is bad, less what is tolerated, leaves zero,
// and ends where it was last at its highest before it came back to zero. (CUSUM, Page 1954, https://www.jstor.org/stable/2333009)
func detect(samples []sample, usual float64, least time.Duration) (outages []Outage, blips int) {
	share := usual + tolerated*(1-usual)
	var found []Outage
	for begin := 0; begin < len(samples); {
		if !samples[begin].bad {
			begin++
			continue
		}
		end, next, highest := climb(samples, begin, share)
		if highest >= evidence {
			found = append(found, outageOf(samples, begin, end))
		}
		begin = next
	}
	for _, o := range joined(samples, found, share, least) {
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
func climb(samples []sample, begin int, share float64) (end, next int, highest float64) {
	sum := 0.0
	for i := begin; i < len(samples); i++ {
		if i > begin && samples[i].began-samples[i-1].began > mostGap {
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
		if samples[i].bad {
			o.Bad++
			o.End = max(o.End, samples[i].ended)
		}
	}
	o.Requests, o.last, o.end = end-o.at+1, samples[end].began, end
}

// joined makes one outage of those that are less than the least length of one apart, where more than what is tolerated was bad from the
// beginning of the first to the end of the last: a service that comes and goes.
func joined(samples []sample, found []Outage, share float64, least time.Duration) (all []Outage) {
	for _, o := range found {
		if n := len(all); n > 0 && o.Begin-all[n-1].last < min(int64(least), mostGap) {
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
