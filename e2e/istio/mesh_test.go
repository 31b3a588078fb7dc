//go:build istio

package istio_test

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"envoy-circuit-breaker/e2e/plane"
)

// The ports are those that Istio has everywhere, so the tests run in a network namespace of their own.
const (
	public      = "http://127.0.0.1:80"                     // the Gateway's listener; the sidecar's, where there is no Gateway
	ready       = "http://127.0.0.1:15021/healthz/ready"    // what Kubernetes asks a pod
	metrics     = "http://127.0.0.1:15020/stats/prometheus" // what Prometheus scrapes
	istiodReady = "http://127.0.0.1:8080/ready"
	validate    = "http://127.0.0.1:8080/validate" // what Kubernetes asks istiod before it takes a resource
	xds         = "127.0.0.1:15010"                // istiod's
	folder      = "../../deploy/istio/"            // what is tested
)

// meshConfig is Istio's default but for what takes certificates, for which there is no authority here.
var meshConfig = object{
	"enableAutoMtls": false, "enablePrometheusMerge": false, "rootNamespace": "istio-system",
	"defaultConfig": object{"discoveryAddress": xds, "controlPlaneAuthPolicy": "NONE"},
}

// startIstiod runs istiod until the test ends.
func startIstiod(t *testing.T, kubernetes string) *plane.Process {
	t.Helper()
	mesh := filepath.Join(t.TempDir(), "mesh.yaml")
	writeFile(t, mesh, plane.ToYAML(t, meshConfig))
	command := exec.Command(plane.Built+"pilot-discovery", "discovery", "--kubeconfig", writeKubeconfig(t, kubernetes), "--meshConfig", mesh,
		"--domain", "cluster.local", "--grpcAddr", xds, "--httpAddr", "127.0.0.1:8080", "--monitoringAddr", "127.0.0.1:15014",
		"--httpsAddr", "", "--secureGRPCAddr", "", "--ctrlz_port", "0")
	command.Env = append(os.Environ(), "POD_NAMESPACE=istio-system", "POD_NAME=istiod-1",
		"ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none", "ENABLE_LEADER_ELECTION=false",
		"INJECT_ENABLED=false", "INJECTION_WEBHOOK_CONFIG_NAME=", "VALIDATION_WEBHOOK_CONFIG_NAME=",
		"PILOT_ENABLE_IP_AUTOALLOCATE=false",   // it would write to Kubernetes
		"KUBE_FEATURE_WatchListClient=false",   // a newer kind of watch
		"PILOT_ENABLE_ALPN_FILTER=false",       // a filter that only Istio's own Envoy has
		"PILOT_ENABLE_METADATA_EXCHANGE=false") // likewise
	return plane.Start(t, "istiod", command)
}

// startGateway runs the agent of an ingress gateway.
func startGateway(t *testing.T) *plane.Process {
	t.Helper()
	return startAgent(t, "router", "istio-ingress", `istio="ingressgateway"`)
}

// startSidecar runs the agent of a workload. Nothing catches its connections: Envoy listens at the services' ports.
func startSidecar(t *testing.T) *plane.Process {
	t.Helper()
	return startAgent(t, "sidecar", "shop", `app="checkout"`, "ISTIO_META_INTERCEPTION_MODE=NONE")
}

// startAgent runs an agent and its Envoy, in a pod with what deploy/istio/bootstrap.yaml puts into it, until it is stopped or the test ends.
func startAgent(t *testing.T, kind, namespace, label string, env ...string) *plane.Process {
	t.Helper()
	envoy := os.Getenv("ENVOY")
	if _, err := os.Stat(envoy); err != nil {
		t.Fatalf("ENVOY names no Envoy: run it by make test-istio, which fetches one (%v)", err)
	}
	pod := t.TempDir()
	agent, err := filepath.Abs(plane.Built + "pilot-agent")
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(plane.Built + "envoy_bootstrap_tmpl.json")
	if err != nil {
		t.Fatal(err)
	}
	override := plane.At(plane.Resources(t, folder+"bootstrap.yaml")[0], "data")["custom_bootstrap.json"].(string)
	for name, text := range map[string]string{
		"var/lib/istio/envoy/envoy_bootstrap_tmpl.json":    string(template),
		"etc/istio/pod/labels":                             label + "\n",
		"etc/istio/config/mesh":                            plane.ToYAML(t, meshConfig),
		"etc/istio/custom-bootstrap/custom_bootstrap.json": override,
	} {
		writeFile(t, filepath.Join(pod, name), text)
	}
	command := exec.Command(agent, "proxy", kind, "--domain", namespace+".svc.cluster.local")
	command.Dir = pod
	config, err := json.Marshal(object{
		"binaryPath": envoy, "discoveryAddress": xds, "controlPlaneAuthPolicy": "NONE", "concurrency": 2, "configPath": "./etc/istio/proxy",
		"statusPort": 15020, "terminationDrainDuration": "1s",
	})
	if err != nil {
		t.Fatal(err)
	}
	command.Env = append(os.Environ(), "POD_NAME=pod-1", "POD_NAMESPACE="+namespace, "INSTANCE_IP=127.0.0.1",
		"ISTIO_META_CLUSTER_ID=Kubernetes", "FILE_MOUNTED_CERTS=true",
		"ISTIO_BOOTSTRAP_OVERRIDE=./etc/istio/custom-bootstrap/custom_bootstrap.json", "PROXY_CONFIG="+string(config))
	command.Env = append(command.Env, env...)
	return plane.Start(t, "the agent", command)
}

// needNamespace fails where others' ports and files could be met.
func needNamespace(t *testing.T) {
	t.Helper()
	if interfaces, err := net.Interfaces(); err != nil || len(interfaces) != 1 {
		t.Fatalf("Istio's ports are fixed, so this needs a network namespace of its own: run it by make test-istio (%d interfaces, %v)",
			len(interfaces), err)
	}
	// Where the agent keeps the plugins that it pulls. Another place cannot be given.
	if _, err := os.Stat("/var/lib/istio"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("/var/lib/istio is there, or cannot be read: run it by make test-istio, which gives it an empty /var/lib (%v)", err)
	}
	if err := os.MkdirAll("/var/lib/istio/data", 0o755); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
