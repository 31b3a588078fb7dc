package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// program is the compiled plugin, for hosts of ours.
var program *wasmhost.Program

func TestMain(m *testing.M) {
	ctx := context.Background()
	var err error
	if program, err = wasmhost.Compile(ctx, "../build/plugin.wasm"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	program.Close(ctx)
	os.Exit(code)
}

// workers is a host with so many workers.
type workers struct {
	*wasmhost.Host
	t *testing.T
	n int
}

func startWorkers(t *testing.T, o wasmhost.Options) *workers {
	t.Helper()
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.Plugin == "" {
		o.Plugin = "breaker"
	}
	h, err := wasmhost.New(program, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &workers{h, t, o.Workers}
}

// request sends a request to payments through one worker.
func (w *workers) request(worker int) *wasmhost.Stream {
	w.t.Helper()
	return w.send(worker, wasmhost.Req{Cluster: "payments"})
}

func (w *workers) send(worker int, r wasmhost.Req) *wasmhost.Stream {
	w.t.Helper()
	s, err := w.VM(worker).Request(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// call sends a request that its upstream answers with a status. It reports whether it was admitted.
func (w *workers) call(worker, status int) bool {
	w.t.Helper()
	s := w.request(worker)
	if !s.Continued() {
		return false
	}
	w.end(s.Status(status))
	return true
}

func (w *workers) end(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *workers) advance(d time.Duration) {
	w.t.Helper()
	if err := w.Advance(d); err != nil {
		w.t.Fatal(err)
	}
}

// stat reads a stat of payments' breaker.
func (w *workers) stat(name string) uint64 {
	return w.Stat("circuit_breaker.breaker.cluster.payments." + name)
}

func (w *workers) wantStats(want map[string]uint64) {
	w.t.Helper()
	for name, value := range want {
		if got := w.stat(name); got != value {
			w.t.Errorf("%s = %d, want %d", name, got, value)
		}
	}
}

// recordKey is where the record of payments is in shared data.
const recordKey = "circuit_breaker/2\x00record\x00breaker\x00payments"

// warm lets every worker see the cluster, so that nothing is left to do for the first time.
func (w *workers) warm() {
	for i := range w.n {
		for range 3 {
			w.call(i, 200)
		}
	}
}

// costs are the limits of what one request may ask of the host.
type costs struct{ calls, buffers, sharedData uint64 }

// measure counts the host calls that each of n requests makes, and checks them against the limits.
func (w *workers) measure(name string, n int, limit costs, request func()) {
	w.t.Helper()
	before := w.Counts()
	for range n {
		request()
	}
	d := w.Counts().Sub(before)
	got := costs{d.Total(), d.TotalBuffers(), d.Calls["proxy_get_shared_data"] + d.Calls["proxy_set_shared_data"]}
	per := func(total uint64) float64 { return float64(total) / float64(n) }
	w.t.Logf("%s: %.2f host calls, %.2f with a buffer, %.2f on shared data, %v", name, per(got.calls), per(got.buffers), per(got.sharedData), d.Callbacks)
	// Now and then Go's own runtime looks at the clock.
	if got.calls > limit.calls*uint64(n)+uint64(n)/100 || got.buffers > limit.buffers*uint64(n) || got.sharedData > limit.sharedData*uint64(n) {
		w.t.Errorf("%s: more than %+v per request:\n%v", name, limit, d)
	}
}

// What a request asks of the host is what it costs. A healthy one does not touch shared data between two bucket ends.
func TestHostCalls(t *testing.T) {
	t.Run("healthy", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{})
		w.warm()
		w.measure("healthy", 1000, costs{5, 3, 0}, func() { w.call(0, 200) })
	})
	t.Run("healthy, with a body", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{})
		w.warm()
		w.measure("healthy, with a body", 1000, costs{7, 3, 0}, func() {
			w.end(w.send(0, wasmhost.Req{Cluster: "payments", Body: true}).OK())
		})
	})
	t.Run("healthy, everything on", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "1s"}, "consecutive_failures": 100,
			"clusters": [{"match": "x*", "failure_rate": 1}, {"match": "pay*", "failure_rate": 60}]}`})
		w.warm()
		w.measure("healthy, everything on", 1000, costs{8, 3, 0}, func() { w.call(0, 200) })
	})
	t.Run("failing", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"failure_rate": 60}`})
		w.warm()
		i := 0
		w.measure("half of all fail", 1000, costs{9, 3, 0}, func() { w.call(0, 200+300*(i%2)); i++ })
		w.wantStats(map[string]uint64{"state": 0, "failures": 500})
	})
	t.Run("open", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"open": {"jitter": 0}}`})
		w.warm()
		for w.call(0, 500) {
		}
		w.measure("open", 1000, costs{6, 1, 0}, func() {
			if w.call(0, 200) {
				t.Fatal("admitted")
			}
		})
	})
	t.Run("half-open", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"half_open": {"success_threshold": 1000}}`})
		w.warm()
		for w.call(0, 500) {
		}
		w.advance(5 * time.Second)
		w.call(0, 200)
		w.measure("half-open, one after the other", 500, costs{16, 6, 4}, func() {
			if !w.call(0, 200) {
				t.Fatal("not admitted")
			}
		})
		w.wantStats(map[string]uint64{"state": 2})
		for range 3 {
			w.request(1)
		}
		w.measure("half-open, rejected", 5000, costs{8, 2, 1}, func() {
			if w.call(0, 200) {
				t.Fatal("admitted")
			}
		})
	})
}

