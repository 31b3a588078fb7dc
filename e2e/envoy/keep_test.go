package envoy_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

const (
	openLong   = `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}}`
	wrongKept  = `{"min_requests": "few", "invalid_config": "keep"}`
	wrongOther = `{"min_request": 5, "invalid_config": "keep"}`
	wrongPlain = `{"min_requests": "few"}`
)

// A delivery is a way for a plugin's configuration to come by.
type delivery struct {
	t      *testing.T
	by     string // LDS or ECDS
	folder string
}

// filter delivers a plugin, and returns its item of http_filters. vm is the configuration of its virtual machine: with another one
// Envoy makes another machine.
func (d delivery) filter(plugin, config, vm string) string {
	d.t.Helper()
	var typed object
	if err := yaml.Unmarshal([]byte(envoy.Plugin{Name: plugin, Config: config}.TypedConfig()), &typed); err != nil {
		d.t.Fatal(err)
	}
	typed["config"].(map[string]any)["vm_config"].(map[string]any)["configuration"] = object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": vm}
	if d.by == "LDS" {
		return "- " + toJSON(d.t, object{"name": plugin, "typed_config": typed})
	}
	file := filepath.Join(d.folder, plugin)
	envoytest.MoveIntoPlace(d.t, file, toJSON(d.t, object{"resources": []object{{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": plugin, "typed_config": typed,
	}}}))
	return "- " + toJSON(d.t, object{"name": plugin, "config_discovery": object{
		"config_source": object{"path_config_source": object{"path": file}, "initial_fetch_timeout": "0s"},
		"type_urls":     []string{wasmType},
	}})
}

// awaitInvalid waits until the gauge of a plugin reads so.
func (s *shop) awaitInvalid(plugin string, want uint64) {
	s.t.Helper()
	name := "wasmcustom.circuit_breaker." + plugin + ".config_invalid"
	envoytest.Eventually(s.t, time.Minute, func() error {
		if got, shown := s.Stats(name)[name]; !shown || got != want {
			return fmt.Errorf("config_invalid of %s reads %d (%v), want %d", plugin, got, shown, want)
		}
		return nil
	})
}

// With keep, an Envoy that starts with a wrong configuration serves, and passes what comes: by LDS and by ECDS. With refuse the
// listener is missing, or answers 500. The right one is in force when it comes.
func TestKeepAtStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	lds, ecds := delivery{t, "LDS", folder}, delivery{t, "ECDS", folder}
	s := dynamic(t, folder, map[string]string{
		"lds":          lds.filter("lds", wrongKept, ""),
		"ecds":         ecds.filter("ecds", wrongKept, ""),
		"lds-refused":  lds.filter("lds-refused", wrongPlain, ""),
		"ecds-refused": ecds.filter("ecds-refused", wrongPlain, ""),
	})
	if s.address("lds-refused") != "" {
		t.Error("a listener with a configuration that is refused has come up")
	}
	if a := s.get("ecds-refused", "/payments"); a.Status != 500 {
		t.Errorf("a filter with a configuration that is refused: %d %v, want 500", a.Status, a.Err)
	}
	s.payments.Handle(envoytest.Status(502))
	for _, name := range []string{"lds", "ecds"} {
		for range 30 {
			if a := s.get(name, "/payments"); a.Status != 502 {
				t.Fatalf("%s: %d %v, want the upstream's 502", name, a.Status, a.Err)
			}
		}
		s.awaitInvalid(name, 1)
		if b := s.BreakerOf(name, "payments"); b != (envoy.BreakerStats{}) {
			t.Errorf("%s has a breaker: %v", name, b)
		}
	}
	s.awaitLog(`configuration refused, and there is no good one to go by, so requests pass without a breaker: min_requests: "few" is not allowed: must be a whole number`, 2)

	s.set("lds", lds.filter("lds", openLong, ""))
	ecds.filter("ecds", openLong, "")
	for _, name := range []string{"lds", "ecds"} {
		s.awaitInvalid(name, 0)
		envoytest.Eventually(t, time.Minute, func() error {
			if a := s.get(name, "/payments"); a.Header.Get("x-circuit-breaker") != "open" {
				return fmt.Errorf("%s: the breaker does not open: %d %v", name, a.Status, a.Err)
			}
			return nil
		})
	}
}

