package e2e

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

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	extensionsapi "istio.io/api/extensions/v1alpha1"
	networkingapi "istio.io/api/networking/v1alpha3"
	extensions "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/e2e/envoy"
	"envoy-circuit-breaker/internal/wasmhost"
)

// istioFiles are all the resources of deploy/istio.
type istioFiles struct {
	plugin         *extensions.WasmPlugin
	bootstrap      *configMap
	envoyFilter    *networkingv1alpha3.EnvoyFilter
	virtualService *networking.VirtualService
}

type configMap struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Data              map[string]string `json:"data"`
}

const istioFolder = "../deploy/istio"

// readIstio decodes deploy/istio/*.yaml. A field that Istio does not know is an error.
func readIstio(t *testing.T) istioFiles {
	t.Helper()
	files, err := filepath.Glob(istioFolder + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in %s: %v", len(files), istioFolder, err)
	}
	var all istioFiles
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			var meta metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			switch kind := meta.APIVersion + " " + meta.Kind; kind {
			case "extensions.istio.io/v1alpha1 WasmPlugin":
				all.plugin = new(extensions.WasmPlugin)
				decodeStrictly(t, file, document, all.plugin, &all.plugin.Spec)
			case "networking.istio.io/v1alpha3 EnvoyFilter":
				all.envoyFilter = new(networkingv1alpha3.EnvoyFilter)
				decodeStrictly(t, file, document, all.envoyFilter, &all.envoyFilter.Spec)
			case "networking.istio.io/v1 VirtualService":
				all.virtualService = new(networking.VirtualService)
				decodeStrictly(t, file, document, all.virtualService, &all.virtualService.Spec)
			case "v1 ConfigMap":
				all.bootstrap = new(configMap)
				decodeStrictly(t, file, document, all.bootstrap, nil)
			default:
				t.Fatalf("%s: no test knows %q", file, kind)
			}
		}
	}
	if all.plugin == nil || all.bootstrap == nil || all.envoyFilter == nil || all.virtualService == nil {
		t.Fatalf("a resource is missing: %+v", all)
	}
	return all
}

