package envoy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A paceRow is what clients do in their own time, and what the upstream may be charged with. Closed, so many do it at once, which
// is enough to open the breaker if it is the upstream's fault; half-open, one of them is a trial.
type paceRow struct {
	name     string
	rules    string           // of the breakers: more JSON members
	http2    bool             // the upstream's protocol
	route    string           // raw: more of the route's action
	stranger bool             // whose x-envoy headers Envoy takes off
	upstream http.HandlerFunc // nil answers 200
	client   func(*caller) string
	clients  int

	minRequests int // of the closed breaker; 5 if 0

	sees    string             // each client
	details string             // how Envoy logs each: the beginning of the response code details
	counts  envoy.BreakerStats // for all clients of the closed breaker
	opens   bool               // the closed breaker
	trial   envoy.BreakerStats // for the trial
}

// The upstream's limits in rows that have any.
const (
	slowLimit = `, "slow_call": {"duration": "300ms", "rate": 50}`
	ownLimit  = "timeout: 0.3s"
	grpcLimit = "max_stream_duration: { grpc_timeout_header_max: 0s }" // the caller's, however long
)

func paceRows() []paceRow {
	const late = 2 * time.Second // than any deadline of a client, also where the machine is busy
	hung := envoytest.Hang(nil)
	all := func(each envoy.BreakerStats, n uint64) envoy.BreakerStats {
		each[breaker.Calls], each[breaker.Failures], each[breaker.SlowCalls], each[breaker.Neutrals] = each[breaker.Calls]*n, each[breaker.Failures]*n, each[breaker.SlowCalls]*n, each[breaker.Neutrals]*n
		return each
	}
	rows := []paceRow{
		// The client's part of the time, which is none of the upstream's.
		{name: "slow-upload", rules: slowLimit, upstream: readAll, client: trickles(overHTTP1, 10, false), clients: 5,
			sees: "200", details: "via_upstream", counts: all(success, 5), trial: success},
		{name: "slow-upload-chunked", rules: slowLimit, upstream: readAll, client: trickles(overHTTP1, -1, false), clients: 5,
			sees: "200", details: "via_upstream", counts: all(success, 5), trial: success},
		{name: "slow-upload-h2", rules: slowLimit, http2: true, upstream: readAll, client: trickles(overHTTP2, -1, false), clients: 5,
			sees: "200", details: "via_upstream", counts: all(success, 5), trial: success},
		{name: "slow-upload-trailers", rules: slowLimit, http2: true, upstream: readAll, client: trickles(overHTTP2, -1, true), clients: 5,
			sees: "200", details: "via_upstream", counts: all(success, 5), trial: success},
		// But what the upstream takes from then on is.
		{name: "slow-upload-slow-upstream", rules: slowLimit, upstream: readsAndWaits(700 * time.Millisecond), client: trickles(overHTTP1, 10, false), clients: 5,
			sees: "200", details: "via_upstream", counts: all(slow, 5), opens: true, trial: slow},
		{name: "headers-only", rules: slowLimit, upstream: readAll, client: breaksUp(""), clients: 20,
			sees: "gone", details: "downstream_remote_disconnect", counts: all(neutral, 20), trial: neutral},
		{name: "left-upload", rules: slowLimit, upstream: readAll, client: breaksUp("half"), clients: 20,
			sees: "gone", details: "downstream_remote_disconnect", counts: all(neutral, 20), trial: neutral},
		{name: "left-upload-h2", rules: slowLimit, http2: true, upstream: readAll, client: leavesHTTP2Upload, clients: 20,
			sees: "gone", details: "http2.remote_reset", counts: all(neutral, 20), trial: neutral},

		// The client does not read. A trial has been judged by its headers then.
		{name: "unread-download", route: "timeout: 1.5s", upstream: chunks(30, 1_000_000), client: readsLater, clients: 8,
			sees: "200 broken", details: "response_timeout", counts: all(neutral, 8), trial: success},
		{name: "unread-download-listed", rules: `, "failure_on": ["5xx", "body-timeout"]`, route: "timeout: 1.5s", upstream: chunks(30, 1_000_000), client: readsLater, clients: 8,
			minRequests: 8, sees: "200 broken", details: "response_timeout", counts: all(failure, 8), opens: true, trial: success},
	}

	// The caller chooses the deadline, by each of the headers that are for that.
	for _, by := range []struct {
		name, route   string
		http2         bool
		short         time.Duration
		ask           func(time.Duration) func(*caller) string
		sees, details string
	}{
		{name: "timeout-header", short: 20 * time.Millisecond, ask: asksWithin(msHeader("x-envoy-upstream-rq-timeout-ms")), sees: "504", details: "response_timeout"},
		{name: "try-header", short: 20 * time.Millisecond, ask: asksWithin(msHeader("x-envoy-upstream-rq-per-try-timeout-ms")), sees: "504", details: "upstream_per_try_timeout"},
		{name: "try-header-retried", short: 60 * time.Millisecond, route: "retry_policy: { retry_on: 5xx, num_retries: 2, retry_back_off: { base_interval: 0.001s } }",
			ask: asksWithin(msHeader("x-envoy-upstream-rq-per-try-timeout-ms")), sees: "504", details: "upstream_per_try_timeout"},
		{name: "grpc-timeout", short: 20 * time.Millisecond, route: grpcLimit, http2: true, ask: asksGRPCFor, sees: "grpc-status 4", details: "max_duration_timeout"},
		// The older way, which Istio's proxies have.
		{name: "grpc-timeout-no-body", short: 20 * time.Millisecond, route: grpcLimit, ask: asksWithin(func(r *http.Request, d time.Duration) {
			r.Header.Set("grpc-timeout", fmt.Sprint(d.Milliseconds(), "m"))
		}), sees: "504", details: "max_duration_timeout"},
		{name: "signed-timeout-header", short: 20 * time.Millisecond, ask: asksWithin(func(r *http.Request, d time.Duration) {
			r.Header.Set("x-envoy-upstream-rq-timeout-ms", fmt.Sprint("+", d.Milliseconds()))
		}), sees: "504", details: "response_timeout"},
		{name: "max-grpc-timeout", short: 20 * time.Millisecond, route: "max_grpc_timeout: 0s", http2: true, ask: asksGRPCFor, sees: "grpc-status 14", details: "response_timeout"},
	} {
		rows = append(rows,
			paceRow{name: by.name + "-short", http2: by.http2, route: by.route, upstream: waits(late, 200), client: by.ask(by.short), clients: 5,
				sees: by.sees, details: by.details, counts: all(neutral, 5), trial: neutral},
			paceRow{name: by.name + "-long", http2: by.http2, route: by.route, upstream: hung, client: by.ask(1200 * time.Millisecond), clients: 5,
				sees: by.sees, details: by.details, counts: all(failure, 5), opens: true, trial: failure},
			// Too many for so few, so that what becomes of them is counted too.
			paceRow{name: by.name + "-slow", rules: slowLimit, minRequests: 100, http2: by.http2, route: by.route, upstream: hung, client: by.ask(700 * time.Millisecond), clients: 5,
				sees: by.sees, details: by.details, counts: all(slowFailure, 5), trial: slow},
			paceRow{name: by.name + "-slow-opens", rules: slowLimit, http2: by.http2, route: by.route, upstream: hung, client: by.ask(700 * time.Millisecond), clients: 5,
				sees: by.sees, details: by.details, counts: all(slow, 5), opens: true, trial: slow},
		)
	}

	// The route has a limit of its own, and the caller's is another or none.
	rows = append(rows,
		paceRow{name: "own-timeout", route: ownLimit, http2: true, upstream: hung, client: asksGRPCFor(30 * time.Second), clients: 5,
			sees: "grpc-status 14", details: "response_timeout", counts: all(failure, 5), opens: true, trial: failure},
		paceRow{name: "own-duration", route: "max_stream_duration: { max_stream_duration: 1.2s }", http2: true, upstream: hung, client: asksGRPCFor(30 * time.Second), clients: 5,
			sees: "grpc-status 4", details: "max_duration_timeout", counts: all(failure, 5), opens: true, trial: failure},
		// A limit: Envoy puts its own into the request's grpc-timeout, where nobody can tell whose it was.
		paceRow{name: "own-duration-short", route: "max_stream_duration: { max_stream_duration: 0.3s }", http2: true, upstream: hung, client: asksGRPCFor(30 * time.Second), clients: 5,
			sees: "grpc-status 4", details: "max_duration_timeout", counts: all(neutral, 5), trial: neutral},
		paceRow{name: "own-try", route: "retry_policy: { retry_on: 5xx, num_retries: 1, per_try_timeout: 0.2s }", upstream: hung,
			client: asksWithin(msHeader("x-envoy-upstream-rq-timeout-ms"))(30 * time.Second), clients: 5,
			sees: "504", details: "upstream_per_try_timeout", counts: all(failure, 5), opens: true, trial: failure},
		paceRow{name: "own-timeout-long-try", route: ownLimit, upstream: hung, client: asksWithin(msHeader("x-envoy-upstream-rq-per-try-timeout-ms"))(30 * time.Second), clients: 5,
			sees: "504", details: "response_timeout", counts: all(failure, 5), opens: true, trial: failure},
		paceRow{name: "stranger-timeout", stranger: true, route: ownLimit, upstream: hung, client: asksWithin(msHeader("x-envoy-upstream-rq-timeout-ms"))(20 * time.Millisecond), clients: 5,
			sees: "504", details: "response_timeout", counts: all(failure, 5), opens: true, trial: failure},
		paceRow{name: "stranger-try", stranger: true, route: ownLimit, upstream: hung, client: asksWithin(msHeader("x-envoy-upstream-rq-per-try-timeout-ms"))(300 * time.Millisecond), clients: 5,
			sees: "504", details: "response_timeout", counts: all(failure, 5), opens: true, trial: failure},
	)
	return rows
}

