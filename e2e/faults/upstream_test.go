//go:build faults

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// patience is how long a test waits for anything that is to happen.
const patience = time.Minute

// upstreamRules make breakers open and recover quickly. All else is the default, failure_on above all.
const upstreamRules = `{
	"window": {"requests": 10}, "min_requests": 6,
	"open": {"duration": "200ms", "multiplier": 1, "jitter": 0}, "half_open": {"success_threshold": 2, "permit_timeout": "10s"},
	"status": {"path": "/circuit-breakers"}
}`

// Every kind of sick upstream at once, each in a cluster of its own, with a healthy one beside them. A breaker opens where the fault is the
// upstream's failure, and stays closed where what the upstream does is right, however odd; it closes once the fault is over; and
// each request is counted once.
func TestUpstreamFaults(t *testing.T) {
	var cases []*upstreamCase
	bootstrap := envoy.Bootstrap{}
	main := envoy.Listener{
		Plugin:            &envoy.Plugin{Config: upstreamRules},
		ConnectionManager: "upgrade_configs: [{ upgrade_type: websocket }]",
	}
	add := func(name string, f fault) *upstreamCase {
		c := &upstreamCase{fault: f, name: name, saw: map[string]int{}}
		c.patient = newPatient(t, &c.fault)
		cases = append(cases, c)
		bootstrap.Clusters = append(bootstrap.Clusters, envoy.Cluster{Name: name, Address: c.patient.address, HTTP2: f.http2, Extra: "connect_timeout: 30s"})
		main.Routes = append(main.Routes,
			envoy.Route{Prefix: "/" + name + "/hang", Cluster: name, Action: "timeout: 1s"},
			envoy.Route{Prefix: "/" + name + "/", Cluster: name, Action: "timeout: 60s"})
		return c
	}
	for _, f := range http1Faults() {
		add("http1-"+f.name, f)
	}
	for _, f := range http2Faults() {
		add("http2-"+f.name, f)
	}
	neighbour := add("neighbour", fault{conn: answers(good), sees: []string{"200"}})
	bootstrap.Listeners = []envoy.Listener{main}
	e := envoytest.Start(t, bootstrap)

	var clients sync.WaitGroup
	stop := make(chan struct{})
	end := sync.OnceFunc(func() { close(stop); clients.Wait() })
	defer end()
	for _, c := range cases {
		for range 2 {
			clients.Go(func() { c.load(e, stop) })
		}
	}
	enter := func(phase int) {
		t.Helper()
		for _, c := range cases { // first, so that all wait at the same time for what is in flight
			c.turn.Lock()
			defer c.turn.Unlock()
		}
		for _, c := range cases {
			c.enter(t, phase, c == neighbour)
		}
	}
	all := func(what string, done func(*upstreamCase, envoy.BreakerStats) bool) {
		t.Helper()
		envoytest.Eventually(t, patience, func() error {
			breakers := e.Breakers()
			var errs []error
			for _, c := range cases {
				if !done(c, breakers[c.name]) {
					errs = append(errs, fmt.Errorf("%s is not %s: %v; clients saw %v", c.name, what, breakers[c.name], c.seen()))
				}
			}
			return errors.Join(errs...)
		})
	}

	all("well", func(c *upstreamCase, _ envoy.BreakerStats) bool { return c.ended() >= 10 })
	enter(during)
	all("settled", func(c *upstreamCase, b envoy.BreakerStats) bool {
		if c.opens {
			return b[breaker.Opened] >= 2 // a trial has failed as well
		}
		return c.ended() >= 20
	})
	enter(between)
	all("closed", func(_ *upstreamCase, b envoy.BreakerStats) bool { return b.State() == breaker.Closed })
	enter(after)
	all("well again", func(c *upstreamCase, _ envoy.BreakerStats) bool { return c.ended() >= 10 })
	end()
	trials := statusOf(t, e)
	for _, c := range cases {
		c.check(t, e, trials)
	}
}

// The times of a case.
const (
	before = iota
	during
	between // the fault is over, and the breaker finds out
	after
)

// An upstreamCase is a fault while it is tried.
type upstreamCase struct {
	fault
	name    string
	patient *patient

	turn  sync.RWMutex // held by a request, so that each belongs to one phase
	phase int

	mu     sync.Mutex
	view   view
	faults int            // of its requests
	inThis int            // requests of the present phase
	saw    map[string]int // during the fault
	odd    []string       // what is wrong by itself
}

