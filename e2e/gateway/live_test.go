//go:build gateway

package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/e2e/plane"
)

const (
	plugin = "/shop/circuit-breaker/wasm/0"   // on Kubernetes envoyextensionpolicy/shop/…: what comes from files has no kind
	rule   = "httproute/shop/payments/rule/1" // rule 0 is the fallback's
)

// The way of deploy/envoy-gateway/README.md, with a real Envoy Gateway: the image is pushed by our program and pulled by theirs, and the
// files are applied as they are, but for Services, which are Backends where there is no Kubernetes.
func TestEnvoyGateway(t *testing.T) {
	start := time.Now()
	s := newStandalone(t)
	g := &shop{standalone: s}
	g.payments, g.backup, g.catalog = plane.NewUpstream(t, "payments"), plane.NewUpstream(t, "backup"), plane.NewUpstream(t, "catalog")
	g.policy = plane.Resources(t, folder+"policy.yaml")[0]
	image := plane.At(g.policy, "spec", "wasm", 0, "code", "image")
	image["url"] = strings.Replace(image["url"].(string), "registry.example.com", plane.PushImage(t), 1)
	s.apply(s.own()...)
	s.apply(g.gateway()...)
	s.apply(g.routes()...)
	s.apply(g.policy)
	s.start()
	g.await("a breaker", func() error { return g.wantState("closed") })
	t.Logf("ready after %s", time.Since(start).Round(100*time.Millisecond))

	t.Run("shape", g.shape)
	t.Run("trip, reject, recover", g.tripAndRecover)
	t.Run("live change", g.liveChange)
	t.Run("fallback", g.fallback)
	t.Run("status page", g.statusPage)
	t.Run("wrong configuration", g.wrongConfiguration)
	t.Run("start with a wrong configuration", g.startWrong)
	t.Run("start with a configuration that is refused", g.startRefused)
}

