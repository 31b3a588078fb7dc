package inprocess_test

import (
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// through sends a request for payments through one of the plugins.
func (w *workers) through(p *wasmhost.Plugin, worker, status int) bool {
	w.t.Helper()
	s := w.send(worker, wasmhost.Req{Plugin: p, Cluster: "payments"})
	if !s.Continued() {
		return false
	}
	w.end(s.Status(status))
	return true
}

func (w *workers) remove(p *wasmhost.Plugin) {
	w.t.Helper()
	if err := p.Remove(); err != nil {
		w.t.Fatal(err)
	}
}

const (
	forty = `{"failure_rate": 80, "min_requests": 40}`
	five  = `{"failure_rate": 100, "min_requests": 5}`
	other = `{"failure_rate": 100, "min_requests": 50}`
)

// Two configurations under one name have a turn each, however many workers start them and start them again, and none of those
// resets the other's window, though both have requests.
func TestTwoConfigurations(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 4, Config: other})
	newer := w.add("breaker", forty)
	for i := range 39 {
		w.through(newer, i%4, 500)
	}
	for _, config := range []string{other, forty, other} { // as a VM does that is loaded again
		w.advance(500 * ms)
		again := w.add("breaker", config)
		w.through(again, 0, 200)
		w.through(newer, 1, 200)
		w.remove(again)
	}
	w.through(newer, 2, 500)
	if w.through(newer, 0, 200) {
		t.Error("40 failures of 46 do not open it: the window has been begun afresh")
	}
	if n := w.logged("configuration loaded"); n != 2 {
		t.Errorf("%d lines of configurations that were loaded, want 2", n)
	}
}

// A configuration that comes back is the newest again at once, though the one before it still drains: whether the others have just
// missed it, or have forgotten it long ago.
func TestRollback(t *testing.T) {
	for _, after := range []time.Duration{6 * time.Second, 30 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Workers: 2, Config: forty})
			w.warm()
			w.remove(w.Plugin())
			bad := w.add("breaker", five)
			for range int(after / (100 * ms)) {
				w.advance(100 * ms)
				w.through(bad, 0, 200)
			}
			again := w.add("breaker", forty)
			if n := w.logged("configuration loaded"); n != 3 {
				t.Errorf("%d lines of configurations that were loaded, want 3", n)
			}
			w.advance(100 * ms)
			w.through(again, 1, 200)
			w.wantPolicy(`"min_requests":40`)
			for range 10 {
				if !w.through(again, 0, 500) {
					t.Fatal("rejected by the other's thresholds")
				}
			}
			// The drained one is gone, and makes no difference; nor does a reload of the machine.
			w.remove(bad)
			w.advance(time.Minute)
			w.remove(w.add("breaker", forty))
			if n := w.logged("configuration"); n != 3 {
				t.Errorf("%d lines of configurations, want 3: %v", n, w.Logs())
			}
		})
	}
}

// Taken back while the first still drains, it is in force again when the second is gone, within some seconds; not because the process
// stood still.
func TestRollbackWhileDraining(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: forty})
	w.warm()
	bad := w.add("breaker", five)
	w.through(bad, 0, 200)
	w.advance(2 * time.Second)
	w.add("breaker", forty)
	w.advance(10 * time.Second)
	for range 3 {
		w.frozen(0, time.Minute)
		w.advance(3 * time.Second)
	}
	if n := w.logged("configuration"); n != 2 {
		t.Fatalf("%d lines of configurations while both live, want 2: %v", n, w.Logs())
	}
	w.through(bad, 0, 200)
	w.wantPolicy(`"min_requests":5`)
	w.remove(bad)
	w.advance(8 * time.Second)
	if n := w.logged("in force again"); n != 1 {
		t.Errorf("%d lines say that it is in force again, want 1: %v", n, w.Logs())
	}
	w.wantPolicy(`"min_requests":40`)
	w.advance(10 * time.Minute)
	if n := w.logged("configuration"); n != 3 {
		t.Errorf("%d lines of configurations, want 3", n)
	}
}

// wantPolicy checks which policy is in force: the one that is written down for the status page.
func (w *workers) wantPolicy(want string) {
	w.t.Helper()
	for _, key := range w.SharedData().Keys() {
		if strings.Contains(key, "\x00policy\x00") {
			if value, _, _ := w.SharedData().Get(key); !strings.Contains(string(value), want) {
				w.t.Errorf("the policy is %s, want %s", value, want)
			}
			return
		}
	}
	w.t.Error("no policy is written")
}
