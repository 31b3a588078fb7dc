package envoy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	extensionsapi "istio.io/api/extensions/v1alpha1"
	networkingapi "istio.io/api/networking/v1alpha3"
	extensions "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/e2e/internal/istio"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A wasmFilter is what Istio makes of a WasmPlugin. It sets no vm_id.
type wasmFilter struct {
	name, rootID, failurePolicy, config string
}

func istioFilter(t *testing.T, p *extensions.WasmPlugin, name string) wasmFilter {
	t.Helper()
	policy, known := map[extensionsapi.FailStrategy]string{
		extensionsapi.FailStrategy_FAIL_OPEN:   "FAIL_OPEN",
		extensionsapi.FailStrategy_FAIL_CLOSE:  "FAIL_CLOSED",
		extensionsapi.FailStrategy_FAIL_RELOAD: "FAIL_RELOAD",
	}[p.Spec.FailStrategy]
	if !known {
		t.Fatalf("unknown failStrategy %v", p.Spec.FailStrategy)
	}
	return wasmFilter{name: name, rootID: p.Spec.PluginName, failurePolicy: policy, config: istio.PluginConfig(t, p)}
}

// item returns the filter as one item of a list of HTTP filters. As with Istio its configuration comes by discovery (here
// from a file), while the listener waits for it.
func (f wasmFilter) item(t *testing.T, file string) string {
	t.Helper()
	f.write(t, file)
	return "- " + toJSON(t, object{
		"name": f.resource(),
		"config_discovery": object{
			"config_source": object{"path_config_source": object{"path": file}, "initial_fetch_timeout": "0s"},
			"type_urls":     []string{wasmType, rbacType},
		},
	})
}

// write has the filter discovered.
func (f wasmFilter) write(t *testing.T, file string) {
	t.Helper()
	text := toJSON(t, object{"resources": []object{{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
		"name":  f.resource(),
		"typed_config": object{"@type": wasmType, "config": object{
			"name":           f.name,
			"root_id":        f.rootID,
			"failure_policy": f.failurePolicy,
			"configuration":  object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": f.config},
			"vm_config": object{
				"runtime": "envoy.wasm.runtime.v8",
				"code":    object{"local": object{"filename": envoy.PluginFile}},
			},
		}},
	}}})
	envoytest.MoveIntoPlace(t, file, text)
}

func (f wasmFilter) resource() string { return istio.Resource(f.name) }

// What discovery may bring. The agent puts an RBAC filter in the place of a plugin that it cannot pull: it lets all pass, or nothing.
const (
	wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
	rbacType = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
)

