package envoy_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// breakerctl status shows what is open in a real Envoy, since when and why, over all pages of it; and where a URL is not that of a page,
// what is there.
func TestBreakerctlStatus(t *testing.T) {
	t.Parallel()
	tool := filepath.Join(t.TempDir(), "breakerctl")
	if out, err := exec.Command("go", "build", "-o", tool, "envoy-circuit-breaker/cmd/breakerctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sick, well := envoytest.NewUpstream(t), envoytest.NewUpstream(t)
	clusters := map[string]envoy.Cluster{"/payments": {Name: "payments", Address: sick.Address}}
	for i := range 60 { // more than a page has
		name := fmt.Sprintf("c%02d", i)
		clusters["/"+name] = envoy.Cluster{Name: name, Address: well.Address}
	}
	b := openBoard(t, `{"min_requests": 10, "open": {"duration": "1h", "max_duration": "1h", "jitter": 0}}`, clusters)
	sick.Handle(envoytest.Status(500))
	for path := range clusters {
		b.Get(path)
	}
	before := time.Now().Add(-time.Second)
	for range 10 {
		b.Get("/payments")
	}
	page := "http://" + b.Address("status") + statusPath
	run := func(arguments ...string) (out string, exit int) {
		t.Helper()
		command := exec.Command(tool, append([]string{"status"}, arguments...)...)
		text, err := command.CombinedOutput()
		if command.ProcessState == nil {
			t.Fatal(err)
		}
		return string(text), command.ProcessState.ExitCode()
	}

	var shown struct {
		Envoys []struct {
			States   map[string]int
			Breakers []struct {
				Cluster, State, Why string
				Since               time.Time
			}
		}
	}
	envoytest.Eventually(t, 30*time.Second, func() error { // until this worker knows all names
		out, exit := run("-json", page)
		if err := json.Unmarshal([]byte(out), &shown); err != nil || exit != 0 {
			t.Fatalf("exits with %d, %v: %s", exit, err, out)
		}
		if e := shown.Envoys[0]; e.States["closed"] != 60 || e.States["open"] != 1 || len(e.Breakers) != 1 {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	if c := shown.Envoys[0].Breakers[0]; c.Cluster != "payments" || c.State != "open" || c.Why != "10/10 failed in 10s, threshold 50%" ||
		c.Since.Before(before) || c.Since.After(time.Now().Add(time.Second)) {
		t.Errorf("%+v", c)
	}

	row := regexp.MustCompile(`(?m)^payments  open   \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  +\S+ +1      in \S+  10/10 failed in 10s, threshold 50%$`)
	if out, exit := run(page); exit != 0 || !row.MatchString(out) || !strings.Contains(out, "1 Envoy read, 61 breakers: 1 open, 60 closed.\n") {
		t.Errorf("exits with %d:\n%s", exit, out)
	}
	if out, exit := run("-all", page); exit != 0 || strings.Count(out, " closed ") != 60 {
		t.Errorf("exits with %d:\n%s", exit, out)
	}

	admin := "http://" + b.AdminAddress()
	// The pages that people hit first.
	for url, want := range map[string]string{
		admin + "/":                            "this is Envoy's admin interface",
		admin + statusPath:                     "this is Envoy's admin interface",
		admin + "/clusters?format=json":        "it answers JSON, but not that of a status page",
		page + "/":                             "404: there is no status page at this path",
		"http://" + b.Address("main") + "/c00": "it does not answer with JSON",
		page + "?limit=0":                      `400 Bad Request: "limit: \"0\" is not allowed: must be from 1 to 50"`,
	} {
		if out, exit := run(url); exit != 1 || !strings.Contains(out, want) {
			t.Errorf("%s: exits with %d, want %q:\n%s", url, exit, want, out)
		}
	}
}
