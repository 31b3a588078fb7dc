package scenario

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/accesslog"
)

// near reports whether a count is one that is expected, within five standard deviations of it.
func near(t *testing.T, what string, n int, of, share float64) {
	t.Helper()
	if want := of * share; math.Abs(float64(n)-want) > 5*math.Sqrt(want*max(1-share, 0.01))+1 {
		t.Errorf("%s: %d, not about %.0f", what, n, want)
	}
}

// arrived checks the number of what arrives independently of each other.
func arrived(t *testing.T, what string, n int, want float64) {
	t.Helper()
	if math.Abs(float64(n)-want) > 5*math.Sqrt(want) {
		t.Errorf("%s: %d requests, not about %.0f", what, n, want)
	}
}

func count(entries []accesslog.Entry, is func(*accesslog.Entry) bool) (n int) {
	for i := range entries {
		if is(&entries[i]) {
			n++
		}
	}
	return n
}

// between are the entries that begin in some part of the scenario.
func between(entries []accesslog.Entry, from, to time.Duration) []accesslog.Entry {
	at := func(since time.Duration) int {
		i, _ := slices.BinarySearchFunc(entries, Begin.Add(since).UnixNano(), func(e accesslog.Entry, at int64) int { return int(e.Start - at) })
		return i
	}
	return entries[at(from):at(to)]
}

func TestEntries(t *testing.T) {
	s := parsed(t, "cluster: payments\nphases: [{name: a, duration: 10s, rate: 100, latency: {p50: 5ms, p99: 5ms}, failures: 30, hangs: 30}]")
	seen := map[int]bool{}
	last := int64(0)
	for e := range s.Requests(1, 0) {
		want := accesslog.Entry{Start: e.Start, Duration: 5 * ms, Response: 5 * ms, Status: e.Status, GRPC: -1, Attempts: 1,
			Method: "GET", Details: "via_upstream", Cluster: "payments"}
		switch seen[e.Status] = true; e.Status {
		case 200, 503:
		case 504:
			want.Duration, want.Response, want.Details, want.Flags = 15*time.Second, -1, "response_timeout", "UT"
		default:
			t.Errorf("status %d", e.Status)
		}
		if e != want {
			t.Errorf("%+v\nwant %+v", e, want)
		}
		if e.Start < last || e.Start%int64(ms) != 0 {
			t.Errorf("%d is after %d", e.Start, last)
		}
		last = e.Start
	}
	if len(seen) != 3 {
		t.Errorf("it has the statuses %v", seen)
	}
}

func TestShares(t *testing.T) {
	s := parsed(t, `phases:
- {name: a, duration: 1000s, rate: 50, latency: {p50: 40ms, p99: 200ms}, failures: 5, hangs: 0.5}
- {name: nothing, duration: 500s, rate: 0}
- {name: b, duration: 1000s, rate: 0.5, failures: 60, hangs: 40}
- {name: at the timeout, duration: 1000s, rate: 50, latency: {p50: 15s, p99: 60s}, failures: 20}
`)
	all := slices.Collect(s.Requests(7, 0))
	status := func(status int) func(*accesslog.Entry) bool {
		return func(e *accesslog.Entry) bool { return e.Status == status }
	}
	a := between(all, 0, 1000*time.Second)
	arrived(t, "a", len(a), 50000)
	near(t, "failures", count(a, status(503)), float64(len(a)), 0.05)
	near(t, "hangs", count(a, status(504)), float64(len(a)), 0.005)
	answered := slices.DeleteFunc(slices.Clone(a), func(e accesslog.Entry) bool { return e.Status == 504 })
	for than, share := range map[time.Duration]float64{20 * ms: 0.841, 40 * ms: 0.5, 80 * ms: 0.159, 200 * ms: 0.01} { // 20 and 80 are a standard deviation away
		above := count(answered, func(e *accesslog.Entry) bool { return e.Duration > than })
		rounded := count(answered, func(e *accesslog.Entry) bool { return e.Duration == than }) // half of them up to it
		near(t, "longer than "+than.String(), above+rounded/2, float64(len(answered)), share)
	}
	if n := len(between(all, 1000*time.Second, 1500*time.Second)); n > 0 {
		t.Errorf("%d requests where the rate is 0", n)
	}
	b := between(all, 1500*time.Second, 2500*time.Second)
	arrived(t, "b", len(b), 500)
	near(t, "most failures", count(b, status(503)), float64(len(b)), 0.6)
	near(t, "the others", count(b, status(504)), float64(len(b)), 0.4)
	c := between(all, 2500*time.Second, 3500*time.Second)
	near(t, "later than the timeout", count(c, status(504)), float64(len(c)), 0.5)
	near(t, "failures before it", count(c, status(503)), float64(len(c)), 0.1)
}

// Of requests that come independently of each other, the times between them are exponential.
func TestPoisson(t *testing.T) {
	s := parsed(t, "phases: [{name: a, duration: 2000s, rate: 10, latency: {p50: 1ms, p99: 1ms}}]")
	var gaps []time.Duration
	last := Begin.UnixNano()
	for e := range s.Requests(3, 0) {
		gaps = append(gaps, time.Duration(e.Start-last))
		last = e.Start
	}
	for _, gap := range []time.Duration{10 * ms, 100 * ms, 300 * ms} {
		n := 0
		for _, g := range gaps {
			if g >= gap {
				n++
			}
		}
		near(t, "gaps of "+gap.String(), n, float64(len(gaps)), math.Exp(-10*(gap-ms/2).Seconds()))
	}
}

