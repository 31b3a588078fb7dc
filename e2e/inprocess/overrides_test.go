package inprocess_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// unmatched are the overrides that a view of the status page says have matched nothing.
func (w *workers) unmatched(page *wasmhost.Plugin, worker int) (total, n int, first string) {
	w.t.Helper()
	var got struct {
		Overrides struct {
			Total, Unmatched int
			First            []struct{ Match, Route string } `json:"first_unmatched"`
		}
	}
	s := w.send(worker, wasmhost.Req{Plugin: page, Headers: wasmhost.Headers{}.With(":method", "GET").With(":path", "/status").With("accept", "application/json")})
	if s.Reply() == nil || json.Unmarshal([]byte(s.Reply().Body), &got) != nil {
		w.t.Fatalf("no page: %+v", s.Reply())
	}
	for _, o := range got.Overrides.First {
		first += strings.TrimSuffix(o.Match+"/"+o.Route, "/") + " "
	}
	return got.Overrides.Total, got.Overrides.Unmatched, strings.TrimSpace(first)
}

// The status page tells which overrides have matched nothing yet, whichever worker has met the clusters, and although it is in a listener
// of its own.
func TestUnmatchedOverrides(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 2, Config: `{"clusters": [{"match": "pay*"}, {"match": "payments"}, {"match": "shop", "route": "re*"},
		{"match": "search"}]}`})
	page := w.add("breaker", statusOnly)
	want := func(when string, total, n int, first string) {
		t.Helper()
		for worker := range w.Workers() {
			if a, b, c := w.unmatched(page, worker); a != total || b != n || c != first {
				t.Errorf("%s, worker %d: %d of %d: %s, want %d of %d: %s", when, worker, b, a, c, n, total, first)
			}
		}
	}
	want("at the start", 4, 4, "pay* payments shop/re* search")
	w.meet(0, "payments", "another")
	w.meet(1, "search")
	want("after three clusters", 4, 2, "payments shop/re*")
	w.on(1, "shop", "cart", 200)
	want("after another route", 4, 2, "payments shop/re*")
	w.on(1, "shop", "reports", 200)
	want("after a route", 4, 1, "payments")

	// What is broken counts as nothing, and the next cluster begins anew.
	w.SharedData().Set("circuit_breaker/2\x00matched\x00breaker\x00", []byte("?"))
	want("with broken data", 4, 4, "pay* payments shop/re* search")
	w.meet(0, "pay")
	want("after broken data", 4, 3, "payments shop/re* search")

	// Another configuration has matched what it has met.
	w.add("breaker", `{"clusters": [{"match": "another"}, {"match": "never"}, {"match": "*"}]}`)
	w.end(w.send(0, wasmhost.Req{Cluster: "fresh"}).OK())
	w.advance(time.Second) // in which it has shown the breaker of the route as disabled
	if total, n, _ := w.unmatched(page, 0); total != 3 || n != 3 {
		t.Errorf("a new configuration: %d of %d, want 3 of 3", n, total)
	}
}

// The listener of the page may be all that is left, or one that another version of the plugin's code serves: then it reads the
// configuration itself.
func TestUnmatchedOverridesOfNobodyHere(t *testing.T) {
	w := startWorkers(t, wasmhost.Options{Workers: 1, Plugin: "another"})
	w.remove(w.add("breaker", `{"clusters": [{"match": "a"}, {"match": "b", "per": "route"}]}`))
	w.advance(2 * time.Minute)
	page := w.add("breaker", statusOnly)
	if total, n, names := w.unmatched(page, 0); total != 2 || n != 2 || names != "a b" {
		t.Errorf("%d of %d: %s", n, total, names)
	}
}

// Thousands of overrides make a view no longer than its list of them may be.
func TestManyUnmatchedOverrides(t *testing.T) {
	var overrides []string
	for i := range 10_000 {
		overrides = append(overrides, fmt.Sprintf(`{"match": "service-%d-*"}`, i))
	}
	w := startWorkers(t, wasmhost.Options{Workers: 1, Config: `{"clusters": [` + strings.Join(overrides, ",") + `]}`})
	page := w.add("breaker", statusOnly)
	w.meet(0, "service-9999-a")
	begin := time.Now()
	w.unmatched(page, 0)
	first := time.Since(begin)
	begin = time.Now()
	total, n, names := w.unmatched(page, 0)
	t.Logf("the first view takes %v, the next %v", first, time.Since(begin))
	if total != 10_000 || n != 9_999 || strings.Count(names, "service-") != 50 {
		t.Errorf("%d of %d, named %s", n, total, names)
	}
}
