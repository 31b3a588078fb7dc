//go:build browser

package envoy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/statuspage"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

const (
	browserPatience = 2 * time.Minute  // how long the browser may take to come to something: long, for machines under load
	browserTimeout  = 20 * time.Second // and for one command, which may hang if the page refreshes just then
)

// A browser is a Chromium with one tab, and a record of what that did.
type browser struct {
	t   *testing.T
	tab context.Context

	mu        sync.Mutex
	requests  []string // URLs
	views     int      // those that went to a server
	scripts   []string // URLs of the pages that had them
	documents int      // loaded
	messages  []string // in the console, such as violations of the content security policy
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU, chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(browserPatience))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which does not work for root
	}
	allocator, closeAll := chromedp.NewExecAllocator(t.Context(), options...)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() { closeTab(); closeAll() })
	b := &browser{t: t, tab: tab}
	if err := chromedp.Do(tab, command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}),
		command(debugger.Enable, debugger.EnableParams{})); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	if err := chromedp.Listen(tab, b.record); err != nil {
		t.Fatal(err)
	}
	return b
}

// command makes an action of a command of the protocol whose result is of no interest.
func command[P, R any](c cdp.Command[P, R], parameters P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, c, parameters)
		return err
	})
}

func (b *browser) record(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if b.requests = append(b.requests, e.Request.URL); !strings.HasPrefix(e.Request.URL, "data:") {
			b.views++
		}
	case *debugger.EventScriptParsed:
		if e.URL != "" { // ours have none
			b.scripts = append(b.scripts, e.URL)
		}
	case *page.EventFrameNavigated:
		b.documents++
	case *log.EventEntryAdded:
		b.messages = append(b.messages, e.Entry.Text)
	}
}

// recorded returns how many requests went to a server, and the rest of the record as one text.
func (b *browser) recorded() (views int, rest string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.views, fmt.Sprintf("requests %q, scripts of %q, messages %q", b.requests, b.scripts, b.messages)
}

// inTab runs an action in the tab.
func inTab[T any](b *browser, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.tab, browserTimeout)
	defer cancel()
	return chromedp.Run(ctx, action)
}

func (b *browser) open(url string) {
	b.t.Helper()
	if _, err := inTab(b, chromedp.Navigate(url)); err != nil {
		b.t.Fatalf("opening %s: %v", url, err)
	}
}

// evaluate finds out about the page by an expression. The page may just be about to refresh, and then it is asked again.
func evaluate[T any](b *browser, expression string) (value T) {
	b.t.Helper()
	envoytest.Eventually(b.t, browserPatience, func() (err error) {
		value, err = inTab(b, chromedp.Evaluate[T](expression))
		return err
	})
	return value
}

// drawn waits until the page has drawn what it was opened for.
func (b *browser) drawn() {
	b.t.Helper()
	envoytest.Eventually(b.t, browserPatience, func() error {
		if evaluate[int64](b, "document.querySelector('main').childElementCount") == 0 {
			return errors.New("the page is empty")
		}
		return nil
	})
}

// refreshed waits until the page has refreshed itself.
func (b *browser) refreshed() {
	b.t.Helper()
	before, _ := b.recorded()
	envoytest.Eventually(b.t, browserPatience, func() error {
		if now, _ := b.recorded(); now < before+2 {
			return errors.New("the page has not refreshed itself")
		}
		return nil
	})
}

func (b *browser) text() string { return evaluate[string](b, "document.body.innerText") }

// show sets the size of the screen and the colour scheme.
func (b *browser) show(width int64, scheme string) {
	b.t.Helper()
	phone := width < 600
	scale := 1.0
	if phone {
		scale = 2
	}
	if _, err := inTab(b, chromedp.Steps(
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: scale, Mobile: phone}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
	)); err != nil {
		b.t.Fatal(err)
	}
}

// screenshot makes a picture of the page, or of its upper part if it is long.
func (b *browser) screenshot(name string, width int64) {
	b.t.Helper()
	height := evaluate[float64](b, "document.documentElement.offsetHeight")
	clip := page.Viewport{Width: float64(width), Height: min(height, 2000), Scale: 1}
	beyond := true
	envoytest.Eventually(b.t, browserPatience, func() error {
		picture, err := inTab(b, func(ctx context.Context, tab *chromedp.Target) (page.CaptureScreenshotResult, error) {
			return cdp.Call(ctx, tab, page.CaptureScreenshot, page.CaptureScreenshotParams{Clip: &clip, CaptureBeyondViewport: &beyond})
		})
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join("../../build", name+".png"), picture.Data, 0o644)
	})
}

