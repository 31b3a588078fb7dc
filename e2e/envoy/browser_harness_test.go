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

// What the tests must not find would be found: a script, a request to another origin, a violation of the policy, text
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