// decodeStrictly decodes a resource. Istio's types skip what they do not know in a spec, so that is decoded once more.
func decodeStrictly(t *testing.T, file, document string, resource any, spec proto.Message) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(document), resource); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if spec == nil {
		return
	}
	var raw struct {
		Spec json.RawMessage `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(document), &raw); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	strict := spec.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(raw.Spec, strict); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if !proto.Equal(spec, strict) {
		t.Fatalf("%s: decoded in two ways as\n%v\n%v", file, spec, strict)
	}
}

// A wasmFilter is what Istio makes of a WasmPlugin. It sets no vm_id.
type wasmFilter struct {
	name, rootID, failurePolicy, config string
}

// istioNames are what Istio names the plugin in Envoy: up to 1.29, and from 1.30 on, where it makes a TrafficExtension of a
// WasmPlugin first.
func istioNames(p *extensions.WasmPlugin) []string {
	name := p.Namespace + "." + p.Name
	return []string{name, name + "~istio-translated-wasmplugin"}
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
	config, err := protojson.Marshal(p.Spec.PluginConfig)
	if err != nil {
		t.Fatal(err)
	}
	return wasmFilter{name: name, rootID: p.Spec.PluginName, failurePolicy: policy, config: string(config)}
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
			"type_urls":     []string{wasmType},
		},
	})
}

// write has the filter discovered. Envoy takes notice of a file that is moved to where the last one was.
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
				"code":    object{"local": object{"filename": "build/plugin.wasm"}},
			},
		}},
	}}})
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func (f wasmFilter) resource() string { return "extensions.istio.io/" + f.name }

const wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"

type object map[string]any

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// istioStats is the stats_config of a gateway: what Istio lets through by default, and the labels that deploy/istio adds.
func istioStats(t *testing.T, override *configMap) string {
	t.Helper()
	type tag struct {
		Name  string `json:"tag_name"`
		Regex string `json:"regex"`
	}
	var bootstrap struct {
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
	return "stats_config: " + toJSON(t, map[string]any{
		"use_all_default_tags": false,
		"stats_tags":           tags,
		"stats_matcher":        map[string]any{"inclusion_list": map[string]any{"patterns": matcher}},
	})
}

// istioCluster is a cluster as Istio names it, in its stats too.
func istioCluster(name string, upstream *envoy.Upstream) envoy.Cluster {
	return envoy.Cluster{Name: name, Address: upstream.Address, Extra: fmt.Sprintf("alt_stat_name: %q", name+";")}
}

const (
	istioPayments = "outbound|443||payments.shop.svc.cluster.local"
	istioSearch   = "outbound|80|v2|search.shop.svc.cluster.local"
	istioCatalog  = "outbound|80||catalog.cache.svc.cluster.local"
)

// The WasmPlugin works as Istio hands it to Envoy: its overrides hold for the clusters that they name, the base policy for
// the others, and the stats come out whole, past Istio's stats matcher.
func TestIstioGateway(t *testing.T) {
	t.Parallel()
	files := readIstio(t)
	name := istioNames(files.plugin)[1]
	filter := istioFilter(t, files.plugin, name)
	discovery := filepath.Join(t.TempDir(), "discovery.json")
	upstream := envoy.NewUpstream(t)
	e := envoy.Start(t, envoy.Options{
		Bootstrap: istioStats(t, files.bootstrap),
		Clusters: []envoy.Cluster{
			istioCluster(istioPayments, upstream), istioCluster(istioSearch, upstream), istioCluster(istioCatalog, upstream),
		},
		Listeners: []envoy.Listener{{
			FiltersBefore: filter.item(t, discovery),
			Routes: []envoy.Route{
				{Prefix: "/payments", Cluster: istioPayments},
				{Prefix: "/search", Cluster: istioSearch},
				{Prefix: "/catalog", Cluster: istioCatalog},
			},
		}},
	})
	get := func(path string, status, times int) {
		t.Helper()
		upstream.Handle(envoy.Status(status))
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
	if b := e.BreakerOf(name, istioPayments); b.State != states["closed"] || b.Calls != 9 || b.Failures != 2 {
		t.Errorf("after 2 failures of 9: %+v", b)
	}
	get("/payments", 500, 1)
	wantReject("/payments", `{"error": "payments are resting", "state": "open", "retry_after": %s}`)

	get("/catalog", 500, 20)
	wantReject("/catalog", `{"error": "unavailable", "service": "`+istioCatalog+`", "retry_after": %s}`)

	get("/search", 500, 25) // shadow: nothing is rejected

	for cluster, want := range map[string]envoy.Breaker{
		istioPayments: {Calls: 10, Failures: 3, Rejected: 1},
		istioCatalog:  {Calls: 20, Failures: 20, Rejected: 1},
		istioSearch:   {Calls: 20, Failures: 20, ShadowRejected: 5, Late: 5},
	} {
		b := e.BreakerOf(name, cluster)
		if b.State != states["open"] || b.Calls != want.Calls || b.Failures != want.Failures || b.Rejected != want.Rejected ||
			b.ShadowRejected != want.ShadowRejected || b.Late != want.Late || b.Opened != 1 || b.Errors != 0 {
			t.Errorf("%s: %+v, want %+v", cluster, b, want)
		}
		plugin, _, _ := strings.Cut(name, "~")
		wantMetric(t, e, "circuit_breaker_calls", want.Calls, map[string]string{"plugin": plugin, "cluster": cluster})
	}

	// A configuration that is refused leaves the one that there is in force.
	filter.config = `{"min_request": 1}`
	filter.write(t, discovery)
	envoy.Eventually(t, time.Minute, func() error {
		if !strings.Contains(e.Log(), "configuration refused: min_request: unknown key") {
			return errors.New("the log does not tell that the configuration was refused")
		}
		return nil
	})
	get("/search", 500, 5)
	if b := e.BreakerOf(name, istioSearch); b.ShadowRejected == 5 && b.Late == 5 {
		t.Errorf("the breakers are gone: %+v", b)
	}
}

// wantMetric looks for a value with these labels, among others, in what Prometheus scrapes.
func wantMetric(t *testing.T, e *envoy.Envoy, metric string, value uint64, labels map[string]string) {
	t.Helper()
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

// The same configuration does the same on a host of ours.
func TestIstioInProcess(t *testing.T) {
	files := readIstio(t)
	program, err := wasmhost.Compile(t.Context(), "../build/plugin.wasm")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close(t.Context())
	name := istioNames(files.plugin)[1]
	h, err := wasmhost.New(program, wasmhost.Options{Workers: 2, Plugin: name, Config: istioFilter(t, files.plugin, name).config})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for i, status := range []int{200, 200, 200, 200, 200, 200, 200, 500, 500, 500} {
		s, err := h.VM(i % 2).Request(wasmhost.Req{Cluster: istioPayments})
		if err != nil {
			t.Fatal(err)
		}
		if !s.Continued() {
			t.Fatalf("request %d was rejected", i+1)
		}
		if err := s.Status(status); err != nil {
			t.Fatal(err)
		}
	}
	s, err := h.VM(0).Request(wasmhost.Req{Cluster: istioPayments})
	if err != nil {
		t.Fatal(err)
	}
	if s.Continued() {
		t.Fatal("request 11 was let through")
	}
	retryAfter := s.Reply().Headers.Get("retry-after")
	if want := `{"error": "payments are resting", "state": "open", "retry_after": ` + retryAfter + `}`; s.Reply().Body != want {
		t.Errorf("the reject: %q, want %q", s.Reply().Body, want)
	}
}

// Where deploy/istio/fallback.yaml is applied too, a second service takes what the breaker would reject, and no client can
// choose that service itself.
func TestIstioFallback(t *testing.T) {
	t.Parallel()
	files := readIstio(t)
	patch := files.envoyFilter.Spec.ConfigPatches[0]
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
	upstreams := []*envoy.Upstream{envoy.NewUpstream(t), envoy.NewUpstream(t)}
	backup, payments := upstreams[0], upstreams[1]
	var routes []envoy.Route
	var clusters []envoy.Cluster
	var header, value string
	for i, r := range files.virtualService.Spec.Http {
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
	text, err := os.ReadFile(istioFolder + "/fallback.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range fallback {
		if line := fmt.Sprintf("#     %s: %s\n", key, value); !strings.Contains(string(text), line) {
			t.Errorf("fallback.yaml does not tell to write %q", line)
		}
	}
	override := files.plugin.Spec.PluginConfig.Fields["clusters"].GetListValue().Values[0].GetStructValue()
	if override.Fields["fallback"], err = structpb.NewValue(fallback); err != nil {
		t.Fatal(err)
	}

	name := istioNames(files.plugin)[0]
	e := envoy.Start(t, envoy.Options{
		Bootstrap: istioStats(t, files.bootstrap),
		Clusters:  clusters,
		Listeners: []envoy.Listener{{
			FiltersBefore:     istioFilter(t, files.plugin, name).item(t, filepath.Join(t.TempDir(), "discovery.json")),
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
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Fatalf("got %d, want %d", response.StatusCode, want)
		}
	}
	payments.Handle(envoy.Status(500))
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
	if b := e.BreakerOf(name, clusters[1].Name); b.Calls != 10 || b.Fallback != 5 || b.Rejected != 0 {
		t.Errorf("payments: %+v", b)
	}
	wantMetric(t, e, "circuit_breaker_fallback", 5, map[string]string{"plugin": name, "cluster": clusters[1].Name})
	if b := e.BreakerOf(name, clusters[0].Name); b.Calls != 5 || b.Failures != 0 {
		t.Errorf("the fallback: %+v", b)
	}
}

// Two WasmPlugins on one gateway share a chain, the (empty) vm_id and, with the same code, the virtual machines. Their
// breakers are their own.
func TestIstioTwoPlugins(t *testing.T) {
	t.Parallel()
	const outer, inner = "istio-ingress.outer", "istio-ingress.inner"
	dir := t.TempDir()
	upstream := envoy.NewUpstream(t)
	upstream.Handle(envoy.Status(500))
	e := envoy.Start(t, envoy.Options{
		Clusters: []envoy.Cluster{istioCluster(istioPayments, upstream), istioCluster(istioCatalog, upstream)},
		Listeners: []envoy.Listener{{
			FiltersBefore: wasmFilter{outer, "cb", "FAIL_OPEN", `{"min_requests": 10, "reject": {"body": "outer"},
				"clusters": [{"match": "*catalog*", "min_requests": 3}]}`}.item(t, filepath.Join(dir, "outer")) + "\n" +
				wasmFilter{inner, "cb", "FAIL_OPEN", `{"min_requests": 5, "reject": {"body": "inner"}}`}.item(t, filepath.Join(dir, "inner")),
			Routes: []envoy.Route{{Prefix: "/payments", Cluster: istioPayments}, {Prefix: "/catalog", Cluster: istioCatalog}},
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
		envoy.Breaker
	}{
		{outer, istioPayments, envoy.Breaker{State: states["closed"], Calls: 5, Neutral: 10}},
		{inner, istioPayments, envoy.Breaker{State: states["open"], Calls: 5, Rejected: 10}},
		{outer, istioCatalog, envoy.Breaker{State: states["open"], Calls: 3, Rejected: 10}},
		{inner, istioCatalog, envoy.Breaker{State: states["closed"], Calls: 3}},
	} {
		b := e.BreakerOf(want.plugin, want.cluster)
		if b.State != want.State || b.Calls != want.Calls || b.Rejected != want.Rejected || b.Neutral != want.Neutral || b.Errors != 0 {
			t.Errorf("%s, %s: %+v, want %+v", want.plugin, want.cluster, b, want.Breaker)
		}
	}
}