// misfits are elements that stick out of the screen, or have contents that stick out of them.
const misfits = `[...document.querySelectorAll("body, body *")].filter(e => {
	const box = e.getBoundingClientRect();
	return box.right > innerWidth + 0.5 || box.left < -0.5 || getComputedStyle(e).display != "inline" && e.scrollWidth > e.clientWidth + 1;
}).map(e => e.outerHTML.slice(0, 200)).concat(document.documentElement.scrollWidth > innerWidth ? ["the page"] : [])`

// faint are texts whose contrast is below the 4.5 of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#contrast-minimum).
const faint = `[...document.querySelectorAll("body *")].filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())).filter(e => {
	const rgba = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length == 3 ? [...n, 1] : n; };
	const light = c => { const [r, g, b] = rgba(c).map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	let behind = e;
	while (rgba(getComputedStyle(behind).backgroundColor)[3] == 0) behind = behind.parentElement;
	const [a, b] = [light(getComputedStyle(e).color), light(getComputedStyle(behind).backgroundColor)].sort((x, y) => y - x);
	return (a + 0.05) / (b + 0.05) < 4.5;
}).map(e => e.outerHTML.slice(0, 200))`

// looks checks the page on a phone and a wide screen, in light and dark, and makes pictures of it.
func (b *browser) looks(name string) {
	b.t.Helper()
	backgrounds := map[string]bool{}
	for _, screen := range []struct {
		name  string
		width int64
	}{{"phone", 360}, {"wide", 1400}} {
		for _, scheme := range []string{"light", "dark"} {
			b.show(screen.width, scheme)
			if width := evaluate[int64](b, "innerWidth"); width != screen.width {
				b.t.Errorf("the page is %d px wide, want %d", width, screen.width)
			}
			if found := evaluate[[]string](b, misfits); len(found) > 0 {
				b.t.Errorf("%s, %s: what does not fit: %q", screen.name, scheme, found)
			}
			if found := evaluate[[]string](b, faint); len(found) > 0 {
				b.t.Errorf("%s, %s: hard to read: %q", screen.name, scheme, found)
			}
			backgrounds[evaluate[string](b, "getComputedStyle(document.body).backgroundColor")] = true
			b.screenshot(name+"-"+screen.name+"-"+scheme, screen.width)
		}
	}
	if len(backgrounds) != 2 {
		b.t.Errorf("backgrounds %v, want one for light and one for dark", backgrounds)
	}
}

