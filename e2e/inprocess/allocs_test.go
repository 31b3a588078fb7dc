package inprocess_test

import (
	"context"
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

// garbage is how many bytes worker 0 allocates for each of n requests.
func (w *workers) garbage(n int, request func()) float64 {
	w.t.Helper()
	allocated := func() uint64 {
		total, err := w.VM(0).Call("allocated")
		if err != nil {
			w.t.Fatal(err)
		}
		return total
	}
	before := allocated()
	for range n {
		request()
	}
	return float64(allocated()-before) / float64(n)
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
	t.Run("healthy, everything on", func(t *testing.T) {
		w := start(t, `{"slow_call": {"duration": "1s"}, "consecutive_failures": 100,
			"clusters": [{"match": "x*", "failure_rate": 1}, {"match": "pay*", "failure_rate": 60}]}`)
		check(w, 0, func() { call(w, 200, true) })
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
		check(w, 2048, func() { call(w, 200, true) })
	})
	t.Run("half-open, rejected", func(t *testing.T) {
		w := open(t, `{"open": {"jitter": 0}}`)
		w.advance(5 * time.Second)
		for range 3 {
			w.request(1)
		}
		check(w, 256, func() { call(w, 200, false) })
	})
}
