package simulate

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
	"envoy-circuit-breaker/internal/scenario"
)

func read(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Read("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func policies(t *testing.T, texts ...string) (policies []replay.Policy) {
	t.Helper()
	for _, text := range texts {
		c, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, replay.Policy{Name: text, Config: c})
	}
	return policies
}

// sick is two minutes of failures for some Envoys, between a healthy minute and two.
const sick = `
cluster: payments
instances: 20
timeout: 2s
phases:
- { name: healthy, duration: 1m, rate: 20, latency: { p50: 20ms, p99: 80ms }, failures: 1 }
- { name: outage, duration: 2m, failures: 70, hangs: 20 }
- { name: recovered, duration: 2m }
`

// crowded has requests that begin in the same millisecond, and end otherwise.
const crowded = `
instances: 20
timeout: 2s
phases:
- { name: a, duration: 2m, rate: 20, latency: { p50: 40ms, p99: 200ms } }
- { name: b, duration: 3m, gradual: true, rate: 60, failures: 30, hangs: 40, latency: { p50: 400ms, p99: 5s } }
- { name: c, duration: 1m, gradual: true, rate: 0 }
- { name: d, duration: 4m, rate: 10, failures: 70, hangs: 30 }
- { name: e, duration: 4m, latency: { p50: 40ms, p99: 200ms } }
`

var tried = []string{`{"slow_call": {"duration": "500ms", "rate": 60}, "ramp": "10s"}`, `{"open": {"duration": "1s", "multiplier": 1}, "consecutive_failures": 5}`}