// A worker touches shared data about once per bucket and cluster, however many requests it has.
func TestSharedDataPerBucket(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{})
	w.warm()
	before := w.Counts()
	const buckets = 20
	for range buckets * 10 {
		w.advance(100 * time.Millisecond)
		for i := range 2 * 25 {
			w.call(i%2, 200)
		}
	}
	d := w.Counts().Sub(before)
	perBucket := float64(d.Calls["proxy_get_shared_data"]+d.Calls["proxy_set_shared_data"]) / (buckets * 2)
	t.Logf("%.2f calls on shared data per bucket and worker, of 250 requests", perBucket)
	if perBucket > 2 {
		t.Errorf("%.2f calls on shared data per bucket and worker, want at most 2:\n%v", perBucket, d)
	}
}

// Workers agree: failures on four of them add up, and all reject as soon as one has opened the breaker.
func TestWorkersAgree(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 4, Config: `{"min_requests": 10, "open": {"jitter": 0}}`})
	for i := range 10 {
		if !w.call(i%4, 500) {
			t.Fatalf("request %d was not admitted", i)
		}
	}
	for i := range 4 {
		if w.call(i, 200) {
			t.Errorf("worker %d still admits", i)
		}
	}
	w.wantStats(map[string]uint64{"calls": 10, "failures": 10, "rejected": 4, "state": 1, "opened": 1, "opened_failure_rate": 1})

	w.advance(5*time.Second - 1)
	for i := range 4 {
		if w.call(i, 200) {
			t.Errorf("worker %d admits before the open time is over", i)
		}
	}
	w.advance(1)
	var trials []*wasmhost.Stream
	for i := range 12 {
		if s := w.request(i % 4); s.Continued() {
			trials = append(trials, s)
		}
	}
	if len(trials) != 3 {
		t.Fatalf("%d trials in flight, want 3", len(trials))
	}
	for _, s := range trials {
		w.end(s.OK())
	}
	w.wantStats(map[string]uint64{"state": 0, "transitions": 3, "calls": 13})
	want := []string{
		`cluster "payments": closed -> open: 10/10 failed in 10s, threshold 50%; open for 5s, trip 1 in a row`,
		`cluster "payments": open -> half_open: the open time is over, trying`,
		`cluster "payments": half_open -> closed: 3 trials succeeded`,
	}
	var got []string
	for _, l := range w.Logs() {
		if strings.Contains(l.Message, "->") {
			got = append(got, l.Message)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log:\n%s", strings.Join(got, "\n"))
	}
}

