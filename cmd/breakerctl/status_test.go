package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/status"
)

// openPage is a status page on which payments is open.
const openPage = `{"plugin": "breaker", "version": "dev", "at": "2026-11-26T10:33:10Z", "config_invalid": false, "total": 1, "next": null, "clusters": [
{"cluster": "payments", "route": null, "state": "open", "next_try_seconds": 2.1, "trips": 1, "policy": {"mode": "enforce"},
"transitions": [{"at": "2026-11-26T10:32:10Z", "text": "closed -> open: 12/20 failed in 10s, threshold 50%; open for 5s, trip 1 in a row"}]}]}`

func servePage(t *testing.T) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/circuit-breakers" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, openPage)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestStatus(t *testing.T) {
	server := servePage(t)
	page := server + "/circuit-breakers"
	for _, c := range []struct {
		arguments []string
		in        string
		exit      int
		out, errs string
	}{
		{[]string{page}, "", 0, "\npayments  open   2026-11-26 10:32:10  1m0s  1      in 2.1s  12/20 failed in 10s, threshold 50%\n", ""},
		{[]string{page, "-json"}, "", 0, `"cluster": "payments",`, ""},
		{[]string{page, page, "-"}, "\n" + page + "\n", 0, "UTC: 1 Envoy read, ", ""},
		{[]string{"-"}, page + "?limit=5\n" + page + "\n", 0, "UTC: 2 Envoys read, ", ""},
		{[]string{page, server + "/else"}, "", 1, "1 of 2 Envoys read, 1 breaker: 1 open.\n", ""},
		{[]string{server + "/else", "-json"}, "", 1, `"error": "404: there is no status page at this path: `, ""},
		{nil, "", 2, "", "which status page? a URL such as"},
		{[]string{"-"}, "", 2, "", "which status page? a URL such as"},
		{[]string{"-", "-"}, page, 2, "", "standard input is read once"},
		{[]string{"-"}, "localhost:9902/circuit-breakers", 2, "", `"localhost:9902/circuit-breakers" has no scheme: did you mean http://localhost:9902/circuit-breakers?`},
		{[]string{server}, "", 2, "", "has no path"},
		{[]string{page, "-timeout", "0s"}, "", 2, "", "-timeout must be more than 0"},
		{[]string{page, "-watch", "-interval", "1ms"}, "", 2, "", "-interval must be 100ms or more"},
		{[]string{"-h"}, "", 0, "", "usage: breakerctl status URL…"},
	} {
		var out, errs strings.Builder
		exit := run(append([]string{"status"}, c.arguments...), strings.NewReader(c.in), &out, &errs)
		if exit != c.exit || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) ||
			c.out == "" && out.Len() > 0 || c.errs == "" && errs.Len() > 0 {
			t.Errorf("%q: exits with %d\n%s%s", c.arguments, exit, &out, &errs)
		}
	}
}

// A sink ends a watch when it has been written to so many times.
type sink struct {
	text strings.Builder
	end  func()
	n    int
}

func (s *sink) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "UTC: ") {
		if s.n--; s.n == 0 {
			s.end()
		}
	}
	return s.text.Write(b)
}

// What is watched and no terminal gets one table after another, without a terminal's codes. The end is a clean one.
func TestStatusWatch(t *testing.T) {
	u, err := status.ParseURL(servePage(t) + "/circuit-breakers")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := &sink{end: cancel, n: 3}
	var errs strings.Builder
	o := &statusFlagSet{watch: true, interval: time.Millisecond}
	exit := o.report(ctx, &program{out: out, errors: &errs}, status.NewReader([]*url.URL{u}, time.Minute, false))
	if exit != ok || errs.Len() > 0 {
		t.Errorf("exits with %d: %s", exit, &errs)
	}
	if n := strings.Count(out.text.String()+"\n2", "\n\n2"); n != 3 || strings.Contains(out.text.String(), "\x1b") {
		t.Errorf("%d tables: %q", n, out.text.String())
	}

	// Before there is anything to show, it says so.
	if exit = o.report(ctx, &program{out: out, errors: &errs}, status.NewReader([]*url.URL{u}, time.Minute, false)); exit != failed || errs.String() != "breakerctl: interrupted\n" {
		t.Errorf("exits with %d: %s", exit, &errs)
	}
}

// In a terminal a table takes the place of the one before, and no line of it is wider or lower than there is room.
func TestScreen(t *testing.T) {
	if got, want := screen("ab\n支払い支払い支払い支払い支払い\nc\nd\n\n", 18, 4), "\x1b[Hab\x1b[K\n支払い支払い支払…\x1b[K\n… and 2 more lines\x1b[K\n\x1b[J"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, size := range [][2]int{{80, 4}, {0, 0}} { // 0 by 0 is a size that the terminal does not know
		if got, want := screen("ab\nc\n", size[0], size[1]), "\x1b[Hab\x1b[K\nc\x1b[K\n\x1b[J"; got != want {
			t.Errorf("%v: %q, want %q", size, got, want)
		}
	}
}
