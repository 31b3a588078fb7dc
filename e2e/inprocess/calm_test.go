package inprocess_test

import (
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// While all breakers of the plugin are plainly closed, requests are admitted without being asked for their cluster.

// isCalm reports whether a worker admits without that, by a request that is good.
func (w *workers) isCalm(worker int) bool {
	w.t.Helper()
	before := w.VM(worker).Counts()
	s := w.request(worker)
	calm := w.VM(worker).Counts().Sub(before).Calls["proxy_get_property"] == 0
	if s.Continued() {
		w.end(s.Status(200))
	}
	return calm
}

func (w *workers) wantCalm(when string, want bool) {
	w.t.Helper()
	for i := range w.Workers() {
		if w.isCalm(i) != want {
			w.t.Errorf("%s: worker %d is calm: %v, want %v", when, i, !want, want)
		}
	}
}

// untilCalm lets the workers find out that all is calm.
func (w *workers) untilCalm() {
	w.t.Helper()
	w.wantCalm("at the start", false)
	w.advance(400 * ms)
	w.wantCalm("after four ticks", true)
}

func (w *workers) sendTo(worker int, cluster string) *wasmhost.Stream {
	w.t.Helper()
	return w.send(worker, wasmhost.Req{Cluster: cluster})
}

func (w *workers) statOf(cluster string, s breaker.Stat) uint64 {
	return w.Stat("circuit_breaker.breaker.cluster." + cluster + "." + s.String())
}

// fail lets requests to a cluster fail until one is rejected.
func (w *workers) fail(worker int, cluster string) {
	w.t.Helper()
	for range 1000 {
		s := w.sendTo(worker, cluster)
		if !s.Continued() {
			return
		}
		w.end(s.Status(500))
	}
	w.t.Fatal("failures do not open the breaker")
}

// One breaker that opens ends the calm of all workers at once, and its requests are rejected on all. When it has closed, they are calm
// again within some ticks: one sees that, one takes it off the list, one sees that that is empty.
func TestCalmEndsAndComesBack(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"open": {"jitter": 0}, "half_open": {"success_threshold": 1}}`})
	w.untilCalm()
	w.fail(0, "search")
	w.wantCalm("open", false)
	if w.sendTo(0, "search").Continued() || w.sendTo(1, "search").Continued() {
		t.Error("a worker admits to the open breaker")
	}
	w.advance(4 * time.Second)
	w.wantCalm("open for four seconds", false)
	w.advance(time.Second)
	trial := w.sendTo(1, "search")
	w.advance(300 * ms)
	w.wantCalm("half-open", false)
	w.end(trial.Status(200))
	if state := w.statOf("search", breaker.StateGauge); state != uint64(breaker.Closed) {
		t.Fatalf("the state is %d", state)
	}
	w.advance(300 * ms)
	w.wantCalm("closed", true)
	w.fail(1, "search")
	w.wantCalm("open again", false)
}

// What is in flight when its breaker opens changes nothing, nor does it after that has closed.
func TestCalmRequestsInFlight(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"open": {"jitter": 0}, "half_open": {"success_threshold": 1}}`})
	w.sendTo(0, "search")
	w.untilCalm()
	var held []*wasmhost.Stream
	for i := range 40 {
		held = append(held, w.sendTo(i%2, "search"))
	}
	other := w.sendTo(1, "payments")
	w.fail(0, "search")
	for _, s := range held[:20] {
		w.end(s.Status(500))
	}
	w.advance(5 * time.Second)
	w.end(w.sendTo(0, "search").Status(200))
	calls := w.statOf("search", breaker.Calls)
	for _, s := range held[20:] {
		w.end(s.Status(500))
	}
	if late := w.statOf("search", breaker.Late); late != 40 {
		t.Errorf("%d of 40 are late", late)
	}
	if got := w.statOf("search", breaker.Calls); got != calls || w.statOf("search", breaker.StateGauge) != uint64(breaker.Closed) {
		t.Errorf("calls went from %d to %d, state %d", calls, got, w.statOf("search", breaker.StateGauge))
	}
	calls = w.stat(breaker.Calls)
	w.end(other.Status(500))
	if got := w.stat(breaker.Calls); got != calls+1 {
		t.Errorf("a request to a breaker that stayed closed is not counted: calls went from %d to %d", calls, got)
	}
}