func TestGradual(t *testing.T) {
	s := parsed(t, `phases:
- {name: a, duration: 10s, rate: 100, latency: {p50: 10ms, p99: 40ms}, hangs: 10}
- {name: b, duration: 1000s, gradual: true, rate: 20, latency: {p50: 1s, p99: 1s}, failures: 50}
- {name: c, duration: 1000s, gradual: true, rate: 0}
`)
	for since, want := range map[time.Duration]Load{
		-time.Second:               {100, 10 * ms, 40 * ms, 0, 10},
		10*time.Second - 1:         {100, 10 * ms, 40 * ms, 0, 10},
		10 * time.Second:           {100, 10 * ms, 40 * ms, 0, 10},
		510 * time.Second:          {60, 100 * ms, 200 * ms, 25, 5},
		760 * time.Second:          {40, 316227766, 447213595, 37.5, 2.5},
		1010 * time.Second:         {20, time.Second, time.Second, 50, 0},
		1510 * time.Second:         {10, time.Second, time.Second, 25, 0},
		2010 * time.Second:         {0, time.Second, time.Second, 0, 0},
		100 * 365 * 24 * time.Hour: {0, time.Second, time.Second, 0, 0},
	} {
		if got := s.At(since); got != want {
			t.Errorf("after %v: %+v, want %+v", since, got, want)
		}
	}
	all := slices.Collect(s.Requests(5, 0))
	for from := 10; from < 2010; from += 250 {
		part := between(all, time.Duration(from)*time.Second, time.Duration(from+250)*time.Second)
		middle := s.At(time.Duration(from+125) * time.Second) // of what is linear the mean
		arrived(t, "gradual", len(part), middle.Rate*250)
		failures, slow, answered := 0.0, 0, 0
		for i := range part {
			at := s.At(time.Duration(part[i].Start - Begin.UnixNano()))
			failures += at.Failures / 100
			if part[i].Status != 504 {
				answered++
			}
			if part[i].Status != 504 && part[i].Duration > at.P50 {
				slow++
			}
		}
		failed := count(part, func(e *accesslog.Entry) bool { return e.Status == 503 })
		near(t, "gradual failures", failed, float64(len(part)), failures/float64(len(part)))
		if from < 1010 {
			near(t, "slower than the median", slow, float64(answered), 0.5)
		}
	}
}

func TestSeeds(t *testing.T) {
	s := parsed(t, "instances: 100\nphases: [{name: a, duration: 100s, rate: 100, latency: {p50: 40ms, p99: 200ms}, failures: 20}]")
	first := slices.Collect(s.Requests(1, 4))
	if !slices.Equal(first, slices.Collect(s.Requests(1, 4))) {
		t.Error("the same seed has other requests")
	}
	for _, c := range []struct {
		seed     uint64
		instance int
		name     string
	}{{1, 3, "envoy-004"}, {1, 99, "envoy-100"}, {2, 4, "envoy-005"}} {
		other := slices.Collect(s.Requests(c.seed, c.instance))
		arrived(t, c.name, len(other), 10000)
		if other[0].Instance != c.name || first[0].Instance != "envoy-005" {
			t.Errorf("they are called %s and %s", other[0].Instance, first[0].Instance)
		}
		// As many begin in the same millisecond as there would be by chance: a tenth. And as many of the n-th ones fail both.
		at := map[int64]bool{}
		for _, e := range first {
			at[e.Start] = true
		}
		near(t, c.name+" at the same time", count(other, func(e *accesslog.Entry) bool { return at[e.Start] }), float64(len(other)), 1-math.Exp(-0.1))
		both, n := 0, min(len(first), len(other))
		for i := range n {
			if first[i].Status == 503 && other[i].Status == 503 {
				both++
			}
		}
		near(t, c.name+" with the same failures", both, float64(n), 0.04)
	}
}

func TestProbe(t *testing.T) {
	s := parsed(t, `timeout: 2s
phases:
- {name: good, duration: 10s, rate: 1, latency: {p50: 40ms, p99: 200ms}}
- {name: bad, duration: 10s, rate: 0, failures: 50, hangs: 20}
`)
	random := rand.New(rand.NewPCG(1, 2))
	const n = 20000
	good, hung, long := 0, 0, 0
	for range n {
		if ok, took := s.Probe(Begin.Add(9*time.Second).UnixNano(), random); !ok || took >= 2*time.Second {
			t.Fatalf("a probe of a good service: %v after %v", ok, took)
		}
		ok, took := s.Probe(Begin.Add(15*time.Second).UnixNano(), random)
		if ok {
			good++
		}
		switch {
		case took == 2*time.Second && !ok:
			hung++
		case took > 40*ms:
			long++
		}
	}
	near(t, "good probes", good, n, 0.3)
	near(t, "those that hang", hung, n, 0.2)
	near(t, "those that take long", long, n, 0.4)
}

// BenchmarkRequests makes requests of a steady load, and of one that changes.
func BenchmarkRequests(b *testing.B) {
	for name, gradual := range map[string]string{"steady": "false", "gradual": "true"} {
		s := parsed(b, "phases:\n- {name: a, duration: 1s, rate: 1, latency: {p50: 40ms, p99: 200ms}}\n"+
			"- {name: b, duration: 100s, gradual: "+gradual+", rate: 10000, latency: {p50: 50ms, p99: 300ms}, failures: 1}")
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				for range s.Requests(1, 0) {
					n++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/request")
		})
	}
}
