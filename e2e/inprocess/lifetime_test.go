package inprocess_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// frozen stops a worker for a while: no tick of its plugins comes on the way.
func (w *workers) frozen(worker int, d time.Duration) {
	w.t.Helper()
	var err error
	slept := false
	w.SetHook(func(vm int, call, _ string) wasmhost.Status {
		if vm == worker && !slept {
			slept = true
			err = w.Advance(d)
		}
		return wasmhost.OK
	})
	w.call(worker, 200)
	w.SetHook(nil)
	if err != nil || !slept {
		w.t.Fatalf("slept: %v, %v", slept, err)
	}
}

// add starts a further plugin.
func (w *workers) add(name, config string) *wasmhost.Plugin {
	w.t.Helper()
	p, err := w.AddPlugin(name, config)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// A process that stands still for longer than a plugin may be silent goes on as if nothing had been, with all of its plugins.
func TestFrozen(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1})
	other := w.add("other", "")
	w.warm()
	for range 3 {
		w.frozen(0, 70*time.Second)
		w.advance(time.Second)
		w.frozen(0, 10*time.Minute)
		for range 20 {
			w.advance(100 * ms)
			if !w.call(0, 200) {
				t.Fatal("rejected")
			}
			s := w.send(0, wasmhost.Req{Plugin: other, Cluster: "payments"})
			if !s.Continued() {
				t.Fatal("rejected by the other")
			}
			w.end(s.OK())
		}
	}
	if n := w.Stat("circuit_breaker.other.cluster.payments.calls"); n != 60 {
		t.Errorf("%d calls counted, want 60: the other plugin was taken for removed", n)
	}
}

// A plugin that was removed is forgotten, and one that is not known is ignored.
func TestRemovedPlugin(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1})
	const id = 2 // of the next plugin's context
	other := w.add("other", "")
	ticks := func() (hostCalls int) {
		return len(w.VM(0).Trace(func() {
			if _, err := w.VM(0).Call("proxy_on_tick", id); err != nil {
				t.Fatal(err)
			}
		}))
	}
	if ticks() == 0 {
		t.Fatal("a plugin that lives does nothing at a tick")
	}
	if err := other.Remove(); err != nil {
		t.Fatal(err)
	}
	w.advance(70 * time.Second)
	if n := ticks(); n != 0 {
		t.Errorf("a removed plugin still makes %d host calls at a tick", n)
	}
	for _, call := range []struct {
		name string
		args []uint64
	}{
		{"proxy_on_tick", []uint64{99}},
		{"proxy_on_http_call_response", []uint64{99, 1, 0, 0, 0}},
		{"proxy_on_http_call_response", []uint64{id, 1, 0, 0, 0}},
	} {
		if _, err := w.VM(0).Call(call.name, call.args...); err != nil {
			t.Errorf("%s%v: %v", call.name, call.args, err)
		}
	}
	if !w.call(0, 200) {
		t.Error("rejected")
	}
}

// A vm_id of its own gives a plugin its own stats and keys: shared data is per vm_id anyway.
func TestVMID(t *testing.T) {
	for vm, name := range map[string]string{"": "breaker", "breaker": "breaker", "policy-2": "breaker@policy-2"} {
		t.Run(vm, func(t *testing.T) {
			w := startWorkers(t, wasmhost.Options{VMID: vm, Config: `{"min_requests": 5, "status": {"path": "/status"}}`})
			w.call(0, 200)
			if n := w.Stat("circuit_breaker." + name + ".cluster.payments." + breaker.Calls.String()); n != 1 {
				t.Errorf("calls: %d, want 1", n)
			}
			for _, key := range w.SharedData().Keys() {
				if !strings.Contains(key, "\x00"+name+"\x00") {
					t.Errorf("the key %q is not of %s", key, name)
				}
			}
			s := w.send(1, wasmhost.Req{Headers: wasmhost.Headers{{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/status"}, {Name: "accept", Value: "application/json"}}})
			if body := s.Reply().Body; !strings.Contains(body, `"`+name+`"`) || !strings.Contains(body, `"payments"`) {
				t.Errorf("the status page:\n%s", body)
			}
		})
	}
}

// Two plugins of one name and different vm_id on one cluster, as Envoy Gateway makes of two policies, share nothing but Envoy's stats:
// each counts its own calls, and opens by them.
func TestTwoVMIDs(t *testing.T) {
	const config = `{"min_requests": 20}`
	a := startWorkers(t, wasmhost.Options{VMID: "policy-1", Config: config})
	b := startWorkers(t, wasmhost.Options{VMID: "policy-2", Config: config, Beside: a.Host})
	for i := range 20 {
		for _, w := range []*workers{a, b} {
			if !w.call(i%2, 500) {
				t.Fatalf("rejected after %d calls of its own", i)
			}
		}
	}
	for i, w := range []*workers{a, b} {
		if w.call(0, 200) || w.call(1, 200) {
			t.Errorf("policy-%d admits after 20 failures", i+1)
		}
		if n := w.Stat(fmt.Sprintf("circuit_breaker.breaker@policy-%d.cluster.payments.calls", i+1)); n != 20 {
			t.Errorf("policy-%d: %d calls, want 20", i+1, n)
		}
	}
}