// readsAndWaits reads the request and answers later.
func readsAndWaits(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		readAll(w, r)
		sleep(r.Context(), d)
	}
}

// apart is a client whose requests share no connection with others: over HTTP/2, the end of one can take another along.
func apart(client *http.Client) *http.Client {
	transport := client.Transport.(*http.Transport).Clone()
	return &http.Client{Transport: transport}
}

// trickles is a client that takes 0.8 s for ten bytes of a body, with trailers at the end or without.
func trickles(client *http.Client, length int64, trailers bool) func(*caller) string {
	return func(c *caller) string {
		client := apart(client)
		body, pen := io.Pipe()
		go func() {
			for range 10 {
				time.Sleep(80 * time.Millisecond)
				if _, err := pen.Write([]byte("x")); err != nil {
					return // the answer has come
				}
			}
			pen.Close()
		}()
		request, _ := http.NewRequest(http.MethodPost, c.url(), body)
		request.ContentLength = length
		if trailers {
			request.Trailer = http.Header{"X-End": {"now"}}
		}
		return ask(client, request)
	}
}

// breaksUp is a client that sends the headers of a POST and a piece of its body, and leaves in the middle of it.
func breaksUp(piece string) func(*caller) string {
	return func(c *caller) string {
		conn, err := c.raw(strings.TrimSuffix(c.halfUpload(), "half") + piece)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		if answered := c.admitted(conn); answered != "" {
			return answered
		}
		time.Sleep(600 * time.Millisecond)
		return "gone"
	}
}

