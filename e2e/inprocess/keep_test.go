package inprocess_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// Configurations that do not hold.
const (
	wrong      = `{"invalid_config": "keep", "failure_rate": 140}`
	alsoWrong  = `{"invalid_config": "keep", "failure_rates": 40}`
	statusOnly = `{"status": {"path": "/status"}}`

	invalidGauge = "circuit_breaker.breaker.config_invalid"
	ofThePlugin  = 3 // stats it shows without any breaker: that one, its version, and its bell
)

// refusals counts the critical lines in the log.
func (w *workers) refusals() (lines int) {
	for _, l := range w.Logs() {
		if l.Level == wasmhost.Critical {
			lines++
		}
	}
	return lines
}

// wantInvalid checks the gauge, and the status page of a plugin that has one.
func (w *workers) wantInvalid(when string, invalid bool, page *wasmhost.Plugin) {
	w.t.Helper()
	if got := w.Stat(invalidGauge); got != map[bool]uint64{true: 1}[invalid] {
		w.t.Errorf("%s: config_invalid is %d, want %v", when, got, invalid)
	}
	if page == nil {
		return
	}
	var got struct {
		Invalid *bool `json:"config_invalid"`
	}
	s := w.send(0, wasmhost.Req{Plugin: page, Headers: wasmhost.Headers{}.With(":method", "GET").With(":path", "/status").With("accept", "application/json")})
	if s.Reply() == nil {
		w.t.Fatalf("%s: there is no status page", when)
	}
	if err := json.Unmarshal([]byte(s.Reply().Body), &got); err != nil || got.Invalid == nil || *got.Invalid != invalid {
		w.t.Errorf("%s: the status page says %s, want config_invalid %v (%v)", when, s.Reply().Body, invalid, err)
	}
}

// The last good configuration stays in force under its own turn: its window goes on over all workers, beside a listener that has it
// still and without one. It is one line in the log, however many workers start it again.
func TestKeep(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 4, Config: forty})
	for i := range 20 {
		w.call(i%4, 500)
	}
	w.wantInvalid("at first", false, nil)
	kept := w.add("breaker", wrong)
	for i := range 18 {
		w.through(kept, i%4, 500)
	}
	w.remove(w.Plugin())
	w.wantPolicy(`"min_requests":40`)
	for range 3 { // as a virtual machine does that is loaded again
		w.advance(500 * ms)
		w.remove(w.add("breaker", wrong))
	}
	again := w.add("breaker", wrong)
	for i := range 2 {
		w.through(again, i, 500)
	}
	for worker := range 4 {
		if w.through(kept, worker, 200) || w.through(again, worker, 200) {
			t.Errorf("worker %d admits after 40 failures: the window was begun afresh", worker)
		}
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: 40, breaker.Opened: 1, breaker.Transitions: 1, breaker.Late: 0, breaker.Errors: 0})
	w.wantInvalid("kept", true, nil)
	const line = "configuration refused, and the last good one stays in force: failure_rate: 140 is not allowed: must be from 0 to 100"
	if w.refusals() != 1 || w.logged(line) != 1 || w.logged("configuration") != 2 {
		t.Errorf("the log: %v", w.Logs())
	}

	// Another mistake is another line; a good one ends it, and takes over the open breaker.
	w.add("breaker", alsoWrong)
	w.wantInvalid("wrong again", true, nil)
	if w.refusals() != 2 {
		t.Errorf("%d critical lines, want 2", w.refusals())
	}
	good := w.add("breaker", five)
	w.wantInvalid("corrected", false, nil)
	if w.through(good, 0, 200) {
		t.Error("the breaker did not stay open")
	}
	w.wantPolicy(`"min_requests":5,`) // a kept one has no newer turn
}

