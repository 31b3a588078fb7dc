//go:build istio

// Package istio tests deploy/istio with a real istiod and a real agent. It is a module of its own, since that brings three hundred lines of
// go.sum along. With Istio's types those files are tested in e2e/envoy.
package istio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/e2e/plane"
)

// The way of deploy/istio/README.md: the image is pushed by our program and pulled by Istio's agent, and the files are applied as they are,
// but for the registry's address.
func TestIstio(t *testing.T) {
	needNamespace(t)
	begin := time.Now()
	g := &shop{whole: t, t: t}
	g.payments, g.backup, g.catalog = plane.NewUpstream(t, "payments"), plane.NewUpstream(t, "backup"), plane.NewUpstream(t, "catalog")
	g.plugin = plane.Resources(t, folder+"wasmplugin.yaml")[0]
	spec := plane.At(g.plugin, "spec")
	spec["url"] = strings.Replace(spec["url"].(string), "registry.example.com", plane.PushImage(t), 1)

	var url string
	g.kubernetes, url = newKubernetes(t)
	g.apply(t, g.services()...)
	g.apply(t, plane.Resources(t, folder+"fallback.yaml")...)
	g.apply(t, g.plugin)
	g.istiod = startIstiod(t, url)
	g.await("istiod", func() error { return plane.Get(istiodReady).Want(200, "") })
	g.gateway = startGateway(t)
	g.await("the gateway", func() error { return plane.Get(ready).Want(200, "") })
	g.await("a breaker", g.breakerOfPayments)
	t.Logf("ready after %s; istiod has %d MB, the agent %d MB", time.Since(begin).Round(100*time.Millisecond), g.istiod.Memory(t), g.gateway.Memory(t))

	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"validate", g.validate},
		{"shape", g.shape},
		{"trip, reject, recover", g.tripAndRecover},
		{"fallback", g.fallback},
		{"wrong configuration", g.wrongConfiguration},
		{"rollout with a wrong configuration", g.rollout},
		{"image that cannot be pulled", g.missingImage},
		{"configuration that is refused", g.refused},
		{"probe", g.probe},
		{"sidecar", g.sidecar},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.t = t
			test.run(t)
		})
		if t.Failed() {
			return // what follows goes on from there
		}
	}
}

// breakerOfPayments is an error until there is one.
func (g *shop) breakerOfPayments() error {
	g.getPayments() // the first one makes the breaker
	return g.wantState("closed")
}

