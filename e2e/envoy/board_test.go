package envoy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

const statusPath = "/circuit-breakers"

// board is an Envoy with a status page on a listener of its own.
type board struct {
	*envoytest.Envoy
	t *testing.T
}

// openBoard starts an Envoy with these clusters, each under a prefix of its own in the main listener. Prefixes may share a cluster. The
// routes' names are the prefixes without slashes.
func openBoard(t *testing.T, config string, clusters map[string]envoy.Cluster) *board {
	t.Helper()
	main := envoy.Listener{Plugin: &envoy.Plugin{Config: config}}
	var all []envoy.Cluster
	for _, prefix := range slices.Sorted(maps.Keys(clusters)) {
		c := clusters[prefix]
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
		main.Routes = append(main.Routes, envoy.Route{Prefix: prefix, Cluster: c.Name, Extra: fmt.Sprintf("name: %q", strings.Trim(prefix, "/"))})
	}
	return &board{t: t, Envoy: envoytest.Start(t, envoy.Bootstrap{
		Clusters: all,
		Listeners: []envoy.Listener{main, {
			Name:   "status",
			Plugin: &envoy.Plugin{Config: fmt.Sprintf(`{"status": {"path": %q}}`, statusPath)},
			Routes: []envoy.Route{{Prefix: "/elsewhere", Extra: `direct_response: { status: 200, body: { inline_string: "elsewhere" } }`}},
		}},
	})}
}

// ask sends a request to the status listener.
func (b *board) ask(method, path, accept string) envoytest.Answer {
	b.t.Helper()
	request, err := http.NewRequest(method, "http://"+b.Address("status")+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("accept", accept)
	answer := envoytest.Do(request)
	if answer.Err != nil {
		b.t.Fatal(answer.Err)
	}
	return answer
}

// shown is the JSON of the status page.
type shown struct {
	Plugin        string
	Version       string
	At            time.Time
	ConfigInvalid bool `json:"config_invalid"`
	Overrides     shownOverrides
	Total         int
	Clusters      []shownCluster
	Next          string // null reads as ""
}

type shownOverrides struct {
	Total          int
	Unmatched      int
	FirstUnmatched []shownOverride `json:"first_unmatched"`
}

type shownOverride struct{ Match, Route string }

type shownCluster struct {
	Cluster        string
	Route          string // null reads as ""
	State          string
	NextTry        float64 `json:"next_try_seconds"`
	Probing        bool
	NextProbe      float64 `json:"next_probe_seconds"`
	Trips          int
	Successes      int
	Trials         int `json:"trials_in_flight"`
	Calls          int
	Failures       int
	SlowCalls      int     `json:"slow_calls"`
	FailureRate    float64 `json:"failure_rate"`
	SlowRate       float64 `json:"slow_rate"`
	Rejected       int
	ShadowRejected int `json:"shadow_rejected"`
	Fallback       int
	Policy         map[string]any
	Transitions    []struct {
		At   time.Time
		Text string
	}
}

// read reads the status page as a program does.
func (b *board) read() shown {
	b.t.Helper()
	return b.readPage("")
}

// readPage reads the page that a query asks for. No field may be new.
func (b *board) readPage(query string) shown {
	b.t.Helper()
	a := b.ask("GET", statusPath+query, "application/json")
	if a.Status != 200 || a.Header.Get("content-type") != "application/json" {
		b.t.Fatalf("the status page: %+v", a)
	}
	var s shown
	d := json.NewDecoder(strings.NewReader(a.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		b.t.Fatalf("%v in %s", err, a.Body)
	}
	return s
}

func (s shown) cluster(t *testing.T, name string) shownCluster {
	t.Helper()
	return s.route(t, name, "")
}

// route returns the breaker of a route to a cluster.
func (s shown) route(t *testing.T, name, route string) shownCluster {
	t.Helper()
	for _, c := range s.Clusters {
		if c.Cluster == name && c.Route == route {
			return c
		}
	}
	t.Fatalf("%q, route %q, is not on the page: %+v", name, route, s)
	return shownCluster{}
}

// spread sends requests to a path of the main listener, at least so many, until both workers have had some. It returns how
// many it sent.
func (b *board) spread(path string, atLeast int) (n int) {
	b.t.Helper()
	perWorker := func() (counts [2]uint64) {
		for i := range counts {
			// Of both listeners, since it is the configured port that is in the name; the other one has none meanwhile.
			counts[i] = b.Stat(fmt.Sprintf("listener.127.0.0.1_0.worker_%d.downstream_cx_total", i))
		}
		return counts
	}
	before := perWorker()
	envoytest.Eventually(b.t, 60*time.Second, func() error {
		if a := b.Get(path); a.Err != nil {
			b.t.Fatal(a.Err)
		}
		n++
		if now := perWorker(); n < atLeast || now[0] == before[0] || now[1] == before[1] {
			return fmt.Errorf("%s: %d requests, connections per worker from %d to %d", path, n, before, now)
		}
		return nil
	})
	return n
}
