package envoy_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
	"envoy-circuit-breaker/internal/scenario"
	"envoy-circuit-breaker/internal/simulate"
)

// What becomes of a service that all Envoys of a fleet call. What it gets is counted when all breakers have opened and their open
// times have grown as far as they do.
const (
	wellFor    = 3 * time.Second
	openingFor = 4 * time.Second
	sickFor    = 36 * time.Second
	backFor    = 5 * time.Second
	wellAgain  = wellFor + openingFor + sickFor
)

const (
	realEnvoys      = 4
	simulatedEnvoys = 1000
	fleetSeed       = 1
)

// prompt is how long the service takes to answer, well or sick, unless it is said to take longer.
const prompt = 2 * time.Millisecond

// A sickness is a way for a service to be sick, and how its breakers go about it.
type sickness struct {
	name  string // of its cluster, whose route is at /NAME
	rules string // of its breakers
	load  scenario.Load
	serve http.HandlerFunc
}

// oneTrial may be in flight. With more, how many there are before the first has failed, at once, would depend on how busy the machine is.
const oneTrial = `"half_open": {"max_requests": 1}`

var sicknesses = []sickness{
	{"fast", `"open": {"duration": "1s", "multiplier": 1}, ` + oneTrial,
		scenario.Load{P50: prompt, P99: prompt, Failures: 100}, envoytest.Status(503)},
	{"backoff", `"open": {"duration": "250ms", "max_duration": "1s", "jitter": 0.5}, ` + oneTrial,
		scenario.Load{P50: prompt, P99: prompt, Failures: 100}, envoytest.Status(503)},
	{"late", `"open": {"duration": "1s", "multiplier": 1}`,
		scenario.Load{P50: 400 * time.Millisecond, P99: 400 * time.Millisecond, Failures: 100}, func(w http.ResponseWriter, r *http.Request) {
			sleep(r.Context(), 400*time.Millisecond)
			w.WriteHeader(503)
		}},
	{"hanging", `"open": {"duration": "1s", "multiplier": 1}, "slow_call": {"duration": "300ms"}`,
		scenario.Load{P50: prompt, P99: prompt, Hangs: 100}, envoytest.Hang(nil)},
	{"probed", `"open": {"duration": "1s"}, "probe": {"path": "/probed/probe", "interval": "500ms"}`,
		scenario.Load{P50: prompt, P99: prompt, Failures: 100}, envoytest.Status(503)},
}

