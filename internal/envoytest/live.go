package envoytest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/internal/envoy"
)

// A Live is a plugin whose configuration Envoy watches in a file, as Istio's proxy gets it from the control plane.
type Live struct {
	t    testing.TB
	file string
	n    int
}

// NewLive makes one, to be put among the filters of a listener.
func NewLive(t testing.TB, config string) *Live {
	t.Helper()
	l := &Live{t: t, file: filepath.Join(t.TempDir(), "ecds.json")}
	l.Push(config)
	return l
}

// Filter returns it as raw YAML: one item of a list of HTTP filters.
func (l *Live) Filter() string {
	return fmt.Sprintf(`
		- name: live
		  config_discovery:
		    config_source:
		      path_config_source: { path: %q }
		      resource_api_version: V3
		    type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]`, l.file)
}

// Push gives Envoy another configuration of the plugin, which it takes or refuses a moment later.
func (l *Live) Push(config string) {
	l.t.Helper()
	l.PushFilter(envoy.Plugin{Config: config}.TypedConfig())
}

// PushFilter gives Envoy another filter: raw YAML, the message that a filter's typed_config holds.
func (l *Live) PushFilter(typedConfig string) {
	l.t.Helper()
	text, err := yaml.YAMLToJSON([]byte(typedConfig))
	if err != nil {
		l.t.Fatal(err)
	}
	l.n++
	MoveIntoPlace(l.t, l.file, fmt.Sprintf(`{"version_info": "%d", "resources": [{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
		"name": "live", "typed_config": %s}]}`, l.n, text))
}

// MoveIntoPlace writes a file that Envoy watches. Envoy takes notice of one that is moved there, so it never reads half of one.
func MoveIntoPlace(t testing.TB, file, text string) {
	t.Helper()
	next := file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
}

// Updates returns how often Envoy has taken a pushed configuration, and how often refused one.
func (e *Envoy) Updates() (taken, refused uint64) {
	e.t.Helper()
	for name, value := range e.Stats("extension_config_discovery.") {
		switch {
		case strings.HasSuffix(name, ".config_reload"):
			taken += value
		case strings.HasSuffix(name, ".config_fail"), strings.HasSuffix(name, ".update_rejected"):
			refused += value
		}
	}
	return taken, refused
}

// AwaitUpdates waits until Envoy has taken so many pushed configurations.
func (e *Envoy) AwaitUpdates(atLeast uint64) {
	e.t.Helper()
	Eventually(e.t, 60*time.Second, func() error {
		if taken, refused := e.Updates(); taken < atLeast {
			return fmt.Errorf("%d updates taken, %d refused, want %d", taken, refused, atLeast)
		}
		return nil
	})
}
