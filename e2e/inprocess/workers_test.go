// Package inprocess_test tests the compiled plugin on a host of ours, which needs no Envoy: it holds the clock, plays requests
// and counts host calls.
package inprocess_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// pluginFile is the plugin as make builds it.
const pluginFile = "../../build/plugin.wasm"

// program is the compiled plugin.
var program *wasmhost.Program

func TestMain(m *testing.M) {
	ctx := context.Background()
	var err error
	if program, err = wasmhost.Compile(ctx, pluginFile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	program.Close(ctx)
	os.Exit(code)
}

// workers are those of a host that runs the plugin.
type workers struct {
	*wasmhost.Host
	t *testing.T
}

func startWorkers(t *testing.T, o wasmhost.Options) *workers {
	t.Helper()
	return startWorkersOf(t, program, o)
}

func startWorkersOf(t *testing.T, program *wasmhost.Program, o wasmhost.Options) *workers {
	t.Helper()
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.Plugin == "" {
		o.Plugin = "breaker"
	}
	h, err := wasmhost.New(program, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &workers{h, t}
}

// request sends a request to payments through one worker.
func (w *workers) request(worker int) *wasmhost.Stream {
	w.t.Helper()
	return w.send(worker, wasmhost.Req{Cluster: "payments"})
}

func (w *workers) send(worker int, r wasmhost.Req) *wasmhost.Stream {
	w.t.Helper()
	s, err := w.VM(worker).Request(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// call sends a request that its upstream answers with a status. It reports whether it was admitted.
func (w *workers) call(worker, status int) bool {
	w.t.Helper()
	s := w.request(worker)
	if !s.Continued() {
		return false
	}
	w.end(s.Status(status))
	return true
}

func (w *workers) end(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *workers) advance(d time.Duration) {
	w.t.Helper()
	if err := w.Advance(d); err != nil {
		w.t.Fatal(err)
	}
}

// stat reads a stat of payments' breaker.
func (w *workers) stat(s breaker.Stat) uint64 {
	return w.Stat("circuit_breaker.breaker.cluster.payments." + s.String())
}

func (w *workers) wantStats(want map[breaker.Stat]uint64) {
	w.t.Helper()
	for s, value := range want {
		if got := w.stat(s); got != value {
			w.t.Errorf("%v = %d, want %d", s, got, value)
		}
	}
}

// recordKey is where the record of payments is in shared data.
const recordKey = "circuit_breaker/2\x00record\x00breaker\x00payments"

// warm lets every worker see the cluster, so that nothing is left to do for the first time.
func (w *workers) warm() {
	for i := range w.Workers() {
		for range 3 {
			w.call(i, 200)
		}
	}
}