// A sick service gets as many trials and probes from a few real Envoys as from their share of a fleet that is simulated.
func TestSimulate(t *testing.T) {
	t.Parallel()
	s, fleet, policy := startFleet(t)
	c, err := config.Parse([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	s.callFrom(fleet)
	for _, x := range sicknesses {
		run := func(instances int) []report.Phase {
			o := simulate.Options{Policies: []replay.Policy{{Name: "the same", Config: c}}, Seed: fleetSeed}
			return simulate.Run(x.scenario(instances), o).Policies[0].Fleet
		}
		many, few := run(simulatedEnvoys), run(realEnvoys)
		x.compare(t, "trials", s.count("/"+x.name), many[2].Trials)
		x.compare(t, "probes", s.count("/"+x.name+"/probe"), many[2].Probes)

		wantOpened, wantClosed := few[1].AllOpen, many[3].AllClosed
		if wantOpened == nil || wantClosed == nil {
			t.Fatalf("%s: simulated breakers have not all opened and closed: %+v, %+v", x.name, few, many)
		}
		opened, closed := x.turns(t, fleet, s.began)
		t.Logf("%s: all open after %.2fs, %.2fs simulated; all closed after %.2fs, %.2fs simulated with %d Envoys",
			x.name, opened, *wantOpened, closed, *wantClosed, simulatedEnvoys)
		// The same requests open them, but the buckets of their windows begin at other moments.
		if math.Abs(opened-*wantOpened) > 0.5 {
			t.Errorf("%s: want all open at most half a second sooner or later than simulated", x.name)
		}
		if closed > *wantClosed+1 {
			t.Errorf("%s: want all closed at most a second later than simulated with many more", x.name)
		}
	}
}

// compare checks how much of something the service got while it was sick.
func (x *sickness) compare(t *testing.T, what string, got int, simulated int64) {
	want := float64(simulated) * realEnvoys / simulatedEnvoys
	t.Logf("%s: %d %s, %.1f simulated: %+.1f %%", x.name, got, what, want, 100*(float64(got)-want)/max(want, 1))
	if math.Abs(float64(got)-want) > want/10 {
		t.Errorf("%s: want the %s at most 10 %% apart", x.name, what)
	}
}

// startFleet starts Envoys in front of one upstream, which is the service of every sickness.
func startFleet(t *testing.T) (*sickService, []*envoytest.Envoy, string) {
	upstream := envoytest.NewUpstream(t)
	var rules []string
	var routes []envoy.Route
	options := envoy.Bootstrap{}
	for _, x := range sicknesses {
		options.Clusters = append(options.Clusters, envoy.Cluster{Name: x.name, Address: upstream.Address})
		routes = append(routes, envoy.Route{Prefix: "/" + x.name, Cluster: x.name, Action: "timeout: 1s"})
		rules = append(rules, fmt.Sprintf(`{"match": %q, %s}`, x.name, x.rules))
	}
	policy := `{"window": {"duration": "3s"}, "min_requests": 10, "clusters": [` + strings.Join(rules, ",") + "]}"
	options.Listeners = []envoy.Listener{{Plugin: &envoy.Plugin{Config: policy}, Routes: routes}}
	var fleet []*envoytest.Envoy
	for range realEnvoys {
		fleet = append(fleet, envoytest.Start(t, options))
	}
	s := &sickService{began: time.Now(), seen: map[string][]time.Duration{}}
	upstream.Handle(s.serve)
	return s, fleet, policy
}

// scenario is what happens, for so many Envoys.
func (x *sickness) scenario(instances int) *scenario.Scenario {
	const rate = 10
	well, sick := scenario.Load{Rate: rate, P50: prompt, P99: prompt}, x.load
	sick.Rate = rate
	return &scenario.Scenario{Cluster: x.name, Instances: instances, Timeout: time.Second, Phases: []scenario.Phase{
		{Name: "well", Duration: wellFor, Load: well},
		{Name: "opening", Duration: openingFor, Load: sick},
		{Name: "sick", Duration: sickFor, Load: sick},
		{Name: "back", Duration: backFor, Load: well},
	}}
}

// turns is how many seconds after the service fell ill all its breakers had opened, and after it was well again all had closed.
func (x *sickness) turns(t *testing.T, fleet []*envoytest.Envoy, began time.Time) (opened, closed float64) {
	for i, e := range fleet {
		transitions := loggedTransitions(t, e)[x.name]
		if len(transitions) == 0 {
			t.Fatalf("%s: breaker %d has not opened", x.name, i)
		}
		first, last := transitions[0], transitions[len(transitions)-1]
		again := slices.ContainsFunc(transitions[1:], func(m report.Transition) bool { return strings.HasPrefix(m.Text, "closed -> ") })
		if again || !strings.Contains(last.Text, " -> closed: ") {
			t.Errorf("%s: breaker %d has closed too soon, or not at all:\n%s", x.name, i, listed(transitions))
		}
		opened = max(opened, (first.At.Sub(began) - wellFor).Seconds())
		closed = max(closed, (last.At.Sub(began) - wellAgain).Seconds())
	}
	return opened, closed
}

// A sickService is an upstream that has every sickness at its path, at the same time.
type sickService struct {
	began time.Time
	mu    sync.Mutex
	seen  map[string][]time.Duration // when requests came, by path
}

func (s *sickService) serve(w http.ResponseWriter, r *http.Request) {
	at := time.Since(s.began)
	s.mu.Lock()
	s.seen[r.URL.Path] = append(s.seen[r.URL.Path], at)
	s.mu.Unlock()
	if at < wellFor || at >= wellAgain {
		return
	}
	for _, x := range sicknesses {
		if strings.HasPrefix(r.URL.Path, "/"+x.name) {
			x.serve(w, r)
		}
	}
}

// count is how many requests with a path came while all breakers were open.
func (s *sickService) count(path string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.seen[path] {
		if at >= wellFor+openingFor && at < wellAgain {
			n++
		}
	}
	return n
}

// callFrom sends the scenario's own requests through each Envoy, each at its time.
func (s *sickService) callFrom(fleet []*envoytest.Envoy) {
	var clients sync.WaitGroup
	for _, x := range sicknesses {
		requests := x.scenario(realEnvoys)
		for i, e := range fleet {
			clients.Go(func() {
				for r := range requests.Requests(fleetSeed, i) {
					time.Sleep(time.Until(s.began.Add(time.Duration(r.Start - scenario.Begin.UnixNano()))))
					clients.Go(func() { e.Get("/" + x.name) })
				}
			})
		}
	}
	clients.Wait()
}
