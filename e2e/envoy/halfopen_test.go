package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A stampede is clients that ask again and again, until it ends. The next one sets out whatever has become of the last.
type stampede struct {
	stop    context.CancelFunc
	clients sync.WaitGroup
	served  atomic.Int64 // that got what they wanted
}

// stampede has a client set out each so often. It reports whether it got what it wanted.
func (r *trialRow) stampede(each time.Duration, client func(context.Context) bool) *stampede {
	ctx, cancel := context.WithCancel(r.t.Context())
	s := &stampede{stop: cancel}
	s.clients.Go(func() {
		for ctx.Err() == nil {
			s.clients.Go(func() {
				if client(ctx) {
					s.served.Add(1)
				}
			})
			sleep(ctx, each)
		}
	})
	return s
}

// end has no more clients set out, and waits for those on the way. They leave.
func (s *stampede) end() {
	s.stop()
	s.clients.Wait()
}

// waitsFor is a client that leaves after a while. It is served if it was let in and had to wait no longer.
func (r *trialRow) waitsFor(d time.Duration) func(context.Context) bool {
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, r.url(), nil)
		response, err := overHTTP1.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == 200
	}
}

// leavesAfter has the upstream hang. It is a client that leaves a while after that has its request.
func (r *trialRow) leavesAfter(d time.Duration) func(context.Context) bool {
	var arrivals sync.Map // of a channel for each client
	var clients atomic.Int64
	r.Handle(func(w http.ResponseWriter, q *http.Request) {
		if arrived, ours := arrivals.Load(q.Header.Get("client")); ours {
			close(arrived.(chan struct{}))
		}
		envoytest.Hang(nil)(w, q)
	})
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		name, arrived := fmt.Sprint(clients.Add(1)), make(chan struct{})
		arrivals.Store(name, arrived)
		go func() {
			select {
			case <-arrived:
				sleep(ctx, d)
				cancel()
			case <-ctx.Done():
			}
		}()
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, r.url(), nil)
		request.Header.Set("client", name)
		return ask(overHTTP1, request) == "200"
	}
}

// eventually waits for the breaker's stats to be as they should. It checks that the upstream has been tried by no more than so many
// requests each half-open time, unless that is 0.
func (r *trialRow) eventually(within time.Duration, what string, most int, check func(envoy.BreakerStats) bool) envoy.BreakerStats {
	r.t.Helper()
	var b envoy.BreakerStats
	var requests int
	envoytest.Eventually(r.t, within, func() error {
		requests = r.Requests() // before the stats, which may move on
		if b = r.e.Breaker(r.row.name); !check(b) {
			return fmt.Errorf("want %s: %+v", what, b)
		}
		return nil
	})
	times := int(b[breaker.OpenedHalfOpenFailure])
	if b.State() == breaker.HalfOpen {
		times++
	}
	if most > 0 && requests > most*times {
		r.t.Errorf("the upstream had %d requests in %d half-open times; %+v", requests, times, b)
	}
	return b
}

func isClosed(b envoy.BreakerStats) bool { return b.State() == breaker.Closed }

// uploads is a trial whose body takes a while. It returns what the client sees.
func (r *trialRow) uploads(d time.Duration) string {
	r.t.Helper()
	saw := "rejected"
	envoytest.Eventually(r.t, patience, func() error {
		body, pen := io.Pipe()
		defer body.Close()
		go func() {
			_, _ = pen.Write([]byte("half"))
			time.Sleep(d)
			_, _ = pen.Write([]byte("half"))
			pen.Close()
		}()
		request, _ := http.NewRequest(http.MethodPost, r.url(), body)
		if saw = ask(overHTTP1, request); saw == "rejected" {
			return fmt.Errorf("rejected")
		}
		return nil
	})
	return saw
}

