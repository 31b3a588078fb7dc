package inprocess_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
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

// A plugin that is loaded anew with the same configuration has all stats of a breaker that it finds, and its state, though those of the
// old one are gone and no request comes.
func TestStatsAfterUpgrade(t *testing.T) {
	for _, config := range []string{mode("enforce"), mode("force_open")} {
		w := startWorkers(t, wasmhost.Options{Config: config})
		for w.call(0, 500) {
		}
		w.call(1, 200)
		w.advance(time.Second)
		shown := w.Stats()
		w.ForgetStats()
		w.add("breaker", config)
		w.remove(w.Plugin())
		w.advance(300 * ms)
		if len(w.Stats()) == 0 {
			t.Fatal("no stats at all")
		}
		for s := range shown {
			// The trip has set all gauges of its kind, those that are off too.
			if _, has := w.Stats()[s]; !has && !strings.HasSuffix(s, ".waiting") && !strings.HasSuffix(s, ".consecutive_failures") {
				t.Errorf("no stat %v", s)
			}
		}
		if state := w.stat(breaker.StateGauge); state != 1 {
			t.Errorf("state is %d, want 1", state)
		}
	}
}

// The first request to a cluster shows all of its stats but those that cannot move by its configuration, in one worker and for all.
func TestStatsThatAreShown(t *testing.T) {
	always := []string{"calls", "late", "neutral", "rejected", "errors", "failures", "slow_calls", "fallback", "transitions", "opened",
		"opened_failure_rate", "opened_half_open_failure", "permits_expired", "changes", "state", "mode"}
	for config, more := range map[string][]string{
		`{}`:                                     nil,
		`{"mode": "shadow"}`:                     {"shadow_rejected"},
		`{"consecutive_failures": 5}`:            {"consecutive_failures", "successes", "opened_consecutive"},
		`{"slow_call": {"duration": "1s"}}`:      {"waiting", "opened_slow_rate"},
		`{"ramp": "1s"}`:                         {"opened_ramp"},
		`{"probe": {"path": "/healthz"}}`:        {"probes", "probe_failures"},
		`{"fallback": {"header": "x-fallback"}}`: {"fallback_missed"},
	} {
		w := startWorkers(t, wasmhost.Options{Config: config})
		w.warm()
		var got []string
		for name := range w.Stats() {
			if s, of := strings.CutPrefix(name, "circuit_breaker.breaker.cluster.payments."); of {
				got = append(got, s)
			}
		}
		want := slices.Sorted(slices.Values(slices.Concat(always, more)))
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s shows %q, want %q", config, got, want)
		}
	}
}

// The gauges of a plugin that was removed read 0 when none of its name lives, here or on another worker, and not before.
func TestGaugesOfARemovedPlugin(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: mode("enforce")})
	const prefix = "circuit_breaker.other.cluster.payments."
	state := func() uint64 { return w.Stat(prefix + "state") }
	live := func(when string) {
		t.Helper()
		for range 1000 {
			w.advance(100 * ms)
			if state() != 1 || w.Stat(prefix+"mode") != 2 {
				t.Fatalf("%s: state %d, mode %d", when, state(), w.Stat(prefix+"mode"))
			}
		}
	}
	other := w.add("other", mode("force_open"))
	for i := range 2 {
		w.through(other, i, 200)
	}
	next := w.add("other", mode("force_open"))
	w.remove(other)
	live("the next of the name has met no request yet")

	// One worker is still busy with a request.
	s := w.send(1, wasmhost.Req{Plugin: next, Cluster: ""})
	w.remove(next)
	live("it lives on one worker still")
	w.end(s.End(wasmhost.DirectResponse))
	w.AddToStat("circuit_breaker.other.version", 1_000_000) // which is 0 in a build that has no version
	w.advance(100 * time.Second)
	if version := w.Stat("circuit_breaker.other.version"); state() != 0 || w.Stat(prefix+"mode") != 0 || version != 0 {
		t.Errorf("it is gone: state %d, mode %d, version %d", state(), w.Stat(prefix+"mode"), version)
	}
	again := w.add("other", mode("force_open"))
	w.advance(200 * ms)
	live("it is there again")
	w.through(again, 0, 200)
}

// Breakers of routes are shown as disabled where the configuration in force has none, whenever they were made: before the one for the
// cluster took its turn back, or later, by a listener that drains.
func TestRoutesRetireLate(t *testing.T) {
	retired := func(t *testing.T, w *workers) {
		t.Helper()
		const name = "circuit_breaker.breaker.cluster.shop.route.reports."
		if m, s := w.Stat(name+"mode"), w.Stat(name+"state"); m != 3 || s != 0 {
			t.Errorf("mode %d, state %d, want 3, 0", m, s)
		}
	}
	whole := strings.Replace(perRoute, `"per": "route", `, "", 1)
	t.Run("taken back", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: whole})
		w.on(0, "shop", "reports", 200)
		w.advance(time.Second)
		byRoute := w.add("breaker", perRoute)
		for i := range 10 {
			w.end(w.send(i%2, wasmhost.Req{Plugin: byRoute, Cluster: "shop", RouteName: "reports"}).Status(500))
		}
		w.remove(byRoute)
		w.advance(30 * time.Second)
		retired(t, w)
	})
	t.Run("made while draining", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: perRoute})
		w.on(0, "shop", "checkout", 200)
		w.add("breaker", whole)
		w.advance(time.Second)
		for i := range 10 {
			w.on(i%2, "shop", "reports", 500)
		}
		w.advance(5 * time.Second)
		retired(t, w)
	})
}

// The gauges of routes that are shown as disabled read 0 as all others when the plugin has been removed.
func TestGaugesOfRetiredRoutes(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: mode("enforce")})
	byRoute := w.add("other", perRoute)
	for i := range 10 {
		w.end(w.send(i%2, wasmhost.Req{Plugin: byRoute, Cluster: "shop", RouteName: "reports"}).Status(500))
	}
	whole := w.add("other", strings.Replace(perRoute, `"route"`, `"cluster"`, 1))
	w.advance(time.Second)
	w.remove(byRoute)
	w.advance(100 * time.Second)
	const mode = "circuit_breaker.other.cluster.shop.route.reports.mode"
	if m := w.Stat(mode); m != 3 {
		t.Errorf("mode %d while there is one per cluster, want 3", m)
	}
	w.remove(whole)
	w.advance(100 * time.Second)
	if m := w.Stat(mode); m != 0 {
		t.Errorf("mode %d after the plugin was removed, want 0", m)
	}
}
