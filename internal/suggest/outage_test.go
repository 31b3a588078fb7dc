package suggest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// A stretch is some time with so many requests a second, of which a share is bad.
type stretch struct {
	length time.Duration
	rate   float64
	bad    float64
}

// samplesOf are the requests of stretches, at even distances. Each takes 5 ms.
func samplesOf(stretches []stretch) (all []sample) {
	random := rand.New(rand.NewPCG(1, 2))
	at := time.Duration(0)
	for _, s := range stretches {
		end := at + s.length
		if s.rate == 0 {
			at = end
			continue
		}
		for ; at < end; at += time.Duration(float64(time.Second) / s.rate) {
			all = append(all, sample{began: int64(at), ended: int64(at + 5*time.Millisecond), bad: random.Float64() < s.bad})
		}
	}
	return all
}

func TestOutages(t *testing.T) {
	const second, minute = time.Second, time.Minute
	calm := stretch{5 * minute, 20, 0.003}
	gradual := []stretch{calm}
	for i := range 60 {
		gradual = append(gradual, stretch{5 * second, 20, float64(i) / 60})
	}
	flapping := []stretch{calm}
	for range 20 {
		flapping = append(flapping, stretch{4 * second, 20, 1}, stretch{6 * second, 20, 0})
	}
	for _, c := range []struct {
		name      string
		stretches []stretch
		usual     float64
		want      string // beginnings and lengths, in seconds
		within    float64
		blips     int
	}{
		{"nothing", nil, 0, "", 0, 0},
		{"calm", []stretch{calm, calm}, 0.003, "", 0, 0},
		{"total", []stretch{calm, {minute, 20, 1}, calm}, 0.003, "300+60", 0.2, 0},
		{"at the beginning", []stretch{{minute, 20, 1}, calm}, 0.003, "0+60", 0.2, 0},
		{"at the end", []stretch{calm, {minute, 20, 1}}, 0.003, "300+60", 0.2, 0},
		{"just long enough", []stretch{calm, {10*second + 60*time.Millisecond, 20, 1}, calm}, 0.003, "300+10", 0.2, 0},
		{"too short", []stretch{calm, {9900 * time.Millisecond, 20, 1}, calm}, 0.003, "", 0, 1},
		{"blips", []stretch{calm, {second, 20, 1}, calm, {3 * second, 20, 1}, calm}, 0.003, "", 0, 2},
		{"too few to be a blip", []stretch{calm, {400 * time.Millisecond, 20, 1}, calm}, 0.003, "", 0, 0},
		{"partial", []stretch{calm, {2 * minute, 20, 0.4}, calm}, 0.003, "300+120", 5, 0},
		{"tolerated", []stretch{calm, {2 * minute, 20, 0.1}, calm}, 0.003, "", 0, 0},
		{"gradual", append(gradual, calm), 0.003, "360+240", 30, 0},
		{"two", []stretch{calm, {minute, 20, 1}, calm, {minute, 20, 1}, calm}, 0.003, "300+60 660+60", 0.2, 0},
		{"flapping is one", append(flapping, calm), 0.003, "300+194", 1, 0},
		{"two blips too far apart", []stretch{calm, {second, 20, 1}, {9 * second, 20, 0}, {second, 20, 1}, calm}, 0.003, "", 0, 2},
		{"two that are near", []stretch{calm, {3 * second, 20, 1}, {9 * second, 20, 0}, {second, 20, 1}, calm}, 0.003, "300+13", 0.2, 0},
		{"a short gap in it", []stretch{calm, {minute, 20, 1}, {30 * second, 0, 0}, {minute, 20, 1}, calm}, 0.003, "300+150", 0.2, 0},
		{"a long gap in it", []stretch{calm, {minute, 20, 1}, {2 * minute, 0, 0}, {minute, 20, 1}, calm}, 0.003, "300+60 480+60", 0.2, 0},
		{"nothing after it", []stretch{calm, {5 * second, 20, 1}, {time.Hour, 0, 0}, {5 * second, 20, 1}}, 0.003, "", 0, 2},
		{"low traffic", []stretch{{10 * minute, 0.5, 0}, {minute, 0.5, 1}, {10 * minute, 0.5, 0}}, 0, "600+58", 2, 0},
		{"a request in 90 seconds", []stretch{{20 * time.Hour, 1.0 / 90, 0}, {2 * time.Hour, 1.0 / 90, 1}, {20 * time.Hour, 1.0 / 90, 0}}, 0, "72000+7110", 1, 0},
		{"such a gap", []stretch{{20 * time.Hour, 1.0 / 90, 0}, {time.Hour, 1.0 / 90, 1}, {10 * minute, 0, 0}, {time.Hour, 1.0 / 90, 1}}, 0, "72000+7710", 1, 0},
		{"too long a gap", []stretch{{20 * time.Hour, 1.0 / 90, 0}, {time.Hour, 1.0 / 90, 1}, {30 * minute, 0, 0}, {time.Hour, 1.0 / 90, 1}}, 0, "72000+3510 77400+3510", 1, 0},
		{"a third always fails", []stretch{{time.Hour, 20, 0.3}}, 0.3, "", 0, 0},
		{"a third always fails, and then all", []stretch{calm, {10 * minute, 20, 0.3}, {minute, 20, 1}, {10 * minute, 20, 0.3}}, 0.3, "900+60", 3, 0},
		{"all always fail", []stretch{{time.Hour, 20, 1}}, 1, "", 0, 0},
	} {
		outages, blips := detect(samplesOf(c.stretches), c.usual, 10*time.Second)
		wanted := strings.Fields(c.want)
		ok := len(wanted) == len(outages) && blips == c.blips
		for i := 0; ok && i < len(wanted); i++ {
			var begin, lasted float64
			fmt.Sscanf(wanted[i], "%f+%f", &begin, &lasted)
			o := outages[i]
			near := func(got, want float64) bool { return got > want-c.within && got < want+c.within }
			ok = near(float64(o.Begin)/1e9, begin) && near(o.lasted().Seconds(), lasted) && o.End == o.last+int64(5*time.Millisecond) && o.Bad <= o.Requests
		}
		if !ok {
			var got []string
			for _, o := range outages {
				got = append(got, fmt.Sprintf("%.2f+%.2f", float64(o.Begin)/1e9, o.lasted().Seconds()))
			}
			t.Errorf("%s: got %q and %d blips, want %q and %d", c.name, got, blips, c.want, c.blips)
		}
	}
}

