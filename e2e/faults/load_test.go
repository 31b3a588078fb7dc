//go:build faults || soak

package faults_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A view is what clients saw of requests, each of which is one of Upstream, Breaker, Envoy and None.
type view struct {
	Requests int
	Upstream int // answered by the upstream, whatever it said
	Breaker  int // rejected by the breaker
	Envoy    int // answered by Envoy itself
	None     int // not answered, or not to the end
	Wrong    int // of Breaker: rejected while the breaker had no reason

	Statuses map[int]int // of the answers of upstream and Envoy
	Slowest  time.Duration
}

// Lost is how many requests were answered neither by the upstream nor by the breaker.
func (v view) Lost() int { return v.Envoy + v.None }

// plus adds up what clients of two loads saw.
func (v view) plus(o view) view {
	statuses := map[int]int{}
	for _, seen := range []map[int]int{v.Statuses, o.Statuses} {
		for status, n := range seen {
			statuses[status] += n
		}
	}
	return view{v.Requests + o.Requests, v.Upstream + o.Upstream, v.Breaker + o.Breaker, v.Envoy + o.Envoy, v.None + o.None, v.Wrong + o.Wrong,
		statuses, max(v.Slowest, o.Slowest)}
}

func (v view) String() string {
	return fmt.Sprintf("%d requests: %d answered by the upstream, %d rejected (%d wrongly), %d answered by Envoy itself, %d not answered; by status %v; the slowest took %v",
		v.Requests, v.Upstream, v.Breaker, v.Wrong, v.Envoy, v.None, v.Statuses, v.Slowest.Round(time.Millisecond))
}

// Headers by which a request and its answer belong together.
const (
	idHeader       = "x-request-number" // of a request
	answeredHeader = "x-answered"       // of the upstream's answer: the request's number
)

// A load is many clients of one Envoy. Each request has a number, and is accounted for by what its client sees and by whether it has
// reached the upstream.
type load struct {
	t       testing.TB
	client  *http.Client
	stop    chan struct{}
	clients sync.WaitGroup
	ended   bool

	mu        sync.Mutex
	seen      view
	mayReject bool
	reasons   int // how often mayReject has become true
}

// Requests of all loads, by their numbers.
var (
	lastID  atomic.Int64
	reached sync.Map // how often each request in flight has reached an upstream: *atomic.Int64
)

// loadTimeout is how long a client waits: longer than any fault lasts.
const loadTimeout = 3 * time.Minute

// newLoad makes a load without clients. Upstreams that it reaches have to serve with [load.upstream].
func newLoad(t testing.TB) *load {
	l := &load{t: t, stop: make(chan struct{}), seen: view{Statuses: map[int]int{}}}
	l.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: loadTimeout}
	t.Cleanup(func() { l.end() })
	return l
}

// start lets so many clients ask for a URL, each with a pause between its requests, until the load ends.
func (l *load) start(clients int, pause time.Duration, url string) {
	l.repeat(clients, pause, func() { l.get(url) })
}

// repeat is start with any request.
func (l *load) repeat(clients int, pause time.Duration, ask func()) {
	for range clients {
		l.clients.Go(func() {
			ticks := time.NewTicker(pause)
			defer ticks.Stop()
			for {
				select {
				case <-l.stop:
					return
				case <-ticks.C:
					ask()
				}
			}
		})
	}
}

// get sends one request, over a connection of its own, so that requests spread over Envoy's workers.
func (l *load) get(url string, header ...string) envoytest.Answer {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		l.t.Error(err)
		return envoytest.Answer{Err: err}
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return l.do(request)
}

// do sends one request and accounts for it.
func (l *load) do(request *http.Request) envoytest.Answer {
	l.mu.Lock()
	mayReject, reasons := l.mayReject, l.reasons
	l.mu.Unlock()
	id, arrivals := strconv.FormatInt(lastID.Add(1), 10), new(atomic.Int64)
	reached.Store(id, arrivals)
	defer reached.Delete(id)
	request.Header.Set(idHeader, id)
	began := time.Now()
	a := l.send(request)
	took := time.Since(began)

	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.seen
	v.Requests++
	v.Slowest = max(v.Slowest, took)
	switch by := a.Header.Get(answeredHeader); {
	case a.Err != nil:
		v.None++
	case by != "":
		v.Upstream++
		if by != id {
			l.t.Errorf("request %s got the answer to %s", id, by)
		}
	case a.Header.Get("x-circuit-breaker") != "":
		v.Breaker++
		if !mayReject && reasons == l.reasons {
			v.Wrong++
		}
		if n := arrivals.Load(); n != 0 {
			l.t.Errorf("request %s was rejected, and reached the upstream %d times", id, n)
		}
	default:
		v.Envoy++
	}
	if a.Err == nil && a.Header.Get("x-circuit-breaker") == "" {
		v.Statuses[a.Status]++
	}
	return a
}

func (l *load) send(request *http.Request) envoytest.Answer {
	response, err := l.client.Do(request)
	if err != nil {
		return envoytest.Answer{Err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return envoytest.Answer{Status: response.StatusCode, Header: response.Header, Body: string(body), Err: err}
}

// upstream makes a handler account for the requests of any load that reach it. Answers carry the request's number.
func (*load) upstream(handler http.HandlerFunc) http.HandlerFunc { return accounted(handler) }

// accounted is that, for upstreams of several loads.
func accounted(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		number := r.Header.Get(idHeader)
		if arrivals, known := reached.Load(number); known {
			arrivals.(*atomic.Int64).Add(1)
		}
		w.Header().Set(answeredHeader, number)
		handler(w, r)
	}
}

// reason says whether the breaker has a reason to reject. A request is rejected wrongly if it had none from the time that the request
// was sent until its client had the answer.
func (l *load) reason(has bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if has && !l.mayReject {
		l.reasons++
	}
	l.mayReject = has
}

// sofar returns what clients have seen until now.
func (l *load) sofar() view {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.plus(view{}) // a copy
}

// await waits until the clients have seen so many requests more.
func (l *load) await(more int) {
	l.t.Helper()
	from := l.sofar().Requests
	envoytest.Eventually(l.t, loadTimeout, func() error {
		if n := l.sofar().Requests - from; n < more {
			return fmt.Errorf("%d requests, want %d", n, more)
		}
		return nil
	})
}

// end stops the clients, waits for their answers and returns what they saw. A second call does nothing.
func (l *load) end() view {
	if !l.ended {
		l.ended = true
		close(l.stop)
		l.clients.Wait()
	}
	return l.sofar()
}

// wantSum checks that the stats of a breaker have each request that the clients have sent, once. So they have if no request was
// admitted in doubt and none ended without the plugin.
func wantSum(t testing.TB, e *envoytest.Envoy, cluster string, requests int) envoy.BreakerStats {
	t.Helper()
	var b envoy.BreakerStats
	envoytest.Eventually(t, 20*time.Second, func() error { // some may be in flight still
		b = e.Breaker(cluster)
		if sum := b.Sum(); sum != uint64(requests) || b[breaker.Errors] != 0 {
			return fmt.Errorf("calls + late + neutral + rejected = %d, want %d: %v", sum, requests, b)
		}
		return nil
	})
	return b
}

// awaitState waits until a breaker's state is the given one.
func awaitState(t testing.TB, e *envoytest.Envoy, cluster string, want breaker.State) {
	t.Helper()
	envoytest.Eventually(t, 60*time.Second, func() error {
		if b := e.Breaker(cluster); b.State() != want {
			return fmt.Errorf("the breaker is %v, want %v: %v", b.State(), want, b)
		}
		return nil
	})
}
