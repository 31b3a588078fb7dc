//go:build browser

package envoy_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// The page in a browser: what it shows of an open breaker, a half-open one and a closed one, and that it keeps up.
func TestBrowser(t *testing.T) {
	payments, search, catalog := envoytest.NewUpstream(t), envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	e := openBoard(t, `{"min_requests": 10, "slow_call": {"duration": "30s", "rate": 80}, "clusters": [
			{"match": "payments", "open": {"duration": "200ms", "multiplier": 1, "max_duration": "1h", "honor_retry_after": true}},
			{"match": "search", "open": {"duration": "200ms"}, "half_open": {"max_requests": 2, "permit_timeout": "1h"}}]}`,
		map[string]envoy.Cluster{
			"/payments": {Name: "payments", Address: payments.Address}, "/search": {Name: "search", Address: search.Address},
			"/catalog": {Name: "catalog", Address: catalog.Address},
		})
	trial := func(path string) {
		t.Helper()
		envoytest.Eventually(t, browserPatience, func() error {
			if a := e.Get(path); a.Header.Get("x-circuit-breaker") != "" {
				return errors.New("rejected")
			}
			return nil
		})
	}

	// Payments fails its first trial, and says at the second when to come back.
	payments.Handle(envoytest.Status(500))
	for range 10 {
		e.Get("/payments")
	}
	trial("/payments")
	payments.Handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("retry-after", "900")
		w.WriteHeader(503)
	})
	trial("/payments")

	// Search has had a good trial, and two hang.
	search.Handle(envoytest.Status(500))
	for range 10 {
		e.Get("/search")
	}
	search.Handle(envoytest.Status(200))
	trial("/search")
	release := make(chan struct{})
	search.Handle(envoytest.Hang(release))
	for range 2 {
		go e.Get("/search")
	}
	envoytest.Eventually(t, browserPatience, func() error {
		if n := search.InFlight(); n != 2 {
			return fmt.Errorf("%d trials in flight", n)
		}
		return nil
	})

	// All of them are in use meanwhile. Three in ten of catalog's calls fail.
	n := 0
	catalog.Handle(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n%10 < 3 { // one client, one call at a time
			w.WriteHeader(500)
		}
	})
	stop := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-pace.C:
				e.Get("/catalog")
				if i%3 == 0 {
					e.Get("/payments")
				}
				if i%11 == 0 {
					e.Get("/search")
				}
			}
		}
	})
	defer client.Wait()
	defer close(stop)

	b := openBrowser(t)
	origin := "http://" + e.Address("status")
	b.open(origin + statusPath)
	b.drawn()
	text := b.text()
	rest := text
	for _, want := range []string{
		"Circuit breakers", "1 open", "1 half-open", "1 closed", "Plugin breaker", "UTC",
		"payments", "Open", "Next try", "in\u00a015\u00a0min", "Trips in a row", "3", "Rejected",
		"half-open → open", " s ago", "a trial failed after 0 good of 3", "closed → open", "10/10 failed in 10s",
		"search", "Half-open", "Good trials", "1", "of 3 to close", "Trials in flight", "2", "of 2 at once", "open → half-open",
		"catalog", "Closed", "Calls", "in 10\u00a0s", "Failed", "%", "opens at 50%", "Slow", "0.0%", "over 30\u00a0s, opens at 80%",
	} {
		i := strings.Index(rest, want)
		if i < 0 {
			t.Fatalf("the page does not show, from there on, %q:\n%s", want, text)
		}
		rest = rest[i+len(want):]
	}
	if title := evaluate[string](b, "document.title"); title != "breaker: 1 open, 1 half-open, 1 closed" {
		t.Errorf("the title is %q", title)
	}
	if strings.Contains(text, "Overrides") {
		t.Errorf("all overrides have matched, and the page shows:\n%s", text)
	}
	// The client's calls fill the window first, for a picture worth looking at.
	envoytest.Eventually(t, browserPatience, func() error {
		if c := e.read().cluster(t, "catalog"); c.Calls < 40 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	b.looks("status")

	// Who selects a reason can copy it, though the time beside it goes on.
	const line = `[...document.querySelectorAll("li")].find(e => e.innerText.includes("10/10 failed"))`
	since := evaluate[string](b, `getSelection().selectAllChildren(`+line+`.querySelector("span")), `+line+`.querySelector("time").innerText`)
	envoytest.Eventually(t, browserPatience, func() error {
		if now := evaluate[string](b, line+`.querySelector("time").innerText`); now == since {
			return fmt.Errorf("the page still shows %s", now)
		}
		return nil
	})
	if selected := evaluate[string](b, "getSelection().toString()"); !strings.HasPrefix(selected, "10/10 failed in 10s") {
		t.Errorf("after a refresh %q is selected", selected)
	}

	// Search recovers. The page shows it, and nobody has touched it.
	before, _ := b.recorded()
	search.Handle(envoytest.Status(200))
	close(release)
	envoytest.Eventually(t, browserPatience, func() error {
		text := b.text()
		if !strings.Contains(text, "2 closed") || !strings.Contains(text, "half-open → closed") {
			return fmt.Errorf("the page still shows:\n%s", text)
		}
		return nil
	})
	if now, _ := b.recorded(); now <= before {
		t.Errorf("requests: %d, then %d", before, now)
	}
	b.wantQuiet(origin)
}

// However many clusters there are, and whatever their names, the page can be read, and stays where its reader is.
func TestBrowserManyClusters(t *testing.T) {
	upstream, failing := envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	failing.Handle(envoytest.Status(500))
	clusters := map[string]envoy.Cluster{
		"/markup": {Name: `<script>alert(1)</script><img src="http://example.com/x" onerror="alert(2)">`, Address: failing.Address},
		"/long":   {Name: "outbound|8443|canary-with-a-rather-long-subset-name|recommendations.production.svc.cluster.local", Address: failing.Address},
		"/word":   {Name: strings.Repeat("w", 200), Address: upstream.Address},
	}
	for i := range 37 {
		c := envoy.Cluster{Name: fmt.Sprintf("outbound|443||service-%d.example.com", i), Address: upstream.Address}
		if i == 20 {
			c.Address = failing.Address
		}
		clusters[fmt.Sprintf("/%d/", i)] = c
	}
	e := openBoard(t, `{"min_requests": 5, "window": {"duration": "1h"}, "open": {"duration": "1h", "max_duration": "1h"}, "clusters": [
		{"match": "*service-30*", "mode": "force_open"}, {"match": "*service-31*", "mode": "shadow"}, {"match": "*service-32*", "mode": "disabled"}]}`, clusters)

	b := openBrowser(t)
	origin := "http://" + e.Address("status")
	b.open(origin + statusPath)
	b.drawn()
	if text := b.text(); !strings.Contains(text, "No cluster has had a request yet.") ||
		!strings.Contains(text, "Overrides that have matched nothing yet (3\u00a0of\u00a03): *service-30*, *service-31*, *service-32*\n") {
		t.Errorf("before any request the page shows:\n%s", text)
	}
	b.show(360, "light")
	b.screenshot("status-empty-phone-light", 360)

	for path := range clusters {
		for range 7 {
			e.Get(path)
		}
	}
	envoytest.Eventually(t, browserPatience, func() error {
		if title := evaluate[string](b, "document.title"); title != "breaker: 3 open, 1 forced open, 35 closed, 1 disabled" {
			return fmt.Errorf("the title is %q", title)
		}
		return nil
	})
	names := evaluate[[]string](b, `[...document.querySelectorAll("h2")].map(e => e.innerText)`)
	if n := evaluate[int64](b, `document.querySelectorAll("main img, main script, main b b").length`); n != 0 {
		t.Errorf("%d elements came from a cluster's name", n)
	}
	if len(names) != 40 || names[0] != clusters["/markup"].Name || names[2] != clusters["/long"].Name || names[39] != clusters["/32/"].Name {
		t.Errorf("the page has %q", names)
	}
	if text := b.text(); strings.Contains(text, "Overrides") {
		t.Errorf("all overrides have matched, and the page shows:\n%s", text)
	}
	b.looks("status-many")

	evaluate[bool](b, "scrollTo(0, 700), true")
	b.refreshed()
	envoytest.Eventually(t, 10*time.Second, func() error {
		if y := evaluate[float64](b, "scrollY"); y != 700 {
			return fmt.Errorf("after a refresh the page is scrolled to %v, want 700", y)
		}
		return nil
	})
	b.wantQuiet(origin)

	// Page by page each of them comes once.
	b.open(origin + statusPath + "?limit=16")
	seen := map[string]bool{}
	for _, want := range []int{16, 16, 8} {
		var names []string
		envoytest.Eventually(t, browserPatience, func() error {
			if names = evaluate[[]string](b, `[...document.querySelectorAll("h2")].map(e => e.innerText)`); len(names) == 0 || seen[names[0]] {
				return fmt.Errorf("after %d breakers the page shows:\n%s", len(seen), b.text())
			}
			return nil
		})
		if text := b.text(); len(names) != want || !strings.Contains(text, fmt.Sprintf("%d of 40 breakers, by name", want)) {
			t.Errorf("after %d breakers the page shows %d, want %d:\n%s", len(seen), len(names), want, text)
		}
		for _, name := range names {
			seen[name] = true
		}
		evaluate[bool](b, `[...document.querySelectorAll("nav a")].at(-1).click(), true`) // the last page has the first one's
	}
	if len(seen) != 40 {
		t.Errorf("the pages have %d breakers, want 40", len(seen))
	}
	b.wantQuiet(origin)
}
