package inprocess_test

import (
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// to sends a request to a cluster, which answers with a status. It reports whether it was admitted.
func (w *workers) to(worker int, cluster string, status int) bool {
	w.t.Helper()
	s := w.send(worker, wasmhost.Req{Cluster: cluster})
	if !s.Continued() {
		return false
	}
	w.end(s.Status(status))
	return true
}

// logged counts the lines of the log that contain a text.
func (w *workers) logged(text string) (lines int) {
	for _, l := range w.Logs() {
		if strings.Contains(l.Message, text) {
			lines++
		}
	}
	return lines
}

const breakersGauge = "circuit_breaker.breaker.breakers"

// hasBreaker reports whether a cluster has stats.
func (w *workers) hasBreaker(cluster string) bool {
	_, has := w.Stats()["circuit_breaker.breaker.cluster."+cluster+".calls"]
	return has
}

// max_breakers is the limit of a process: the same clusters have a breaker on all workers, whichever met which first.
func TestMaxBreakers(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 4, Config: `{"max_breakers": 1, "min_requests": 5, "open": {"jitter": 0}}`})
	for w.to(0, "a", 500) {
	}
	for worker := range 4 {
		for range 20 {
			if !w.to(worker, "b", 500) {
				t.Fatalf("worker %d rejects for b, which can have no breaker", worker)
			}
			w.advance(100 * ms)
		}
	}
	if w.hasBreaker("b") {
		t.Error("b has stats")
	}
	if n := w.Stat(breakersGauge); n != 1 {
		t.Errorf("%d breakers, want 1", n)
	}
	if n := w.logged("max_breakers (1) reached"); n != 1 {
		t.Errorf("%d warnings, want 1 of the process", n)
	}
	// The open time was over meanwhile, and the breaker of a is one for all of them still.
	for worker := range 4 {
		w.to(worker, "a", 500)
		if w.to((worker+1)%4, "a", 200) {
			t.Error("admitted by an open breaker")
		}
	}
	// A configuration with a higher limit takes more places; the old one then has the same clusters.
	more := w.add("breaker", `{"max_breakers": 2, "min_requests": 5}`)
	w.end(w.send(1, wasmhost.Req{Plugin: more, Cluster: "b"}).OK())
	w.advance(1100 * ms)
	for range 20 {
		w.to(2, "b", 500)
	}
	if w.to(3, "b", 200) || w.Stat(breakersGauge) != 2 {
		t.Error("b has no breaker on the other workers")
	}
}

// Two workers that meet a cluster at the same moment take one place for it, and two where they meet two.
func TestPlacesAreClaimedOnce(t *testing.T) {
	for _, other := range []string{"payments", "search"} {
		t.Run(other, func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Config: `{"max_breakers": 3}`})
			raced := false
			w.SetHook(func(vm int, call, key string) wasmhost.Status {
				if vm == 0 && call == "proxy_set_shared_data" && strings.Contains(key, "\x00cluster") && !raced {
					raced = true
					w.to(1, other, 200)
				}
				return wasmhost.OK
			})
			w.call(0, 200)
			w.SetHook(nil)
			if !raced {
				t.Fatal("the place was not claimed")
			}
			want := map[string]uint64{"payments": 1, "search": 2}[other]
			if n := w.Stat(breakersGauge); n != want {
				t.Errorf("%d places, want %d", n, want)
			}
			for _, cluster := range []string{"payments", other, "x", "y", "z"} {
				for i := range 2 {
					w.to(i, cluster, 200)
				}
			}
			with := 0
			for _, cluster := range []string{"payments", "search", "x", "y", "z"} {
				if w.hasBreaker(cluster) {
					with++
				}
			}
			if with != 3 || w.Stat(breakersGauge) != 3 {
				t.Errorf("%d clusters have breakers in %d places, want 3", with, w.Stat(breakersGauge))
			}
		})
	}
}

// A cluster whose breaker could not be made gets one later, and no request asks more than once a second.
func TestBreakerThatCouldNotBeMade(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"min_requests": 5}`})
	asked := 0
	w.SetHook(func(_ int, call, key string) wasmhost.Status {
		if call == "proxy_define_metric" && strings.Contains(key, "payments") {
			asked++
			return wasmhost.BadArgument
		}
		return wasmhost.OK
	})
	for range 50 {
		if !w.call(0, 500) {
			t.Fatal("rejected without a breaker")
		}
		w.advance(100 * ms)
	}
	if asked < 3 || asked > 6 {
		t.Errorf("tried %d times in 5 s", asked)
	}
	if n := w.logged("passes without a breaker"); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
	w.SetHook(nil)
	w.advance(time.Second)
	for range 5 {
		w.call(0, 500)
	}
	if w.call(0, 200) {
		t.Error("there is no breaker still")
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: 5, breaker.Opened: 1})
}
