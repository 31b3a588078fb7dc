package inprocess_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// buildWithMeter compiles the plugin with the export that tells how many bytes it has allocated.
func buildWithMeter(t *testing.T) *wasmhost.Program {
	t.Helper()
	wasm := filepath.Join(t.TempDir(), "plugin-allocs.wasm")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-buildmode=c-shared", "-tags=allocs", "-o", wasm, "../../filter")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	metered, err := wasmhost.Compile(context.Background(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { metered.Close(context.Background()) })
	return metered
}

// meter reads one of the exports that only the build for these tests has.
func (w *workers) meter(worker int, export string) float64 {
	w.t.Helper()
	bytes, err := w.VM(worker).Call(export)
	if err != nil {
		w.t.Fatal(err)
	}
	return float64(bytes)
}

// garbage is how many bytes worker 0 allocates for each of n requests.
func (w *workers) garbage(n int, request func()) float64 {
	w.t.Helper()
	before := w.meter(0, "allocated")
	for range n {
		request()
	}
	return (w.meter(0, "allocated") - before) / float64(n)
}

// Once a worker is warm, a request leaves no garbage, unless it or its rejection is about a trial, which there are few of.
func TestGarbage(t *testing.T) {
	metered := buildWithMeter(t)
	start := func(t *testing.T, config string) *workers {
		w := startWorkersOf(t, metered, wasmhost.Options{Config: config})
		w.warm()
		return w
	}
	// check measures after some requests of the kind that is measured.
	check := func(w *workers, limit float64, request func()) {
		w.t.Helper()
		for range 100 {
			request()
		}
		got := w.garbage(1000, request)
		w.t.Logf("%.2f bytes a request", got)
		if got > limit {
			w.t.Errorf("%.2f bytes of garbage a request, want at most %v", got, limit)
		}
	}
	call := func(w *workers, status int, admitted bool) {
		w.t.Helper()
		if w.call(0, status) != admitted {
			w.t.Fatalf("admitted is not %v", admitted)
		}
	}

	t.Run("healthy", func(t *testing.T) {
		w := start(t, "")
		check(w, 0, func() { call(w, 200, true) })
	})
	t.Run("calm", func(t *testing.T) {
		w := start(t, `{"slow_call": {"duration": "1s"}}`)
		w.untilCalm()
		check(w, 0, func() { call(w, 200, true) })
	})
	t.Run("healthy, everything on", func(t *testing.T) {
		w := start(t, `{"slow_call": {"duration": "1s"}, "consecutive_failures": 100,
			"clusters": [{"match": "x*", "failure_rate": 1}, {"match": "pay*", "failure_rate": 60}]}`)
		check(w, 0, func() { call(w, 200, true) })
	})
	t.Run("healthy, each the first in a bucket", func(t *testing.T) {
		w := startWorkersOf(t, metered, wasmhost.Options{})
		w.each(0, 1100)
		w.advance(1300 * time.Millisecond) // more than a bucket, and longer than a view is trusted
		i := 0
		check(w, 0, func() { w.end(w.send(0, wasmhost.Req{Cluster: many(i)}).Status(200)); i++ })
	})
	t.Run("half of all fail", func(t *testing.T) {
		w := start(t, `{"failure_rate": 60}`)
		i := 0
		check(w, 0, func() { call(w, 200+300*(i%2), true); i++ })
	})
	open := func(t *testing.T, config string) *workers {
		w := start(t, config)
		for w.call(0, 500) {
		}
		return w
	}
	t.Run("open", func(t *testing.T) {
		w := open(t, `{"open": {"jitter": 0}}`)
		check(w, 0, func() { call(w, 200, false) })
	})
	t.Run("half-open, trials", func(t *testing.T) {
		w := open(t, `{"open": {"jitter": 0}, "half_open": {"success_threshold": 1000}}`)
		w.advance(5 * time.Second)
		check(w, 64, func() { call(w, 200, true) })
	})
	t.Run("half-open, rejected", func(t *testing.T) {
		w := open(t, `{"open": {"jitter": 0}}`)
		w.advance(5 * time.Second)
		for range 3 {
			w.request(1)
		}
		check(w, 0, func() { call(w, 200, false) })
	})
}

// many is the name of one cluster of many.
func many(n int) string { return fmt.Sprintf("cluster-%d", n) }

// each sends a request to each of n clusters through one worker.
func (w *workers) each(worker, n int) {
	w.t.Helper()
	for i := range n {
		w.end(w.send(worker, wasmhost.Req{Cluster: many(i)}).Status(200))
	}
}

// What a cluster takes of each worker's memory. Requests to it, which leave nothing, do not add to that.
func TestMemoryOfClusters(t *testing.T) {
	const (
		clusters   = 1000
		mostInUse  = 760 // bytes a cluster
		mostLinear = 2000
	)
	w := startWorkersOf(t, buildWithMeter(t), wasmhost.Options{})
	for i := range w.Workers() {
		w.each(i, 1)
		inUse, linear := w.meter(i, "in_use"), w.VM(i).MemorySize()
		for range 10 {
			w.each(i, clusters)
			w.advance(1100 * time.Millisecond)
		}
		grown := float64(w.VM(i).MemorySize()-linear) / clusters
		used := (w.meter(i, "in_use") - inUse) / clusters
		t.Logf("worker %d: %.0f bytes in use for each cluster, %.0f of linear memory", i, used, grown)
		if used > mostInUse || grown > mostLinear && i > 0 { // the first worker announces them for all
			t.Errorf("worker %d: want at most %d and %d", i, mostInUse, mostLinear)
		}
	}
}
