package envoy_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
)

// An ailment is a way for an upstream to be ill, for a while.
type ailment struct {
	name  string // of its cluster, whose route is at /NAME
	rules string // of its breaker
	route string // raw: of the route action
	ill   http.HandlerFunc
	trips int // after which it is well again
}

var ailments = []ailment{
	{"failing", `"min_requests": 20`, "", envoytest.Status(503), 3},
	{"row", `"failure_rate": 0, "consecutive_failures": 15`, "", envoytest.Status(500), 2},
	{"hanging", `"slow_call": {"duration": "500ms", "rate": 50}`, "timeout: 4s", envoytest.Hang(nil), 2},
	{"timing-out", `"half_open": {"permit_timeout": "5s"}`, "timeout: 1s", envoytest.Hang(nil), 2},
	{"slow", `"slow_call": {"duration": "300ms", "rate": 50}, "failure_rate": 0`, "", func(_ http.ResponseWriter, r *http.Request) {
		sleep(r.Context(), 600*time.Millisecond)
	}, 2},
	{"few", `"window": {"requests": 50}`, "", envoytest.Abort, 2},
	{"grpc", `"min_requests": 20`, "", nil, 2}, // whose client asks for its status
}

// An access log recorded while breakers were in shadow mode, replayed with the same configuration, gives their own transitions.
func TestReplay(t *testing.T) {
	const bucket = time.Second // of the window of 10s
	var text strings.Builder
	options := envoy.Bootstrap{}
	var routes []envoy.Route
	upstreams := map[string]*envoytest.Upstream{}
	text.WriteString(`{"mode": "shadow", "open": {"duration": "1500ms", "multiplier": 1.5, "jitter": 0}, "clusters": [`)
	for i, a := range ailments {
		c := envoy.Cluster{Name: a.name, HTTP2: a.ill == nil}
		route := envoy.Route{Prefix: "/" + a.name, Cluster: a.name, Action: a.route}
		if a.ill == nil {
			c.Address = serveGRPC(t, nil)
			route.Prefix = "/grpc.testing.TestService/"
		} else {
			upstreams[a.name] = envoytest.NewUpstream(t)
			c.Address = upstreams[a.name].Address
		}
		options.Clusters, routes = append(options.Clusters, c), append(routes, route)
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `{"match": %q, %s}`, a.name, a.rules)
	}
	text.WriteString("]}")
	options.Listeners = []envoy.Listener{{Plugin: &envoy.Plugin{Config: text.String()}, Routes: routes}}
	e := envoytest.Start(t, options)

	clients := recordOutages(t, e, upstreams)
	clients()

	logged := loggedTransitions(t, e)
	replayed := replayLog(t, e, text.String())
	got := map[string][]report.Transition{}
	for _, o := range replayed.Policies[0].Breakers {
		got[o.Cluster] = o.Transitions
		t.Logf("%s: %+v", o.Cluster, o.Counts)
	}
	if replayed.Broken+replayed.TooLate+replayed.AlreadyRejected+replayed.WithoutCluster != 0 {
		t.Errorf("%+v", replayed)
	}
	for _, a := range ailments {
		want, got := logged[a.name], got[a.name]
		if len(got) != len(want) || len(want) < 2*a.trips+1 {
			t.Errorf("%s: replayed %d transitions\n%s\nof %d\n%s", a.name, len(got), listed(got), len(want), listed(want))
			continue
		}
		worst := time.Duration(0)
		for i := range want {
			off := got[i].At.Sub(want[i].At)
			worst = max(worst, off.Abs())
			if shape(got[i].Text) != shape(want[i].Text) || off.Abs() > bucket {
				t.Errorf("%s: replayed, off by %v, as\n%s %s", a.name, off, listed(want[i:i+1]), got[i].Text)
			}
		}
		t.Logf("%s: %d transitions, the farthest off by %v", a.name, len(want), worst)
	}
}