type object map[string]any

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// istioBootstrap is what a gateway's bootstrap has of stats and memory: what Istio lets through by default, and what deploy/istio adds.
func istioBootstrap(t *testing.T, override *istio.ConfigMap) string {
	t.Helper()
	type tag struct {
		Name  string `json:"tag_name"`
		Regex string `json:"regex"`
	}
	var bootstrap struct {
		Memory      json.RawMessage `json:"memory_allocator_manager"`
		StatsConfig struct {
			StatsTags []tag `json:"stats_tags"`
		} `json:"stats_config"`
	}
	decoder := json.NewDecoder(strings.NewReader(override.Data["custom_bootstrap.json"]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&bootstrap); err != nil {
		t.Fatalf("custom_bootstrap.json: %v", err)
	}
	// Two of Istio's own tags that look for words anywhere in a name come first, as they do when Envoy merges the two.
	tags := append([]tag{{"cache", `(cache\.(.+?)\.)`}, {"component", `(component\.(.+?)\.)`}}, bootstrap.StatsConfig.StatsTags...)
	var matcher []map[string]string
	for _, prefix := range []string{
		"reporter=", "cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm", "component", "istio",
	} {
		matcher = append(matcher, map[string]string{"prefix": prefix})
	}
	return "memory_allocator_manager: " + string(bootstrap.Memory) + "\nstats_config: " + toJSON(t, map[string]any{
		"use_all_default_tags": false,
		"stats_tags":           tags,
		"stats_matcher":        map[string]any{"inclusion_list": map[string]any{"patterns": matcher}},
	})
}

// istioCluster is a cluster as Istio names it, in its stats too.
func istioCluster(name string, upstream *envoytest.Upstream) envoy.Cluster {
	return envoy.Cluster{Name: name, Address: upstream.Address, Extra: fmt.Sprintf("alt_stat_name: %q", name+";")}
}

// The WasmPlugin works as Istio hands it to Envoy: its overrides hold for the clusters that they name, the base policy for
// the others, and the stats come out whole, past Istio's stats matcher.
func TestIstioGateway(t *testing.T) {
	t.Parallel()
	files := istio.Read(t)
	name := istio.PluginNames(files.Plugin)[1]
	filter := istioFilter(t, files.Plugin, name)
	discovery := filepath.Join(t.TempDir(), "discovery.json")
	upstream := envoytest.NewUpstream(t)
	e := envoytest.Start(t, envoy.Bootstrap{
		Extra: istioBootstrap(t, files.Bootstrap),
		Clusters: []envoy.Cluster{
			istioCluster(istio.Payments, upstream), istioCluster(istio.Search, upstream), istioCluster(istio.Catalog, upstream),
		},
		Listeners: []envoy.Listener{{
			FiltersBefore: filter.item(t, discovery),
			Routes: []envoy.Route{
				{Prefix: "/payments", Cluster: istio.Payments},
				{Prefix: "/search", Cluster: istio.Search},
				{Prefix: "/catalog", Cluster: istio.Catalog},
			},
		}},
	})
	get := func(path string, status, times int) {
		t.Helper()
		upstream.Handle(envoytest.Status(status))
		for i := range times {
			if a := e.Get(path); a.Status != status || a.Err != nil {
				t.Fatalf("%s, request %d of %d: %d %v, want the upstream's %d", path, i+1, times, a.Status, a.Err, status)
			}
		}
	}
	wantReject := func(path, wantBody string) {
		t.Helper()
		upstream.Reset()
		a := e.Get(path)
		body := fmt.Sprintf(wantBody, a.Header.Get("retry-after"))
		if a.Status != 503 || a.Body != body || !json.Valid([]byte(a.Body)) || a.Header.Get("content-type") != "application/json" {
			t.Errorf("the reject: %d %q %v", a.Status, a.Body, a.Header)
		}
		if n := upstream.Requests(); n != 0 {
			t.Errorf("%s: the upstream saw %d requests", path, n)
		}
	}

	// The override: 30 % of at least 10. The base policy would want 50 % of at least 20.
	get("/payments", 200, 7)
	get("/payments", 500, 2)
	if b := e.BreakerOf(name, istio.Payments); b.State() != breaker.Closed || b[breaker.Calls] != 9 || b[breaker.Failures] != 2 {
		t.Errorf("after 2 failures of 9: %+v", b)
	}
	get("/payments", 500, 1)
	wantReject("/payments", `{"error": "payments are resting", "state": "open", "retry_after": %s}`)

	get("/catalog", 500, 20)
	wantReject("/catalog", `{"error": "unavailable", "service": "`+istio.Catalog+`", "retry_after": %s}`)

	get("/search", 500, 25) // shadow: nothing is rejected

	for cluster, want := range map[string]envoy.BreakerStats{
		istio.Payments: {breaker.Calls: 10, breaker.Failures: 3, breaker.Rejected: 1},
		istio.Catalog:  {breaker.Calls: 20, breaker.Failures: 20, breaker.Rejected: 1},
		istio.Search:   {breaker.Calls: 20, breaker.Failures: 20, breaker.ShadowRejected: 5, breaker.Late: 5},
	} {
		b := e.BreakerOf(name, cluster)
		if b.State() != breaker.Open || b[breaker.Calls] != want[breaker.Calls] || b[breaker.Failures] != want[breaker.Failures] || b[breaker.Rejected] != want[breaker.Rejected] ||
			b[breaker.ShadowRejected] != want[breaker.ShadowRejected] || b[breaker.Late] != want[breaker.Late] || b[breaker.Opened] != 1 || b[breaker.Errors] != 0 {
			t.Errorf("%s: %+v, want %+v", cluster, b, want)
		}
		plugin, _, _ := strings.Cut(name, "~")
		wantMetric(t, e, breaker.Calls, want[breaker.Calls], map[string]string{"plugin": plugin, "cluster": cluster})
	}

	// A configuration that is refused leaves the one that there is in force.
	filter.config = `{"min_request": 1}`
	filter.write(t, discovery)
	envoytest.Eventually(t, time.Minute, func() error {
		if !strings.Contains(e.Log(), "configuration refused: min_request: unknown key") {
			return errors.New("the log does not tell that the configuration was refused")
		}
		return nil
	})
	get("/search", 500, 5)
	if b := e.BreakerOf(name, istio.Search); b[breaker.ShadowRejected] == 5 && b[breaker.Late] == 5 {
		t.Errorf("the breakers are gone: %+v", b)
	}

	// As it is shipped, a mistake is no reason to refuse it, and the gauge tells of it.
	filter.config = istio.Mistaken(t, files.Plugin)
	filter.write(t, discovery)
	plugin, _, _ := strings.Cut(name, "~")
	want := fmt.Sprintf("circuit_breaker_config_invalid{plugin=%q} 1\n", plugin)
	envoytest.Eventually(t, time.Minute, func() error {
		if text := e.Admin(http.MethodGet, "/stats/prometheus?filter=config_invalid"); !strings.Contains(text, want) {
			return fmt.Errorf("no %q in\n%s", want, text)
		}
		return nil
	})
	wantReject("/payments", `{"error": "payments are resting", "state": "open", "retry_after": %s}`)
}

// wantMetric looks for a stat with that value and these labels, among others, in what Prometheus scrapes.
func wantMetric(t *testing.T, e *envoytest.Envoy, stat breaker.Stat, value uint64, labels map[string]string) {
	t.Helper()
	metric := metricName(stat)
	text := e.Admin(http.MethodGet, "/stats/prometheus?filter=circuit_breaker")
lines:
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, metric+"{") || !strings.HasSuffix(line, fmt.Sprintf("} %d\n", value)) {
			continue
		}
		for name, label := range labels {
			if !strings.Contains(line, fmt.Sprintf("%s=%q", name, label)) {
				continue lines
			}
		}
		return
	}
	t.Errorf("no %s %d with the labels %v in\n%s", metric, value, labels, text)
}

