//go:build faults

package faults_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/wasmhost"
)

// What nobody should configure is taken or refused, by an error that says where it is, and soon. A plugin that runs in the same virtual
// machine does not notice.
func TestHostileConfigurations(t *testing.T) {
	program, err := wasmhost.Compile(t.Context(), "../../"+envoy.PluginFile)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close(t.Context())
	host, err := wasmhost.New(program, wasmhost.Options{Plugin: "good"})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	serves := func(t *testing.T, p *wasmhost.Plugin) {
		t.Helper()
		s, err := host.VM(0).Request(wasmhost.Req{Plugin: p, Cluster: "payments"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Status(200); err != nil {
			t.Fatal(err)
		}
	}
	var loaded, refused int
	var slowest time.Duration
	for _, c := range hostileConfigs() {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			p, err := host.AddPlugin("hostile", c.text)
			took := time.Since(began)
			slowest = max(slowest, took)
			if took > 20*time.Second { // some milliseconds on a quiet machine
				t.Errorf("it took %v", took)
			}
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused: %.500v", err)
			case c.refused == "":
				loaded++
				serves(t, p)
				if err := p.Remove(); err != nil {
					t.Error(err)
				}
			case err == nil:
				t.Error("it was loaded")
			default:
				refused++
				if n := strings.Count(err.Error(), "configuration refused: "+c.refused); n != 1 || len(err.Error()) > 5000 {
					t.Errorf("%.1000q, want %q", err, c.refused)
				}
			}
			serves(t, host.Plugin())
		})
	}
	t.Logf("%d were loaded and %d refused, and the slowest took %v; the worker has %d KB", loaded, refused, slowest, host.VM(0).MemorySize()>>10)
}

// A real Envoy says the same of some, and goes on after a validation of any.
func TestHostileConfigurationsOfEnvoy(t *testing.T) {
	some := map[string]bool{"deep-lists": true, "deep-lists-after-a-line": true, "1-mb-string": true, "overrides-10000": true} // each takes an Envoy its start
	binary, folder := os.Getenv("ENVOY"), t.TempDir()
	if binary == "" {
		t.Fatal("ENVOY does not name an Envoy binary")
	}
	for _, c := range hostileConfigs() {
		if !some[c.name] {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			bootstrap, err := envoy.Bootstrap{Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{Config: c.text}}}}.YAML()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(folder, c.name+".yaml")
			if err := os.WriteFile(file, []byte(bootstrap), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), binary, "--mode", "validate", "-c", file)
			command.Dir = "../.."
			out, err := command.CombinedOutput()
			if valid := err == nil; valid != (c.refused == "") || !strings.Contains(string(out), c.refused) {
				t.Errorf("%v, want %q:\n%.3000s", err, c.refused, out)
			}
		})
	}
}
