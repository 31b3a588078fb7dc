package inprocess_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// failuresUntilOpen is how many failures a plugin's breaker takes; 100 if it does not open.
func (w *workers) failuresUntilOpen(p *wasmhost.Plugin) (n int) {
	for n < 100 && w.through(p, n%2, 500) {
		n++
	}
	return n
}

// A kept plugin that could take no turn follows as soon as shared data takes something again.
func TestKeepWhereSharedDataRefused(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: five})
	w.SetHook(func(_ int, call, key string) wasmhost.Status {
		if call == "proxy_set_shared_data" && strings.Contains(key, "generations") {
			return wasmhost.Status(7)
		}
		return wasmhost.OK
	})
	kept := w.add("breaker", wrong)
	w.SetHook(nil)
	w.advance(5 * time.Second)
	w.wantInvalid("shared data works again", true, nil)
	w.add("breaker", other)
	w.advance(5 * time.Second)
	if n := w.failuresUntilOpen(kept); n != 50 {
		t.Errorf("opens after %d failures, want 50: it does not follow", n)
	}
}

// An older listener that is loaded again is no newer one, also after 17 pushes in a row.
func TestKeepAfterManyPushes(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: forty})
	for i := range 17 {
		p := w.add("breaker", fmt.Sprintf(`{"invalid_config": "keep", "min_requests": %d}`, -i))
		if i < 16 {
			w.remove(p)
		}
		w.advance(200 * ms)
	}
	w.remove(w.add("breaker", forty)) // a worker's VM is loaded again
	w.wantInvalid("the older listener is loaded again", true, nil)
}

// The last good one is that which was loaded last, also where the generations were overwritten before.
func TestKeepAfterLostGenerations(t *testing.T) {
	for _, broken := range []string{"", strings.Repeat("\xff", 8+21)} {
		w := startWorkers(t, wasmhost.Options{Config: five})
		w.call(0, 200)
		w.SharedData().Set("circuit_breaker/2\x00generations\x00breaker\x00", []byte(broken))
		newer := w.add("breaker", other)
		w.remove(w.Plugin())
		w.through(newer, 0, 200)
		w.advance(15 * time.Second)
		kept := w.add("breaker", wrong)
		w.remove(newer)
		w.advance(2 * time.Second)
		if n := w.failuresUntilOpen(kept); n < 40 {
			t.Errorf("%q: opens after %d failures, want 50", broken, n)
		}
	}
}

// A plugin that goes by another configuration meets its clusters again by and by: one tick is short, however many there are.
func TestFollowCost(t *testing.T) {
	for _, kept := range []bool{true, false} {
		w := startWorkers(t, wasmhost.Options{Config: `{"max_breakers": 10000}`, Workers: 1})
		p := w.Plugin()
		if kept {
			p = w.add("breaker", wrong)
		}
		for i := range 5000 {
			w.end(w.send(0, wasmhost.Req{Plugin: p, Cluster: fmt.Sprint("c", i)}).Status(200))
		}
		w.add("breaker", five)
		most := 0
		for range 15 {
			before := w.Counts()
			w.advance(100 * ms)
			most = max(most, int(w.Counts().Sub(before).Total()))
		}
		if most > 5000 {
			t.Errorf("kept: %v: %d host calls in one tick", kept, most)
		}
	}
}
