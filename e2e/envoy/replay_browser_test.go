//go:build browser

package envoy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/scenario"
	"envoy-circuit-breaker/internal/simulate"
)

// The page of breakerctl replay, and that of simulate, with names of all kinds, on a phone and a wide screen, in light and dark.
func TestBrowserReplay(t *testing.T) {
	markup, long := `outbound|443||<script>alert("x")</script>`, "outbound|8443|canary|recommendations.production.svc.cluster.local"
	options := replay.Options{Timeline: true}
	for name, text := range map[string]string{"a.json": `{"min_requests": 10}`, "b.json": `{"per": "route", "slow_call": {"duration": "1s", "rate": 60}}`} {
		c, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		options.Policies = append(options.Policies, replay.Policy{Name: name, Config: c})
	}
	page := func(options replay.Options) string {
		r := replay.New(options)
		begin := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
		for i := range 30_000 {
			e := accesslog.Entry{Start: begin.Add(time.Duration(i) * 20 * time.Millisecond).UnixNano(), Duration: 8 * time.Millisecond,
				Response: 8 * time.Millisecond, Status: 200, GRPC: -1, Attempts: 1, Details: "via_upstream", Cluster: "payments", Instance: "envoy-1"}
			switch s := i / 50; {
			case i%3 == 0:
				e.Cluster, e.Route = markup, "search"
			case i%3 == 1:
				e.Cluster, e.Route = long, strings.Repeat("w", 100)
				if s > 300 && s < 340 {
					e.Details, e.Status, e.Response = "downstream_remote_disconnect", 0, -1
				}
			case s > 100 && s < 130:
				e.Status = 503
			case s > 200 && s < 230:
				e.Duration, e.Response = 2*time.Second, 2*time.Second
			}
			r.Add(&e)
		}
		var html strings.Builder
		if err := r.Finish().WriteHTML(&html); err != nil {
			t.Fatal(err)
		}
		return html.String()
	}
	pages := map[string]string{"one": page(replay.Options{Timeline: true, Policies: options.Policies[:1]}), "both": page(options), "fleet": fleetPage(t, markup)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "text/html; charset=utf-8")
		io.WriteString(w, pages[r.URL.Path[1:]])
	}))
	defer server.Close()
	b := openBrowser(t)
	ofLogs := []string{"payments on envoy-1", "closed -> open: ", "line: a trip"}
	ofFleets := []string{"ALL CLOSED", "Share of the 12 breakers by state", "Trials and probes that reached the service", "probing.json"}
	for name, wants := range map[string][]string{"one": ofLogs, "both": ofLogs, "fleet": ofFleets} {
		b.open(server.URL + "/" + name)
		b.looks("replay-" + name)
		text := b.text()
		for _, want := range append(wants, "What the circuit breaker would have done", markup, "Rejected", "half-open") {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the page does not show %q:\n%s", name, want, text)
			}
		}
		if n := evaluate[int64](b, `document.querySelectorAll("script").length`); n != 0 {
			t.Errorf("%s: %d scripts came from a cluster's name", name, n)
		}
		if n := evaluate[int64](b, `document.querySelectorAll(".state line").length`); n < 2 && name != "fleet" {
			t.Errorf("%s: %d trips are marked", name, n)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.scripts) > 0 || len(b.messages) > 0 {
		t.Errorf("scripts of %q, messages %q", b.scripts, b.messages)
	}
	for _, u := range b.requests {
		if !strings.HasPrefix(u, server.URL+"/") && !strings.HasPrefix(u, "data:") {
			t.Errorf("a request to %s", u)
		}
	}
}

// fleetPage is the page of a simulated fleet, whose service and phases have such names.
func fleetPage(t *testing.T, name string) string {
	t.Helper()
	s, err := scenario.Read("fleet.yaml", fmt.Appendf(nil, `
cluster: %q
instances: 12
phases:
- { name: healthy, duration: 1m, rate: 20, latency: { p50: 20ms, p99: 80ms } }
- { name: short, duration: 2s }
- { name: %[1]q, duration: 3m, failures: 60, hangs: 40 }
- { name: %[2]q, duration: 1m }
`, name, strings.Repeat("w", 100)))
	if err != nil {
		t.Fatal(err)
	}
	options := simulate.Options{Name: "fleet.yaml", Timeline: true}
	for name, text := range map[string]string{"defaults.json": `{}`, "probing.json": `{"probe": {"path": "/"}}`} {
		c, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		options.Policies = append(options.Policies, replay.Policy{Name: name, Config: c})
	}
	var html strings.Builder
	if err := simulate.Run(s, options).WriteHTML(&html); err != nil {
		t.Fatal(err)
	}
	return html.String()
}
