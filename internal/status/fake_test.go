package status

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/statuspage"
)

// now is what the clocks of all fake Envoys say.
var now = time.Date(2026, 11, 26, 10, 33, 10, 0, time.UTC)

// A fake is an Envoy with a status page, which the plugin's own code writes.
type fake struct {
	statuspage.Head
	clusters []statuspage.Cluster // in their order
}

func newFake(clusters ...statuspage.Cluster) *fake {
	return &fake{statuspage.Head{Plugin: "breaker", At: now}, clusters}
}

// breakerOf is a breaker by the default policy in that mode.
func breakerOf(name, route string, mode breaker.Mode, s breaker.Status, transitions ...string) statuspage.Cluster {
	p := breaker.DefaultPolicy()
	p.Mode = mode
	policy, ok := statuspage.ParsePolicy(statuspage.EncodePolicy(&p, statuspage.Override{}, 1))
	if !ok {
		panic("no policy")
	}
	c := statuspage.Cluster{Name: name, Route: route, Policy: policy, Status: s}
	for i, m := range transitions { // each a minute after the one before, and the last a minute ago
		at := now.Add(time.Duration(i-len(transitions)) * time.Minute)
		c.History = statuspage.AddTransition(c.History, uint64(i+1), at, m)
	}
	return c
}

const (
	tripped = "closed -> open: 12/20 failed in 10s, threshold 50%; open for 5s, trip 1 in a row"
	tried   = "open -> half_open: the open time is over, trying"
	again   = "half_open -> open: a trial failed after 0 good of 3; open for 10s, trip 2 in a row"
	shut    = "half_open -> closed: 3 trials succeeded"
)

func closedOne(name string) statuspage.Cluster {
	return breakerOf(name, "", breaker.Enforce, breaker.Status{Window: breaker.Totals{Calls: 1200, Failures: 4, SlowCalls: 3}})
}

func openOne(name string, transitions ...string) statuspage.Cluster {
	return breakerOf(name, "", breaker.Enforce, breaker.Status{State: breaker.Open, OpenFor: 2100 * time.Millisecond, Trips: 2}, transitions...)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/circuit-breakers" {
		http.NotFound(w, r)
		return
	}
	if r.Header.Get("accept") != "application/json" {
		fmt.Fprint(w, statuspage.HTML)
		return
	}
	q, err := statuspage.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := func(cluster, route string) string { return strings.TrimSuffix(cluster+"\x00"+route, "\x00") }
	first, found := slices.BinarySearchFunc(f.clusters, id(q.After, q.AfterRoute), func(c statuspage.Cluster, after string) int {
		return strings.Compare(id(c.Name, c.Route), after)
	})
	if found {
		first++
	}
	last, next := min(first+q.Limit, len(f.clusters)), ""
	head := f.Head
	head.Total = len(f.clusters)
	page := statuspage.BeginPage(nil, &head)
	for i := range f.clusters[first:last] {
		page.Add(&f.clusters[first+i])
	}
	if last < len(f.clusters) {
		next = statuspage.Query{After: f.clusters[last-1].Name, AfterRoute: f.clusters[last-1].Route, Limit: q.Limit}.String()
	}
	w.Header().Set("content-type", "application/json")
	w.Write(page.End(next))
}

// serve starts a server and returns the URL of its status page.
func serve(t *testing.T, handler http.Handler) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return parse(t, server.URL+"/circuit-breakers")
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