// A record that nobody can read lets the request pass, is counted, and starts afresh.
func TestCorruptRecord(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"min_requests": 5}`})
	w.warm()
	for _, bad := range []string{"", "x", strings.Repeat("\xff", 449), strings.Repeat("\x00", 449)} {
		errors := w.stat("errors")
		w.SharedData().Set(recordKey, []byte(bad))
		w.advance(2 * time.Second) // no bell has rung, so the workers look again after a second
		if !w.call(0, 500) || !w.call(1, 200) {
			t.Errorf("%q: a request was not admitted", bad)
		}
		if got := w.stat("errors"); got != errors+1 {
			t.Errorf("%q: errors went from %d to %d", bad, errors, got)
		}
		for range 4 {
			w.call(0, 500)
		}
		if w.call(1, 200) {
			t.Errorf("%q: the breaker does not work any more", bad)
		}
		w.advance(10 * time.Minute)
		for w.stat("state") != 0 {
			w.call(0, 200)
		}
	}
}

// A stats_matcher that hides any of the stats that the breaker counts by does not blind it.
func TestHiddenStats(t *testing.T) {
	for _, hidden := range []string{".", ".calls", ".failures", ".slow_calls", ".consecutive_failures", ".changes"} {
		t.Run(hidden, func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{
				Workers: 3,
				Config:  `{"min_requests": 10, "failure_rate": 90, "consecutive_failures": 25, "slow_call": {"duration": "1s", "rate": 50}}`,
				Stats:   func(name string) bool { return !strings.Contains(name, hidden) },
			})
			// By rate: ten failures.
			n := 0
			for w.call(n%3, 500) {
				n++
			}
			// Finding out takes each worker one outcome, which can be lost to the hidden counter.
			if n < 10 || n > 12 {
				t.Errorf("opened after %d failures, want 10", n)
			}
			for i := range 3 {
				if w.call(i, 200) {
					t.Errorf("worker %d still admits", i)
				}
			}
			w.advance(5 * time.Second)
			for i := range 3 {
				if !w.call(i, 200) {
					t.Errorf("trial %d was not admitted", i)
				}
			}
			// By slow calls: half of twenty.
			slow := 0
			for i := 0; ; i++ {
				s := w.request(i % 3)
				if !s.Continued() {
					break
				}
				if i%2 == 1 {
					w.advance(1001 * time.Millisecond)
					slow++
				}
				w.end(s.OK())
				if slow > 20 {
					t.Fatal("slow calls do not open the breaker")
				}
			}
			if slow < 5 {
				t.Errorf("opened after %d slow calls, want 5", slow)
			}
			warnings := 0
			for _, l := range w.Logs() {
				if strings.Contains(l.Message, "always reads 0, so a stats_matcher hides it") {
					warnings++
				}
			}
			if warnings < 1 || warnings > 3 {
				t.Errorf("%d warnings in the log, want one of each worker at most", warnings)
			}
		})
	}
}

// The bad configuration's error is all there is to the plugin's log.
func TestRefusedConfiguration(t *testing.T) {
	_, err := wasmhost.New(program, wasmhost.Options{Workers: 1, Plugin: "breaker", Config: `{"failure_rate": 140}`})
	if err == nil || strings.Count(err.Error(), "configuration refused: failure_rate: 140 is not allowed: must be from 0 to 100") != 1 {
		t.Errorf("%v", err)
	}
}

// A request without a cluster passes, touches nothing and is forgotten.
func TestNoClusterInProcess(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{})
	s, err := w.VM(0).Request(wasmhost.Req{})
	if err != nil {
		t.Fatal(err)
	}
	w.end(s.End(wasmhost.DirectResponse))
	if stats := w.Stats(); len(stats) != 0 {
		t.Errorf("stats: %v", stats)
	}
	if keys := w.SharedData().Keys(); len(keys) != 1 {
		t.Errorf("shared data: %v, want the plugin's generation only", keys)
	}
}
