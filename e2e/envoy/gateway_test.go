package envoy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// gatewayFolder has what is to be applied where Envoy Gateway runs. e2e/gateway decodes it strictly, and runs it under a real
// Envoy Gateway on request; here is what that makes of it.
const gatewayFolder = "../../deploy/envoy-gateway/"

// gatewayDocuments returns the resources of a file.
func gatewayDocuments[T any](t *testing.T, file string) (all []T) {
	t.Helper()
	text, err := os.ReadFile(gatewayFolder + file)
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var one T
		if err := yaml.Unmarshal([]byte(document), &one); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, one)
	}
	return all
}

// A gatewayPlugin is one entry of an EnvoyExtensionPolicy's spec.wasm.
type gatewayPlugin struct {
	Name     string          `json:"name"`
	FailOpen bool            `json:"failOpen"`
	Config   json.RawMessage `json:"config"`
	vmID     string          // envoyextensionpolicy/NAMESPACE/POLICY/wasm/N
}

func readGatewayPlugin(t *testing.T) gatewayPlugin {
	t.Helper()
	type policy struct {
		Metadata struct{ Name, Namespace string }
		Spec     struct{ Wasm []gatewayPlugin }
	}
	p := gatewayDocuments[policy](t, "policy.yaml")[0]
	if len(p.Spec.Wasm) != 1 {
		t.Fatalf("policy.yaml: %+v", p)
	}
	plugin := p.Spec.Wasm[0]
	plugin.vmID = fmt.Sprintf("envoyextensionpolicy/%s/%s/wasm/0", p.Metadata.Namespace, p.Metadata.Name)
	return plugin
}

// pluginName is the plugin's name in Envoy: Envoy Gateway's, unless the policy gives one.
func (p gatewayPlugin) pluginName() string {
	if p.Name != "" {
		return p.Name
	}
	return p.vmID
}

// filter is what Envoy Gateway makes of the entry: each has a vm_id of its own, fetches the code from the control plane, and is off
// but on the routes that have the policy.
func (p gatewayPlugin) filter(t *testing.T, codeURL, sha256 string) string {
	t.Helper()
	return "- " + toJSON(t, object{
		"name":     p.filterName(),
		"disabled": true,
		"typed_config": object{"@type": wasmType, "config": object{
			"name":          p.pluginName(),
			"fail_open":     p.FailOpen,
			"configuration": object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": string(p.Config)},
			"vm_config": object{
				"vm_id":   p.vmID,
				"runtime": "envoy.wasm.runtime.v8",
				"code": object{"remote": object{
					"http_uri":     object{"uri": codeURL, "cluster": wasmCluster, "timeout": "10s"},
					"sha256":       sha256,
					"retry_policy": object{"num_retries": 10, "retry_back_off": object{"base_interval": "1s", "max_interval": "30s"}},
				}},
			},
		}},
	})
}

func (p gatewayPlugin) filterName() string { return "envoy.filters.http.wasm/" + p.vmID }

const wasmCluster = "wasm_cluster"

// gatewayRoute is a route that has these policies.
func gatewayRoute(t *testing.T, prefix, cluster string, plugins ...gatewayPlugin) envoy.Route {
	t.Helper()
	on := object{}
	for _, p := range plugins {
		on[p.filterName()] = object{"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": object{}}
	}
	return envoy.Route{Prefix: prefix, Cluster: cluster, Extra: "typed_per_filter_config: " + toJSON(t, on)}
}

// serveCode serves the plugin as the control plane does.
func serveCode(t *testing.T) (cluster envoy.Cluster, url, checksum string) {
	t.Helper()
	code, err := os.ReadFile("../../" + envoy.PluginFile)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(code) }))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(code)
	return envoy.Cluster{Name: wasmCluster, Address: server.Listener.Addr().String()}, server.URL + "/plugin.wasm", hex.EncodeToString(sum[:])
}

