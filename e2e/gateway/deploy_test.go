// Package gateway tests deploy/envoy-gateway against Envoy Gateway: with its types always, and with a real one in standalone mode by
// make test-gateway. It is a module of its own, since that brings four hundred lines of go.sum along.
package gateway_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"envoy-circuit-breaker/e2e/plane"
	egv1a1 "github.com/envoyproxy/gateway/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

const folder = "../../deploy/envoy-gateway/"

// A deployment is all that is in deploy/envoy-gateway.
type deployment struct {
	policy   egv1a1.EnvoyExtensionPolicy
	class    gwapiv1.GatewayClass
	proxy    egv1a1.EnvoyProxy
	headers  egv1a1.ClientTrafficPolicy
	payments gwapiv1.HTTPRoute
	security egv1a1.SecurityPolicy
	status   gwapiv1.HTTPRoute
	answer   egv1a1.HTTPRouteFilter
}

// readDeployment decodes the files. A field that Envoy Gateway does not know is an error, and so is a resource that no test knows.
func readDeployment(t *testing.T) (d deployment) {
	t.Helper()
	into := map[string]any{
		"policy.yaml EnvoyExtensionPolicy":  &d.policy,
		"proxy.yaml GatewayClass":           &d.class,
		"proxy.yaml EnvoyProxy":             &d.proxy,
		"fallback.yaml ClientTrafficPolicy": &d.headers,
		"fallback.yaml HTTPRoute":           &d.payments,
		"status.yaml SecurityPolicy":        &d.security,
		"status.yaml HTTPRoute":             &d.status,
		"status.yaml HTTPRouteFilter":       &d.answer,
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".yaml") {
			continue
		}
		for _, document := range plane.Documents(t, folder+entry.Name()) {
			var meta metav1.TypeMeta
			if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
				t.Fatalf("%s: %v", entry.Name(), err)
			}
			what := entry.Name() + " " + meta.Kind
			if into[what] == nil {
				t.Fatalf("no test knows %s, or it is there twice", what)
			}
			if err := yaml.UnmarshalStrict([]byte(document), into[what]); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			delete(into, what)
		}
	}
	if len(into) != 0 {
		t.Fatalf("there is no %v", into)
	}
	return d
}

// An override is one of the plugin's clusters.
type override struct {
	Match    string   `json:"match"`
	Fallback fallback `json:"fallback"`
}

type fallback struct {
	Header  string `json:"header"`
	Cluster string `json:"cluster"`
}

func TestPolicy(t *testing.T) {
	d := readDeployment(t)
	if len(d.policy.Spec.Wasm) != 1 {
		t.Fatalf("%d plugins", len(d.policy.Spec.Wasm))
	}
	wasm := d.policy.Spec.Wasm[0]
	if wasm.FailOpen == nil || !*wasm.FailOpen {
		t.Error("failOpen is off")
	}
	var config struct {
		Invalid  string     `json:"invalid_config"`
		Clusters []override `json:"clusters"`
	}
	if err := json.Unmarshal(wasm.Config.Raw, &config); err != nil {
		t.Fatal(err)
	}
	if config.Invalid != "keep" {
		t.Errorf("invalid_config: %q", config.Invalid)
	}
	for _, o := range config.Clusters {
		if !strings.HasPrefix(o.Match, "httproute/"+d.policy.Namespace+"/") {
			t.Errorf("no cluster of Envoy Gateway's is called %s", o.Match)
		}
	}
}

// The plugin comes after all that Envoy Gateway puts behind plugins: each line moves it on, so they have to be in its order.
func TestFilterOrder(t *testing.T) {
	var after []egv1a1.EnvoyFilter
	for _, position := range readDeployment(t).proxy.Spec.FilterOrder {
		if position.Name != egv1a1.EnvoyFilterWasm || position.After == nil || position.Before != nil {
			t.Fatalf("%+v", position)
		}
		after = append(after, *position.After)
	}
	want := []egv1a1.EnvoyFilter{ // in the order of Envoy Gateway 1.9, up to the router
		egv1a1.EnvoyFilterDynamicModules, egv1a1.EnvoyFilterGeoIP, egv1a1.EnvoyFilterRBAC, egv1a1.EnvoyFilterLocalRateLimit,
		egv1a1.EnvoyFilterRateLimit, egv1a1.EnvoyFilterBandwidthLimit, egv1a1.EnvoyFilterGRPCWeb, egv1a1.EnvoyFilterGRPCStats,
		egv1a1.EnvoyFilterCredentialInjector, egv1a1.EnvoyFilterCompressor, egv1a1.EnvoyFilterDynamicForwardProxy,
	}
	if !slices.Equal(after, want) {
		t.Errorf("the plugin comes after %v, want %v", after, want)
	}
}

