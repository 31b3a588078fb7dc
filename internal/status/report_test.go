package status

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/statuspage"
)

// reported reads these Envoys, which in the report are called envoy-1 and so on.
func reported(t *testing.T, all bool, envoys ...http.Handler) *Report {
	t.Helper()
	var urls []*url.URL
	for _, e := range envoys {
		urls = append(urls, serve(t, e))
	}
	r := NewReader(urls, time.Minute, all).Read(t.Context())
	r.At = now.Add(time.Second)
	for i := range r.names {
		r.names[i] = fmt.Sprintf("envoy-%d", i+1)
	}
	return r
}

func checkText(t *testing.T, r *Report, want string) {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != want[1:] {
		t.Errorf("got\n%s\nwant%s", got, want)
	}
}

func checkHarmless(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%q for a terminal", text[i:min(len(text), i+20)])
	}
}

func TestTextOfOne(t *testing.T) {
	checkText(t, reported(t, false, newFake()), `
2026-11-26 10:33:11 UTC: 1 Envoy read, 0 breakers.
`)
	checkText(t, reported(t, false, newFake(closedOne("catalog"), breakerOf("forced", "", breaker.ForceOpen, breaker.Status{}),
		breakerOf("off", "", breaker.Disabled, breaker.Status{}), openOne("payments", tripped, tried, again),
		breakerOf("search", "", breaker.Shadow, breaker.Status{State: breaker.HalfOpen, Successes: 1, Trips: 1}, tripped+" (shadow: nothing is rejected)", tried),
		openOne("shop", again, tried, again), openOne("unknown"))), `
2026-11-26 10:33:11 UTC: 1 Envoy read, 7 breakers: 3 open, 1 half-open, 1 forced open, 1 disabled, 1 closed.

CLUSTER   STATE               SINCE                       FOR        TRIPS  NEXT         WHY
payments  open                2026-11-26 10:30:10         3m0s       2      in 2.1s      12/20 failed in 10s, threshold 50%
shop      open                before 2026-11-26 10:30:10  over 3m0s  2      in 2.1s      a trial failed after 0 good of 3
unknown   open                -                           -          2      in 2.1s      -
search    half-open (shadow)  2026-11-26 10:31:10         2m0s       1      1 of 3 good  12/20 failed in 10s, threshold 50%
forced    forced open         -                           -          -      -            by its mode
`)
}

// Of many Envoys, those that see a breaker in the same state have one row, which says what the one does that has been in it for longest.
func TestTextOfMany(t *testing.T) {
	late, early, other := openOne("payments", tripped), openOne("payments", tripped, tried, again), openOne("payments", tripped)
	books := breakerOf("shop", "books", breaker.Enforce, breaker.Status{State: breaker.Open, OpenFor: time.Second, Trips: 1}, tripped)
	var envoys []http.Handler
	for i := range 12 {
		f := newFake(closedOne("catalog"), late)
		switch {
		case i == 7:
			f = newFake(early, books)
			f.ConfigInvalid = true
		case i == 8:
			f = newFake(other)
			f.Plugin = "second"
		}
		envoys = append(envoys, f)
	}
	for range 3 {
		envoys = append(envoys, http.NotFoundHandler())
	}
	r := reported(t, false, envoys...)
	r.Envoys[8].Version = "1.2.3"
	checkText(t, r, `
2026-11-26 10:33:11 UTC: 12 of 15 Envoys read, 23 breakers: 13 open, 10 closed.

CLUSTER   ROUTE  PLUGIN   ENVOYS                       STATE  SINCE                FOR   TRIPS  NEXT     WHY
payments  -      breaker  envoy-1, envoy-2 and 9 more  open   2026-11-26 10:30:10  3m0s  2      in 2.1s  12/20 failed in 10s, threshold 50%
payments  -      second   envoy-9                      open   2026-11-26 10:32:10  1m0s  2      in 2.1s  12/20 failed in 10s, threshold 50%
shop      books  breaker  envoy-8                      open   2026-11-26 10:32:10  1m0s  1      in 1s    12/20 failed in 10s, threshold 50%

* 3 Envoys could not be read:
  envoy-13, envoy-14 and 1 more: 404: there is no status page at this path: is it that of status.path in the configuration?
* The configuration that was loaded last does not hold, and the log says why: envoy-8
* They have different versions of the plugin:
  envoy-1, envoy-2 and 9 more: dev
  envoy-9: 1.2.3
`)

	all := newFake(closedOne("catalog"), openOne("payments", tripped))
	checkText(t, reported(t, false, all, all, all), `
2026-11-26 10:33:11 UTC: 3 Envoys read, 6 breakers: 3 open, 3 closed.

CLUSTER   ENVOYS  STATE  SINCE                FOR   TRIPS  NEXT     WHY
payments  all 3   open   2026-11-26 10:32:10  1m0s  2      in 2.1s  12/20 failed in 10s, threshold 50%
`)
	checkText(t, reported(t, true, all, all), `
2026-11-26 10:33:11 UTC: 2 Envoys read, 4 breakers: 2 open, 2 closed.

CLUSTER   ENVOYS   STATE   SINCE                FOR   TRIPS  NEXT     WHY
payments  envoy-1  open    2026-11-26 10:32:10  1m0s  2      in 2.1s  12/20 failed in 10s, threshold 50%
payments  envoy-2  open    2026-11-26 10:32:10  1m0s  2      in 2.1s  12/20 failed in 10s, threshold 50%
catalog   envoy-1  closed  -                    -     -      -        4/1,200 failed, 3 slow
catalog   envoy-2  closed  -                    -     -      -        4/1,200 failed, 3 slow
`)
}