// The policy works as Envoy Gateway hands it to Envoy: each rule of a route has a breaker, routes without the policy have none,
// and the stats have the labels of proxy.yaml.
func TestGateway(t *testing.T) {
	t.Parallel()
	const (
		payments = "httproute/shop/payments/rule/0"
		refunds  = "httproute/shop/payments/rule/1"
		search   = "httproute/shop/search/rule/0"
		catalog  = "httproute/shop/catalog/rule/0"
		other    = "httproute/other/other/rule/0"
	)
	plugin := readGatewayPlugin(t)
	code, url, checksum := serveCode(t)
	upstream := envoytest.NewUpstream(t)
	clusters := []envoy.Cluster{code}
	for _, name := range []string{payments, refunds, search, catalog, other} {
		clusters = append(clusters, envoy.Cluster{Name: name, Address: upstream.Address})
	}
	e := envoytest.Start(t, envoy.Bootstrap{
		Extra:    gatewayBootstrap(t),
		Clusters: clusters,
		Listeners: []envoy.Listener{{
			FiltersBefore: plugin.filter(t, url, checksum),
			Routes: []envoy.Route{
				gatewayRoute(t, "/payments", payments, plugin),
				gatewayRoute(t, "/refunds", refunds, plugin),
				gatewayRoute(t, "/search", search, plugin),
				gatewayRoute(t, "/catalog", catalog, plugin),
				gatewayRoute(t, "/other", other),
			},
		}},
	})
	upstream.Handle(envoytest.Status(500))
	send := func(path string, times int) {
		t.Helper()
		for i := range times {
			if a := e.Get(path); a.Status != 500 || a.Err != nil {
				t.Fatalf("%s, request %d of %d: %d %v, want the upstream's 500", path, i+1, times, a.Status, a.Err)
			}
		}
	}
	send("/payments", 10) // the override: 30 % of at least 10
	a := e.Get("/payments")
	want := fmt.Sprintf(`{"error": "payments are resting", "state": "open", "retry_after": %s}`, a.Header.Get("retry-after"))
	if a.Status != 503 || a.Body != want {
		t.Errorf("the reject: %d %q, want %q", a.Status, a.Body, want)
	}
	send("/refunds", 9) // has a breaker of its own
	send("/catalog", 20)
	if a := e.Get("/catalog"); a.Status != 503 || !strings.Contains(a.Body, `"service": "`+catalog+`"`) {
		t.Errorf("the base policy's reject: %d %q", a.Status, a.Body)
	}
	send("/search", 25) // shadow: nothing is rejected
	send("/other", 25)

	for cluster, want := range map[string]envoy.BreakerStats{
		payments: {breaker.StateGauge: uint64(breaker.Open), breaker.Calls: 10, breaker.Rejected: 1},
		refunds:  {breaker.StateGauge: uint64(breaker.Closed), breaker.Calls: 9},
		catalog:  {breaker.StateGauge: uint64(breaker.Open), breaker.Calls: 20, breaker.Rejected: 1},
		search:   {breaker.StateGauge: uint64(breaker.Open), breaker.Calls: 20, breaker.ShadowRejected: 5},
		other:    {},
	} {
		b := e.BreakerOf(plugin.vmID, cluster)
		for _, s := range []breaker.Stat{breaker.StateGauge, breaker.Calls, breaker.Rejected, breaker.ShadowRejected, breaker.Errors} {
			if b[s] != want[s] {
				t.Errorf("%s: %+v, want %+v", cluster, b, want)
				break
			}
		}
		if cluster != other {
			wantMetric(t, e, breaker.Calls, want[breaker.Calls], map[string]string{"plugin": plugin.vmID, "cluster": cluster})
		} else if b != (envoy.BreakerStats{}) {
			t.Errorf("a route without the policy has a breaker: %+v", b)
		}
	}
}

// gatewayBootstrap is what proxy.yaml adds to the bootstrap.
func gatewayBootstrap(t *testing.T) string {
	t.Helper()
	type resource struct {
		Kind string
		Spec struct{ Bootstrap struct{ Value string } }
	}
	for _, r := range gatewayDocuments[resource](t, "proxy.yaml") {
		if r.Kind == "EnvoyProxy" {
			return r.Spec.Bootstrap.Value
		}
	}
	t.Fatal("proxy.yaml has no EnvoyProxy")
	return ""
}

// Two policies whose plugins are called alike have breakers of their own on the one cluster that their routes share, as they do where
// backends are merged.
func TestGatewayTwoPolicies(t *testing.T) {
	t.Parallel()
	const cluster = "service/shop/payments/80/http"
	code, url, checksum := serveCode(t)
	upstream := envoytest.NewUpstream(t)
	one := gatewayPlugin{Name: "cb", vmID: "envoyextensionpolicy/shop/one/wasm/0", Config: []byte(`{"min_requests": 5}`)}
	two := gatewayPlugin{Name: "cb", vmID: "envoyextensionpolicy/shop/two/wasm/0", Config: []byte(`{"min_requests": 5}`)}
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{code, {Name: cluster, Address: upstream.Address}},
		Listeners: []envoy.Listener{{
			FiltersBefore: one.filter(t, url, checksum) + "\n" + two.filter(t, url, checksum),
			Routes:        []envoy.Route{gatewayRoute(t, "/one", cluster, one), gatewayRoute(t, "/two", cluster, two)},
		}},
	})
	upstream.Handle(envoytest.Status(500))
	for i := range 4 {
		for _, path := range []string{"/one", "/two"} {
			if a := e.Get(path); a.Status != 500 {
				t.Fatalf("%s, request %d: got %d, want the upstream's 500", path, i+1, a.Status)
			}
		}
	}
	if a := e.Get("/one"); a.Status != 500 {
		t.Fatalf("/one, request 5: got %d, want the upstream's 500", a.Status)
	}
	for path, want := range map[string]int{"/one": 503, "/two": 500} {
		if a := e.Get(path); a.Status != want {
			t.Errorf("%s: got %d, want %d", path, a.Status, want)
		}
	}
	for _, p := range []gatewayPlugin{one, two} {
		if b := e.BreakerOf(p.Name+"@"+p.vmID, cluster); b[breaker.Calls] != 5 || b[breaker.Late] != 0 {
			t.Errorf("%s: %+v, want 5 calls", p.vmID, b)
		}
	}
}
