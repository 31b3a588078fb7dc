package inprocess_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// probeWorkers are workers whose breaker of payments is open, and is probed.
func probeWorkers(t *testing.T, n int, open, probe string) *workers {
	t.Helper()
	w := startWorkers(t, wasmhost.Options{Workers: n, Clusters: []string{"payments"}, Config: fmt.Sprintf(
		`{"min_requests": 1, "open": {"jitter": 0, %s}, "probe": {"path": "/healthz", %s}}`, open, probe)})
	w.call(0, 500)
	return w
}

// answerProbes has the upstream answer all probes that are out.
func (w *workers) answerProbes(status int) (n int) {
	w.t.Helper()
	for _, call := range w.HTTPCalls() {
		w.end(call.Answer(status, nil, ""))
		n++
	}
	return n
}

// Probes come as often as is configured, however many workers there are, and however short that is.
func TestProbeIntervals(t *testing.T) {
	for _, interval := range []time.Duration{100 * ms, 300 * ms, 500 * ms, 2 * time.Second} {
		for _, n := range []int{1, 4} {
			w := probeWorkers(t, n, `"duration": "1s"`, fmt.Sprintf(`"interval": %q`, interval))
			const span = 12 * time.Second
			probes := 0
			for range int(span / (100 * ms)) {
				w.advance(100 * ms)
				probes += w.answerProbes(500)
			}
			if want := int(span / interval); probes < want-1 || probes > want {
				t.Errorf("%d workers: %d probes in %v, one every %v", n, probes, span, interval)
			}
		}
	}
}

// No request is a trial before the first probe has had its time, however short the open time is; open.max_duration has the last word.
func TestFirstProbeComesFirst(t *testing.T) {
	w := probeWorkers(t, 2, `"duration": "10ms"`, `"interval": "1s", "timeout": "500ms"`)
	opened := w.Now()
	for w.Now()-opened < 1500*ms { // the probe's time
		w.advance(10 * ms)
		for i := range 2 {
			if w.call(i, 200) {
				t.Fatalf("a request is the first trial after %v", w.Now()-opened)
			}
		}
	}
	if n := len(w.HTTPCalls()); n != 1 {
		t.Errorf("%d probes are out, want 1", n)
	}
	w = probeWorkers(t, 2, `"duration": "10ms", "max_duration": "700ms"`, `"interval": "1s"`)
	w.advance(700 * ms)
	if !w.call(1, 200) {
		t.Error("open for longer than max_duration")
	}
}

// When the probe is taken out of the configuration, what probes have added to the open time does not count any more.
func TestProbeIsTakenOut(t *testing.T) {
	w := probeWorkers(t, 2, `"duration": "2s"`, `"interval": "1s"`)
	for range 100 {
		w.advance(100 * ms)
		w.answerProbes(500)
	}
	if w.call(1, 200) {
		t.Fatal("admitted while probes fail")
	}
	without := w.add("breaker", `{"min_requests": 1, "open": {"jitter": 0, "duration": "2s"}}`)
	w.advance(100 * ms)
	if !w.through(without, 1, 200) {
		t.Error("the open time is over, and nobody tries")
	}
	w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: uint64(breaker.HalfOpen)})
}

// While probes fail, a reject says how long requests wait at most: that goes down evenly, whatever the probes do.
func TestRetryAfterWhileProbing(t *testing.T) {
	w := probeWorkers(t, 2, `"duration": "2s", "max_duration": "60s"`, `"interval": "1s"`)
	opened := w.Now()
	for i := range 590 {
		w.advance(100 * ms)
		w.answerProbes(500)
		r := w.request(i % 2).Reply()
		if r == nil {
			t.Fatalf("admitted after %v", w.Now()-opened)
		}
		want := strconv.Itoa(int((60*time.Second - (w.Now() - opened) + time.Second - 1) / time.Second))
		if got := r.Headers.Get("retry-after"); got != want {
			t.Fatalf("after %v: retry-after %q, want %q", w.Now()-opened, got, want)
		}
	}
}

// Without a host of its own a probe has the cluster's name, and of Istio's the host in it.
func TestProbeHost(t *testing.T) {
	for _, c := range []struct{ cluster, host, want string }{
		{"payments", "", "payments"},
		{"outbound|80||payments.shop.svc.cluster.local", "", "payments.shop.svc.cluster.local"},
		{"outbound|443|v2|payments.shop.svc.cluster.local", "", "payments.shop.svc.cluster.local"},
		{"outbound|80||payments.shop.svc.cluster.local", "payments.example.com", "payments.example.com"},
	} {
		w := startWorkers(t, wasmhost.Options{Clusters: []string{c.cluster}, Config: fmt.Sprintf(
			`{"min_requests": 1, "probe": {"path": "/healthz", "interval": "100ms", "host": %q}}`, c.host)})
		w.end(w.send(0, wasmhost.Req{Cluster: c.cluster}).Status(500))
		w.advance(time.Second)
		calls := w.HTTPCalls()
		if len(calls) != 1 || calls[0].Cluster != c.cluster {
			t.Fatalf("%s: %d probes are out", c.cluster, len(calls))
		}
		if got := calls[0].Headers.Get(":authority"); got != c.want {
			t.Errorf("%s: a probe of %q, want %q", c.cluster, got, c.want)
		}
	}
}