// A trial holds its place for as long as it is of use, its verdict comes as soon as it is sure and counts whenever it comes, and
// trials that hang are an answer too.
func TestTrials(t *testing.T) {
	t.Parallel()
	const (
		briefly   = `"open": {"duration": "10ms", "multiplier": 1, "jitter": 0}`
		shortHold = `"permit_timeout": "1s"` // and trials take longer
		longHold  = `"permit_timeout": "1h"`
	)
	halfOpen := func(most, close int, hold string) string {
		return fmt.Sprintf(`"half_open": {"max_requests": %d, "success_threshold": %d, %s}`, most, close, hold)
	}
	tests := []struct {
		name  string
		rules string
		route string // raw: more of the route's action
		run   func(*trialRow)
	}{
		// What hangs for longer than the permits opens the breaker again, and for longer each time.
		{name: "hang-outlives-permits", route: "timeout: 3s",
			rules: `"open": {"duration": "500ms", "multiplier": 2, "jitter": 0}, ` + halfOpen(2, 2, shortHold),
			run: func(r *trialRow) {
				r.Handle(envoytest.Hang(nil))
				r.Reset()
				began := time.Now()
				clients := r.stampede(20*time.Millisecond, r.waitsFor(patience))
				defer clients.end()
				b := r.eventually(patience, "three more trips", 2, func(b envoy.BreakerStats) bool {
					return b[breaker.OpenedHalfOpenFailure] >= 3 && b[breaker.PermitsExpired] >= 6
				})
				took := time.Since(began)
				// Open for 0.5 s, 1 s and 2 s, and each time half-open until the permits expire, half a second after their time.
				const want = 3500*time.Millisecond + 3*1500*time.Millisecond
				if took < want-50*time.Millisecond {
					r.t.Errorf("three more trips took %v, want %v and little more", took, want)
				}
				if b[breaker.Calls] != 1 {
					r.t.Errorf("counted %+v", b)
				}
				r.t.Logf("three more trips in %v; %+v", took, b)
			}},
		{name: "hang-forever", route: "timeout: 0s",
			rules: `"open": {"duration": "500ms", "multiplier": 1, "jitter": 0}, ` + halfOpen(3, 2, shortHold),
			run: func(r *trialRow) {
				r.Handle(envoytest.Hang(nil))
				r.Reset()
				clients := r.stampede(20*time.Millisecond, r.waitsFor(patience))
				defer clients.end()
				r.eventually(patience, "two more trips", 3, func(b envoy.BreakerStats) bool { return b[breaker.OpenedHalfOpenFailure] >= 2 })
				// And when it is over, so is the trouble.
				r.Handle(envoytest.Status(200))
				r.eventually(patience, "closed", 0, isClosed)
			}},

		// Streams that live for longer than the permits are good trials for that, and are not disturbed.
		{name: "grpc-server-streams", rules: briefly + ", " + halfOpen(1, 2, shortHold), run: func(r *trialRow) {
			served := r.streams(func(ctx context.Context, client testpb.TestServiceClient) string {
				stream, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{
					ResponseParameters: []*testpb.ResponseParameters{{}, {IntervalUs: 3_000_000}},
				})
				if err != nil {
					return err.Error()
				}
				for n := 0; ; n++ {
					if _, err := stream.Recv(); err != nil {
						return fmt.Sprint(n, " ", streamEnd(err))
					}
				}
			}, "2 OK")
			r.t.Logf("%d streams served", served)
		}},
		{name: "grpc-bidi-streams", rules: briefly + ", " + halfOpen(1, 2, shortHold), run: func(r *trialRow) {
			served := r.streams(func(ctx context.Context, client testpb.TestServiceClient) string {
				stream, err := client.FullDuplexCall(ctx)
				if err != nil {
					return err.Error()
				}
				for n := range 2 {
					_ = stream.Send(&testpb.StreamingOutputCallRequest{})
					if _, err := stream.Recv(); err != nil {
						return fmt.Sprint(n, " ", streamEnd(err))
					}
					sleep(ctx, 1500*time.Millisecond)
				}
				return "2 " + endStream(stream, 0, nil)
			}, "2 OK")
			r.t.Logf("%d streams served", served)
		}},
		{name: "long-bodies", rules: briefly + ", " + halfOpen(1, 3, shortHold), run: func(r *trialRow) {
			r.Handle(lasts(3 * time.Second))
			began := time.Now()
			clients := r.stampede(100*time.Millisecond, r.waitsFor(patience))
			defer clients.end()
			r.eventually(patience, "closed", 0, isClosed)
			r.t.Logf("closed after %v", time.Since(began))
		}},

		// A verdict that comes after its permit counts all the same.
		{name: "late-failure", rules: briefly + ", " + halfOpen(2, 1, shortHold), run: func(r *trialRow) {
			r.Handle(waits(2500*time.Millisecond, 500))
			r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
		}},
		{name: "late-success", rules: briefly + ", " + halfOpen(2, 1, shortHold), run: func(r *trialRow) {
			r.Handle(waits(2500*time.Millisecond, 200))
			r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1})
		}},
		{name: "late-timeout", rules: briefly + ", " + halfOpen(2, 1, shortHold), route: "timeout: 2.5s", run: func(r *trialRow) {
			r.Handle(envoytest.Hang(nil))
			r.admitted(overHTTP1, r.t.Context(), "")
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
		}},

		// Clients that give up on an upstream that had the time to answer tell something, and others do not.
		{name: "impatient-clients", rules: `"open": {"duration": "500ms", "multiplier": 1, "jitter": 0}, ` + halfOpen(2, 2, longHold), run: func(r *trialRow) {
			leaves := r.leavesAfter(1200 * time.Millisecond)
			r.Reset()
			clients := r.stampede(50*time.Millisecond, leaves)
			defer clients.end()
			b := r.eventually(patience, "two more trips", 2, func(b envoy.BreakerStats) bool { return b[breaker.OpenedHalfOpenFailure] >= 2 })
			if b[breaker.Neutrals] != 2*b[breaker.OpenedHalfOpenFailure] || b[breaker.Calls] != 1 || b[breaker.PermitsExpired] != 0 {
				r.t.Errorf("counted %+v", b)
			}
		}},
		{name: "hasty-clients", rules: briefly + ", " + halfOpen(2, 2, longHold), run: func(r *trialRow) {
			clients := r.stampede(50*time.Millisecond, r.leavesAfter(300*time.Millisecond))
			defer clients.end()
			b := r.eventually(patience, "ten that left", 0, func(b envoy.BreakerStats) bool { return b[breaker.Neutrals] >= 10 })
			if b.State() != breaker.HalfOpen || b[breaker.Opened] != 1 || b[breaker.Calls] != 1 {
				r.t.Errorf("counted %+v", b)
			}
			r.Handle(envoytest.Status(200))
			r.eventually(patience, "closed", 0, isClosed)
		}},

		// Where slow calls are on, nobody waits for the end of a trial that hangs.
		{name: "slow-trials", rules: `"open": {"duration": "300ms", "multiplier": 1, "jitter": 0}, "slow_call": {"duration": "500ms"}, ` + halfOpen(1, 1, longHold),
			route: "timeout: 0s", run: func(r *trialRow) {
				arrived := make(chan time.Time, 1)
				r.Handle(func(w http.ResponseWriter, q *http.Request) {
					arrived <- time.Now()
					envoytest.Hang(nil)(w, q)
				})
				var took []time.Duration
				for range 5 {
					clients := r.stampede(10*time.Millisecond, r.waitsFor(patience))
					began := <-arrived
					envoytest.Eventually(r.t, patience, func() error {
						if state := r.e.Get("/" + r.row.name + "/").Header.Get("x-circuit-breaker"); state != "open" {
							return fmt.Errorf("%q", state)
						}
						return nil
					})
					took = append(took, time.Since(began))
					clients.end()
				}
				slices.Sort(took)
				r.t.Logf("open %v after the trial's begin", took)
				// A busy machine may be late for any of them, and the upstream for the request.
				if took[0] < 450*time.Millisecond || took[0] > 650*time.Millisecond {
					r.t.Errorf("open %v after the trial's begin, want 500ms to 650ms", took)
				}
				r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 6, breaker.Failures: 1, breaker.SlowCalls: 5})
			}},

		// An upload holds a place for a second, and then has its say all the same.
		{name: "uploads-without-end", rules: briefly + ", " + halfOpen(3, 3, longHold), run: func(r *trialRow) {
			r.Handle(readAll)
			began := time.Now()
			var clients sync.WaitGroup
			ctx, cancel := context.WithCancel(r.t.Context())
			defer clients.Wait()
			defer cancel()
			for range 20 {
				clients.Go(func() {
					for ctx.Err() == nil {
						conn, err := r.raw(r.halfUpload())
						if err != nil {
							continue
						}
						stop := context.AfterFunc(ctx, func() { conn.Close() })
						_, _ = conn.Read(make([]byte, 1)) // nothing comes but a reject
						stop()
						conn.Close()
						sleep(ctx, 100*time.Millisecond)
					}
				})
			}
			r.eventually(patience, "half-open", 0, func(b envoy.BreakerStats) bool { return b.State() == breaker.HalfOpen })
			good := r.stampede(20*time.Millisecond, r.waitsFor(patience))
			defer good.end()
			r.eventually(10*time.Second, "closed", 0, isClosed)
			r.t.Logf("closed after %v", time.Since(began))
		}},
		{name: "upload-holds-its-place", rules: briefly + ", " + halfOpen(1, 2, longHold), run: func(r *trialRow) {
			r.Handle(readAll)
			saw := make(chan string)
			go func() { saw <- r.uploads(3 * time.Second) }()
			r.eventually(patience, "half-open", 0, func(b envoy.BreakerStats) bool { return b.State() == breaker.HalfOpen })
			began := time.Now()
			r.rejects()
			envoytest.Eventually(r.t, 2*time.Second, func() error { // not before the upload's second
				if a := r.e.Get("/" + r.row.name + "/"); a.Status != 200 {
					return fmt.Errorf("%+v", a)
				}
				return nil
			})
			if took := time.Since(began); took < 900*time.Millisecond {
				r.t.Errorf("another trial was let in after %v", took)
			}
			r.want(breaker.HalfOpen, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 1})
			if got := <-saw; got != "200" {
				r.t.Errorf("the upload got %s", got)
			}
			r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: 3, breaker.Failures: 1})
		}},
		{name: "upload-fails", rules: briefly + ", " + halfOpen(1, 2, longHold), run: func(r *trialRow) {
			r.Handle(func(w http.ResponseWriter, q *http.Request) {
				readAll(w, q)
				w.WriteHeader(500)
			})
			if got := r.uploads(1600 * time.Millisecond); got != "500" {
				r.t.Errorf("the upload got %s", got)
			}
			r.want(breaker.Open, envoy.BreakerStats{breaker.Calls: 2, breaker.Failures: 2})
		}},
	}

	rows := make([]*trialRow, len(tests))
	grpcServer := serveGRPC(t, nil)
	var options envoy.Bootstrap
	var routes []envoy.Route
	var clusters []string
	for i, test := range tests {
		r := &trialRow{caller: newCaller(&row{name: test.name}), Upstream: envoytest.NewUpstream(t)}
		rows[i] = r
		clusters = append(clusters, fmt.Sprintf(`{"match": %q, "consecutive_failures": 1, %s}`, test.name, test.rules))
		cluster := envoy.Cluster{Name: test.name, Address: r.Address}
		if strings.HasPrefix(test.name, "grpc-") {
			cluster.Address, cluster.HTTP2 = grpcServer, true
		}
		options.Clusters = append(options.Clusters, cluster)
		routes = append(routes, (&row{name: test.name, route: envoy.Route{Action: test.route}}).routes()...)
	}
	options.Listeners = []envoy.Listener{{Plugin: &envoy.Plugin{Config: `{"clusters": [` + strings.Join(clusters, ",") + `]}`}, Routes: routes}}
	e := envoytest.Start(t, options)

	var running sync.WaitGroup
	places := make(chan struct{}, 4) // so few at a time that a busy machine is late for none
	for i, test := range tests {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run(test.name, func(t *testing.T) {
				r := rows[i]
				r.t, r.e, r.address = t, e, e.Address("main")
				if strings.HasPrefix(test.name, "grpc-") {
					if saw := unary(14)(r.caller); saw != "Unavailable" {
						t.Fatalf("tripping: %s", saw)
					}
				} else {
					r.Handle(envoytest.Status(500))
					if saw := get(r.caller); saw != "500" {
						t.Fatalf("tripping: %s", saw)
					}
				}
				test.run(r)
			})
		})
	}
	running.Wait()
}

// streams has clients open gRPC streams that last for 3 s. They close the breaker, and all that were let in end well.
func (r *trialRow) streams(call func(context.Context, testpb.TestServiceClient) string, want string) (served int64) {
	r.t.Helper()
	began := time.Now()
	var wrong atomic.Value
	clients := r.stampede(200*time.Millisecond, func(ctx context.Context) bool {
		saw := r.withGRPC(call)
		if saw != want && saw != "0 Unavailable" {
			wrong.Store(saw)
		}
		return saw == want
	})
	r.eventually(10*time.Second, "closed", 0, isClosed)
	r.t.Logf("closed after %v", time.Since(began))
	clients.end()
	if saw := wrong.Load(); saw != nil {
		r.t.Errorf("a stream ended with %v, want %s", saw, want)
	}
	r.want(breaker.Closed, envoy.BreakerStats{breaker.Calls: uint64(clients.served.Load()) + 1, breaker.Failures: 1})
	return clients.served.Load()
}
