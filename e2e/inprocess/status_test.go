package inprocess_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/wasmhost"
)

// statusWorkers are workers whose plugin has a status page beside its breakers.
func statusWorkers(t *testing.T, o wasmhost.Options) *workers {
	t.Helper()
	o.Config = `{"max_breakers": 10000, "status": {"path": "/status"}` + o.Config + `}`
	return startWorkers(t, o)
}

// view asks a worker for the status page as JSON.
func (w *workers) view(worker int, query string) *wasmhost.Reply {
	w.t.Helper()
	headers := wasmhost.Headers{}.With(":method", "GET").With(":scheme", "http").With(":authority", "example.com")
	s := w.send(worker, wasmhost.Req{Headers: headers.With(":path", "/status"+query).With("accept", "application/json")})
	if s.Reply() == nil {
		w.t.Fatalf("/status%s was not answered", query)
	}
	return s.Reply()
}

// statusPage is what a view has to say.
type statusPage struct {
	Total    int
	Next     *string
	Clusters []struct {
		Cluster      string
		State        string
		Probing      bool
		NextTry      float64 `json:"next_try_seconds"`
		NextProbe    float64 `json:"next_probe_seconds"`
		FailureRate  float64 `json:"failure_rate"`
		Calls        int
		Transitions  []struct{ Text string }
		Policy       map[string]any
		ShadowReject int `json:"shadow_rejected"`
	}
}

func (p statusPage) names() (names []string) {
	for _, c := range p.Clusters {
		names = append(names, c.Cluster)
	}
	return names
}

func (w *workers) page(worker int, query string) (p statusPage) {
	w.t.Helper()
	r := w.view(worker, query)
	if r.Status != 200 {
		w.t.Fatalf("/status%s: %d %s", query, r.Status, r.Body)
	}
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		w.t.Fatalf("%v in %s", err, r.Body)
	}
	return p
}

// meet lets a worker meet clusters.
func (w *workers) meet(worker int, names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.end(w.send(worker, wasmhost.Req{Cluster: name}).OK())
	}
}

// manyNames are names as Istio gives them, in order.
func manyNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("outbound|443||service-%05d.example.com", i))
	}
	return names
}

// However many clusters there are, a view asks the host for no more than one page takes, and has each cluster once and in order
// from page to page.
func TestStatusManyClusters(t *testing.T) {
	for _, n := range []int{1000, 8192} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := statusWorkers(t, wasmhost.Options{Workers: 1})
			names := manyNames(n)
			for i := range names { // in no order
				w.meet(0, names[(i*7+3)%n])
				if i%100 == 99 {
					w.advance(100 * time.Millisecond)
				}
			}
			var took []time.Duration
			var seen []string
			for query := ""; ; {
				before, begin := w.Counts(), time.Now()
				r := w.view(0, query)
				took = append(took, time.Since(begin))
				cost := w.Counts().Sub(before)
				calls := cost.Total() - cost.Calls["clock_time_get"] // which Go's collector asks as well, and it may fall into a view
				if stats := cost.Calls["proxy_define_metric"]; calls > 480 || stats > 150 {
					t.Fatalf("view %d of %q: %d host calls, %d of them to find a stat, want few", len(took), query, calls, stats)
				}
				var p statusPage
				if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
					t.Fatalf("%v in %d %s", err, r.Status, r.Body)
				}
				if p.Total != n {
					t.Fatalf("total is %d, want %d", p.Total, n)
				}
				seen = append(seen, p.names()...)
				if p.Next == nil {
					break
				}
				query = *p.Next
			}
			if !slices.Equal(seen, names) {
				t.Errorf("the pages have %d names, want each of %d once and in order", len(seen), n)
			}
			again := time.Now()
			for range 20 {
				w.view(0, "")
			}
			t.Logf("%d clusters, %d pages: first %v, all %v at most, again %v", n, len(took), took[0], slices.Max(took), time.Since(again)/20)
		})
	}
}

// A worker that begins beside many clusters reads their names in its ticks, and does not pass off some of them as all.
func TestStatusReadsAhead(t *testing.T) {
	w := statusWorkers(t, wasmhost.Options{Workers: 1})
	for i, name := range manyNames(1000) {
		w.SharedData().Set(fmt.Sprintf("circuit_breaker/2\x00cluster\x00breaker\x00%d", i), []byte(name))
	}
	before := w.Counts()
	if r := w.view(0, ""); r.Status != 503 || r.Headers.Get("retry-after") != "1" || r.Body != "the names of the clusters are still being read\n" {
		t.Errorf("the first view: %+v", r)
	}
	if calls := w.Counts().Sub(before).Total(); calls > 300 {
		t.Errorf("the first view: %d host calls, want few", calls)
	}
	w.advance(300 * time.Millisecond)
	if p := w.page(0, ""); p.Total != 1000 || p.Next == nil {
		t.Errorf("after three ticks: %+v", p)
	}
	before = w.Counts()
	w.advance(time.Second)
	if calls := w.Counts().Sub(before).Calls["proxy_get_shared_data"]; calls != 10 {
		t.Errorf("%d reads in ten ticks, want one in each once all is read", calls)
	}
}

