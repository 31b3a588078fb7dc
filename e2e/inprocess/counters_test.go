package inprocess_test

import (
	"strings"
	"testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// Where only the stat of one kind of bad outcome is hidden, the good ones of before are not forgotten: the breaker opens where it would
// have otherwise.
func TestOneHiddenStatIsExact(t *testing.T) {
	for _, test := range []struct {
		hidden breaker.Stat
		config string
		bad    func(w *workers, worker int) bool
	}{
		{breaker.Failures, `{"min_requests": 10}`, func(w *workers, worker int) bool { return w.call(worker, 500) }},
		{breaker.SlowCalls, `{"min_requests": 10, "window": {"duration": "1h"}, "slow_call": {"duration": "100ms", "rate": 50}}`,
			func(w *workers, worker int) bool {
				s := w.request(worker)
				if s.Continued() {
					w.advance(201 * ms)
					w.end(s.OK())
				}
				return s.Continued()
			}},
	} {
		t.Run(test.hidden.String(), func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Config: test.config, Stats: func(name string) bool { return !strings.HasSuffix(name, "."+test.hidden.String()) }})
			const good = 60
			for i := range good {
				w.call(i%2, 200)
			}
			bad := 0
			for ; test.bad(w, bad%2); bad++ {
				if bad > 2*good {
					t.Fatal("does not open")
				}
			}
			if bad != good {
				t.Errorf("opened after %d bad calls and %d good ones, at 50 %%", bad, good)
			}
		})
	}
}

// Counters that are set back while a breaker is open can bring the bell to where a worker saw it when it was closed. That worker admits
// by what it saw for little more than a second.
func TestResetWhileOpen(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}}`})
	w.call(1, 200)
	bell := w.stat(breaker.Changes)
	for w.call(0, 500) {
	}
	for w.ResetCounters(); w.stat(breaker.Changes) < bell; { // as its changes do
		w.AddToStat("circuit_breaker.breaker.cluster.payments.changes", 1)
	}
	w.advance(1300 * ms)
	for i := range 1000 {
		if w.call(1, 200) {
			t.Fatalf("request %d is admitted by an open breaker", i)
		}
	}
}

// Counters that are set back between a worker's first addition to one and its look at it do not seem to be hidden.
func TestResetAtTheFirstAddition(t *testing.T) {
	for _, stat := range []breaker.Stat{breaker.Calls, breaker.Failures, breaker.Successes} {
		w := startWorkers(t, wasmhost.Options{Config: `{"min_requests": 5, "consecutive_failures": 100}`})
		added, reset := false, false
		w.SetHook(func(_ int, call, key string) wasmhost.Status {
			switch is := strings.HasSuffix(key, "payments."+stat.String()); {
			case is && call == "proxy_increment_metric":
				added = true
			case is && call == "proxy_get_metric" && added && !reset:
				reset = true
				w.ResetCounters()
			}
			return wasmhost.OK
		})
		w.call(0, 200)
		w.call(0, 500)
		w.SetHook(nil)
		if !reset {
			t.Fatalf("%v: nobody looked at it", stat)
		}
		if n := w.logged("a stats_matcher hides it"); n != 0 {
			t.Errorf("%v is taken for hidden", stat)
		}
		for _, key := range w.SharedData().Keys() {
			if strings.Contains(key, "\x00counts\x00") {
				t.Errorf("%v: the tally has moved to shared data", stat)
			}
		}
	}
}

// A success of a request from before the breaker opened is late: it neither ends the streak of the time since nor counts as a call of
// that, though its worker has had no other reason to look.
func TestLateSuccess(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"failure_rate": 0, "consecutive_failures": 3,
		"open": {"duration": "100ms", "jitter": 0}, "half_open": {"max_requests": 1, "success_threshold": 1}}`})
	w.warm()
	old := w.request(0)
	for range 3 {
		w.call(1, 500)
	}
	w.advance(100 * ms)
	if !w.call(1, 200) || w.stat(breaker.StateGauge) != uint64(breaker.Closed) {
		t.Fatal("not closed again")
	}
	for range 2 {
		w.call(1, 500)
	}
	calls := w.stat(breaker.Calls)
	w.end(old.OK())
	w.wantStats(map[breaker.Stat]uint64{breaker.Late: 1, breaker.Calls: calls})
	w.call(1, 500)
	if w.call(1, 200) {
		t.Error("the late success has ended the streak of three")
	}
}
