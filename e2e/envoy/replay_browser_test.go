//go:build browser

package envoy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/replay"
)

// The page of breakerctl replay, with names of all kinds, on a phone and a wide screen, in light and dark.
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
	one, both := page(replay.Options{Timeline: true, Policies: options.Policies[:1]}), page(options)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/one":
			io.WriteString(w, one)
		case "/both":
			io.WriteString(w, both)
		}
	}))
	defer server.Close()
	b := openBrowser(t)
	for _, name := range []string{"one", "both"} {
		b.open(server.URL + "/" + name)
		b.looks("replay-" + name)
		text := b.text()
		for _, want := range []string{"What the circuit breaker would have done", "payments on envoy-1", markup, "closed -> open: ", "Rejected", "half-open"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the page does not show %q:\n%s", name, want, text)
			}
		}
		if n := evaluate[int64](b, `document.querySelectorAll("script").length`); n != 0 {
			t.Errorf("%s: %d scripts came from a cluster's name", name, n)
		}
		if n := evaluate[int64](b, `document.querySelectorAll(".state line").length`); n < 2 {
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
