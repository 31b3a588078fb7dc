package inprocess_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// costs are the limits of what one request may ask of the host.
type costs struct{ calls, buffers, sharedData uint64 }

// measure counts the host calls that each of n requests makes, and checks them against the limits.
func (w *workers) measure(name string, n int, limit costs, request func()) {
	w.t.Helper()
	before := w.Counts()
	for range n {
		request()
	}
	d := w.Counts().Sub(before)
	got := costs{d.Total(), d.TotalBuffers(), d.Calls["proxy_get_shared_data"] + d.Calls["proxy_set_shared_data"]}
	per := func(total uint64) float64 { return float64(total) / float64(n) }
	w.t.Logf("%s: %.2f host calls, %.2f with a buffer, %.2f on shared data, %v", name, per(got.calls), per(got.buffers), per(got.sharedData), d.Callbacks)
	// Now and then Go's own runtime looks at the clock.
	if got.calls > limit.calls*uint64(n)+uint64(n)/100 || got.buffers > limit.buffers*uint64(n) || got.sharedData > limit.sharedData*uint64(n) {
		w.t.Errorf("%s: more than %+v per request:\n%v", name, limit, d)
	}
}

// What a request asks of the host is what it costs. A healthy one does not touch shared data between two bucket ends.
func TestHostCalls(t *testing.T) {
	t.Run("healthy", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{})
		w.warm()
		w.measure("healthy", 1000, costs{8, 3, 0}, func() { w.call(0, 200) })
	})
	t.Run("calm", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{})
		w.warm()
		buffers := func() (atRequest uint64) {
			before := w.Counts()
			s := w.request(0)
			atRequest = w.Counts().Sub(before).TotalBuffers()
			w.end(s.Status(200))
			return atRequest
		}
		if n := buffers(); n != 1 {
			t.Errorf("%d buffers at the request's headers before it is calm, want the cluster's name", n)
		}
		w.untilCalm()
		if n := buffers(); n != 0 {
			t.Errorf("%d buffers at the request's headers, want none", n)
		}
		w.measure("calm", 1000, costs{8, 3, 0}, func() { w.call(0, 200) })
	})
	t.Run("healthy, with a body", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{})
		w.warm()
		w.measure("healthy, with a body", 1000, costs{9, 3, 0}, func() {
			w.end(w.send(0, wasmhost.Req{Cluster: "payments", Body: true}).OK())
		})
	})
	t.Run("healthy, everything on", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"slow_call": {"duration": "1s"}, "consecutive_failures": 100,
			"clusters": [{"match": "x*", "failure_rate": 1}, {"match": "pay*", "failure_rate": 60}]}`})
		w.warm()
		w.measure("healthy, everything on", 1000, costs{11, 3, 0}, func() { w.call(0, 200) })
	})
	t.Run("healthy, each the first in a bucket", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{})
		w.each(0, 1000)
		w.advance(1300 * time.Millisecond) // more than a bucket, and longer than a view is trusted
		i := 0
		w.measure("each the first in a bucket", 1000, costs{17, 4, 2}, func() {
			w.end(w.send(0, wasmhost.Req{Cluster: many(i)}).Status(200))
			i++
		})
	})
	t.Run("failing", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"failure_rate": 60}`})
		w.warm()
		i := 0
		w.measure("half of all fail", 1000, costs{12, 3, 0}, func() { w.call(0, 200+300*(i%2)); i++ })
		w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: uint64(breaker.Closed), breaker.Failures: 500})
	})
	t.Run("open", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"open": {"jitter": 0}}`})
		w.warm()
		for w.call(0, 500) {
		}
		w.measure("open", 1000, costs{6, 1, 0}, func() {
			if w.call(0, 200) {
				t.Fatal("admitted")
			}
		})
	})
	t.Run("half-open", func(t *testing.T) {
		w := startWorkers(t, wasmhost.Options{Config: `{"half_open": {"success_threshold": 1000}}`})
		w.warm()
		for w.call(0, 500) {
		}
		w.advance(5 * time.Second)
		w.call(0, 200)
		w.measure("half-open, one after the other", 500, costs{20, 5, 4}, func() {
			if !w.call(0, 200) {
				t.Fatal("not admitted")
			}
		})
		w.wantStats(map[breaker.Stat]uint64{breaker.StateGauge: uint64(breaker.HalfOpen)})
		for range 3 {
			w.request(1)
		}
		w.measure("half-open, rejected", 5000, costs{9, 2, 1}, func() {
			if w.call(0, 200) {
				t.Fatal("admitted")
			}
		})
	})
}

// A worker touches shared data about once per bucket and cluster, however many requests it has.
func TestSharedDataPerBucket(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{})
	w.untilCalm()
	before := w.Counts()
	const buckets = 20
	for range buckets * 10 {
		w.advance(100 * time.Millisecond)
		for i := range 2 * 25 {
			w.call(i%2, 200)
		}
	}
	d := w.Counts().Sub(before)
	ticks := d.Callbacks["proxy_on_tick"] // each of which looks at the list of breakers that may be open
	perBucket := float64(d.Calls["proxy_get_shared_data"]+d.Calls["proxy_set_shared_data"]-ticks) / (buckets * 2)
	t.Logf("%.2f calls on shared data per bucket and worker, of 250 requests", perBucket)
	if perBucket > 2 {
		t.Errorf("%.2f calls on shared data per bucket and worker, want at most 2:\n%v", perBucket, d)
	}
}