// What is simulated is what replaying the same requests' log gives, and the fleet is the sum of its Envoys.
func TestLikeTheLog(t *testing.T) {
	for _, text := range []string{sick, strings.Replace(sick, "instances: 20", "", 1), crowded} {
		s := read(t, text)
		instances := s.Instances
		name := filepath.Join(t.TempDir(), "access.log")
		var log bytes.Buffer
		if err := s.WriteLog(&log, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, log.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		format, err := accesslog.ParseFormat("auto", []string{"instance=instance"})
		if err != nil {
			t.Fatal(err)
		}
		r := replay.New(replay.Options{Policies: policies(t, tried...)})
		_, err = accesslog.Read([]string{name}, accesslog.Options{Format: format},
			func(e *accesslog.Entry) error { r.Add(e); return nil }, func(b *accesslog.Broken) error { return b })
		if err != nil {
			t.Fatal(err)
		}
		replayed := r.Finish()
		simulated := Run(s, Options{Policies: policies(t, tried...)})
		for i := range tried {
			want, got := replayed.Policies[i], simulated.Policies[i]
			if len(want.Breakers) != instances || want.Total.Trips < int64(instances) {
				t.Fatalf("%d breakers, %+v", len(want.Breakers), want.Total)
			}
			if !reflect.DeepEqual(got.Total, want.Total) || len(got.Breakers) != 1 {
				t.Errorf("%d Envoys, %s:\nsimulated %+v\nreplayed  %+v", instances, tried[i], got.Total, want.Total)
			}
			b := &got.Breakers[0]
			if one := &want.Breakers[0]; instances == 1 && (!reflect.DeepEqual(b.Transitions, one.Transitions) || b.State != one.State || b.Envoys != 0) {
				t.Errorf("%s, %+v\nreplayed %s, %+v", b.State, b.Transitions, one.State, one.Transitions)
			}
			if instances > 1 && (b.Envoys != instances || b.Instance != "" || len(b.Transitions) != 0) {
				t.Errorf("%+v", b)
			}
		}
	}
}

// The same seed has the same report, however many cores there are.
func TestSameSeedSameReport(t *testing.T) {
	s := read(t, sick)
	run := func(seed uint64, cores int) *report.Report {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
		r := Run(s, Options{Policies: policies(t, `{"probe": {"path": "/"}}`), Seed: seed, Timeline: true})
		r.Policies[0].Breakers[0].Rules = nil
		return r
	}
	one, four := run(3, 1), run(3, 4)
	if !reflect.DeepEqual(one, four) {
		t.Errorf("one core  %+v\nfour cores %+v", one.Policies[0], four.Policies[0])
	}
	if other := run(4, 4); other.Policies[0].Total.Requests == one.Policies[0].Total.Requests {
		t.Errorf("another seed has %d requests too", other.Policies[0].Total.Requests)
	}
}

// What the service gets in each phase is what a person works out.
func TestPhases(t *testing.T) {
	s := read(t, `
instances: 50
phases:
- { name: healthy, duration: 1m, rate: 20, latency: { p50: 20ms, p99: 20ms } }
- { name: outage, duration: 5m, failures: 100 }
- { name: recovered, duration: 1m }
- { name: quiet, duration: 1m, rate: 0 }
`)
	r := Run(s, Options{Policies: policies(t,
		`{"open": {"duration": "2s", "multiplier": 1, "jitter": 0}}`,
		`{"open": {"duration": "2s", "multiplier": 1, "jitter": 0, "max_duration": "10m"}, "probe": {"path": "/", "interval": "1s"}}`,
		`{"open": {"duration": "10m", "max_duration": "10m", "jitter": 0}}`,
		`{"failure_rate": 0, "consecutive_failures": 100000}`)})
	const envoys = 50
	for i, f := range r.Policies[0].Fleet {
		if begin := []float64{0, 60, 360, 420, 480}; f.From != begin[i] || f.To != begin[i+1] || f.Name != s.Phases[i].Name {
			t.Errorf("phase %d: %s from %v to %v", i, f.Name, f.From, f.To)
		}
	}
	near := func(what string, got, want, share float64) {
		t.Helper()
		if math.Abs(got-want) > want*share {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	tries, probes, late, never := r.Policies[0].Fleet, r.Policies[1].Fleet, r.Policies[2].Fleet, r.Policies[3].Fleet

	near("asked", tries[1].Rate(tries[1].Asked), envoys*20, 0.02)
	if f := &tries[0]; f.Asked != f.Admitted || f.Trials != 0 || f.AllOpen != nil || f.AllClosed != nil || f.NotClosed != 0 || f.Half != nil || f.Most != nil {
		t.Errorf("healthy: %+v", f)
	}
	// After 2s the next request, which comes after 50ms on average, tries again. It fails after 20ms, in which 0.4 others try too. It
	// takes 5s to open.
	f := &tries[1]
	near("opened after", *f.AllOpen, 5.3, 0.2)
	near("trials a second", float64(f.Trials)/(f.To-f.From-*f.AllOpen)/envoys, 1.4/(2+0.05+0.02), 0.03)
	if f.AllClosed != nil || f.NotClosed != envoys || f.MostTrials <= int64(f.Rate(f.Trials)) || f.Admitted <= f.Trials || f.Half != nil {
		t.Errorf("outage: %+v", f)
	}
	if f := &tries[2]; *f.AllClosed < 2 || *f.AllClosed > 3.5 || f.NotClosed != 0 || f.Trials < envoys*3 || f.AllOpen != nil ||
		*f.Half < 1 || *f.Most < *f.Half || *f.Most > *f.AllClosed+1 {
		t.Errorf("recovered: %+v", f)
	}
	if f := &tries[3]; f.Asked != 0 || f.AllClosed != nil || f.NotClosed != 0 {
		t.Errorf("quiet: %+v", f)
	}
	// A probe a second from each, and no trial.
	near("probes a second", float64(probes[1].Probes)/(295), envoys, 0.05)
	if f := &probes[1]; f.Trials != 0 || f.MostProbes < envoys || r.Policies[1].Total.Probes <= f.Probes {
		t.Errorf("outage with probes: %+v", f)
	}
	if f := &late[3]; f.NotClosed != envoys || f.AllClosed != nil || r.Policies[2].Breakers[0].State != "open" {
		t.Errorf("open for long: %+v", f)
	}
	if f := &never[1]; f.NotClosed != 0 || f.AllOpen != nil || f.AllClosed != nil || r.Policies[3].Breakers[0].State != "closed" {
		t.Errorf("never open: %+v", f)
	}
}

func TestTimeline(t *testing.T) {
	s := read(t, `
instances: 3
phases:
- { name: healthy, duration: 10m, rate: 5, latency: { p50: 20ms, p99: 20ms } }
- { name: outage, duration: 10m, failures: 100 }
`)
	r := Run(s, Options{Policies: policies(t, `{}`, `{"mode": "disabled"}`), Timeline: true})
	if r.Axis.Width != 4e9 {
		t.Errorf("a bin is %d", r.Axis.Width)
	}
	for _, p := range r.Policies {
		var sum report.Bin
		for i := range p.Breakers[0].Bins {
			sum.Add(&p.Breakers[0].Bins[i])
		}
		if int64(sum.Asked) != p.Total.Requests && p.Name == `{}` || len(p.Breakers[0].Bins) > report.MostBins || p.Total.Requests < 5000 {
			t.Errorf("%s: %+v in %d bins of %+v", p.Name, sum, len(p.Breakers[0].Bins), p.Total)
		}
	}
	if r := Run(s, Options{Policies: policies(t, `{}`)}); r.Axis.Width != 0 {
		t.Errorf("%+v, that nobody asked for", r.Axis)
	}
}

// Time goes on after the last request: an open breaker probes, and stays open; and what happens as the last requests end is of the last phase.
func TestEnd(t *testing.T) {
	const down = `
instances: 10
phases:
- { name: healthy, duration: 1m, rate: 20, latency: { p50: 20ms, p99: 80ms } }
- { name: down, duration: 1m, failures: 100 }
- { name: quiet, duration: 2m, rate: 0 }
`
	probing := policies(t, `{"probe": {"path": "/", "on_success": "close"}, "open": {"max_duration": "10m"}}`, `{}`)
	quiet := Run(read(t, down), Options{Policies: probing, Timeline: true})
	busy := Run(read(t, down+"- { name: busy, duration: 1m, rate: 20 }"), Options{Policies: probing})
	for i := range probing {
		for j, got := range quiet.Policies[i].Fleet {
			if want := busy.Policies[i].Fleet[j]; !reflect.DeepEqual(got, want) {
				t.Errorf("phase %s is\n%+v\nif none comes after it, else\n%+v", got.Name, got, want)
			}
		}
	}
	if f := &quiet.Policies[0].Fleet[2]; f.Probes < 10 || f.AllClosed == nil || *f.AllClosed > 4 || f.NotClosed != 0 {
		t.Errorf("probing: %+v", f)
	}
	// Without probes all breakers are open to the end, some 175 seconds each.
	b := &quiet.Policies[1].Breakers[0]
	if last := b.Bins[len(b.Bins)-1]; b.State != "open" || b.OpenFor < 1700 || b.OpenFor > 1790 || last.Open != 10*quiet.Axis.Width {
		t.Errorf("%s for %v at the end: %+v", b.State, b.OpenFor, last)
	}

	hanging := Run(read(t, "timeout: 2m\nphases: [{name: all, duration: 1m, rate: 20, latency: {p50: 20ms, p99: 80ms}, hangs: 100}]"),
		Options{Policies: policies(t, `{}`, `{"mode": "force_open"}`)})
	opens, forced := &hanging.Policies[0], &hanging.Policies[1]
	if took := hanging.To.Sub(hanging.From).Seconds(); took < 179 || took > 180 || forced.Total.OpenFor > took || forced.Total.OpenFor < took-1 {
		t.Errorf("forced open for %v of %v", forced.Total.OpenFor, took)
	}
	if f := &opens.Fleet[0]; f.NotClosed != 1 || f.AllOpen == nil || *f.AllOpen < 120 || opens.Total.Trips != 1 {
		t.Errorf("%+v with %d trips", f, opens.Total.Trips)
	}
	if f := &forced.Fleet[0]; f.NotClosed != 1 || f.AllOpen != nil || f.Half != nil {
		t.Errorf("forced open: %+v", f)
	}
}

// Seconds in which nobody asks tell nothing of what is admitted.
func TestAdmitted(t *testing.T) {
	for _, c := range []struct {
		asked, admitted []uint32
		want            float64
	}{
		{[]uint32{4, 4, 4, 4}, []uint32{4, 4, 4, 4}, -1}, {[]uint32{4, 4, 4, 4}, []uint32{0, 1, 2, 4}, 2}, {[]uint32{4, 4, 4, 4}, []uint32{4, 0, 4, 0}, -1},
		{[]uint32{4, 4, 0, 0}, []uint32{0, 1, 0, 0}, -1}, {[]uint32{4, 0, 4, 0}, []uint32{0, 0, 2, 0}, 1}, {nil, nil, -1}, {[]uint32{0, 0}, []uint32{0, 0}, -1},
	} {
		var bins []report.Bin
		for i := range c.asked {
			bins = append(bins, report.Bin{Asked: c.asked[i], Admitted: c.admitted[i]})
		}
		if got := admitted(bins, 0.5); (got == nil) != (c.want < 0) || got != nil && *got != c.want {
			t.Errorf("of %v admitted %v: %v, want %v", c.asked, c.admitted, got, c.want)
		}
	}
}

func TestUnmatchedOverride(t *testing.T) {
	r := Run(read(t, sick), Options{Policies: policies(t, `{"clusters": [{"match": "payment", "mode": "disabled"}, {"match": "pay*", "min_requests": 5}]}`)})
	if text := strings.Join(r.Notes, " "); !strings.Contains(text, `1 override matched no request: clusters[0] "payment".`) {
		t.Error(text)
	}
}