// Where deploy/istio/fallback.yaml is applied too, a second service takes what the breaker would reject, and no client can
// choose that service itself.
func TestIstioFallback(t *testing.T) {
	t.Parallel()
	files := istio.Read(t)
	patch := files.EnvoyFilter.Spec.ConfigPatches[0]
	if patch.ApplyTo != networkingapi.EnvoyFilter_NETWORK_FILTER || patch.Patch.Operation != networkingapi.EnvoyFilter_Patch_MERGE {
		t.Fatalf("the patch: %v", patch)
	}
	fields := patch.Patch.Value.Fields["typed_config"].GetStructValue().AsMap()
	delete(fields, "@type")
	manager, err := yaml.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}

	// The routes and clusters that Istio makes of the VirtualService.
	upstreams := []*envoytest.Upstream{envoytest.NewUpstream(t), envoytest.NewUpstream(t)}
	backup, payments := upstreams[0], upstreams[1]
	var routes []envoy.Route
	var clusters []envoy.Cluster
	var header, value string
	for i, r := range files.VirtualService.Spec.Http {
		to := r.Route[0].Destination
		cluster := fmt.Sprintf("outbound|%d||%s", to.Port.Number, to.Host)
		clusters = append(clusters, istioCluster(cluster, upstreams[i]))
		route := envoy.Route{Prefix: "/", Cluster: cluster}
		for _, match := range r.Match {
			for name, m := range match.Headers {
				header, value = name, m.GetExact()
				route.Match = fmt.Sprintf("headers: [{ name: %q, string_match: { exact: %q } }]", header, value)
			}
		}
		routes = append(routes, route)
	}
	if header == "" || value != "true" || len(routes) != 2 {
		t.Fatalf("the routes: %+v", routes)
	}
	fallback := map[string]any{"header": header, "cluster": clusters[0].Name}
	text, err := os.ReadFile(istio.Folder + "/fallback.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range fallback {
		if line := fmt.Sprintf("#     %s: %s\n", key, value); !strings.Contains(string(text), line) {
			t.Errorf("fallback.yaml does not tell to write %q", line)
		}
	}
	override := files.Plugin.Spec.PluginConfig.Fields["clusters"].GetListValue().Values[0].GetStructValue()
	if override.Fields["fallback"], err = structpb.NewValue(fallback); err != nil {
		t.Fatal(err)
	}

	name := istio.PluginNames(files.Plugin)[0]
	e := envoytest.Start(t, envoy.Bootstrap{
		Extra:    istioBootstrap(t, files.Bootstrap),
		Clusters: clusters,
		Listeners: []envoy.Listener{{
			FiltersBefore:     istioFilter(t, files.Plugin, name).item(t, filepath.Join(t.TempDir(), "discovery.json")),
			ConnectionManager: string(manager),
			Routes:            routes,
		}},
	})
	get := func(want int) {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, e.URL("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(header, value)
		if a := envoytest.Do(request); a.Status != want {
			t.Fatalf("got %d %v, want %d", a.Status, a.Err, want)
		}
	}
	payments.Handle(envoytest.Status(500))
	for range 10 {
		get(500)
	}
	if n := backup.Requests(); n != 0 {
		t.Errorf("%d clients chose the fallback by a header of their own", n)
	}
	payments.Reset()
	for range 5 {
		get(200)
	}
	if p, b := payments.Requests(), backup.Requests(); p != 0 || b != 5 {
		t.Errorf("while open, payments got %d requests and the fallback %d, want 0 and 5", p, b)
	}
	if b := e.BreakerOf(name, clusters[1].Name); b[breaker.Calls] != 10 || b[breaker.FellBack] != 5 || b[breaker.Rejected] != 0 {
		t.Errorf("payments: %+v", b)
	}
	wantMetric(t, e, breaker.FellBack, 5, map[string]string{"plugin": name, "cluster": clusters[1].Name})
	if b := e.BreakerOf(name, clusters[0].Name); b[breaker.Calls] != 5 || b[breaker.Failures] != 0 {
		t.Errorf("the fallback: %+v", b)
	}
}