// With keep, a wrong configuration that comes to a running Envoy leaves the one before in force: under load an open breaker stays open
// and no request is lost, on that listener and on another of the same name, in a new virtual machine too. Every other change of the
// listener goes through. With refuse it does not.
func TestKeepWhileRunning(t *testing.T) {
	for _, by := range []string{"LDS", "ECDS"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			d := delivery{t, by, t.TempDir()}
			s := dynamic(t, d.folder, map[string]string{
				"main":  d.filter("breaker", openLong, ""),
				"other": delivery{t, "LDS", ""}.filter("breaker", openLong, ""),
			})
			push := func(config, vm string) {
				if item := d.filter("breaker", config, vm); by == "LDS" {
					s.set("main", item)
				}
			}
			s.payments.Handle(envoytest.Status(500))
			for range 5 {
				s.get("main", "/payments")
			}
			s.awaitInvalid("breaker", 0)
			load := s.startLoad("/payments", func(a envoytest.Answer) error {
				if a.Status != 503 || a.Header.Get("x-circuit-breaker") != "open" {
					return fmt.Errorf("%d %q %v, want the open breaker's 503", a.Status, a.Header.Get("x-circuit-breaker"), a.Err)
				}
				return nil
			}, "main", "other")

			push(wrongKept, "")
			s.awaitInvalid("breaker", 1)
			s.rename("main", "main-1")
			s.awaitServer("main", "main-1")
			s.rename("other", "other-1") // by which the good one is loaded again
			s.awaitServer("other", "other-1")
			s.awaitInvalid("breaker", 1)
			_, before := s.machines()
			push(wrongOther, "2")
			envoytest.Eventually(t, time.Minute, func() error {
				if _, made := s.machines(); made == before {
					return fmt.Errorf("no new virtual machine, of %d", made)
				}
				return nil
			})
			const kept = "configuration refused, and the last good one stays in force: "
			s.awaitLog(kept+`min_requests: "few" is not allowed`, 1)
			s.awaitLog(kept+"min_request: unknown key", 1)
			s.rename("main", "main-2")
			s.awaitServer("main", "main-2")
			s.awaitInvalid("breaker", 1)
			push(strings.Replace(openLong, "5", "6", 1), "2")
			s.awaitInvalid("breaker", 0)
			s.rename("main", "main-3")
			s.awaitServer("main", "main-3")
			requests := load.end()
			b := s.Breaker("payments")
			if b[breaker.Opened] != 1 || b[breaker.Calls] != 5 || b[breaker.Errors] != 0 || b[breaker.Rejected] < uint64(requests) {
				t.Errorf("after %d requests: %v", requests, b)
			}
			t.Logf("%d requests, all of them rejected by the open breaker", requests)

			refused := s.refusals()
			push(wrongPlain, "")
			s.awaitRefusals(refused + 1)
			refused = s.refusals()
			s.rename("main", "main-4")
			s.awaitRefusals(refused + 1)
			if a := s.get("main", "/payments"); a.Header.Get("server") != "main-3" {
				t.Errorf("%q answers, want the listener before", a.Header.Get("server"))
			}
		})
	}
}

// refusals returns how many configurations Envoy has refused.
func (s *dynamicShop) refusals() (n uint64) {
	s.t.Helper()
	_, n = s.Updates()
	return n + s.Stat("listener_manager.lds.update_rejected")
}

func (s *dynamicShop) awaitRefusals(atLeast uint64) {
	s.t.Helper()
	envoytest.Eventually(s.t, time.Minute, func() error {
		if n := s.refusals(); n < atLeast {
			return fmt.Errorf("%d configurations refused, want %d", n, atLeast)
		}
		return nil
	})
}
