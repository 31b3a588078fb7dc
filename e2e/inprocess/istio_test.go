package inprocess_test

import (
	"strings"
	"testing"

	typeapi "istio.io/api/type/v1beta1"

	"envoy-circuit-breaker/e2e/internal/istio"
	"envoy-circuit-breaker/internal/wasmhost"
)

// The WasmPlugin of deploy/istio does what it says, with the configuration that Istio makes of it.
func TestIstioInProcess(t *testing.T) {
	files := istio.Read(t)
	name := istio.PluginNames(files.Plugin)[1]
	w := startWorkers(t, wasmhost.Options{Plugin: name, Config: istio.PluginConfig(t, files.Plugin)})
	for i, status := range []int{200, 200, 200, 200, 200, 200, 200, 500, 500, 500} {
		s := w.send(i%2, wasmhost.Req{Cluster: istio.Payments})
		if !s.Continued() {
			t.Fatalf("request %d was rejected", i+1)
		}
		w.end(s.Status(status))
	}
	s := w.send(0, wasmhost.Req{Cluster: istio.Payments})
	if s.Continued() {
		t.Fatal("request 11 was let through")
	}
	retryAfter := s.Reply().Headers.Get("retry-after")
	if want := `{"error": "payments are resting", "state": "open", "retry_after": ` + retryAfter + `}`; s.Reply().Body != want {
		t.Errorf("the reject: %q, want %q", s.Reply().Body, want)
	}
	mistaken := w.add(name, istio.Mistaken(t, files.Plugin))
	if s := w.send(1, wasmhost.Req{Plugin: mistaken, Cluster: istio.Payments}); s.Continued() || !strings.Contains(s.Reply().Body, "payments are resting") {
		t.Error("a mistake in it does not leave it in force")
	}
}

// The WasmPlugin for sidecars holds, and leaves what the workload itself is called for alone.
func TestIstioSidecar(t *testing.T) {
	files := istio.Read(t)
	spec := &files.Sidecar.Spec
	if len(spec.Match) != 1 || spec.Match[0].Mode != typeapi.WorkloadMode_CLIENT {
		t.Errorf("match: %v", spec.Match)
	}
	if gateway := &files.Plugin.Spec; spec.Url != gateway.Url || spec.PluginName != gateway.PluginName || spec.FailStrategy != gateway.FailStrategy {
		t.Errorf("%v is not as on the gateway", spec)
	}
	w := startWorkers(t, wasmhost.Options{Plugin: istio.PluginNames(files.Sidecar)[1], Config: istio.PluginConfig(t, files.Sidecar)})
	for i := range 20 {
		s := w.send(i%2, wasmhost.Req{Cluster: istio.Catalog})
		if !s.Continued() {
			t.Fatalf("request %d was rejected", i+1)
		}
		w.end(s.Status(500))
	}
	if w.send(1, wasmhost.Req{Cluster: istio.Catalog}).Continued() {
		t.Error("request 21 was let through")
	}
}
