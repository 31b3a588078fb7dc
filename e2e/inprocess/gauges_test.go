package inprocess_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// wantGauges checks what the gauges of payments read.
func (w *workers) wantGauges(when string, mode, state uint64) {
	w.t.Helper()
	const prefix = "circuit_breaker.breaker.cluster.payments."
	if m, s := w.Stat(prefix+"mode"), w.Stat(prefix+"state"); m != mode || s != state {
		w.t.Errorf("%s: mode %d and state %d, want %d and %d", when, m, s, mode, state)
	}
}

// mode is a configuration with a mode and nothing else that differs.
func mode(m string) string {
	return `{"mode": "` + m + `", "min_requests": 5, "open": {"jitter": 0, "duration": "1h", "max_duration": "1h"}}`
}

// The gauges tell what requests meet, in each mode, whatever the machine's own state is; and that again when the mode goes back. No
// request has to come for it.
func TestModesInGauges(t *testing.T) {
	for own, open := range []bool{false, true} {
		w := startWorkers(t, wasmhost.Options{Config: mode("enforce")})
		for range 5 {
			w.call(0, map[bool]int{false: 200, true: 500}[open])
		}
		w.call(1, 200)
		was := w.Plugin()
		w.wantGauges("at first", 0, uint64(own))
		for _, next := range []struct {
			name        string
			mode, state uint64
		}{
			{"shadow", 1, uint64(own)},
			{"force_open", 2, 1},
			{"disabled", 3, 0},
			{"shadow", 1, uint64(own)},
			{"disabled", 3, 0},
			{"force_open", 2, 1},
			{"enforce", 0, uint64(own)},
		} {
			now := w.add("breaker", mode(next.name))
			w.advance(200 * ms)
			if next.mode >= 2 || open {
				w.wantGauges("no request has come to "+next.name, next.mode, next.state)
			}
			w.through(was, 0, 200) // the old one drains
			w.through(now, 1, 200)
			w.wantGauges(next.name, next.mode, next.state)
			w.remove(was)
			w.advance(5 * time.Second) // after which it counts as gone
			was = now
		}
	}
}

// A transition that an old configuration makes beside a new one is shown as what the new one makes of it.
func TestTransitionUnderOtherMode(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: mode("enforce")})
	w.warm()
	disabled := w.add("breaker", mode("disabled"))
	w.through(disabled, 0, 200)
	for w.call(1, 500) {
	}
	w.wantGauges("open, and disabled", 3, 0)
	w.advance(time.Second)
	w.wantGauges("open, and disabled", 3, 0)
}