// A request is counted for the cluster that it has gone to, from the first one on; a direct response for none.
func TestCalmRequestsAreCountedWhereTheyGo(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"per": "route"}`})
	w.untilCalm()
	stats := len(w.Stats())
	w.end(w.send(0, wasmhost.Req{}).End(wasmhost.DirectResponse))
	if got := len(w.Stats()); got != stats {
		t.Errorf("a direct response makes %d stats", got-stats)
	}
	w.end(w.send(0, wasmhost.Req{Cluster: "new", RouteName: "checkout"}).Status(200))
	w.end(w.sendTo(1, "gone").End(wasmhost.ClientGone))
	s := w.sendTo(1, "payments")
	s.Reroute("spare")
	w.end(s.Status(500))
	// Envoy follows a redirect: the stream that it answers is gone, and has the route of the one that goes on.
	s = w.sendTo(1, "payments")
	s.Reroute("spare")
	w.end(s.End(wasmhost.End{Details: "internal_redirect", Upstream: wasmhost.Upstream}))
	for stat, want := range map[string]uint64{"new.route.checkout.calls": 1, "gone.neutral": 1, "spare.calls": 1, "spare.failures": 1, "spare.neutral": 1, "payments.failures": 0} {
		if got := w.Stat("circuit_breaker.breaker.cluster." + stat); got != want {
			t.Errorf("%s = %d, want %d", stat, got, want)
		}
	}
	w.wantCalm("with new breakers", true)
}

// A hang is noticed while it hangs, by the limit of each cluster, though nobody has asked for it.
func TestCalmHang(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "2s"}, "min_requests": 10, "open": {"jitter": 0},
		"clusters": [{"match": "fast", "slow_call": {"duration": "500ms"}}, {"match": "patient", "slow_call": {"duration": "0s"}}]}`})
	for i, cluster := range []string{"fast", "slow", "patient"} {
		w.end(w.sendTo(i%2, cluster).Status(200))
	}
	w.advance(time.Minute)
	w.wantCalm("before", true)
	var hung []*wasmhost.Stream
	for i := range 10 {
		for _, cluster := range []string{"slow", "patient", "fast"} {
			hung = append(hung, w.sendTo(i%2, cluster))
		}
	}
	states := func() (s [3]uint64) {
		for i, cluster := range []string{"fast", "slow", "patient"} {
			s[i] = w.statOf(cluster, breaker.StateGauge)
		}
		return s
	}
	for _, step := range []struct {
		wait time.Duration
		want [3]uint64
	}{{500 * ms, [3]uint64{0, 0, 0}}, {100 * ms, [3]uint64{1, 0, 0}}, {1400 * ms, [3]uint64{1, 0, 0}}, {100 * ms, [3]uint64{1, 1, 0}}, {time.Minute, [3]uint64{1, 1, 0}}} {
		w.advance(step.wait)
		if got := states(); got != step.want {
			t.Errorf("%v later the states are %v, want %v", step.wait, got, step.want)
		}
	}
	for _, s := range hung {
		w.end(s.Status(200))
	}
	if got := w.statOf("patient", breaker.Calls); got != 11 {
		t.Errorf("%d calls of the patient one, want 11", got)
	}
	if got := w.statOf("slow", breaker.Calls); got != 11 {
		t.Errorf("%d calls of the slow one, want 11", got)
	}
}

// Where a request might be none that every breaker admits, nobody is calm.
func TestNeverCalm(t *testing.T) {
	for name, o := range map[string]wasmhost.Options{
		"force_open somewhere": {Config: `{"clusters": [{"match": "search", "mode": "force_open"}]}`},
		"a status page":        {Config: `{"status": {"path": "/status"}}`},
		"a hidden bell":        {Stats: func(name string) bool { return !strings.HasSuffix(name, ".bell") }},
		"all stats hidden":     {Stats: func(string) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			w := startWorkers(t, o)
			for range 20 {
				w.wantCalm(name, false)
				w.advance(100 * ms)
			}
		})
	}
	t.Run("two configurations", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{})
		w.untilCalm()
		p, err := w.AddPlugin("breaker", `{"failure_rate": 40}`)
		if err != nil {
			t.Fatal(err)
		}
		w.end(w.send(0, wasmhost.Req{Plugin: p, Cluster: "payments"}).Status(200))
		w.advance(4 * time.Second)
		w.wantCalm("beside another", false)
	})
	t.Run("on the ramp", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"open": {"jitter": 0}, "half_open": {"success_threshold": 1}, "ramp": "10s"}`})
		w.untilCalm()
		w.fail(0, "search")
		w.advance(5 * time.Second)
		w.end(w.sendTo(0, "search").Status(200))
		w.advance(9 * time.Second)
		w.wantCalm("on the ramp", false)
		w.advance(1500 * ms)
		w.wantCalm("after the ramp", true)
	})
}

// A breaker that no request can meet any more does not stand in the way, though it is open: one that is disabled, say.
func TestCalmBesideADisabledBreaker(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1})
	w.fail(0, "search")
	old, now := w.Plugin(), w.add("breaker", `{"clusters": [{"match": "search", "mode": "disabled"}]}`)
	w.remove(old)
	through := func(cluster string) (s *wasmhost.Stream, asked uint64) {
		before := w.VM(0).Counts()
		s = w.send(0, wasmhost.Req{Plugin: now, Cluster: cluster})
		asked = w.VM(0).Counts().Sub(before).Calls["proxy_get_property"]
		w.end(s.Status(500))
		return s, asked
	}
	through("payments")
	w.advance(time.Minute)
	calls := w.statOf("search", breaker.Calls)
	s, asked := through("search")
	if asked != 0 {
		t.Error("not calm")
	}
	if note, _ := s.Property("circuit_breaker"); !strings.Contains(note, "state=disabled") || w.statOf("search", breaker.Calls) != calls {
		t.Errorf("the note is %q", note)
	}
}

// Counters that are set back, and a list that something else has overwritten, end the calm for a moment.
func TestCalmAfterDamage(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{})
	w.fail(0, "search")
	for _, damage := range []func(){
		w.ResetCounters,
		func() {
			w.SharedData().Set("circuit_breaker/2\x00not plainly closed\x00breaker\x00", []byte("nonsense"))
		},
	} {
		damage()
		for range 10 {
			w.advance(100 * ms)
			w.wantCalm("damaged, while one is open", false)
		}
	}
	for w.statOf("search", breaker.StateGauge) != uint64(breaker.Closed) {
		w.advance(time.Second)
		if s := w.sendTo(1, "search"); s.Continued() {
			w.end(s.Status(200))
		}
	}
	w.advance(500 * ms)
	w.wantCalm("closed", true)
	w.ResetCounters()
	w.wantCalm("set back", false)
	w.advance(500 * ms)
	w.wantCalm("after that", true)
}
