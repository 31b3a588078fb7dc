package inprocess_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

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
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: 10, breaker.Failures: 10, breaker.Rejected: 4, breaker.StateGauge: uint64(breaker.Open), breaker.Opened: 1, breaker.OpenedFailureRate: 1})

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
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: uint64(breaker.Closed), breaker.Transitions: 3, breaker.Calls: 13})
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
	for _, bad := range []string{"", "x", strings.Repeat("\xff", 461), strings.Repeat("\x00", 461)} {
		errors := w.stat(breaker.Errors)
		w.SharedData().Set(recordKey, []byte(bad))
		w.advance(2 * time.Second) // no bell has rung, so the workers look again after a second
		if !w.call(0, 500) || !w.call(1, 200) {
			t.Errorf("%q: a request was not admitted", bad)
		}
		if got := w.stat(breaker.Errors); got != errors+1 {
			t.Errorf("%q: errors went from %d to %d", bad, errors, got)
		}
		for range 4 {
			w.call(0, 500)
		}
		if w.call(1, 200) {
			t.Errorf("%q: the breaker does not work any more", bad)
		}
		w.advance(10 * time.Minute)
		for w.stat(breaker.StateGauge) != uint64(breaker.Closed) {
			w.call(0, 200)
		}
	}
}

// A stats_matcher that hides any of the stats that the breaker counts by does not blind it.
func TestHiddenStats(t *testing.T) {
	counted := []breaker.Stat{breaker.Calls, breaker.Failures, breaker.SlowCalls, breaker.Successes, breaker.Changes}
	hiddens := []string{"."} // all
	for _, s := range counted {
		hiddens = append(hiddens, "."+s.String())
	}
	for _, hidden := range hiddens {
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
