package status

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/statuspage"
)

// All pages are read, and of their breakers those are kept that are asked for.
func TestRead(t *testing.T) {
	const odd = "a&b=c#%?+ é"
	clusters := []statuspage.Cluster{openOne(odd, tripped), breakerOf(odd, "books?", breaker.Shadow, breaker.Status{State: breaker.HalfOpen, Successes: 1}, tripped, tried)}
	for i := range 1000 {
		clusters = append(clusters, closedOne(fmt.Sprintf("c-%04d", i)))
	}
	clusters = append(clusters, breakerOf("d", "", breaker.Disabled, breaker.Status{}), breakerOf("f", "", breaker.ForceOpen, breaker.Status{}))
	u := serve(t, newFake(clusters...))

	report := NewReader([]*url.URL{u}, time.Minute, false).Read(t.Context())
	e := report.Envoys[0]
	if e.Error != nil || !report.Complete() {
		t.Fatalf("%+v", e)
	}
	if want := map[string]int{"open": 1, "half_open": 1, "closed": 1000, "disabled": 1, "forced_open": 1}; !reflect.DeepEqual(e.States, want) {
		t.Errorf("states %v, want %v", e.States, want)
	}
	if e.Plugin != "breaker" || !e.At.Equal(now) || len(e.Breakers) != 3 {
		t.Fatalf("%+v", e.Board)
	}
	c := e.Breakers[0]
	if c.Cluster != odd || c.Route != nil || c.State != "open" || c.NextTry != 2.1 || c.Trips != 2 || !c.Since.Equal(now.Add(-time.Minute)) ||
		c.Earlier || c.Why != "12/20 failed in 10s, threshold 50%" || c.Transitions[0].Text != tripped {
		t.Errorf("%+v", c)
	}
	if c = e.Breakers[1]; c.route() != "books?" || c.State != "half_open" || c.Successes != 1 || c.policy().Mode != "shadow" || !c.Since.Equal(now.Add(-2*time.Minute)) {
		t.Errorf("%+v", c)
	}
	if c = e.Breakers[2]; c.State != "forced_open" || c.Since != nil || c.Why != "by its mode" {
		t.Errorf("%+v", c)
	}

	all := NewReader([]*url.URL{u}, time.Minute, true).Read(t.Context()).Envoys[0]
	if len(all.Breakers) != len(clusters) || all.Breakers[1001].Cluster != "c-0999" || all.Breakers[1001].Calls != 1200 {
		t.Errorf("all: %d breakers", len(all.Breakers))
	}
}

// Since when a breaker is as it is, and why, is told from the transitions that the page remembers.
func TestSince(t *testing.T) {
	for _, c := range []struct {
		state       breaker.State
		transitions []string
		since       int // minutes ago; 0 for not known
		earlier     bool
		why         string
	}{
		{breaker.Open, []string{tripped}, 1, false, "12/20 failed in 10s, threshold 50%"},
		{breaker.Open, []string{shut, tripped, tried, again}, 3, false, "12/20 failed in 10s, threshold 50%"},
		{breaker.Open, []string{again, tripped}, 1, false, "12/20 failed in 10s, threshold 50%"}, // that it closed in between was not told
		{breaker.HalfOpen, []string{again, tried}, 2, true, "a trial failed after 0 good of 3"},
		{breaker.Open, []string{tried, again, tried}, 3, true, "a trial failed after 0 good of 3"},
		{breaker.Open, []string{tripped + " (shadow: nothing is rejected)"}, 1, false, "12/20 failed in 10s, threshold 50%"},
		{breaker.Open, []string{tripped, tried, shut}, 0, false, ""}, // that it opened again is not told yet
		{breaker.Open, []string{"nonsense"}, 1, true, ""},
		{breaker.Open, nil, 0, false, ""},
		{breaker.Closed, []string{tripped, tried, shut}, 1, false, "3 trials succeeded"},
		{breaker.Closed, []string{tripped}, 0, false, ""},
	} {
		u := serve(t, newFake(breakerOf("x", "", breaker.Enforce, breaker.Status{State: c.state}, c.transitions...)))
		got := NewReader([]*url.URL{u}, time.Minute, true).Read(t.Context()).Envoys[0].Breakers[0]
		minutes := 0
		if got.Since != nil {
			minutes = int(now.Sub(*got.Since).Minutes())
		}
		if minutes != c.since || got.Earlier != c.earlier || got.Why != c.why {
			t.Errorf("%v %q: since %d minutes, earlier %v, %q", c.state, c.transitions, minutes, got.Earlier, got.Why)
		}
	}
}