// Whatever Envoys and servers say, a terminal is shown text, in lines of bounded length.
func TestHarmless(t *testing.T) {
	evil := "\x1b]0;owned\x07\u009b31m\u202e\r\nX" + strings.Repeat("長", 5000)
	one := newFake(openOne(evil, "closed -> open: "+evil), breakerOf(evil, evil, breaker.Enforce, breaker.Status{State: breaker.HalfOpen}, evil))
	one.Plugin = evil
	broken := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, evil, 500) })
	state := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"plugin": "x", "version": evil, "at": now, "clusters": []any{map[string]any{"state": evil, "cluster": "x"}}})
	})
	r := reported(t, false, one, broken, state)
	var text, document strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&document); err != nil {
		t.Fatal(err)
	}
	checkHarmless(t, text.String())
	checkHarmless(t, document.String())
	for line := range strings.Lines(text.String()) {
		if len([]rune(line)) > 600 {
			t.Errorf("a line of %d", len([]rune(line)))
		}
	}
	var back Report
	if err := json.Unmarshal([]byte(document.String()), &back); err != nil || back.Envoys[0].Breakers[0].Cluster != evil || back.Envoys[0].Plugin != evil {
		t.Errorf("%v: %+v", err, back)
	}
}

// The JSON is one document, whose breakers have the page's own form.
func TestJSON(t *testing.T) {
	r := reported(t, false, newFake(closedOne("catalog"), openOne("payments", tripped)), http.NotFoundHandler())
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		At     time.Time
		Envoys []map[string]any
	}
	if !strings.Contains(b.String(), `"text": "closed -> open: 12/20`) {
		t.Errorf("no text for people: %s", &b)
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || !got.At.Equal(r.At) || len(got.Envoys) != 2 {
		t.Fatalf("%v: %s", err, &b)
	}
	e := got.Envoys[0]
	breakers, _ := e["breakers"].([]any)
	if e["url"] != r.Envoys[0].URL || e["error"] != nil || e["plugin"] != "breaker" || e["page_at"] != "2026-11-26T10:33:10Z" || e["config_invalid"] != false ||
		fmt.Sprint(e["states"]) != "map[closed:1 open:1]" || len(breakers) != 1 {
		t.Fatalf("%v", e)
	}
	var page struct{ Clusters []map[string]any }
	one := openOne("payments", tripped)
	w := statuspage.BeginPage(nil, &statuspage.Head{})
	w.Add(&one)
	if err := json.Unmarshal(w.End(""), &page); err != nil {
		t.Fatal(err)
	}
	want := page.Clusters[0]
	want["since"], want["since_earlier"], want["why"] = "2026-11-26T10:32:10Z", false, "12/20 failed in 10s, threshold 50%"
	if got := breakers[0]; fmt.Sprint(got) != strings.ReplaceAll(fmt.Sprint(want), ".000Z", "Z") {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if e := got.Envoys[1]; len(e) != 2 || !strings.HasPrefix(e["error"].(string), "404: ") {
		t.Errorf("%v", e)
	}
}

// A fleet of 500 with 1,000 clusters each is read, merged and shown in little time and memory.
func TestFleet(t *testing.T) {
	var clusters []statuspage.Cluster
	for i := range 1000 {
		clusters = append(clusters, closedOne(fmt.Sprintf("c-%04d", i)))
	}
	clusters[500] = openOne(clusters[500].Name, tripped)
	u := serve(t, newFake(clusters...))
	const envoys = 50
	urls := make([]*url.URL, envoys)
	for i := range urls {
		one := *u
		one.Fragment = fmt.Sprint(i)
		urls[i] = &one
	}
	began := time.Now()
	r := NewReader(urls, time.Minute, false).Read(t.Context())
	t.Logf("read in %v", time.Since(began))
	rows := r.rows()
	if !r.Complete() || len(rows) != 1 || len(rows[0].envoys) != envoys {
		t.Errorf("%d rows, complete %v", len(rows), r.Complete())
	}
}