// What belongs together is called alike: Gateway, header, rules, path, listener.
func TestNames(t *testing.T) {
	d := readDeployment(t)
	const gateway, namespace = "main", "shop"
	for kind, refs := range map[string][]gwapiv1.LocalPolicyTargetReferenceWithSectionName{
		"policy": d.policy.Spec.TargetRefs, "fallback": d.headers.Spec.TargetRefs, "status": d.security.Spec.TargetRefs,
	} {
		if len(refs) != 1 || refs[0].Group != gwapiv1.GroupName || refs[0].Kind != "Gateway" || refs[0].Name != gateway || refs[0].SectionName != nil {
			t.Errorf("%s: the target is %+v", kind, refs)
		}
	}
	for name, meta := range map[string]metav1.ObjectMeta{
		"policy": d.policy.ObjectMeta, "header": d.headers.ObjectMeta, "payments": d.payments.ObjectMeta,
		"security": d.security.ObjectMeta, "status": d.status.ObjectMeta, "answer": d.answer.ObjectMeta,
	} {
		if meta.Namespace != namespace {
			t.Errorf("%s is in namespace %s", name, meta.Namespace)
		}
	}
	if ref := d.class.Spec.ParametersRef; ref == nil || ref.Name != d.proxy.Name || string(*ref.Namespace) != d.proxy.Namespace {
		t.Errorf("the class takes %+v, which is not %s/%s", ref, d.proxy.Namespace, d.proxy.Name)
	}

	var overrides []override
	plane.Snippet(t, folder+"fallback.yaml", 0, &overrides)
	header := d.payments.Spec.Rules[0].Matches[0].Headers[0]
	if removed := d.headers.Spec.Headers.EarlyRequestHeaders.Remove; len(overrides) != 1 || header.Value != "true" ||
		overrides[0].Match != "httproute/shop/payments/rule/1" || overrides[0].Fallback.Cluster != "httproute/shop/payments/rule/0" ||
		string(header.Name) != overrides[0].Fallback.Header || !slices.Equal(removed, []string{string(header.Name)}) {
		t.Errorf("the fallback's header: the plugin sets %+v, the route matches %+v, of clients' is removed %q", overrides, header, removed)
	}

	var status struct {
		Status struct {
			Path string `json:"path"`
		} `json:"status"`
	}
	var listeners []gwapiv1.Listener
	plane.Snippet(t, folder+"status.yaml", 0, &status)
	plane.Snippet(t, folder+"status.yaml", 1, &listeners)
	if len(listeners) != 1 || listeners[0].Name != *d.status.Spec.ParentRefs[0].SectionName {
		t.Errorf("the page's route is on %s, the listener is %+v", *d.status.Spec.ParentRefs[0].SectionName, listeners)
	}
	rules := d.security.Spec.Authorization.Rules
	for _, rule := range rules {
		if rule.Operation.Path.Value != status.Status.Path {
			t.Errorf("rule %s is of path %s, the page is at %s", *rule.Name, rule.Operation.Path.Value, status.Status.Path)
		}
	}
	if len(rules) != 2 || rules[0].Action != egv1a1.AuthorizationActionAllow || rules[1].Action != egv1a1.AuthorizationActionDeny ||
		!slices.Equal(rules[0].Principal.ClientCIDRs, []egv1a1.CIDR{"127.0.0.1/32", "::1/128"}) ||
		!slices.Equal(rules[1].Principal.ClientCIDRs, []egv1a1.CIDR{"0.0.0.0/0", "::/0"}) {
		t.Errorf("the rules: %+v", rules)
	}
	if filter := d.status.Spec.Rules[0].Filters[0].ExtensionRef; string(filter.Name) != d.answer.Name {
		t.Errorf("the page's route answers by %s, which is not %s", filter.Name, d.answer.Name)
	}
}
