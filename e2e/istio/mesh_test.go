//go:build istio

package istio_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// The ports are those that Istio has everywhere, so the tests run in a network namespace of their own.
const (
	public      = "http://127.0.0.1:80"                     // the Gateway's listener; the sidecar's, where there is no Gateway
	ready       = "http://127.0.0.1:15021/healthz/ready"    // what Kubernetes asks a pod
	metrics     = "http://127.0.0.1:15020/stats/prometheus" // what Prometheus scrapes
	istiodReady = "http://127.0.0.1:8080/ready"
	validate    = "http://127.0.0.1:8080/validate" // what Kubernetes asks istiod before it takes a resource
	xds         = "127.0.0.1:15010"                // istiod's
	built       = "../../build/"                   // where make puts what it builds
	folder      = "../../deploy/istio/"            // what is tested
)

// meshConfig is Istio's default but for what takes certificates, for which there is no authority here.
var meshConfig = object{
	"enableAutoMtls": false, "enablePrometheusMerge": false, "rootNamespace": "istio-system",
	"defaultConfig": object{"discoveryAddress": xds, "controlPlaneAuthPolicy": "NONE"},
}

// startIstiod runs istiod until the test ends.
func startIstiod(t *testing.T, kubernetes string) *process {
	t.Helper()
	mesh := filepath.Join(t.TempDir(), "mesh.yaml")
	writeFile(t, mesh, toYAML(t, meshConfig))
	command := exec.Command(built+"pilot-discovery", "discovery", "--kubeconfig", writeKubeconfig(t, kubernetes), "--meshConfig", mesh,
		"--domain", "cluster.local", "--grpcAddr", xds, "--httpAddr", "127.0.0.1:8080", "--monitoringAddr", "127.0.0.1:15014",
		"--httpsAddr", "", "--secureGRPCAddr", "", "--ctrlz_port", "0")
	command.Env = append(os.Environ(), "POD_NAMESPACE=istio-system", "POD_NAME=istiod-1",
		"ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none", "ENABLE_LEADER_ELECTION=false",
		"INJECT_ENABLED=false", "INJECTION_WEBHOOK_CONFIG_NAME=", "VALIDATION_WEBHOOK_CONFIG_NAME=",
		"PILOT_ENABLE_IP_AUTOALLOCATE=false",   // it would write to Kubernetes
		"KUBE_FEATURE_WatchListClient=false",   // a newer kind of watch
		"PILOT_ENABLE_ALPN_FILTER=false",       // a filter that only Istio's own Envoy has
		"PILOT_ENABLE_METADATA_EXCHANGE=false") // likewise
	return start(t, "istiod", command)
}

// startGateway runs the agent of an ingress gateway.
func startGateway(t *testing.T, registry string) *process {
	t.Helper()
	return startAgent(t, registry, "router", "istio-ingress", `istio="ingressgateway"`)
}

// startSidecar runs the agent of a workload. Nothing catches its connections: Envoy listens at the services' ports.
func startSidecar(t *testing.T, registry string) *process {
	t.Helper()
	return startAgent(t, registry, "sidecar", "shop", `app="checkout"`, "ISTIO_META_INTERCEPTION_MODE=NONE")
}

// startAgent runs an agent and its Envoy, in a pod with what deploy/istio/bootstrap.yaml puts into it, until it is stopped or the test ends.
// registry is one without TLS.
func startAgent(t *testing.T, registry, kind, namespace, label string, env ...string) *process {
	t.Helper()
	envoy := os.Getenv("ENVOY")
	if _, err := os.Stat(envoy); err != nil {
		t.Fatalf("ENVOY names no Envoy: run it by make test-istio, which fetches one (%v)", err)
	}
	pod := t.TempDir()
	agent, err := filepath.Abs(built + "pilot-agent")
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(built + "envoy_bootstrap_tmpl.json")
	if err != nil {
		t.Fatal(err)
	}
	override := at(shipped(t, "bootstrap.yaml")[0], "data")["custom_bootstrap.json"].(string)
	for name, text := range map[string]string{
		"var/lib/istio/envoy/envoy_bootstrap_tmpl.json":    string(template),
		"etc/istio/pod/labels":                             label + "\n",
		"etc/istio/config/mesh":                            toYAML(t, meshConfig),
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
		"ISTIO_META_CLUSTER_ID=Kubernetes", "FILE_MOUNTED_CERTS=true", "WASM_INSECURE_REGISTRIES="+registry,
		"ISTIO_BOOTSTRAP_OVERRIDE=./etc/istio/custom-bootstrap/custom_bootstrap.json", "PROXY_CONFIG="+string(config))
	command.Env = append(command.Env, env...)
	return start(t, "the agent", command)
}

// A process runs until it is stopped or the test ends. Its log is shown if the test has failed.
type process struct {
	name    string
	command *exec.Cmd
	ended   chan struct{}
	log     output
	stop    func()
}

// output is what a process writes.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *output) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *output) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, name string, command *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, command: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &p.log, &p.log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatalf("%s: %v; run it by make test-istio, which builds it", name, err)
	}
	go func() {
		command.Wait()
		close(p.ended)
	}()
	p.stop = sync.OnceFunc(func() {
		command.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(time.Minute):
			t.Errorf("%s does not stop", name)
		}
		syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // and whatever it has left
		if t.Failed() {
			t.Logf("the log of %s:\n%s", name, p.log.String())
		}
	})
	t.Cleanup(p.stop)
	return p
}

// runs fails when the process has ended by itself.
func (p *process) runs() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended", p.name)
	default:
		return nil
	}
}

// memory returns the resident memory of the process, in MB.
func (p *process) memory(t *testing.T) (mb int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, err := fmt.Sscanf(line, "VmRSS: %d kB", &mb); n == 1 && err == nil {
			return mb / 1024
		}
	}
	t.Fatalf("no VmRSS in %s", text)
	return 0
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

// shipped returns the resources of a file of deploy/istio.
func shipped(t *testing.T, file string) (all []object) {
	t.Helper()
	text, err := os.ReadFile(folder + file)
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var one object
		if err := yaml.UnmarshalStrict([]byte(document), &one); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, one)
	}
	return all
}

func toYAML(t *testing.T, v any) string {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// clone returns a copy that shares nothing.
func clone(t *testing.T, o object) (copied object) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}

// at returns the object at a path of keys and indexes.
func at(o object, path ...any) object {
	var v any = o
	for _, step := range path {
		switch step := step.(type) {
		case string:
			v = v.(object)[step]
		case int:
			v = v.([]any)[step]
		}
	}
	return v.(object)
}