// wantQuiet checks that all requests went to the status page and one origin, that no script ran but the page's own, once for each
// document, and that nothing complained.
func (b *browser) wantQuiet(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.requests {
		if !strings.HasPrefix(u, origin+"/") && !strings.HasPrefix(u, "data:") {
			b.t.Errorf("a request to %s", u)
		}
	}
	if len(b.scripts) != b.documents || len(b.messages) > 0 {
		b.t.Errorf("%d documents, scripts of %q, messages %q", b.documents, b.scripts, b.messages)
	}
	for _, u := range b.scripts {
		if !strings.HasPrefix(u, origin+"/") {
			b.t.Errorf("a script of %s", u)
		}
	}
}

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
	e := openBoard(t, `{"min_requests": 5, "open": {"duration": "1h", "max_duration": "1h"}, "clusters": [
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
}

// What each kind of breaker looks like, whatever texts it has: the page's own script draws JSON of ours.
func TestBrowserDraws(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	policy := func(change func(p *breaker.Policy)) statuspage.Policy {
		p := breaker.DefaultPolicy()
		p.SlowCallDuration = 1500 * time.Millisecond
		change(&p)
		encoded, ok := statuspage.ParsePolicy(statuspage.EncodePolicy(&p, statuspage.Override{}, 1))
		if !ok {
			t.Fatal("a policy that cannot be read")
		}
		return encoded
	}
	plain := policy(func(*breaker.Policy) {})
	open := breaker.Status{State: breaker.Open, OpenFor: 4250 * time.Millisecond, Trips: 2}
	probed := open
	probed.OpenedFor, probed.ProbeIn, probed.Successes = 20*time.Second, 400*time.Millisecond, 1
	markup := `outbound|443||<script>alert("x")</script>`
	const gateway = "httproute/default/shop/rule/0"
	history := statuspage.AddTransition(nil, 1, now.Add(-30*time.Hour), "half_open -> closed: 3 trials succeeded")
	history = statuspage.AddTransition(history, 2, now.Add(-75*time.Second), "closed -> open: <b>12/20</b> failed in 1h0m0s; open for 10m0s")
	clusters := []statuspage.Cluster{
		{Name: "catalog", Policy: plain, Rejected: 1234567, Status: breaker.Status{Window: breaker.Totals{Calls: 1200, Failures: 360, SlowCalls: 30}}},
		{Name: "disabled", Policy: policy(func(p *breaker.Policy) { p.Mode = breaker.Disabled })},
		{Name: "few", Policy: policy(func(p *breaker.Policy) {
			p.Mode, p.WindowDuration, p.WindowRequests, p.FailureRate, p.SlowCallDuration = breaker.Shadow, 0, 2000, 0, 0
		}), ShadowRejected: 5, Fallback: 6, Status: breaker.Status{Window: breaker.Totals{Calls: 3}}},
		{Name: "forced", Policy: policy(func(p *breaker.Policy) { p.Mode = breaker.ForceOpen }), Rejected: 30},
		{Name: gateway, Route: gateway + "/match/0/*", Policy: plain, Status: open},
		{Name: "late", Policy: plain, Status: breaker.Status{State: breaker.Open, Trips: 1}},
		{Name: markup, Policy: plain, Status: open, History: history},
		{Name: markup, Route: "<b>reports</b>", Policy: plain, Status: open},
		{Name: "probed", Policy: policy(func(p *breaker.Policy) { p.ProbeInterval = time.Second }), Status: probed},
		{Name: "search", Policy: plain, Status: breaker.Status{State: breaker.HalfOpen, Successes: 1, Trials: 2}},
		{Name: "shop", Route: strings.Repeat("w", 200), Policy: plain},
		{Name: "small", Policy: plain, Status: breaker.Status{Window: breaker.Totals{Calls: 4, Failures: 3}}},
	}
	next := statuspage.Query{After: markup, AfterRoute: "<b>reports</b>", Limit: 12}.String()
	unmatched := []statuspage.Override{{Match: "serach"}, {Match: "shop", Route: "<i>re*</i>"}, {Match: gateway, Route: gateway + "/match/*"},
		{Match: "*" + strings.Repeat("w", 200)}}
	fails := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-security-policy", statuspage.SecurityPolicy)
		w.Header().Set("x-content-type-options", "nosniff")
		select {
		case <-fails:
			http.Error(w, "not <b>now</b>", 503)
			return
		default:
		}
		if !strings.Contains(r.Header.Get("accept"), "application/json") {
			w.Header().Set("content-type", "text/html; charset=utf-8")
			io.WriteString(w, statuspage.HTML)
			return
		}
		last := r.URL.Query().Get("after") == markup
		page := statuspage.BeginPage(nil, &statuspage.Head{Plugin: `a&"b"`, At: now, ConfigInvalid: !last,
			Overrides: 1200, Unmatched: 1004, Some: unmatched, Total: 8192})
		if last {
			w.Write(page.End(""))
			return
		}
		for i := range clusters {
			page.Add(&clusters[i])
		}
		w.Write(page.End(next))
	}))
	defer server.Close()

	b := openBrowser(t)
	b.open(server.URL)
	b.drawn()
	text := b.text()
	rest := text
	for _, want := range []string{ // in this order
		"5 open", "1 forced open", "1 half-open", "4 closed", "1 disabled", `Plugin a&"b", 24 Nov 2026 10:00:00 UTC`,
		"The configuration that was loaded last does not hold", "12 of 8,192 breakers, by name", "Next breakers",
		"Overrides that have matched nothing yet (1,004\u00a0of\u00a01,200): serach, shop route <i>re*</i>, " + gateway + " route " + gateway + "/match/*, *www",
		"w, and 1,000 more",
		gateway, "route " + gateway + "/match/0/*", "Open", "in\u00a04.3\u00a0s",
		"late", "Next try", "now", markup, "Open", "Next try", "in\u00a04.3\u00a0s", "Trips in a row", "2",
		"closed → open", "09:58:45, 1 min ago", "<b>12/20</b> failed in 1h; open for 10m", "half-open → closed", "23 Nov 04:00, 30 h ago",
		markup, "route <b>reports</b>", "Open", "in\u00a04.3\u00a0s",
		"probed", "Next probe", "in\u00a0400\u00a0ms", "1 good of 3", "Requests wait", "40\u00a0s", "at most, while probes fail",
		"forced", "Forced open", "Rejected", "30", "search", "Half-open", "Good trials", "1", "of 3 to close", "Trials in flight", "2", "of 3 at once",
		"catalog", "Calls", "1,200", "in 10\u00a0s", "Failed", "30.0%", "opens at 50%", "Slow", "2.5%", "over 1.5\u00a0s, opens at 100%", "1,234,567",
		"few", "shadow", "3", "of the last 2,000", "opens no breaker", "6 to the fallback, 5 would be",
		"shop", "route www",
		"small", "4", "judged from 20", "75.0%", "disabled", "Disabled",
	} {
		i := strings.Index(rest, want)
		if i < 0 {
			t.Fatalf("the page does not show, from there on, %q:\n%s", want, text)
		}
		rest = rest[i+len(want):]
	}
	if title := evaluate[string](b, "document.title"); title != `a&"b": 5 open, 1 forced open, 1 half-open, 4 closed, 1 disabled of 8,192` {
		t.Errorf("the title is %q", title)
	}
	if icon := evaluate[string](b, `document.querySelector("link").href`); !strings.Contains(icon, "%23d1242f") {
		t.Errorf("the icon is %s", icon)
	}
	bars := evaluate[[]string](b, `[...document.querySelectorAll(".bar")].map(e => [e.className, e.style.getPropertyValue("--value"), e.style.getPropertyValue("--limit")].join(" "))`)
	if want := []string{"bar near 30.0 50", "bar 2.5 100", "bar 0.0 ", "bar 0.0 50", "bar 0.0 100", "bar over 75.0 50", "bar 0.0 100"}; !slices.Equal(bars, want) {
		t.Errorf("the bars are %q, want %q", bars, want)
	}
	if n := evaluate[int64](b, `document.querySelectorAll("i, small b b, #unmatched b b").length`); n != 0 {
		t.Errorf("%d elements came from a name", n)
	}
	b.looks("status-draws")

	// What has not changed stays: a screen reader that is at it, or a selection, is not disturbed.
	evaluate[bool](b, `window.before = [...document.getElementById("unmatched").childNodes], true`)
	b.refreshed()
	if same := evaluate[bool](b, `before.length > 0 && before.every(n => n.isConnected)`); !same {
		t.Error("a refresh has put the overrides again, which are the same")
	}

	evaluate[bool](b, `document.querySelector("nav a").click(), true`)
	envoytest.Eventually(t, browserPatience, func() error {
		if text := b.text(); !strings.Contains(text, "No breaker comes after this.") || !strings.Contains(text, "First breakers") || strings.Contains(text, "does not hold") {
			return fmt.Errorf("the last page shows:\n%s", text)
		}
		return nil
	})
	b.wantQuiet(server.URL)
	close(fails)
	envoytest.Eventually(t, browserPatience, func() error {
		if text := b.text(); !strings.Contains(text, "This page is not up to date. Its last request failed: 503 not <b>now</b>") {
			return fmt.Errorf("while its requests fail the page shows:\n%s", text)
		}
		return nil
	})
	b.show(360, "light")
	b.screenshot("status-trouble", 360)
}

// Without scripts the page says where its contents are.
func TestBrowserWithoutScripts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-security-policy", statuspage.SecurityPolicy)
		w.Header().Set("content-type", "text/html; charset=utf-8")
		io.WriteString(w, statuspage.HTML)
	}))
	defer server.Close()
	b := openBrowser(t)
	if _, err := inTab(b, command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})); err != nil {
		t.Fatal(err)
	}
	b.open(server.URL)
	if text := b.text(); !strings.Contains(text, "at this address as JSON, for requests with the header accept: application/json") {
		t.Errorf("without scripts the page shows:\n%s", text)
	}
	b.show(360, "dark")
	b.screenshot("status-without-scripts", 360)
}

// What the tests above must not find would be found: a script, a request to another origin, a violation of the policy, text
// that sticks out and text that is faint.
func TestBrowserFinds(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "text/html")
		w.Header().Set("content-security-policy", "font-src 'none'")
		io.WriteString(w, `<style>@font-face { font-family: x; src: url(/font) }</style><body style="background: #fff"><script>x = 1</script>
			<img src="`+other.URL+`/image"><p style="width: 3000px; font-family: x; color: #aaa">text</p>`)
	}))
	defer server.Close()
	b := openBrowser(t)
	b.open(server.URL)
	envoytest.Eventually(t, browserPatience, func() error {
		_, record := b.recorded()
		for _, want := range []string{other.URL + "/image", fmt.Sprintf("scripts of [%q]", server.URL+"/"), "font-src"} {
			if !strings.Contains(record, want) {
				return fmt.Errorf("%s is not in the record: %s", want, record)
			}
		}
		return nil
	})
	if found := evaluate[[]string](b, misfits); len(found) == 0 {
		t.Error("a wide text is not found")
	}
	if found := evaluate[[]string](b, faint); len(found) != 1 {
		t.Errorf("a faint text: found %q", found)
	}
}