// A request that hangs is in its outage until it ends, but what counts is for how long such requests began.
func TestHangs(t *testing.T) {
	samples := samplesOf([]stretch{{time.Minute, 20, 0}, {5 * time.Second, 20, 1}, {time.Minute, 20, 0}})
	for i := range samples {
		if samples[i].bad {
			samples[i].ended = samples[i].began + int64(15*time.Second)
		}
	}
	if outages, blips := detect(samples, 0, 10*time.Second); len(outages) != 0 || blips != 1 {
		t.Errorf("%+v, %d blips", outages, blips)
	}
	outages, _ := detect(samples, 0, 4*time.Second)
	if len(outages) != 1 || outages[0].End-outages[0].Begin != int64(19950*time.Millisecond) {
		t.Fatalf("%+v", outages)
	}
	h := history{outages: []Outage{outages[0], {Begin: outages[0].End - 5, End: outages[0].End + 20}}}
	for at, want := range map[int64]int{
		outages[0].Begin - 1: -1, outages[0].Begin: 0, outages[0].End - 6: 0, outages[0].End - 5: 1, outages[0].End: 1, outages[0].End + 20: 1, outages[0].End + 21: -1,
	} {
		if got := h.outageAt(at); got != want {
			t.Errorf("at %d: %d, want %d", at, got, want)
		}
	}
}

// In what is always bad, chance alone makes no outage.
func TestChance(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		var samples []sample
		for at := int64(0); at < int64(10*time.Hour); at += int64(random.ExpFloat64() * float64(2*time.Second)) {
			samples = append(samples, sample{began: at, ended: at, bad: random.Float64() < 0.3})
		}
		if outages, _ := detect(samples, 0.3, 10*time.Second); len(outages) > 1 {
			t.Errorf("seed %d: %+v in %d requests", seed, outages, len(samples))
		}
	}
}

// Outages change what is usual neither where they are one long one nor where they are many short ones; what always fails is usual.
func TestUsual(t *testing.T) {
	var often []stretch
	for range 120 {
		often = append(often, stretch{20 * time.Minute, 3, 0.01}, stretch{10 * time.Minute, 3, 1})
	}
	for _, c := range []struct {
		name       string
		stretches  []stretch
		want, near float64
	}{
		{"many short outages", often, 0.01, 0.005},
		{"one that is most of the log", []stretch{{time.Hour, 3, 0.01}, {2 * time.Hour, 3, 1}}, 0.01, 0.005},
		{"few bad ones", []stretch{{time.Hour, 20, 0.003}}, 0.003, 0.0007},
		{"a third", []stretch{{time.Hour, 20, 0.33}}, 0.33, 0.015},
		{"all", []stretch{{time.Hour, 20, 1}}, 1, 0},
		{"none", nil, 0, 0},
	} {
		if got := usualShare(samplesOf(c.stretches)); math.Abs(got-c.want) > c.near {
			t.Errorf("%s: usually %v are bad, want %v", c.name, got, c.want)
		}
	}
}