// Whatever an Envoy does, it is given up in time, it takes bounded memory, and what is said of it tells what to do.
func TestTroubles(t *testing.T) {
	page := func(next string) string {
		w := statuspage.BeginPage(nil, &statuspage.Head{Plugin: "breaker", At: now})
		return string(w.End(next))
	}
	say := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	var n atomic.Int64
	drip := func(w http.ResponseWriter, r *http.Request) {
		for {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	target := serve(t, newFake())
	cases := []struct {
		handler http.HandlerFunc
		want    string
	}{
		{say(404, "text/plain", "no"), "404: there is no status page at this path: is it that of status.path in the configuration?"},
		{say(404, "text/plain", "invalid path. admin commands are:\n  /: Admin home page"), "this is Envoy's admin interface, and the status page is not there: status.path needs a listener"},
		{say(200, "text/html", "<title>Envoy Admin</title>"), "this is Envoy's admin interface, and the status page is not there: status.path needs a listener"},
		{say(200, "text/html", "<p>hi"), "it answers HTML, not the JSON of a status page: is it another server, or behind a login?"},
		{say(200, "application/json", `{"clusters": 5`), `it does not answer with JSON: "{\"clusters\": 5"`},
		{say(200, "application/json", `[]`), "it answers JSON, but not that of a status page"},
		{say(200, "application/json", `{"at": "2026-11-26T10:00:00Z", "clusters": [{"trips": -1}]}`), "it answers JSON, but not that of a status page"},
		{say(200, "application/json", `{"at": "2026-11-26T10:00:00Z"}`), "it answers JSON, but not that of a status page"},
		{say(200, "application/json", page("")+"x"), `it does not answer with JSON: "{\"plugin\":\"breaker\",`},
		{say(400, "text/plain", "limit: \"0\" is not allowed\nx"), `400 Bad Request: "limit: \"0\" is not allowed"`},
		{say(401, "text/html", "<p>who?"), "401 Unauthorized"},
		{say(503, "text/plain", ""), "503 Service Unavailable"},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("retry-after", "1")
			w.WriteHeader(503)
			fmt.Fprintln(w, "the names of the clusters are still being read")
		}, `not read within 500ms: 503: "the names of the clusters are still being read"`},
		{say(200, "application/json", page("?after=x")), "its pages have no end: one comes again"},
		{func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page(fmt.Sprint("?after=", n.Add(1)))) }, "not read within 500ms"}, // always another
		{say(200, "application/json", page("?\r\nx: y")), "net/url: invalid control character in URL"},
		{say(200, "application/json", `"`+strings.Repeat("a", longestPage)+`"`), "one of its pages is longer than 4 MB"},
		{drip, "not read within 500ms"},
		{func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "not read within 500ms"},
		{func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "it closes the connection"},
		{func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circuit-breakers", 302) }, "stopped after 10 redirects"},
		{func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.String()+"/login", 302) },
			"redirected to " + target.String() + "/login: 404: there is no status page at this path: is it that of status.path in the configuration?"},
	}
	said := map[*url.URL]string{}
	for _, c := range cases {
		said[serve(t, c.handler)] = c.want
	}
	secure := httptest.NewUnstartedServer(newFake())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for text, want := range map[string]string{
		gone.URL + "/circuit-breakers":   "connection refused",
		secure.URL + "/circuit-breakers": "tls: failed to verify certificate: x509: certificate signed by unknown authority",
		"https://" + target.Host + "/x":  "it speaks no TLS: try http://",
		"http://nobody.invalid/x":        "no such host",
	} {
		said[parse(t, text)] = want
	}

	var late, others []*url.URL
	for u, want := range said {
		if strings.HasPrefix(want, "not read within") {
			late = append(late, u)
		} else {
			others = append(others, u)
		}
	}
	check := func(urls []*url.URL, timeout time.Duration) {
		report := NewReader(urls, timeout, true).Read(t.Context())
		for i, e := range report.Envoys {
			got := "no error"
			if e.Error != nil {
				got = *e.Error
			}
			if want := said[urls[i]]; e.Board != nil || !strings.HasPrefix(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
		if report.Complete() {
			t.Error("it is complete")
		}
	}
	check(others, time.Minute)
	began := time.Now()
	check(late, 500*time.Millisecond)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

// One Envoy cannot fill the memory with pages, each of which is one.
func TestManyPages(t *testing.T) {
	var sent atomic.Int64
	long := strings.Repeat("x", 1<<20)
	u := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := openOne(long)
		p := statuspage.BeginPage(nil, &statuspage.Head{At: now})
		p.Add(&c)
		w.Write(p.End(fmt.Sprint("?after=", sent.Add(1))))
	}))
	e := NewReader([]*url.URL{u}, time.Minute, false).Read(t.Context()).Envoys[0]
	if e.Error == nil || *e.Error != "its pages are longer than 64 MB together" || sent.Load() > longestPages>>20+1 {
		t.Errorf("%+v after %d pages", e, sent.Load())
	}
}