// Two WasmPlugins on one gateway share a chain, the (empty) vm_id and, with the same code, the virtual machines. Their
// breakers are their own.
func TestIstioTwoPlugins(t *testing.T) {
	t.Parallel()
	const outer, inner = "istio-ingress.outer", "istio-ingress.inner"
	dir := t.TempDir()
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(envoytest.Status(500))
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{istioCluster(istio.Payments, upstream), istioCluster(istio.Catalog, upstream)},
		Listeners: []envoy.Listener{{
			FiltersBefore: wasmFilter{outer, "cb", "FAIL_OPEN", `{"min_requests": 10, "reject": {"body": "outer"},
				"clusters": [{"match": "*catalog*", "min_requests": 3}]}`}.item(t, filepath.Join(dir, "outer")) + "\n" +
				wasmFilter{inner, "cb", "FAIL_OPEN", `{"min_requests": 5, "reject": {"body": "inner"}}`}.item(t, filepath.Join(dir, "inner")),
			Routes: []envoy.Route{{Prefix: "/payments", Cluster: istio.Payments}, {Prefix: "/catalog", Cluster: istio.Catalog}},
		}},
	})
	for path, want := range map[string]struct {
		rejectedBy string
		failures   int
	}{
		"/payments": {"inner", 5},
		"/catalog":  {"outer", 3},
	} {
		for range want.failures {
			if a := e.Get(path); a.Status != 500 {
				t.Fatalf("%s: got %d, want the upstream's 500", path, a.Status)
			}
		}
		for range 10 { // on both workers
			if a := e.Get(path); a.Status != 503 || a.Body != want.rejectedBy {
				t.Errorf("%s: got %d %q, want the reject of %s", path, a.Status, a.Body, want.rejectedBy)
			}
		}
	}
	for _, want := range []struct {
		plugin, cluster string
		stats           envoy.BreakerStats
	}{
		{outer, istio.Payments, envoy.BreakerStats{breaker.StateGauge: uint64(breaker.Closed), breaker.Calls: 5, breaker.Neutrals: 10}},
		{inner, istio.Payments, envoy.BreakerStats{breaker.StateGauge: uint64(breaker.Open), breaker.Calls: 5, breaker.Rejected: 10}},
		{outer, istio.Catalog, envoy.BreakerStats{breaker.StateGauge: uint64(breaker.Open), breaker.Calls: 3, breaker.Rejected: 10}},
		{inner, istio.Catalog, envoy.BreakerStats{breaker.StateGauge: uint64(breaker.Closed), breaker.Calls: 3}},
	} {
		b := e.BreakerOf(want.plugin, want.cluster)
		for _, s := range []breaker.Stat{breaker.StateGauge, breaker.Calls, breaker.Rejected, breaker.Neutrals, breaker.Errors} {
			if b[s] != want.stats[s] {
				t.Errorf("%s, %s: %v, want %v", want.plugin, want.cluster, b, want.stats)
				break
			}
		}
	}
}