// Without a good one all requests pass, and touch nothing; the status page is where the text has it. When a good one comes, that is
// in force here as well.
func TestKeepWithoutAGoodOne(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"failure_rate": 140, "status": {"path": "/status"}, "invalid_config": "keep"}`})
	for i := range 100 {
		if !w.call(i%2, 500) {
			t.Fatal("rejected without a configuration")
		}
		w.advance(100 * ms)
	}
	w.wantInvalid("alone", true, w.Plugin())
	if stats := w.Stats(); len(stats) != ofThePlugin {
		t.Errorf("stats: %v", stats)
	}
	if n := w.logged("configuration refused, and there is no good one to go by, so requests pass without a breaker: failure_rate: 140"); n != 1 || w.refusals() != 1 {
		t.Errorf("the log: %v", w.Logs())
	}
	held := []*wasmhost.Stream{w.request(0), w.request(1)}
	w.add("breaker", statusOnly)
	w.advance(2 * time.Second)
	if !w.call(0, 500) || len(w.Stats()) != ofThePlugin {
		t.Error("it goes by a configuration that took no turn")
	}
	w.add("breaker", five)
	w.advance(1100 * ms)
	for _, s := range held { // admitted by nobody, so they count for nothing
		w.end(s.Status(500))
	}
	for i := range 5 {
		w.call(i%2, 500)
	}
	if w.call(0, 200) || w.call(1, 200) {
		t.Error("the good one is not in force")
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.Calls: 5, breaker.Rejected: 2})
	w.wantInvalid("with a good one", false, w.Plugin())
}

// Of several good ones it is the one that was loaded last, also where that changes meanwhile: then requests in flight end where they
// were admitted.
func TestKeepTheLastGoodOne(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: forty})
	w.add("breaker", other)
	w.add("breaker", statusOnly)
	w.remove(w.add("breaker", forty)) // an older turn
	kept := w.add("breaker", wrong)
	for i := range 49 {
		if !w.through(kept, i%2, 500) {
			t.Fatalf("rejected after %d failures: the one before is in force", i)
		}
	}
	var held []*wasmhost.Stream
	for i := range 4 {
		held = append(held, w.send(i%2, wasmhost.Req{Plugin: kept, Cluster: "payments"}))
	}
	w.add("breaker", five)
	w.advance(1100 * ms)
	for _, s := range held {
		w.end(s.Status(200))
	}
	for i := range 10 {
		w.through(kept, i%2, 500)
	}
	if w.through(kept, 0, 200) || w.through(kept, 1, 200) {
		t.Error("the new one is not in force")
	}
	w.wantPolicy(`"min_requests":5`)
	calls, rejected := w.stat(breaker.Calls)+w.stat(breaker.Late), w.stat(breaker.Rejected)
	if calls+rejected != 49+4+10+2 || w.stat(breaker.Errors) != 0 {
		t.Errorf("%d calls and %d rejected of %d requests", calls, rejected, 49+4+10+2)
	}
}

// The status page stays where the text has it, and else where the last good one has it.
func TestKeepTheStatusPage(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"min_requests": 5, "status": {"path": "/status"}}`})
	w.call(0, 200) // by which it takes its turn
	kept := w.add("breaker", wrong)
	w.wantInvalid("kept", true, kept)
	moved := w.add("breaker", `{"status": {"path": "/status/new"}, "invalid_config": "keep", "mode": "on"}`)
	for path, want := range map[string]bool{"/status": false, "/status/new": true} {
		s := w.send(1, wasmhost.Req{Plugin: moved, Headers: wasmhost.Headers{}.With(":method", "GET").With(":path", path)})
		if got := s.Reply() != nil; got != want {
			t.Errorf("%s is answered: %v, want %v", path, got, want)
		}
		if !want {
			w.end(s.End(wasmhost.DirectResponse))
		}
	}
}

// What is broken in shared data is not taken for a configuration.
func TestKeepBrokenSharedData(t *testing.T) {
	for _, broken := range []string{"", "?", strings.Repeat("\x01", 100), "whole, but for one byte"} {
		t.Run(fmt.Sprintf("%.5q", broken), func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{Config: five})
			const key = "circuit_breaker/2\x00last good\x00breaker\x00"
			value, _, found := w.SharedData().Get(key)
			if !found || !strings.HasSuffix(string(value), five) {
				t.Fatalf("the last good one is not there: %q", value)
			}
			if strings.HasPrefix(broken, "whole") {
				broken = strings.Replace(string(value), "100", "000", 1)
			}
			w.SharedData().Set(key, []byte(broken))
			kept := w.add("breaker", wrong)
			for i := range 30 {
				if !w.through(kept, i%2, 500) {
					t.Fatalf("rejected after %d failures", i)
				}
			}
			w.add("breaker", other) // puts it right
			w.advance(1100 * ms)
			for i := range 50 {
				w.through(kept, i%2, 500)
			}
			if w.through(kept, 0, 200) {
				t.Error("the next good one is not in force")
			}
		})
	}
}

// A kept plugin costs a request no more than another.
func TestKeepHostCalls(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{})
	kept := w.add("breaker", wrong)
	for i := range 4 {
		w.through(kept, i%2, 200)
	}
	w.measure("healthy, kept", 1000, costs{8, 3, 0}, func() { w.through(kept, 0, 200) })
	alone := startWorkers(t, wasmhost.Options{Config: wrong})
	alone.call(0, 200)
	alone.measure("without a breaker", 1000, costs{0, 0, 0}, func() { alone.call(0, 200) })
}
