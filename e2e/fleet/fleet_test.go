//go:build fleet

// Package fleet_test runs the rules and the dashboard that are shipped in a real Prometheus, which scrapes hundreds of Envoys.
package fleet_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/e2e/internal/monitoring"
	"envoy-circuit-breaker/internal/envoytest"
)

const (
	plain, gateways = 200, 20 // Envoys: those that have no label but their instance, and those that have a namespace and a pod too
	patience        = 2 * time.Minute

	// The rules' times are a twentieth here: five minutes are 15 seconds. What they are in full is tested by promtool.
	hurry    = 20
	scrape   = 3 * time.Second
	evaluate = 2 * time.Second
)

// The rules' own tests pass.
func TestRules(t *testing.T) {
	cmd := exec.Command(program(t, "promtool"), "test", "rules", "circuit-breaker.test.yaml")
	cmd.Dir = filepath.Dir(monitoring.RuleFile)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

// An outage that half of the Envoys see raises one page, one that a single Envoy sees a warning, and one that all see in shadow a note;
// nothing else, also not when the Envoys restart one after the other. Meanwhile every panel of the dashboard has something to draw, and
// not too much of it.
func TestFleet(t *testing.T) {
	lines := parse(t, scrapeReal(t))
	many, few := startFleet(t, lines, plain), startFleet(t, lines, gateways)
	for _, e := range slices.Concat(many.instances, few.instances) {
		e.do(breaker{cluster: "catalog"}, shadows)
	}
	p := startPrometheus(t, fmt.Sprintf("global: { scrape_interval: %v, scrape_timeout: %v, evaluation_interval: %v }\nrule_files: [%q]\nscrape_configs:\n%s%s",
		scrape, scrape, evaluate, hurriedRules(t),
		many.job("envoy", func(int) map[string]string { return map[string]string{} }),
		few.job("gateway", func(i int) map[string]string {
			return map[string]string{"namespace": "edge", "pod": fmt.Sprintf("gateway-%d", i)}
		})))

	const asked = `namespace_plugin_cluster_route:circuit_breaker_envoys:count{mode="enforce", cluster="payments", route="", namespace=%q}`
	for namespace, size := range map[string]float64{"": plain, "edge": gateways} {
		envoytest.Eventually(t, patience, func() error {
			if got := p.query(fmt.Sprintf(asked, namespace)); len(got) != 1 || got[0].value != size {
				return fmt.Errorf("asked in namespace %q: %v, want %g", namespace, got, size)
			}
			return nil
		})
	}

	outage := time.Now()
	for _, e := range many.instances[:plain/2] {
		e.do(breaker{cluster: "payments"}, turnsAway)
	}
	many.instances[7].do(breaker{cluster: "search"}, turnsAway)
	for _, e := range many.instances {
		e.do(breaker{cluster: "catalog"}, wouldTurnAway)
	}
	want := []alert{
		{name: "CircuitBreakerOpen", severity: "critical", cluster: "payments"},
		{name: "CircuitBreakerOpenOnInstance", severity: "warning", cluster: "search", instance: instanceName("envoy", 7)},
		{name: "CircuitBreakerWouldReject", severity: "info", cluster: "catalog"},
	}
	p.await(want)
	t.Run("dashboard", func(t *testing.T) { p.checkDashboard(t) })
	if got := p.firing(); !same(got, want) { // still, after some seconds
		t.Errorf("firing: %v, want %v", got, want)
	}

	for _, e := range many.instances {
		for _, cluster := range []string{"payments", "search"} {
			e.do(breaker{cluster: cluster}, healthy)
		}
		e.do(breaker{cluster: "catalog"}, shadows)
	}
	p.await(nil)
	if got := p.fired(time.Since(outage) + patience); !same(got, want) {
		t.Errorf("fired: %v, want %v", got, want)
	}

	restart := time.Now()
	for quarter := range slices.Chunk(many.instances, plain/4) {
		for _, e := range quarter {
			e.stop()
		}
		p.awaitDown(len(quarter))
		for _, e := range quarter {
			e.restart(time.Now())
		}
		p.awaitDown(0)
	}
	envoytest.Eventually(t, patience, func() error {
		got := p.query(fmt.Sprintf(asked, ""))
		if len(got) != 1 || got[0].value != plain {
			return fmt.Errorf("asked after the restart: %v", got)
		}
		return nil
	})
	if got := p.fired(time.Since(restart)); len(got) > 0 {
		t.Errorf("fired while Envoys restart: %v", got)
	}
}

// awaitDown waits until so many Envoys cannot be scraped.
func (p *prometheus) awaitDown(want int) {
	p.t.Helper()
	envoytest.Eventually(p.t, patience, func() error {
		if got := p.query("sum(up == bool 0)"); len(got) != 1 || got[0].value != float64(want) {
			return fmt.Errorf("down: %v, want %d", got, want)
		}
		return nil
	})
}

// await waits until these alerts fire, and no others.
func (p *prometheus) await(want []alert) {
	p.t.Helper()
	envoytest.Eventually(p.t, patience, func() error {
		if got := p.firing(); !same(got, want) {
			return fmt.Errorf("firing: %v, want %v", got, want)
		}
		return nil
	})
}

func same(a, b []alert) bool {
	byName := func(a, b alert) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), byName), slices.SortedFunc(slices.Values(b), byName))
}

// checkDashboard asks for all that the dashboard does: of all Envoys, and of the one that sees something alone.
func (p *prometheus) checkDashboard(t *testing.T) {
	const most = 100 // series that a panel may draw; there are 6 breakers on each of 220 Envoys
	dashboard := monitoring.ReadDashboard(t)
	for _, instance := range []string{".*", instanceName("envoy", 7)} {
		for _, e := range dashboard.Expressions(t, map[string]string{"instance": instance, "__rate_interval": "15s", "__range": "1m"}) {
			var series int
			envoytest.Eventually(t, patience, func() error { // what is recorded now and then may not be there yet
				if series = len(p.query(e.Text)); series == 0 {
					return fmt.Errorf("%s has no data for instance %s: %s", e.For, instance, e.Text)
				}
				return nil
			})
			if series > most && !strings.HasPrefix(e.For, "variable") {
				t.Errorf("%s draws %d series: %s", e.For, series, e.Text)
			}
		}
	}
}

// hurriedRules returns a file with the rules that are shipped, whose times are shorter.
func hurriedRules(t *testing.T) string {
	t.Helper()
	rules, err := os.ReadFile(monitoring.RuleFile)
	if err != nil {
		t.Fatal(err)
	}
	units := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	duration := regexp.MustCompile(`(\[|[smhd]:|for: |interval: )(\d+)([mhd])`)
	for range 2 { // those behind a colon, after those before it
		rules = duration.ReplaceAllFunc(rules, func(text []byte) []byte {
			m := duration.FindSubmatch(text)
			n, err := strconv.Atoi(string(m[2]))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Appendf(nil, "%s%ds", m[1], int(time.Duration(n)*units[string(m[3])]/time.Second)/hurry)
		})
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, rules, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
