package envoy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// reroute is a filter that sends some requests to another route, after the breaker.
const reroute = `
- name: envoy.filters.http.lua
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
    default_source_code:
      inline_string: |
        function envoy_on_request(request)
          if request:headers():get(":path") == "/later" then
            request:headers():add("x-spare", "true")
            request:clearRouteCache()
          end
        end`

// atOnce is how many requests are sent to find out something about both workers, each on a connection of its own.
const atOnce = 20

var unkept = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// getApart asks on a connection of its own.
func getApart(t *testing.T, e *envoytest.Envoy, path string) (status int, by string) {
	t.Helper()
	response, err := unkept.Get(e.URL(path))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, response.Header.Get("x-circuit-breaker")
}

// served sends requests that a filter after the breaker takes from one cluster to another, and counts those that have not been asked for
// their cluster: they count for the one that has served them.
func served(t *testing.T, e *envoytest.Envoy, path, asked, serving string) int {
	t.Helper()
	before := e.Breakers()
	for range atOnce {
		if status, _ := getApart(t, e, path); status != 200 {
			t.Fatalf("%s: status %d", path, status)
		}
	}
	after := e.Breakers()
	counted := func(cluster string) int { return int(after[cluster][breaker.Calls] - before[cluster][breaker.Calls]) }
	if counted(asked)+counted(serving) != atOnce {
		t.Fatalf("%d requests, of which %d count for %s and %d for %s", atOnce, counted(asked), asked, counted(serving), serving)
	}
	return counted(serving)
}

// awaitCalm waits until no worker asks requests for their cluster.
func awaitCalm(t *testing.T, e *envoytest.Envoy, path, asked, serving string) {
	t.Helper()
	envoytest.Eventually(t, 20*time.Second, func() error {
		if n := served(t, e, path, asked, serving); n != atOnce {
			return fmt.Errorf("%d of %d requests were not asked for their cluster", n, atOnce)
		}
		return nil
	})
}

// While all breakers are plainly closed no worker asks a request for its cluster, so one that a later filter sends elsewhere counts for
// the cluster that has served it. As soon as one breaker is open, all workers ask again, and its requests are rejected on all.
func TestCalm(t *testing.T) {
	up, failing := envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	e := envoytest.StartWorkers(t, 2, envoy.Bootstrap{
		Clusters: []envoy.Cluster{{Name: "payments", Address: up.Address}, {Name: "spare", Address: up.Address}, {Name: "search", Address: failing.Address}},
		Listeners: []envoy.Listener{{
			Plugin:       &envoy.Plugin{Config: `{"min_requests": 10, "open": {"duration": "10s", "jitter": 0}, "half_open": {"success_threshold": 2}}`},
			FiltersAfter: reroute,
			Routes: []envoy.Route{
				{Prefix: "/later", Match: "headers: [{ name: x-spare, present_match: true }]", Cluster: "spare"},
				{Prefix: "/later", Cluster: "payments"}, {Prefix: "/search", Cluster: "search"},
			},
		}},
	})
	awaitCalm(t, e, "/later", "payments", "spare")

	failing.Handle(envoytest.Status(500))
	for by := ""; by != "open"; _, by = getApart(t, e, "/search") {
	}
	if n := served(t, e, "/later", "payments", "spare"); n != 0 {
		t.Errorf("a breaker is open, and %d of %d requests to another were not asked for their cluster", n, atOnce)
	}
	reached := failing.Requests()
	for range atOnce {
		if status, by := getApart(t, e, "/search"); status != 503 || by != "open" {
			t.Errorf("search: status %d by %q", status, by)
		}
	}
	if failing.Requests() != reached {
		t.Errorf("%d requests reached the failing upstream", failing.Requests()-reached)
	}
	for name, connections := range e.Stats("listener.") {
		if strings.Contains(name, "worker_") && strings.HasSuffix(name, "downstream_cx_total") && connections == 0 {
			t.Errorf("%s = 0", name)
		}
	}

	failing.Handle(envoytest.Status(200))
	envoytest.Eventually(t, 20*time.Second, func() error {
		getApart(t, e, "/search")
		if state := e.Breaker("search").State(); state != breaker.Closed {
			return fmt.Errorf("the state is %v", state)
		}
		return nil
	})
	awaitCalm(t, e, "/later", "payments", "spare")
}