// enter begins a phase, while no requests are in flight.
func (c *upstreamCase) enter(t *testing.T, phase int, isNeighbour bool) {
	c.phase, c.inThis = phase, 0
	switch {
	case isNeighbour:
	case phase == during:
		c.patient.fall(t)
	case phase == between:
		c.patient.rise(t)
	}
}

func (c *upstreamCase) ended() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inThis
}

func (c *upstreamCase) seen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.saw)
}

// load is one client, that asks again and again.
func (c *upstreamCase) load(e *envoytest.Envoy, stop chan struct{}) {
	ticks := time.NewTicker(300 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticks.C:
		}
		c.visit(e)
	}
}

func (c *upstreamCase) visit(e *envoytest.Envoy) {
	c.turn.RLock()
	defer c.turn.RUnlock()
	client, path := &visit{}, "/"+c.name+"/"
	if c.phase == during {
		if c.client != nil {
			client = c.client
		}
		if slices.Contains(c.sees, "504") {
			path += "hang"
		}
	}
	saw := client.ask(e.URL(path))

	c.mu.Lock()
	defer c.mu.Unlock()
	c.inThis++
	c.view.Requests++
	switch {
	case saw == "rejected":
		c.view.Breaker++
		if !c.opens || c.phase == before || c.phase == after {
			c.view.Wrong++
		}
		return
	case strings.HasPrefix(saw, "lost"):
		c.view.None++
		c.odd = append(c.odd, saw)
		return
	case c.phase == during:
		c.saw[saw]++
		c.faults++
		if !slices.Contains(c.sees, saw) {
			c.odd = append(c.odd, saw)
		}
	case saw != "200" && c.phase != between:
		c.odd = append(c.odd, saw+" of an upstream that was well")
	}
	if c.opens && saw != "200" {
		c.view.Envoy++
	} else {
		c.view.Upstream++
	}
}

// check looks at what has come of it when all is over.
func (c *upstreamCase) check(t *testing.T, e *envoytest.Envoy, trials map[string]int) {
	t.Run(c.name, func(t *testing.T) {
		b := wantSum(t, e, c.name, c.view.Requests)
		if len(c.odd) > 0 {
			t.Errorf("clients saw what they should not: %q", c.odd)
		}
		if c.view.Wrong > 0 {
			t.Errorf("%d requests were rejected wrongly", c.view.Wrong)
		}
		if b[breaker.Rejected] != uint64(c.view.Breaker) {
			t.Errorf("%d were rejected, and clients saw %d rejects", b[breaker.Rejected], c.view.Breaker)
		}
		if opened := b[breaker.Opened] > 0; opened != c.opens {
			t.Errorf("opened: %v, want %v", opened, c.opens)
		}
		if !c.opens && b[breaker.Failures] > 0 {
			t.Errorf("%d failures", b[breaker.Failures])
		}
		if n, known := trials[c.name]; n != 0 || !known {
			t.Errorf("%d trials in flight, known: %v", n, known)
		}
		if t.Failed() {
			t.Logf("%v; during the fault clients saw %v", b, c.saw)
		}
		report(t, row{Part: "Upstreams", Fault: c.name, view: c.view, Faults: c.faults})
	})
}

var visitors = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// ask sends one request over a connection of its own, and tells what the client saw.
func (v *visit) ask(url string) string {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	if v.leaves > 0 {
		defer time.AfterFunc(v.leaves, leave).Stop()
	}
	method, upload := http.MethodGet, io.Reader(nil)
	if v.upload > 0 {
		method, upload = http.MethodPost, io.LimitReader(zeros{}, int64(v.upload))
	}
	request, err := http.NewRequestWithContext(ctx, method, url, upload)
	if err != nil {
		return "lost: " + err.Error()
	}
	if v.upgrade {
		request.Header.Set("connection", "upgrade")
		request.Header.Set("upgrade", "websocket")
	}
	response, err := visitors.Do(request)
	switch {
	case errors.Is(err, context.Canceled):
		return "gave up"
	case err != nil:
		return "lost: " + err.Error()
	}
	defer response.Body.Close()
	if v.leavesAt > 0 {
		if _, err := io.CopyN(io.Discard, response.Body, int64(v.leavesAt)); err == nil {
			return "gave up"
		}
	}
	_, err = io.Copy(io.Discard, response.Body)
	switch {
	case response.Header.Get("x-circuit-breaker") != "":
		return "rejected"
	case errors.Is(err, context.Canceled):
		return "gave up"
	case err != nil:
		return fmt.Sprint(response.StatusCode, " broken")
	}
	return fmt.Sprint(response.StatusCode)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