// validate has istiod say what Kubernetes would ask it of each resource.
func (g *shop) validate(t *testing.T) {
	wrong := plane.Clone(t, g.plugin)
	delete(plane.At(wrong, "spec"), "url")
	resources := map[bool][]object{true: plane.Resources(t, folder+"fallback.yaml"), false: {wrong}}
	resources[true] = append(resources[true], plane.Resources(t, folder+"wasmplugin.yaml")...)
	for want, resources := range resources {
		for _, r := range resources {
			var review struct {
				Response struct {
					Allowed bool
					Status  struct{ Message string }
				}
			}
			body, err := json.Marshal(object{
				"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
				"request": object{"uid": "1", "operation": "CREATE", "kind": object{"kind": r["kind"]}, "object": r},
			})
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.Post(validate, "application/json", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			err = json.NewDecoder(response.Body).Decode(&review)
			response.Body.Close()
			if err != nil || review.Response.Allowed != want {
				t.Errorf("%s: allowed %t (%s, %v), want %t", r["kind"], review.Response.Allowed, review.Response.Status.Message, err, want)
			}
		}
	}
}

// shape pins what e2e/envoy/istio_test.go takes for what Istio makes of the WasmPlugin, and the plugin's place.
func (g *shop) shape(t *testing.T) {
	var dump struct {
		Configs []struct {
			Listeners []struct {
				Active struct{ Listener object } `json:"active_state"`
			} `json:"dynamic_listeners"`
			Filters []struct {
				Filter object `json:"ecds_filter"`
			} `json:"ecds_filters"`
			Clusters []struct{ Cluster object } `json:"dynamic_active_clusters"`
		} `json:"configs"`
	}
	text, err := g.request("config_dump")
	if err != nil {
		t.Fatal(err, text)
	}
	if err := json.Unmarshal([]byte(text), &dump); err != nil {
		t.Fatal(err)
	}
	var listeners, filters, clusters []object
	for _, c := range dump.Configs {
		for _, l := range c.Listeners {
			listeners = append(listeners, l.Active.Listener)
		}
		for _, f := range c.Filters {
			filters = append(filters, f.Filter)
		}
		for _, c := range c.Clusters {
			if c.Cluster["name"] == paymentsCluster {
				clusters = append(clusters, c.Cluster)
			}
		}
	}
	if len(listeners) != 1 || len(filters) != 1 || len(clusters) != 1 {
		t.Fatalf("%d listeners, %d filters, %d clusters", len(listeners), len(filters), len(clusters))
	}

	const resource = "extensions.istio.io/trafficextension/" + pluginName
	var names []string
	manager := plane.At(listeners[0], "filter_chains", 0, "filters", 0, "typed_config")
	for _, f := range manager["http_filters"].([]any) {
		names = append(names, fmt.Sprint(f.(object)["name"]))
	}
	want := []string{resource, "envoy.filters.http.grpc_stats", "envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.router"}
	if !slices.Equal(names, want) {
		t.Errorf("the filters: %q, want %q", names, want)
	}
	discovery := plane.At(manager, "http_filters", 0, "config_discovery")
	config := plane.At(filters[0], "typed_config", "config")
	vm := plane.At(config, "vm_config")
	for what, pair := range map[string][2]any{
		"resource":              {filters[0]["name"], resource},
		"name":                  {config["name"], pluginName},
		"root_id":               {config["root_id"], "circuit_breaker"},
		"failure_policy":        {config["failure_policy"], "FAIL_OPEN"},
		"configuration":         {plane.At(config, "configuration")["@type"], "type.googleapis.com/google.protobuf.StringValue"},
		"vm_id":                 {vm["vm_id"], nil},
		"runtime":               {vm["runtime"], "envoy.wasm.runtime.v8"},
		"type_urls":             {fmt.Sprint(discovery["type_urls"]), fmt.Sprint([]any{wasmType, rbacType})},
		"initial_fetch_timeout": {plane.At(discovery, "config_source")["initial_fetch_timeout"], "0s"},
		"alt_stat_name":         {clusters[0]["alt_stat_name"], paymentsCluster + ";"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

const (
	wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
	rbacType = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
)

func (g *shop) tripAndRecover(t *testing.T) {
	g.payments.Status.Store(500)
	reject := g.awaitReject()
	want := fmt.Sprintf(`{"error": "payments are resting", "state": "open", "retry_after": %s}`, reject.Header.Get("retry-after"))
	if reject.Status != 503 || reject.Body != want || reject.Header.Get("content-type") != "application/json" {
		t.Errorf("the reject: %+v, want %s", reject, want)
	}
	if err := g.wantMetric("circuit_breaker_opened", "1", `plugin="`+pluginLabel+`"`, `cluster="`+paymentsCluster+`"`); err != nil {
		t.Error(err)
	}
	if a := g.getCatalog(); a.Want(200, "catalog") != nil {
		t.Errorf("another service: %+v", a)
	}

	g.payments.Status.Store(200)
	g.await("recovery", g.breakerOfPayments)
	g.await("the ramp's beginning", func() error { return g.getPayments().Want(200, "payments") })
}

// fallback makes the open time long, opens the breaker and then applies what fallback.yaml says, while requests go on.
func (g *shop) fallback(t *testing.T) {
	if a := g.getPayments("x-circuit-breaker-fallback", "true"); a.Body == "backup" {
		t.Errorf("a client chose the fallback itself: %+v", a)
	}
	g.config()["open"] = object{"duration": "10m", "max_duration": "10m"}
	g.override()["ramp"] = "0s"
	g.apply(t, g.plugin)
	g.payments.Status.Store(500)
	g.await("the change", func() error {
		if a := g.awaitReject(); len(a.Header.Get("retry-after")) < 3 {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})

	sent := g.sendMeanwhile()
	begin, before := time.Now(), g.payments.Requests.Load()
	var addition object
	plane.Snippet(t, folder+"fallback.yaml", 0, &addition)
	g.override()["fallback"] = addition["fallback"]
	g.apply(t, g.plugin)
	g.await("the fallback", func() error { return g.getPayments().Want(200, "backup") })
	took := time.Since(begin).Round(10 * time.Millisecond)
	if n := g.payments.Requests.Load() - before; n != 0 {
		t.Errorf("the change let %d requests through an open breaker", n)
	}
	t.Logf("in force after %s; %d requests meanwhile", took, sent())
}

// wrongConfiguration makes a mistake. The good configuration stays in force; a change of the listener goes through all the same, with
// nothing lost.
func (g *shop) wrongConfiguration(t *testing.T) {
	sent := g.sendMeanwhile()
	g.config()["failure_rates"] = 25
	g.apply(t, g.plugin)
	g.await("the gauge", func() error { return g.wantMetric("circuit_breaker_config_invalid", "1", `plugin="`+pluginLabel+`"`) })
	if !strings.Contains(g.gateway.Log.String(), "configuration refused, and the last good one stays in force: failure_rates") {
		t.Error("the log does not tell of the mistake")
	}
	if a := g.getPayments(); a.Want(200, "backup") != nil {
		t.Errorf("the breaker has forgotten what it was: %+v", a)
	}

	g.changeListener("1")
	g.await("the listener's change", func() error { return g.getCatalog().Want(200, "catalog 1") })
	if a := g.getPayments(); a.Want(200, "backup 1") != nil {
		t.Errorf("the breaker has forgotten what it was: %+v", a)
	}
	t.Logf("%d requests meanwhile", sent())
}

// changeListener has the gateway add a header to requests.
func (g *shop) changeListener(proof string) {
	g.t.Helper()
	filter := plane.Resources(g.t, folder+"fallback.yaml")[0]
	mutation := plane.At(filter, "spec", "configPatches", 0, "patch", "value", "typed_config", "early_header_mutation_extensions", 0, "typed_config")
	mutation["mutations"] = append(mutation["mutations"].([]any), object{"append": object{"header": object{"key": "x-proof", "value": proof}}})
	g.apply(g.t, filter)
}

// rollout replaces the gateway by one that starts with the wrong configuration: it serves, without breakers, until that is put right.
func (g *shop) rollout(t *testing.T) {
	g.gateway.Stop()
	g.gateway = startGateway(g.whole)
	g.await("the new gateway", func() error { return plane.Get(ready).Want(200, "") })
	g.await("its routes", func() error { return g.getCatalog().Want(200, "catalog 1") })
	for range 30 {
		if a := g.getPayments(); a.Want(500, "payments 1") != nil {
			t.Fatalf("the payments' own error: %+v", a)
		}
	}
	delete(g.config(), "failure_rates")
	g.apply(t, g.plugin)
	g.await("the fallback", func() error { return g.getPayments().Want(200, "backup 1") })
	if err := g.wantMetric("circuit_breaker_config_invalid", "0", `plugin="`+pluginLabel+`"`); err != nil {
		t.Error(err)
	}
}

// missingImage edits url: with FAIL_OPEN running gateways lose their breakers, and with FAIL_CLOSE nothing passes.
func (g *shop) missingImage(t *testing.T) {
	spec := plane.At(g.plugin, "spec")
	url := spec["url"].(string)
	spec["url"] = strings.Replace(url, ":1.0.0", ":no-such-version", 1)
	g.apply(t, g.plugin)
	g.await("the plugin to be gone", func() error { return g.getPayments().Want(500, "payments 1") })

	spec["failStrategy"] = "FAIL_CLOSE"
	g.apply(t, g.plugin)
	g.await("all to be refused", func() error { return g.getCatalog().Want(403, "") })

	spec["failStrategy"], spec["url"] = "FAIL_OPEN", url
	g.apply(t, g.plugin)
	g.await("the breaker", func() error { return g.getPayments().Want(200, "backup 1") })
}

// refused shows what invalid_config: keep is for. Without it a change of the listener does not go through, and a gateway that starts
// says that it is ready, and answers 500.
func (g *shop) refused(t *testing.T) {
	config := g.config()
	delete(config, "invalid_config")
	config["failure_rates"] = 25
	g.apply(t, g.plugin)
	g.await("the gateway's log", func() error { return g.gateway.Logged("configuration refused: failure_rates") })
	g.changeListener("2")
	g.await("the listener to be refused", func() error { return g.istiod.Logged("LDS: ACK ERROR") })
	if a := g.getCatalog(); a.Want(200, "catalog 1") != nil {
		t.Errorf("the listener is not what it was: %+v", a)
	}

	g.gateway.Stop()
	g.gateway = startGateway(g.whole)
	g.await("the new gateway", func() error { return plane.Get(ready).Want(200, "") })
	g.await("its answers", func() error { return g.getCatalog().Want(500, "") })

	delete(config, "failure_rates")
	config["invalid_config"] = "keep"
	g.apply(t, g.plugin)
	g.await("the correction", func() error { return g.getPayments().Want(200, "backup 2") })
}

// probe closes the breaker by calls of the plugin's own. A server of Go's answers 400 to a host with a |.
func (g *shop) probe(t *testing.T) {
	g.payments.Status.Store(200)
	g.override()["probe"] = object{"path": "/healthz", "on_success": "close"}
	g.apply(t, g.plugin)
	g.await("a probe to close the breaker", func() error { return g.getPayments().Want(200, "payments 2") })
	if host := g.payments.ProbedAs.Load(); host != "payments.shop.svc.cluster.local" {
		t.Errorf("probed as %v", host)
	}
}

// sidecar runs sidecar.yaml: calls of the workload have a breaker.
func (g *shop) sidecar(t *testing.T) {
	g.gateway.Stop()
	plugin := plane.Resources(t, folder+"sidecar.yaml")[0]
	plane.At(plugin, "spec")["url"] = plane.At(g.plugin, "spec")["url"]
	g.apply(t, plugin)
	g.gateway = startSidecar(g.whole)
	g.await("the sidecar", func() error { return plane.Get(ready).Want(200, "") })
	call := func() plane.Answer { return plane.Get(public, "host", "catalog.shop.svc.cluster.local") }
	g.await("its routes", func() error { return call().Want(200, "catalog") })
	g.catalog.Status.Store(500)
	var reject plane.Answer
	g.await("the breaker to open", func() error {
		if reject = call(); reject.Header.Get("x-circuit-breaker") != "open" {
			return fmt.Errorf("%+v", reject)
		}
		return nil
	})
	if want := `"service": "outbound|80||catalog.shop.svc.cluster.local"`; reject.Status != 503 || !strings.Contains(reject.Body, want) {
		t.Errorf("the reject: %+v", reject)
	}
	if err := g.wantMetric("circuit_breaker_opened", "1", `plugin="shop.circuit-breaker"`); err != nil {
		t.Error(err)
	}
}