// admitted waits until the upstream has the request of a connection. It returns what the client got instead, if that came first.
func (c *caller) admitted(conn net.Conn) (answered string) {
	answer := make(chan string, 1)
	go func() {
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return // the client has left
		}
		answer <- saw(response)
	}()
	select {
	case <-c.arrived:
		return ""
	case got := <-answer:
		return got
	}
}

func leavesHTTP2Upload(c *caller) string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	body, pen := io.Pipe()
	defer pen.Close()
	go func() {
		_, _ = pen.Write([]byte("half"))
		<-c.arrived
		time.Sleep(600 * time.Millisecond)
		cancel()
	}()
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, c.url(), body)
	return ask(apart(overHTTP2), request)
}

// readsLater is a client that does not read what is sent to it before that has been broken off.
func readsLater(c *caller) string {
	conn, err := c.raw("GET /" + c.row.name + "/ HTTP/1.1\r\nhost: test\r\n\r\n")
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	if _, err := reader.Peek(1); err != nil {
		return err.Error()
	}
	time.Sleep(2500 * time.Millisecond)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err.Error()
	}
	return saw(response)
}

// msHeader gives a deadline in a header of Envoy's.
func msHeader(name string) func(*http.Request, time.Duration) {
	return func(r *http.Request, d time.Duration) { r.Header.Set(name, fmt.Sprint(d.Milliseconds())) }
}

