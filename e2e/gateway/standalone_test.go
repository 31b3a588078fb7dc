//go:build gateway

package gateway_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"envoy-circuit-breaker/e2e/plane"
)

// The ports are fixed, those of the control plane too, so the tests run in a network namespace of their own.
const (
	public = "http://127.0.0.1:10080" // the Gateway's listener
	status = "http://127.0.0.1:9902"  // the listener of status.yaml
	admin  = "http://127.0.0.1:19901" // Envoy's; standalone mode takes any, and 19000 is the control plane's own
)

// An object is a resource or a part of one.
type object = plane.Object

// A standalone is Envoy Gateway in standalone mode: it takes resources from files, and runs one Envoy on this machine.
type standalone struct {
	t         *testing.T
	home      string
	resources map[string]object // by kind and name
	server    *plane.Process    // control plane and Envoy
}

// newStandalone lays out what Envoy Gateway needs besides resources: certificates, and Envoy where it would have been downloaded to.
func newStandalone(t *testing.T) *standalone {
	t.Helper()
	if interfaces, err := net.Interfaces(); err != nil || len(interfaces) != 1 {
		t.Fatalf("Envoy Gateway's ports are fixed, so this needs a network namespace of its own: run it by make test-gateway (%d interfaces, %v)",
			len(interfaces), err)
	}
	s := &standalone{t: t, home: t.TempDir(), resources: map[string]object{}}
	envoy := os.Getenv("ENVOY")
	if _, err := os.Stat(envoy); err != nil {
		t.Fatalf("ENVOY names no Envoy: run it by make test-gateway, which fetches one (%v)", err)
	}
	folder := filepath.Join(s.home, "data/envoy-versions", envoyVersion, "bin")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(envoy, filepath.Join(folder, "envoy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.home, "resources"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(plane.Built+"envoy-gateway", "certgen", "--local", "--config-home", s.home).CombinedOutput(); err != nil {
		t.Fatalf("certgen: %v: %s", err, out)
	}
	return s
}

// envoyVersion is where Envoy Gateway looks for the Envoy that the tests run.
const envoyVersion = "1.40.0"

// start runs Envoy Gateway until it is stopped or the test ends.
func (s *standalone) start() {
	t := s.t
	t.Helper()
	file := filepath.Join(s.home, "envoy-gateway.yaml")
	config := plane.ToYAML(t, object{
		"apiVersion": "gateway.envoyproxy.io/v1alpha1",
		"kind":       "EnvoyGateway",
		"gateway":    object{"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
		"provider": object{"type": "Custom", "custom": object{
			"resource": object{"type": "File", "file": object{"paths": []string{filepath.Join(s.home, "resources")}}},
			"infrastructure": object{"type": "Host", "host": object{
				"configHome": s.home, "dataHome": s.home + "/data", "stateHome": s.home + "/state", "runtimeDir": s.home + "/run",
			}},
		}},
		"extensionApis": object{"enableBackend": true, "enableEnvoyPatchPolicy": true},
	})
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(plane.Built+"envoy-gateway", "server", "--config-path", file)
	server.Env = append(os.Environ(), "HOME="+s.home) // its cache of plugins
	s.server = plane.Start(t, "Envoy Gateway", server)
}

// apply puts resources where Envoy Gateway looks for them, as kubectl would: one of the same kind and name is replaced.
func (s *standalone) apply(resources ...object) {
	s.t.Helper()
	for _, r := range resources {
		meta := r["metadata"].(object)
		s.resources[fmt.Sprint(r["kind"], " ", meta["namespace"], "/", meta["name"])] = r
	}
	var documents []string
	for _, key := range slices.Sorted(maps.Keys(s.resources)) {
		documents = append(documents, plane.ToYAML(s.t, s.resources[key]))
	}
	// Renamed into place: what is half written would be read. Names that begin with a dot are not.
	file := filepath.Join(s.home, "resources", ".all.yaml")
	if err := os.WriteFile(file, []byte(strings.Join(documents, "---\n")), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(file, filepath.Join(s.home, "resources", "all.yaml")); err != nil {
		s.t.Fatal(err)
	}
}

// own returns what only standalone mode needs: the certificates as a Secret, and the way to the control plane's server of plugins, which has
// a name of Kubernetes'.
func (s *standalone) own() []object {
	s.t.Helper()
	data := object{}
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		text, err := os.ReadFile(filepath.Join(s.home, "certs/envoy", name))
		if err != nil {
			s.t.Fatal(err)
		}
		data[name] = text // JSON has bytes in base 64, as a Secret has
	}
	const cluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	replace := func(path, value string) object {
		return object{"type": cluster, "name": "wasm_cluster", "operation": object{"op": "replace", "path": path, "value": value}}
	}
	return []object{
		{
			"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
			"metadata": object{"name": "envoy", "namespace": "envoy-gateway-system"}, "data": data,
		},
		{
			"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyPatchPolicy",
			"metadata": object{"name": "standalone", "namespace": "shop"},
			"spec": object{
				"targetRef": object{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "main"},
				"type":      "JSONPatch",
				"jsonPatches": []object{
					replace("/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address", "127.0.0.1"),
					replace("/transport_socket/typed_config/common_tls_context/validation_context/trusted_ca/filename", s.home+"/certs/envoy/ca.crt"),
				},
			},
		},
	}
}