// shape pins what e2e/envoy/gateway_test.go takes for what Envoy Gateway makes of the policy, and the plugin's place.
func (g *shop) shape(t *testing.T) {
	filters := g.httpFilters(t)
	ours := filters[len(filters)-2]
	config := plane.At(ours, "typed_config", "config")
	vm := plane.At(config, "vm_config")
	for what, pair := range map[string][2]any{
		"the filter":    {ours["name"], "envoy.filters.http.wasm/" + plugin},
		"disabled":      {ours["disabled"], true},
		"name":          {config["name"], plugin},
		"root_id":       {config["root_id"], nil},
		"fail_open":     {config["fail_open"], true},
		"configuration": {plane.At(config, "configuration")["@type"], "type.googleapis.com/google.protobuf.StringValue"},
		"vm_id":         {vm["vm_id"], plugin},
		"cluster":       {plane.At(vm, "code", "remote", "http_uri")["cluster"], "wasm_cluster"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

// httpFilters returns the filters of the public listener, the router last.
func (g *shop) httpFilters(t *testing.T) (filters []object) {
	t.Helper()
	var dump struct {
		Configs []struct {
			Listeners []struct {
				Name   string                    `json:"name"`
				Active struct{ Listener object } `json:"active_state"`
			} `json:"dynamic_listeners"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(g.admin("/config_dump")), &dump); err != nil {
		t.Fatal(err)
	}
	for _, c := range dump.Configs {
		for _, l := range c.Listeners {
			if l.Name == "shop/main/http" {
				manager := plane.At(l.Active.Listener, "default_filter_chain", "filters", 0, "typed_config")
				for _, f := range manager["http_filters"].([]any) {
					filters = append(filters, f.(object))
				}
			}
		}
	}
	if len(filters) < 2 || filters[len(filters)-1]["name"] != "envoy.filters.http.router" {
		t.Fatalf("the filters: %v", filters)
	}
	return filters
}

func (g *shop) tripAndRecover(t *testing.T) {
	g.payments.Status.Store(500)
	reject := g.awaitReject(t)
	want := fmt.Sprintf(`{"error": "payments are resting", "state": "open", "retry_after": %s}`, reject.Header.Get("retry-after"))
	if reject.Status != 503 || reject.Body != want || reject.Header.Get("content-type") != "application/json" {
		t.Errorf("the reject: %+v, want %s", reject, want)
	}
	g.wantMetric(t, "circuit_breaker_rejected", fmt.Sprintf("plugin=%q", plugin), fmt.Sprintf("cluster=%q", rule))
	if a := plane.Get(public + "/catalog"); a.Status != 200 {
		t.Errorf("another route: %+v", a)
	}

	g.payments.Status.Store(200)
	g.await("recovery", func() error {
		plane.Get(public + "/payments")
		return g.wantState("closed")
	})
	g.await("the end of the ramp's beginning", func() error { return plane.Get(public+"/payments").Want(200, "payments") })
}

// liveChange switches the status page on and makes the open time long, while requests go on.
func (g *shop) liveChange(t *testing.T) {
	g.apply(plane.Resources(t, folder+"status.yaml")...)
	gateway := plane.Clone(t, g.resources["Gateway shop/main"])
	var listeners []any
	plane.Snippet(t, folder+"status.yaml", 1, &listeners)
	plane.At(gateway, "spec")["listeners"] = append(plane.At(gateway, "spec")["listeners"].([]any), listeners...)
	g.apply(gateway)
	g.await("the page's listener", func() error { return plane.Get(status+"/").Want(404, "") })

	sent := g.sendMeanwhile(t)
	start := time.Now()
	config := g.config()
	plane.Snippet(t, folder+"status.yaml", 0, &config) // adds a key
	config["open"] = object{"duration": "10m", "max_duration": "10m"}
	g.apply(g.policy)
	g.await("the page", func() error { return plane.Get(status+"/circuit-breakers").Want(200, "") })
	t.Logf("in force after %s; %d requests meanwhile", time.Since(start).Round(100*time.Millisecond), sent())

	// What the rules guard comes before the plugin now.
	filters := g.httpFilters(t)
	if name := filters[len(filters)-2]["name"]; name != "envoy.filters.http.wasm/"+plugin {
		t.Errorf("the last filter before the router is %s", name)
	}
	if !strings.Contains(fmt.Sprint(filters[:len(filters)-2]), "envoy.filters.http.rbac") {
		t.Errorf("rbac does not come before the plugin: %v", filters)
	}
}

// fallback applies what fallback.yaml says, with the breaker open.
func (g *shop) fallback(t *testing.T) {
	g.await("the end of the ramp", func() error {
		return plane.Get(public+"/payments", "x-circuit-breaker-fallback", "true").Want(200, "payments")
	})
	if n := g.backup.Requests.Load(); n != 0 {
		t.Errorf("%d clients chose the fallback themselves", n)
	}
	g.payments.Status.Store(500)
	g.awaitReject(t)

	sent := g.sendMeanwhile(t)
	config := g.config()
	var overrides []any
	plane.Snippet(t, folder+"fallback.yaml", 0, &overrides)
	config["clusters"] = append(overrides, config["clusters"].([]any)...)
	before := g.payments.Requests.Load()
	g.apply(g.policy)
	g.await("the fallback", func() error { return plane.Get(public+"/payments").Want(200, "backup") })
	if n := g.payments.Requests.Load() - before; n != 0 {
		t.Errorf("the change let %d requests through an open breaker", n)
	}
	t.Logf("%d requests meanwhile", sent())
}

// The page is for those on the machine, with a query or without, whichever route leads to it.
func (g *shop) statusPage(t *testing.T) {
	var page struct {
		Plugin   string
		Clusters []struct{ Cluster, State string }
	}
	a := plane.Get(status+"/circuit-breakers?limit=50", "accept", "application/json")
	if err := json.Unmarshal([]byte(a.Body), &page); err != nil || page.Plugin != plugin {
		t.Fatalf("%+v %v", a, err)
	}
	if text := fmt.Sprint(page.Clusters); !strings.Contains(text, "{"+rule+" open}") || !strings.Contains(text, "{httproute/shop/catalog/rule/0 closed}") {
		t.Errorf("the page: %s", text)
	}
	for _, address := range []string{status, public} {
		for _, path := range []string{"/circuit-breakers", "/circuit-breakers?limit=50", "/./circuit-breakers"} {
			if a := plane.GetFrom("127.0.0.2", address+path); a.Status != 403 {
				t.Errorf("%s%s from elsewhere: %+v", address, path, a)
			}
		}
	}
	if a := plane.GetFrom("127.0.0.2", public+"/"); a.Status != 200 {
		t.Errorf("what is not the page, from elsewhere: %+v", a)
	}

	// A route is exempted by a policy that is nearer, and has no plugin.
	if a := plane.Get(public + "/circuit-breakers"); a.Status != 200 || a.Body == "catalog" {
		t.Errorf("the page, by a public route, from this machine: %+v", a)
	}
	g.apply(object{
		"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyExtensionPolicy", "metadata": object{"name": "exempt", "namespace": "shop"},
		"spec": object{"targetRefs": []any{object{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "home"}}},
	})
	g.await("the exemption", func() error { return plane.Get(public+"/circuit-breakers").Want(200, "catalog") })
}

// wrongConfiguration makes a mistake. The good configuration stays in force; a change of the listener goes through all the same,
// with nothing lost; and when the mistake is put right that is in force.
func (g *shop) wrongConfiguration(t *testing.T) {
	sent := g.sendMeanwhile(t)
	config := g.config()
	config["failure_rates"] = 25
	g.apply(g.policy)
	g.await("the log", func() error {
		if text := g.server.Log.String(); !strings.Contains(text, "configuration refused, and the last good one stays in force") ||
			!strings.Contains(text, "failure_rates") {
			return errors.New("it does not tell of the mistake")
		}
		return nil
	})
	g.wantMetric(t, "circuit_breaker_config_invalid", fmt.Sprintf("plugin=%q", plugin), "} 1")
	if a := plane.Get(public + "/payments"); a.Want(200, "backup") != nil {
		t.Errorf("the breaker has forgotten what it was: %+v", a)
	}

	headers := plane.Clone(t, g.resources["ClientTrafficPolicy shop/circuit-breaker-fallback-header"])
	plane.At(headers, "spec", "headers", "earlyRequestHeaders")["set"] = []any{object{"name": "x-proof", "value": "1"}}
	g.apply(headers)
	g.await("the listener's change", func() error { return plane.Get(public+"/catalog").Want(200, "catalog 1") })
	if a := plane.Get(public + "/payments"); a.Want(200, "backup 1") != nil {
		t.Errorf("the breaker has forgotten what it was: %+v", a)
	}

	delete(config, "failure_rates")
	config["clusters"] = config["clusters"].([]any)[1:] // without the fallback
	g.apply(g.policy)
	g.await("the correction", func() error { return plane.Get(public+"/payments").Want(503, "") })
	t.Logf("%d requests meanwhile", sent())
}

// startWrong starts a proxy with a mistake: all passes until it is put right. Backends are merged here, so each has one breaker.
func (g *shop) startWrong(t *testing.T) {
	const backend = "backend/shop/payments/0/http"
	g.server.Stop()
	g.payments.Status.Store(500)
	proxy := plane.Clone(t, g.resources["EnvoyProxy envoy-gateway-system/circuit-breaker"])
	plane.At(proxy, "spec")["mergeBackends"] = object{}
	config := g.config()
	config["failure_rates"] = 25
	config["clusters"] = []any{object{"match": backend, "min_requests": 10}}
	g.apply(proxy, g.policy)
	g.start()
	g.await("a proxy", func() error { return plane.Get(public+"/payments").Want(500, "payments 1") })
	for range 30 {
		if err := plane.Get(public+"/payments").Want(500, "payments 1"); err != nil {
			t.Errorf("without any configuration that holds: %v", err)
		}
	}

	delete(config, "failure_rates")
	g.apply(g.policy)
	g.awaitReject(t)
	g.wantMetric(t, "circuit_breaker_rejected", fmt.Sprintf("cluster=%q", backend))
}

// startRefused shows what invalid_config: keep is for. Without it all passes with failOpen, and nothing without, until that is put right.
func (g *shop) startRefused(t *testing.T) {
	config, wasm := g.config(), plane.At(g.policy, "spec", "wasm", 0)
	delete(config, "invalid_config")
	config["failure_rates"] = 25
	for _, want := range []struct {
		failOpen bool
		status   int
		body     string
	}{{true, 500, "payments 1"}, {false, 503, ""}} {
		g.server.Stop()
		wasm["failOpen"] = want.failOpen
		g.apply(g.policy)
		g.start()
		g.await("the log", func() error { return g.server.Logged("configuration refused: failure_rates") })
		answer := func() error { return plane.Get(public+"/payments").Want(want.status, want.body) }
		g.await("a proxy", answer)
		for range 30 {
			if err := answer(); err != nil {
				t.Errorf("failOpen %t: %v", want.failOpen, err)
			}
		}
	}

	delete(config, "failure_rates")
	g.apply(g.policy)
	g.awaitReject(t)
}
