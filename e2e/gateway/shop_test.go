//go:build gateway

package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/e2e/plane"
)

// A shop is the Gateway main of namespace shop, with its services.
type shop struct {
	*standalone
	payments, backup, catalog *plane.Upstream
	policy                    object
}

// gateway is what whoever runs the Gateway applies: proxy.yaml, with what has Envoy run on this machine.
func (g *shop) gateway() []object {
	proxy := plane.Resources(g.t, folder+"proxy.yaml")
	plane.At(proxy[1], "spec")["provider"] = object{"type": "Host", "host": object{"envoyVersion": envoyVersion}}
	plane.At(proxy[1], "spec")["concurrency"] = 2
	bootstrap := plane.At(proxy[1], "spec", "bootstrap")
	bootstrap["value"] = fmt.Sprintf("%sadmin: {address: {socket_address: {port_value: %s}}}\n", bootstrap["value"], strings.TrimPrefix(admin, "http://127.0.0.1:"))
	return append(proxy, object{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": object{"name": "main", "namespace": "shop"},
		"spec": object{
			"gatewayClassName": "envoy-gateway",
			"listeners":        []any{object{"name": "http", "protocol": "HTTP", "port": 10080}},
		},
	})
}

// routes are fallback.yaml, two more routes, and the backends.
func (g *shop) routes() []object {
	resources := plane.Resources(g.t, folder+"fallback.yaml")
	for _, rule := range plane.At(resources[1], "spec")["rules"].([]any) {
		backend := rule.(object)["backendRefs"].([]any)[0].(object)
		backend["group"], backend["kind"] = "gateway.envoyproxy.io", "Backend"
		delete(backend, "port")
	}
	for name, prefix := range map[string]string{"catalog": "/catalog", "home": "/"} {
		resources = append(resources, object{
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": object{"name": name, "namespace": "shop"},
			"spec": object{
				"parentRefs": []any{object{"name": "main", "sectionName": "http"}},
				"rules": []any{object{
					"matches":     []any{object{"path": object{"type": "PathPrefix", "value": prefix}}},
					"backendRefs": []any{object{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "catalog"}},
				}},
			},
		})
	}
	for name, u := range map[string]*plane.Upstream{"payments": g.payments, "payments-backup": g.backup, "catalog": g.catalog} {
		resources = append(resources, object{
			"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "Backend", "metadata": object{"name": name, "namespace": "shop"},
			"spec": object{"endpoints": []any{object{"ip": object{"address": "127.0.0.1", "port": u.Port()}}}},
		})
	}
	return resources
}

// config is the plugin's configuration, to be changed and applied.
func (g *shop) config() object { return plane.At(g.policy, "spec", "wasm", 0, "config") }

// awaitReject sends requests that fail until one is not let through.
func (g *shop) awaitReject(t *testing.T) (reject plane.Answer) {
	t.Helper()
	g.await("the breaker to open", func() error {
		reject = plane.Get(public + "/payments")
		if state := reject.Header.Get("x-circuit-breaker"); state != "open" {
			return fmt.Errorf("%+v", reject)
		}
		return nil
	})
	return reject
}

// wantState compares the state of payments' breaker, by its gauge.
func (g *shop) wantState(want string) error {
	if want == "closed" {
		plane.Get(public + "/payments") // the first one makes the breaker
	}
	gauge := "wasmcustom.circuit_breaker." + plugin + ".cluster." + rule + ".state: "
	number := map[string]string{"closed": "0", "open": "1", "half_open": "2"}[want]
	text := g.admin("/stats?filter=wasmcustom.circuit_breaker")
	if !strings.Contains(text, gauge+number+"\n") {
		return fmt.Errorf("no %q in\n%s", gauge+number, text)
	}
	return nil
}

// await polls until there is no error.
func (g *shop) await(what string, condition func() error) {
	g.t.Helper()
	plane.Await(g.t, what, condition, g.server)
}

// sendMeanwhile sends requests to a healthy service until the returned function is called, which tells how many. Each that is not
// answered by it is an error.
func (g *shop) sendMeanwhile(t *testing.T) (stop func() int) {
	var n int
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			default:
			}
			if a := plane.Get(public + "/catalog"); a.Status != 200 {
				t.Errorf("a request that has nothing to do with it: %+v", a)
			}
			n++
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() int { close(quit); <-ended; return n }
}

// wantMetric looks for a stat in what Prometheus scrapes, whose line has all these parts.
func (g *shop) wantMetric(t *testing.T, name string, parts ...string) {
	t.Helper()
	text := g.admin("/stats/prometheus?filter=wasmcustom.circuit_breaker")
lines:
	for line := range strings.Lines(text) {
		for _, part := range append(parts, name+"{") {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		return
	}
	t.Errorf("no %s with %q in\n%s", name, parts, text)
}

// admin asks Envoy itself.
func (g *shop) admin(path string) string {
	return plane.Get(admin + path).Body
}
