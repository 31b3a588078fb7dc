// Package istio reads deploy/istio for the tests, and knows what Istio makes of it.
package istio

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	extensions "istio.io/client-go/pkg/apis/extensions/v1alpha1"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Files are all the resources of deploy/istio.
type Files struct {
	Plugin         *extensions.WasmPlugin // on a gateway
	Sidecar        *extensions.WasmPlugin
	Bootstrap      *ConfigMap
	EnvoyFilter    *networkingv1alpha3.EnvoyFilter
	VirtualService *networking.VirtualService
}

// A ConfigMap is that of Kubernetes.
type ConfigMap struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Data              map[string]string `json:"data"`
}

// Folder is where the files are, from the folder of a package below e2e, where its tests run.
const Folder = "../../deploy/istio"

// Read decodes deploy/istio/*.yaml. A field that Istio does not know is an error.
func Read(t testing.TB) Files {
	t.Helper()
	files, err := filepath.Glob(Folder + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in %s: %v", len(files), Folder, err)
	}
	var all Files
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
				plugin := new(extensions.WasmPlugin)
				decodeStrictly(t, file, document, plugin, &plugin.Spec)
				if filepath.Base(file) == "sidecar.yaml" {
					all.Sidecar = plugin
				} else {
					all.Plugin = plugin
				}
			case "networking.istio.io/v1alpha3 EnvoyFilter":
				all.EnvoyFilter = new(networkingv1alpha3.EnvoyFilter)
				decodeStrictly(t, file, document, all.EnvoyFilter, &all.EnvoyFilter.Spec)
			case "networking.istio.io/v1 VirtualService":
				all.VirtualService = new(networking.VirtualService)
				decodeStrictly(t, file, document, all.VirtualService, &all.VirtualService.Spec)
			case "v1 ConfigMap":
				all.Bootstrap = new(ConfigMap)
				decodeStrictly(t, file, document, all.Bootstrap, nil)
			default:
				t.Fatalf("%s: no test knows %q", file, kind)
			}
		}
	}
	if all.Plugin == nil || all.Sidecar == nil || all.Bootstrap == nil || all.EnvoyFilter == nil || all.VirtualService == nil {
		t.Fatalf("a resource is missing: %+v", all)
	}
	return all
}

// decodeStrictly decodes a resource. Istio's types skip what they do not know in a spec, so that is decoded once more.
func decodeStrictly(t testing.TB, file, document string, resource any, spec proto.Message) {
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

// PluginNames are what Istio names the plugin in Envoy: up to 1.29, and from 1.30 on, where it makes a TrafficExtension of a
// WasmPlugin first.
func PluginNames(p *extensions.WasmPlugin) []string {
	name := p.Namespace + "." + p.Name
	return []string{name, name + "~istio-translated-wasmplugin"}
}

// Resource is what Istio names the plugin among those that Envoy discovers.
func Resource(pluginName string) string {
	kind := "wasmplugin"
	if strings.Contains(pluginName, "~") {
		kind = "trafficextension"
	}
	return "extensions.istio.io/" + kind + "/" + pluginName
}

// PluginConfig is the plugin's configuration as Envoy gets it.
func PluginConfig(t testing.TB, p *extensions.WasmPlugin) string {
	t.Helper()
	config, err := protojson.Marshal(p.Spec.PluginConfig)
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// Mistaken is the plugin's configuration as Envoy gets it after a mistake in one key.
func Mistaken(t testing.TB, p *extensions.WasmPlugin) string {
	t.Helper()
	mistaken := p.DeepCopy()
	mistaken.Spec.PluginConfig.Fields["failure_rate"] = structpb.NewStringValue("high")
	return PluginConfig(t, mistaken)
}

// Clusters that the plugin of deploy/istio has a policy of their own for, and one that it has not.
const (
	Payments = "outbound|443||payments.shop.svc.cluster.local"
	Search   = "outbound|80|v2|search.shop.svc.cluster.local"
	Catalog  = "outbound|80||catalog.cache.svc.cluster.local"
)