// A worker that does not know all names yet is asked again.
func TestRetryAfter(t *testing.T) {
	var asked atomic.Int64
	whole := newFake(openOne("x", tripped))
	u := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("retry-after", "1")
			w.WriteHeader(503)
			return
		}
		whole.ServeHTTP(w, r)
	}))
	if e := NewReader([]*url.URL{u}, time.Minute, false).Read(t.Context()).Envoys[0]; e.Error != nil || len(e.Breakers) != 1 || asked.Load() != 2 {
		t.Errorf("%+v after %d requests", e, asked.Load())
	}
}

// A redirect is followed, and the other pages are asked where it led.
func TestRedirect(t *testing.T) {
	var clusters []statuspage.Cluster
	for i := range 120 {
		clusters = append(clusters, closedOne(fmt.Sprintf("c-%04d", i)))
	}
	target := serve(t, newFake(clusters...))
	u := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.String(), 307) }))
	if e := NewReader([]*url.URL{u}, time.Minute, false).Read(t.Context()).Envoys[0]; e.Error != nil || e.States["closed"] != 120 {
		t.Errorf("%+v", e)
	}
}

// Many Envoys are read at the same time, but not all.
func TestAtOnce(t *testing.T) {
	var in, most atomic.Int64
	full, release := make(chan struct{}), make(chan struct{})
	page := newFake()
	handler := func(w http.ResponseWriter, r *http.Request) {
		n := in.Add(1)
		defer in.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == mostAtOnce {
			close(full)
		}
		<-release
		page.ServeHTTP(w, r)
	}
	var urls []*url.URL
	u := serve(t, http.HandlerFunc(handler))
	for range 3 * mostAtOnce {
		urls = append(urls, u)
	}
	go func() {
		<-full
		for range 100 { // the others would have come by now
			runtime.Gosched()
		}
		close(release)
	}()
	if report := NewReader(urls, time.Minute, false).Read(t.Context()); !report.Complete() {
		t.Errorf("%+v", report)
	}
	if most.Load() != mostAtOnce {
		t.Errorf("%d at once, want %d", most.Load(), mostAtOnce)
	}
}

// The context ends it at once.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	u := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }))
	if e := NewReader([]*url.URL{u}, time.Hour, false).Read(ctx).Envoys[0]; e.Error == nil || *e.Error != "interrupted" {
		t.Errorf("%+v", e)
	}
}

// FuzzPage reads arbitrary answers: what is no page is an error, and what is shown of one is harmless in a terminal.
func FuzzPage(f *testing.F) {
	c := openOne("\x1b[31m\u009b", tripped)
	w := statuspage.BeginPage(nil, &statuspage.Head{Plugin: "\x07", At: now})
	w.Add(&c)
	f.Add(w.End(""))
	f.Add([]byte(`{"at": "2026-11-26T10:00:00Z", "clusters": [{"state": "x", "next_try_seconds": 1e308, "trips": 18446744073709551615, "policy": 5}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		left := longestPages
		client := http.Client{Transport: answer(body)}
		u := &url.URL{Scheme: "http", Host: "envoy", Path: "/"}
		r := Reader{urls: []*url.URL{u}, timeout: time.Minute, all: true, client: client}
		if p, _, err := r.page(t.Context(), u, &left); err == nil {
			p.Next = ""
			report := newReport(r.urls, true)
			report.Envoys[0].Board = &Board{States: map[string]int{}}
			report.Envoys[0].add(p, true)
			var text, document strings.Builder
			if err := report.WriteText(&text); err != nil {
				t.Error(err)
			}
			if err := report.WriteJSON(&document); err != nil || !json.Valid([]byte(document.String())) {
				t.Error(err, document.String())
			}
			checkHarmless(t, text.String())
			checkHarmless(t, document.String())
		}
	})
}

// answer is a transport that answers everything alike.
type answer []byte

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Write(a)
	response := w.Result()
	response.Request = r
	return response, nil
}
