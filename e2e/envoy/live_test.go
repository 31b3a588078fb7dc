package envoy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A liveFilter is a plugin configuration that Envoy watches in a file, as Istio's proxy gets it from the control plane.
type liveFilter struct {
	t    *testing.T
	file string
	n    int
}

// push gives Envoy another configuration, which it takes or refuses a moment later.
func (l *liveFilter) push(config string) {
	l.t.Helper()
	l.n++
	resource := fmt.Sprintf(`{"version_info": "%d", "resources": [{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
		"name": "live", "typed_config": %s}]}`, l.n, yamlToJSON(l.t, envoy.Plugin{Config: config}.TypedConfig()))
	moveIntoPlace(l.t, l.file, resource)
}

// moveIntoPlace writes a file that Envoy watches. Envoy takes notice of one that is moved there, so it never reads half of one.
func moveIntoPlace(t *testing.T, file, text string) {
	t.Helper()
	next := file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
}

// liveShop is a shop with a live configuration.
func liveShop(t *testing.T, config string) (*shop, *liveFilter) {
	t.Helper()
	l := &liveFilter{t: t, file: filepath.Join(t.TempDir(), "ecds.json")}
	l.push(config)
	s := &shop{t: t, payments: envoytest.NewUpstream(t), catalog: envoytest.NewUpstream(t)}
	s.Envoy = envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: s.payments.Address}, {Name: "catalog", Address: s.catalog.Address}},
		Listeners: []envoy.Listener{{FiltersBefore: fmt.Sprintf(`
			- name: live
			  config_discovery:
			    config_source:
			      path_config_source: { path: %q }
			      resource_api_version: V3
			    type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]`, l.file)}},
	})
	return s, l
}

// updates returns how often Envoy has taken a pushed configuration, and how often refused one.
func (s *shop) updates() (taken, refused uint64) {
	s.t.Helper()
	for name, value := range s.Stats("extension_config_discovery.") {
		switch {
		case strings.HasSuffix(name, ".config_reload"):
			taken += value
		case strings.HasSuffix(name, ".config_fail"), strings.HasSuffix(name, ".update_rejected"):
			refused += value
		}
	}
	return taken, refused
}

func (s *shop) awaitUpdates(atLeast uint64) {
	s.t.Helper()
	envoytest.Eventually(s.t, 60*time.Second, func() error {
		if taken, refused := s.updates(); taken < atLeast {
			return fmt.Errorf("%d updates taken, %d refused, want %d", taken, refused, atLeast)
		}
		return nil
	})
}

// Fifty configurations pushed under load lose no request, and none is answered by anybody but its upstream.
func TestConfigurationPushes(t *testing.T) {
	const pushes = 50
	s, live := liveShop(t, `{"min_requests": 100}`)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var requests, unexpected atomic.Int64
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				requests.Add(1)
				if a := s.Get("/payments"); a.Status != 200 {
					unexpected.Add(1)
					t.Errorf("a request got %+v", a)
				}
			}
		})
	}
	taken, _ := s.updates()
	for i := range pushes {
		live.push(fmt.Sprintf(`{"min_requests": %d}`, 101+i))
		s.awaitUpdates(taken + uint64(i) + 1)
	}
	close(stop)
	clients.Wait()
	if n := unexpected.Load(); n != 0 {
		t.Errorf("%d of %d requests were not answered by the upstream", n, requests.Load())
	}
	s.wantSum(int(requests.Load()))
	t.Logf("%d pushes, %d requests, %d unexpected answers", pushes, requests.Load(), unexpected.Load())
}

// An open breaker stays open under another policy, but no longer than that one would let it. A bad configuration is refused
// and the old one stays.
func TestConfigurationWhileOpen(t *testing.T) {
	t.Parallel()
	s, live := liveShop(t, `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}}`)
	s.trip(5)
	taken, refusedBefore := s.updates()

	live.push(`{"min_requests": 6, "reject": {"status": 429}, "open": {"duration": "20s", "max_duration": "30s", "jitter": 0}}`)
	s.awaitUpdates(taken + 1)
	envoytest.Eventually(t, 20*time.Second, func() error {
		a := s.Get("/payments")
		if a.Header.Get("x-circuit-breaker") != "open" {
			t.Fatalf("the breaker did not stay open: %+v", a)
		}
		if after := a.Header.Get("retry-after"); a.Status != 429 || after == "" || len(after) != 2 || after > "30" {
			return fmt.Errorf("the new policy does not show: %d, retry-after %s", a.Status, after)
		}
		return nil
	})

	live.push(`{"min_requests": "few"}`)
	envoytest.Eventually(t, 20*time.Second, func() error {
		if _, refused := s.updates(); refused == refusedBefore {
			return fmt.Errorf("not refused yet: %v", s.Stats("extension_config_discovery."))
		}
		return nil
	})
	envoytest.Eventually(t, 20*time.Second, func() error { // what Envoy logs comes through a pipe
		if !strings.Contains(s.Log(), `configuration refused: min_requests: "few" is not allowed: must be a whole number`) {
			return errors.New("the log does not say why the configuration was refused")
		}
		return nil
	})
	for range 10 {
		if status, refused := s.pay(); status != 429 || refused != "open" {
			t.Errorf("after a refused configuration: %d %q", status, refused)
		}
	}

	// And by hand, live: disabled lets everything through at once.
	s.payments.Handle(envoytest.Status(200))
	taken, _ = s.updates()
	live.push(`{"clusters": [{"match": "payments", "mode": "disabled"}]}`)
	s.awaitUpdates(taken + 1)
	envoytest.Eventually(t, 20*time.Second, func() error {
		if status, refused := s.pay(); status != 200 {
			return fmt.Errorf("disabled, but %d %q", status, refused)
		}
		return nil
	})
}

// A Struct, as people write in an Envoy configuration, is as good as JSON text.
func TestStructConfiguration(t *testing.T) {
	t.Parallel()
	up := envoytest.NewUpstream(t)
	up.Handle(envoytest.Status(500))
	e := envoytest.Start(t, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: up.Address}},
		Listeners: []envoy.Listener{{Plugin: &envoy.Plugin{RawConfig: `
			"@type": type.googleapis.com/google.protobuf.Struct
			value:
			  failure_rate: 60
			  min_requests: 100
			  reject: { status: 429, overloaded: false }
			  clusters:
			  - { match: "pay*", min_requests: 4 }`}}},
	})
	for i := range 6 {
		want := 500
		if i >= 4 {
			want = 429
		}
		if a := e.Get("/payments"); a.Status != want || a.Header.Get("x-envoy-overloaded") != "" {
			t.Errorf("request %d: %d %v, want %d", i+1, a.Status, a.Header, want)
		}
	}
}

func yamlToJSON(t *testing.T, text string) string {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