// asksWithin is a client that gives its request a deadline.
func asksWithin(set func(*http.Request, time.Duration)) func(time.Duration) func(*caller) string {
	return func(d time.Duration) func(*caller) string {
		return func(c *caller) string {
			request, _ := http.NewRequest(http.MethodGet, c.url(), nil)
			set(request, d)
			return ask(overHTTP1, request)
		}
	}
}

// asksGRPCFor does the same in gRPC. gRPC's own client would give up too when its deadline comes.
func asksGRPCFor(d time.Duration) func(*caller) string {
	return func(c *caller) string {
		request, _ := http.NewRequest(http.MethodPost, c.url(), bytes.NewReader(make([]byte, 5)))
		request.Header.Set("content-type", "application/grpc")
		request.Header.Set("te", "trailers")
		request.Header.Set("grpc-timeout", fmt.Sprint(d.Milliseconds(), "m"))
		return ask(apart(overHTTP2), request)
	}
}

// ask sends a request and tells what came of it.
func ask(client *http.Client, request *http.Request) string {
	ctx, cancel := context.WithTimeout(request.Context(), patience)
	defer cancel()
	response, err := client.Do(request.WithContext(ctx))
	switch {
	case errors.Is(err, context.Canceled):
		return "gone"
	case err != nil:
		return err.Error()
	}
	return saw(response)
}

// saw reads an answer and says what it is: "rejected", a gRPC status that is not in trailers, or the HTTP status, and "broken" if the
// body broke off.
func saw(response *http.Response) string {
	defer response.Body.Close()
	text := fmt.Sprint(response.StatusCode)
	if status := response.Header.Get("grpc-status"); status != "" {
		text = "grpc-status " + status
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		text += " broken"
	}
	if response.Header.Get("x-circuit-breaker") != "" {
		return "rejected"
	}
	return text
}

// A pacer has the callers in flight, by the name that each has to itself. It is the upstream of them all.
type pacer struct{ callers sync.Map }