// Whatever stands in shared data, a view and a tick end soon, and what is broken is put right by a worker that has the breakers.
func TestStatusBrokenSharedData(t *testing.T) {
	const list, policy = "circuit_breaker/2\x00cluster\x00breaker\x00", "circuit_breaker/2\x00policy\x00breaker\x00"
	for name, damage := range map[string]func(w *workers, d *wasmhost.SharedData){
		"a count of the list": func(_ *workers, d *wasmhost.SharedData) { d.Set(list, []byte("20000000")) },
		"no number":           func(_ *workers, d *wasmhost.SharedData) { d.Set(list, []byte("?")) },
		"an entry far out":    func(_ *workers, d *wasmhost.SharedData) { d.Set(list+"20000000", []byte("far")) },
		"empty entries":       func(_ *workers, d *wasmhost.SharedData) { d.Set(list+"0", nil); d.Set(list+"2", nil) },
		"entries of others": func(_ *workers, d *wasmhost.SharedData) {
			d.Set(list+"0", []byte("beta"))
			d.Set(list+"1", []byte("nobody"))
		},
		"empty policies": func(_ *workers, d *wasmhost.SharedData) { d.Set(policy+"alpha", nil); d.Set(policy+"gamma", nil) },
		"a policy":       func(_ *workers, d *wasmhost.SharedData) { d.Set(policy+"beta", []byte("\xff\xff\xff\xff{\"mode\":")) },
		"a history": func(_ *workers, d *wasmhost.SharedData) {
			d.Set("circuit_breaker/2\x00history\x00breaker\x00beta", []byte(strings.Repeat("\xff", 1<<20)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := statusWorkers(t, wasmhost.Options{Workers: 2})
			w.meet(0, "beta", "alpha", "gamma")
			damage(w, w.SharedData())
			before := w.Counts()
			w.view(1, "") // which has not read the list before
			w.meet(0, "delta")
			if calls := w.Counts().Sub(before).Total(); calls > 500 {
				t.Errorf("a view and a new cluster: %d host calls, want few", calls)
			}
			w.advance(time.Second)
			for worker := range w.Workers() {
				if p := w.page(worker, ""); !slices.Equal(p.names(), []string{"alpha", "beta", "delta", "gamma"}) {
					t.Errorf("worker %d shows %q", worker, p.names())
				}
			}
			// It is the shared data that was put right: a worker without breakers shows it too.
			before = w.Counts()
			w.advance(time.Second)
			if c := w.Counts().Sub(before); c.Calls["proxy_set_shared_data"] != 0 {
				t.Errorf("what is right is written again: %v", c)
			}
		})
	}
}

// A name may have any characters, and goes on to the next page as it is.
func TestStatusNames(t *testing.T) {
	w := statusWorkers(t, wasmhost.Options{Workers: 1})
	names := []string{"\x01", " ", `"quoted"\`, "%41", "&limit=1", "+", "<b>", "?a#b", "a/../b", "é", "\u2028", "\xff\xfe"}
	slices.Sort(names)
	w.meet(0, names...)
	var queries []string
	for query := "?limit=1"; ; {
		p := w.page(0, query)
		if len(p.Clusters) != 1 || p.Clusters[0].Cluster != strings.ToValidUTF8(names[len(queries)], "\ufffd\ufffd") {
			t.Fatalf("%s: %q, want %q", query, p.names(), names[len(queries)])
		}
		if queries = append(queries, query); p.Next == nil {
			break
		}
		query = *p.Next
	}
	if len(queries) != len(names) {
		t.Errorf("%d pages, want %d: %q", len(queries), len(names), queries)
	}
	// A name that is not there is a place in the order too.
	if p := w.page(0, "?after=%22r&limit=2"); len(p.Clusters) != 2 || p.Clusters[0].Cluster != "%41" {
		t.Errorf("after what is not there: %q", p.names())
	}
	for query, want := range map[string]string{
		"?limit=0": "limit: ", "?limit=51": "limit: ", "?limit=": "limit: ", "?limit=-1": "limit: ", "?limit=x": "limit: ",
		"?limit=99999999999999999999": "limit: ", "?after=%": "after: ", "?after=%g0&limit=1": "after: ",
	} {
		if r := w.view(0, query); r.Status != 400 || !strings.HasPrefix(r.Body, want) || !strings.Contains(r.Body, " is not allowed: must be ") {
			t.Errorf("%s: %d %q", query, r.Status, r.Body)
		}
	}
}

// While probes fail, the page says that there are probes and when the next one is, and how long requests wait at most: it goes down
// evenly, whatever the probes do.
func TestStatusProbing(t *testing.T) {
	w := statusWorkers(t, wasmhost.Options{Workers: 2, Clusters: []string{"payments"}, Config: `, "min_requests": 1,
		"open": {"duration": "2s", "max_duration": "60s", "jitter": 0}, "probe": {"path": "/healthz", "interval": "1s"}`})
	w.call(0, 500)
	opened := w.Now()
	last := 61.0
	for i := range 300 {
		w.advance(100 * time.Millisecond)
		for _, call := range w.HTTPCalls() {
			w.end(call.Answer(500, nil, ""))
		}
		c := w.page(i%2, "").Clusters[0]
		want := (60*time.Second - (w.Now() - opened)).Seconds()
		if c.State != "open" || !c.Probing || c.NextTry != want || c.NextTry >= last {
			t.Fatalf("after %v: %+v, want next_try_seconds %v", w.Now()-opened, c, want)
		}
		if c.NextProbe < 0 || c.NextProbe > 2.1 {
			t.Fatalf("after %v the next probe is in %v s", w.Now()-opened, c.NextProbe)
		}
		last = c.NextTry
	}
	if n := w.stat(breaker.ProbeFailures); n < 20 {
		t.Errorf("%d probes have failed, want about 30", n)
	}
}
