//go:build fleet

package fleet_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/e2e/internal/monitoring"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// clusters are those that the real Envoy has, each with a breaker.
var clusters = []string{"payments", "search", "catalog", "outbound|443||api.example.com", "a.b/c:d"}

// scrapeReal returns what a real Envoy shows at /stats/prometheus, with the labels that are shipped: of its breakers, one of which is a
// route's, and of what it could not take, the plugin by ECDS and another one from elsewhere among it.
func scrapeReal(t *testing.T) string {
	t.Helper()
	upstream := envoytest.NewUpstream(t)
	live := envoytest.NewLive(t, `{
		"consecutive_failures": 100, "slow_call": {"duration": "10s"}, "ramp": "1s", "probe": {"path": "/"},
		"clusters": [{"match": "payments", "route": "reports"}, {"match": "catalog", "mode": "shadow"}]
	}`) // a stat that cannot move is not shown
	listener := envoy.Listener{FiltersBefore: live.Filter(), Routes: []envoy.Route{{Name: "reports", Prefix: "/reports", Cluster: clusters[0]}}}
	var all []envoy.Cluster
	for i, c := range clusters {
		all = append(all, envoy.Cluster{Name: c, Address: upstream.Address})
		listener.Routes = append(listener.Routes, envoy.Route{Prefix: fmt.Sprintf("/%d", i), Cluster: c})
	}
	folder := t.TempDir()
	discovery := map[string]string{"cds": `{"resources": []}`, "lds": `{"resources": [{
		"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": "unfetched",
		"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
		"filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
			"stat_prefix": "unfetched", "route_config": {},
			"http_filters": [{"name": "unfetched", "typed_config": {
				"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
				"config": {"name": "unfetched", "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"remote": {
					"sha256": "` + strings.Repeat("0", 64) + `",
					"http_uri": {"uri": "http://127.0.0.1/plugin.wasm", "cluster": "payments", "timeout": "1s"}
				}}}}}},
				{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]
		}}]}]
	}]}`}
	extra := monitoring.StatsConfig(t) + "dynamic_resources:\n"
	for name, text := range discovery {
		file := filepath.Join(folder, name+".json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		extra += fmt.Sprintf("  %s_config: { resource_api_version: V3, path_config_source: { path: %q } }\n", name, file)
	}
	e := envoytest.Start(t, envoy.Bootstrap{Clusters: all, Listeners: []envoy.Listener{listener}, Extra: extra})
	for _, r := range listener.Routes {
		if a := e.Get(r.Prefix); a.Status != 200 {
			t.Fatalf("%s: %d %v", r.Prefix, a.Status, a.Err)
		}
	}
	defer e.Stop()
	return e.Admin(http.MethodGet, "/stats/prometheus")
}

// A breaker is what tells one from others on an Envoy.
type breaker struct{ cluster, route string }

// A line is one of a scrape.
type line struct {
	text    string // all of it where it is a comment, else without the value
	metric  string // "" for a comment
	breaker breaker
	value   string
}

var (
	ours     = regexp.MustCompile(`^(# TYPE )?(circuit_breaker_|envoy_(server_|wasm_|cluster_manager_cds_|listener_manager_lds_|extension_config_discovery_))`)
	measured = regexp.MustCompile(`^([a-z0-9_]+)\{(.*)\} (\S+)$`)
	label    = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

// parse reads a scrape, and keeps what the rules could be about.
func parse(t *testing.T, scrape string) (lines []line) {
	t.Helper()
	for text := range strings.Lines(scrape) {
		text = strings.TrimSuffix(text, "\n")
		if !ours.MatchString(text) {
			continue
		}
		m := measured.FindStringSubmatch(text)
		if m == nil {
			lines = append(lines, line{text: text})
			continue
		}
		l := line{text: strings.TrimSuffix(text, m[3]), metric: m[1], value: m[3]}
		for _, pair := range label.FindAllStringSubmatch(m[2], -1) {
			switch pair[1] {
			case "cluster":
				l.breaker.cluster = pair[2]
			case "route":
				l.breaker.route = pair[2]
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// A doing is what a breaker does: what its gauges read, and by how much its counters grow in a second.
type doing map[string]float64

var (
	healthy       = doing{"calls": 10}
	turnsAway     = doing{"state": 1, "calls": 0.5, "failures": 0.5, "rejected": 9.5, "opened": 0.2, "opened_half_open_failure": 0.2}
	shadows       = doing{"mode": 1, "calls": 10}
	wouldTurnAway = doing{"mode": 1, "state": 1, "calls": 0.5, "failures": 0.5, "late": 9.5, "shadow_rejected": 9.5}
)

// An instance is a synthetic Envoy: it shows what the real one showed, and its breakers do what they are told.
type instance struct {
	lines []line

	mu       sync.Mutex
	down     bool
	started  time.Time
	now      time.Time
	does     map[breaker]doing
	counters map[breaker]doing
}

func newInstance(lines []line) *instance {
	e := &instance{lines: lines, does: map[breaker]doing{}}
	for _, l := range lines {
		if l.breaker.cluster != "" {
			e.does[l.breaker] = healthy
		}
	}
	e.restart(time.Now().Add(-24 * time.Hour))
	return e
}

// restart begins all counters at 0.
func (e *instance) restart(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down, e.started, e.now, e.counters = false, at, time.Now(), map[breaker]doing{}
}

func (e *instance) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = true
}

func (e *instance) do(b breaker, d doing) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.advance()
	e.does[b] = d
}

func (e *instance) advance() {
	seconds := time.Since(e.now).Seconds()
	e.now = time.Now()
	for b, does := range e.does {
		if e.counters[b] == nil {
			e.counters[b] = doing{}
		}
		for stat, growth := range does {
			e.counters[b][stat] += growth * seconds
		}
	}
}

// ServeHTTP answers as /stats/prometheus does.
func (e *instance) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	e.advance()
	var text strings.Builder
	for _, l := range e.lines {
		text.WriteString(l.text)
		text.WriteString(e.value(l))
		text.WriteByte('\n')
	}
	_, _ = w.Write([]byte(text.String()))
}

func (e *instance) value(l line) string {
	stat, ofBreaker := strings.CutPrefix(l.metric, "circuit_breaker_")
	switch {
	case l.metric == "envoy_server_uptime":
		return strconv.Itoa(int(time.Since(e.started).Seconds()))
	case l.metric == "envoy_wasm_remote_load_fetch_failures": // of the real one
		return "0"
	case !ofBreaker || l.breaker.cluster == "":
		return l.value
	case stat == "state" || stat == "mode":
		return strconv.Itoa(int(e.does[l.breaker][stat]))
	}
	return strconv.Itoa(int(e.counters[l.breaker][stat]))
}

// A fleet is many of them behind one server, each at a path of its own.
type fleet struct {
	instances []*instance
	server    *httptest.Server
}

func startFleet(t *testing.T, lines []line, size int) *fleet {
	f := &fleet{}
	mux := http.NewServeMux()
	for i := range size {
		e := newInstance(lines)
		f.instances = append(f.instances, e)
		mux.Handle(fmt.Sprintf("/%d", i), e)
	}
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	return f
}

// job is the part of Prometheus's configuration that has it scrape the fleet, with more labels for each instance.
func (f *fleet) job(name string, labels func(i int) map[string]string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "- job_name: %s\n  static_configs:\n", name)
	for i := range f.instances {
		all := maps.Clone(labels(i))
		all["instance"], all["__metrics_path__"] = instanceName(name, i), fmt.Sprintf("/%d", i)
		fmt.Fprintf(&text, "  - targets: [%q]\n    labels:\n", f.server.Listener.Addr())
		for name, value := range all {
			fmt.Fprintf(&text, "      %s: %q\n", name, value)
		}
	}
	return text.String()
}

func instanceName(job string, i int) string { return fmt.Sprintf("%s-%d:9901", job, i) }