func (p *pacer) serve(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(r.URL.Path, "/")
	if strings.HasSuffix(name, "/trip") {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if c, ok := p.callers.Load(name); ok {
		r.Header.Set("row", name) // or serveRow would take the first part of the path for it
		serveRow(map[string]*caller{name: c.(*caller)}, w, r)
	}
}

// call has a client do what a row is about, against a cluster.
func (p *pacer) call(r *paceRow, address, cluster string, i int) string {
	c := newCaller(&row{name: fmt.Sprintf("%s/%d", cluster, i), upstream: r.upstream, client: r.client})
	c.address = address
	p.callers.Store(c.row.name, c)
	c.call()
	return c.saw
}

// The upstream is charged with what it does, and not with how its clients go about it.
func TestClientsPace(t *testing.T) {
	t.Parallel()
	rows := paceRows()
	pacer := new(pacer)
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(pacer.serve)
	var options envoy.Bootstrap
	var routes []envoy.Route
	var clusters []string
	add := func(r *paceRow, name, rules string) {
		options.Clusters = append(options.Clusters, envoy.Cluster{Name: name, Address: upstream.Address, HTTP2: r.http2})
		routes = append(routes, envoy.Route{Prefix: "/" + name + "/", Cluster: name, Action: r.route})
		clusters = append(clusters, fmt.Sprintf(`{"match": %q, %s}`, name, rules))
	}
	for i := range rows {
		r := &rows[i]
		if r.minRequests == 0 {
			r.minRequests = 5
		}
		add(r, r.name, fmt.Sprintf(`"min_requests": %d`, r.minRequests)+r.rules)
		add(r, r.name+"-trial", `"consecutive_failures": 1, "open": {"duration": "10ms", "multiplier": 1, "jitter": 0},
			"half_open": {"max_requests": 1, "success_threshold": 3, "permit_timeout": "1h"}`+r.rules)
	}
	listener := func(name, internal string) envoy.Listener {
		return envoy.Listener{
			Name:              name,
			Plugin:            &envoy.Plugin{Config: `{"clusters": [` + strings.Join(clusters, ",") + `]}`},
			Routes:            routes,
			ConnectionManager: "use_remote_address: true\ninternal_address_config: { cidr_ranges: [{ address_prefix: " + internal + ", prefix_len: 8 }] }",
		}
	}
	options.Listeners = []envoy.Listener{listener("main", "127.0.0.0"), listener("strangers", "10.0.0.0")}
	e := envoytest.Start(t, options)

	var running sync.WaitGroup
	places := make(chan struct{}, 6) // so few rows at a time that a busy machine makes nothing slow
	closed, trials := make([][]string, len(rows)), make([]string, len(rows))
	for i := range rows {
		r := &rows[i]
		address := e.Address("main")
		if r.stranger {
			address = e.Address("strangers")
		}
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			closed[i] = make([]string, r.clients)
			var clients sync.WaitGroup
			for n := range r.clients {
				clients.Go(func() { closed[i][n] = pacer.call(r, address, r.name, n) })
			}
			clients.Wait()
			if trip := e.Get("/" + r.name + "-trial/trip/"); trip.Status != 500 {
				trials[i] = fmt.Sprintf("tripping: %+v", trip)
				return
			}
			for n := 0; n == 0 || trials[i] == "rejected" && n < 1000; n++ { // until the open time is over
				trials[i] = pacer.call(r, address, r.name+"-trial", n)
			}
		})
	}
	running.Wait()

	for i, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			for n, saw := range closed[i] {
				if saw != r.sees {
					t.Errorf("client %d saw %q, want %q", n, saw, r.sees)
				}
			}
			want := r.counts
			if r.opens {
				want[breaker.StateGauge] = uint64(breaker.Open)
			}
			wantCounts(t, e, r.name, want)

			if trials[i] != r.sees {
				t.Errorf("the trial's client saw %q, want %q", trials[i], r.sees)
			}
			want = r.trial
			want[breaker.Calls], want[breaker.Failures] = want[breaker.Calls]+1, want[breaker.Failures]+1
			want[breaker.StateGauge] = uint64(breaker.HalfOpen)
			if r.trial[breaker.Failures]+r.trial[breaker.SlowCalls] > 0 {
				want[breaker.StateGauge] = uint64(breaker.Open)
			}
			wantCounts(t, e, r.name+"-trial", want)
			if want.State() == breaker.HalfOpen {
				// Its place is free.
				if a := e.Get("/" + r.name + "-trial/"); a.Status != 200 {
					t.Errorf("the next trial: %+v", a)
				}
			}
			for _, entry := range e.AccessLog() {
				ours := entry.Cluster == r.name || entry.Cluster == r.name+"-trial"
				if ours && !strings.HasSuffix(entry.Path, "/trip/") && entry.Path != "/"+r.name+"-trial/" && !strings.HasPrefix(entry.Details, "circuit_breaker") && !strings.HasPrefix(entry.Details, r.details) {
					t.Errorf("%s ended with %s, want %s", entry.Path, entry.Details, r.details)
				}
			}
		})
	}
}

// wantCounts checks a cluster's state and what has been counted, rejects aside.
func wantCounts(t *testing.T, e *envoytest.Envoy, cluster string, want envoy.BreakerStats) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		b := e.Breaker(cluster)
		got := envoy.BreakerStats{breaker.StateGauge: b[breaker.StateGauge], breaker.Calls: b[breaker.Calls], breaker.Failures: b[breaker.Failures], breaker.SlowCalls: b[breaker.SlowCalls], breaker.Late: b[breaker.Late], breaker.Neutrals: b[breaker.Neutrals],
			breaker.PermitsExpired: b[breaker.PermitsExpired], breaker.Errors: b[breaker.Errors]}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s counted %+v\n   want %+v", cluster, got, want)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
