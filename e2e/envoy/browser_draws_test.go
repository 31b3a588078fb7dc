//go:build browser

package envoy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/statuspage"
	"envoy-circuit-breaker/internal/envoytest"
)

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
	var fails atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-security-policy", statuspage.SecurityPolicy)
		w.Header().Set("x-content-type-options", "nosniff")
		if fails.Load() {
			http.Error(w, "not <b>now</b>", 503)
			return
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

	// What has not changed stays: the focus, a screen reader that is at it, or a selection, is not disturbed.
	evaluate[bool](b, `document.querySelector("nav a").focus(), window.before = [...document.querySelectorAll("body *")], true`)
	b.refreshed()
	if gone := evaluate[[]string](b, `before.filter(e => !e.isConnected).map(e => e.outerHTML)`); len(gone) > 0 {
		t.Errorf("a refresh has put again what is the same: %.1000q", gone)
	}
	if focus := evaluate[string](b, `document.activeElement.innerText`); focus != "Next breakers" {
		t.Errorf("after a refresh the focus is at %q", focus)
	}

	evaluate[bool](b, `document.querySelector("nav a").click(), true`)
	envoytest.Eventually(t, browserPatience, func() error {
		if text := b.text(); !strings.Contains(text, "No breaker comes after this.") || !strings.Contains(text, "First breakers") || strings.Contains(text, "does not hold") {
			return fmt.Errorf("the last page shows:\n%s", text)
		}
		return nil
	})
	b.wantQuiet(server.URL)
	fails.Store(true)
	envoytest.Eventually(t, browserPatience, func() error {
		if text := b.text(); !strings.Contains(text, "This page is not up to date. Its last request failed: 503 not <b>now</b>") {
			return fmt.Errorf("while its requests fail the page shows:\n%s", text)
		}
		return nil
	})
	b.show(360, "light")
	b.screenshot("status-trouble", 360)
	fails.Store(false)
	envoytest.Eventually(t, browserPatience, func() error {
		if text := b.text(); strings.Contains(text, "not up to date") {
			return fmt.Errorf("the page still shows:\n%s", text)
		}
		return nil
	})
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