// recordOutages lets each upstream be well, ill and well again, under load. What it returns ends the load.
func recordOutages(t *testing.T, e *envoytest.Envoy, upstreams map[string]*envoytest.Upstream) (stop func()) {
	var isIll atomic.Bool // the gRPC server's client
	conn, err := grpc.NewClient(e.Address("main"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	call := func(name string) { e.Get("/" + name) }
	callGRPC := func(string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		request := &testpb.SimpleRequest{}
		if isIll.Load() {
			request.ResponseStatus = &testpb.EchoStatus{Code: 14}
		}
		testpb.NewTestServiceClient(conn).UnaryCall(ctx, request)
	}

	done := make(chan struct{})
	var clients sync.WaitGroup
	for _, a := range ailments {
		do := call
		if a.ill == nil {
			do = callGRPC
		}
		clients.Go(func() {
			pace := time.NewTicker(time.Second / 20)
			defer pace.Stop()
			for {
				select {
				case <-pace.C:
					clients.Go(func() { do(a.name) })
				case <-done:
					return
				}
			}
		})
	}

	// Each has had healthy calls before it falls ill. It is well again right after a trip, so that no trial is at the very moment.
	for _, a := range ailments {
		envoytest.Eventually(t, patience, func() error {
			if b := e.Breaker(a.name); b[breaker.Calls] < 30 {
				return fmt.Errorf("%s: %v", a.name, b)
			}
			return nil
		})
	}
	set := func(a ailment, ill bool) {
		switch {
		case a.ill == nil:
			isIll.Store(ill)
		case ill:
			upstreams[a.name].Handle(a.ill)
		default:
			upstreams[a.name].Handle(envoytest.Status(200))
		}
	}
	left := map[string]ailment{}
	for _, a := range ailments {
		left[a.name] = a
		set(a, true)
	}
	envoytest.Eventually(t, 2*time.Minute, func() error {
		breakers := e.Breakers()
		for _, a := range left {
			if breakers[a.name][breaker.Opened] >= uint64(a.trips) {
				set(a, false)
				delete(left, a.name)
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("still ill: %v", breakers)
		}
		return nil
	})
	envoytest.Eventually(t, time.Minute, func() error {
		for name, b := range e.Breakers() {
			if b.State() != breaker.Closed {
				return fmt.Errorf("%s has not recovered: %v", name, b)
			}
		}
		return nil
	})
	return func() {
		close(done)
		clients.Wait()
		e.Stop() // which writes the rest of the log
	}
}

// loggedTransitions reads what the plugin has logged, by cluster.
func loggedTransitions(t *testing.T, e *envoytest.Envoy) map[string][]report.Transition {
	line := regexp.MustCompile(`(?m)^\[([^\]]+)\].* cluster "([^"]+)": (\w+ -> \w+: .*)$`)
	logged := map[string][]report.Transition{}
	for _, m := range line.FindAllStringSubmatch(e.Log(), -1) {
		at, err := time.ParseInLocation("2006-01-02 15:04:05.000", m[1], time.Local)
		if err != nil {
			t.Fatal(err)
		}
		logged[m[2]] = append(logged[m[2]], report.Transition{At: at, Text: m[3]})
	}
	return logged
}

func replayLog(t *testing.T, e *envoytest.Envoy, policy string) *report.Report {
	c, err := config.Parse([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	r := replay.New(replay.Options{Policies: []replay.Policy{{Name: "the same", Config: c}}})
	_, err = accesslog.Read([]string{e.AccessLogFile()}, accesslog.Options{},
		func(e *accesslog.Entry) error { r.Add(e); return nil },
		func(b *accesslog.Broken) error { return b })
	if err != nil {
		t.Fatal(err)
	}
	return r.Finish()
}

var numbers = regexp.MustCompile(`\d+/\d+|\d+ of them|after \d+ good|\d+ failures in a row`)

// shape is what a transition's text says, without what the very moment makes of it.
func shape(text string) string { return numbers.ReplaceAllString(text, "N") }

func listed(transitions []report.Transition) string {
	var s strings.Builder
	for _, m := range transitions {
		fmt.Fprintf(&s, "%s %s\n", m.At.UTC().Format("15:04:05.000"), m.Text)
	}
	return s.String()
}
