package simulate

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const down = `
cluster: payments
instances: 5
phases:
- { name: healthy, duration: 1m, rate: 20, latency: { p50: 20ms, p99: 20ms } }
- { name: "<down>", duration: 1m, failures: 100 }
- { name: recovered, duration: 1m }
`

func TestText(t *testing.T) {
	s := read(t, down)
	tries := policies(t, `{"open": {"duration": "2s", "multiplier": 1, "jitter": 0}}`)
	tries[0].Name = "tries"
	both := append(tries, policies(t, `{"open": {"jitter": 0}, "probe": {"path": "/", "on_success": "close"}}`)...)
	both[1].Name = "probes"
	text := func(o Options) string {
		o.Name = "down.yaml"
		var written strings.Builder
		if err := Run(s, o).WriteText(&written); err != nil {
			t.Fatal(err)
		}
		return written.String()
	}
	if got, want := text(Options{Policies: both}), `
down.yaml: 18,051 requests in 3m0s to 5 Envoys, seed 0.

CLUSTER   POLICY  REQUESTS  TRIPS   OPEN  REJECTED  SAVED  LOST  AVOIDED           NOTICED
payments  tries     18,051    135  55.2s     5,372  5,278    94    5,372  5.03s, most 5.9s
payments  probes    18,051      5  56.9s     5,675  5,457   218    5,675  5.03s, most 5.9s

PHASE      POLICY  ASKED/S  ADMITTED/S  MOST  TRIALS/S  MOST  PROBES/S  MOST  50% IN  90% IN  ALL OPEN  ALL CLOSED  NOT CLOSED
healthy    tries      99.8        99.8   129         0     0         0     0       -       -         -           -           0
           probes     99.8        99.8   129         0     0         0     0       -       -         -           -           0
<down>     tries      99.8        11.8   110      2.98     9         0     0       -       -      5.9s           -           5
           probes     99.8        8.87   110         0     0      4.48     5       -       -      5.9s           -           5
recovered  tries       101        99.6   128      0.33    12         0     0      1s      2s         -       1.77s           0
           probes      101        97.6   128         0     0      0.25     5      2s      3s         -       2.42s           0

* A request that is rejected would have ended as the scenario has it at that time, as trials and probes end; a service that gets less load is no better for that.
* OPEN is how long a breaker was so on average.
`; got != want[1:] {
		t.Errorf("%s", got)
	}
	s.Instances = 1
	if got, want := text(Options{Policies: policies(t, `{}`)}), `
down.yaml: 3,561 requests in 3m0s to 1 Envoy, seed 0.

CLUSTER   REQUESTS  FAILED  SLOW  LATE  NEUTRAL  TRIPS  OPEN  REJECTED  SAVED  LOST  AVOIDED  NOTICED
payments     3,561     101     0     2        0      4  1m8s     1,365  1,082   283    1,365    5.34s

PHASE      ASKED/S  ADMITTED/S  MOST  TRIALS/S  MOST  50% IN  90% IN  ALL OPEN  ALL CLOSED  NOT CLOSED
healthy       19.1        19.1    31         0     0       -       -         -           -           0
<down>        19.8        1.72    23      0.08     3       -       -     5.36s           -           1
recovered     20.5        15.8    29      0.05     3     13s     13s         -       13.3s           0

payments
  2026-01-01 00:01:05.361  closed -> open: 98/196 failed in 10s, threshold 50%; open for 4.37s, trip 1 in a row; noticed in 5.34s
  2026-01-01 00:01:09.931  half_open -> open: a trial failed after 0 good of 3; open for 8.29s, trip 2 in a row
  2026-01-01 00:01:18.303  half_open -> open: a trial failed after 0 good of 3; open for 16.62s, trip 3 in a row
  2026-01-01 00:01:34.948  half_open -> open: a trial failed after 0 good of 3; open for 38.28s, trip 4 in a row
  2026-01-01 00:02:13.291  half_open -> closed: 3 trials succeeded

* A request that is rejected would have ended as the scenario has it at that time, as trials and probes end; a service that gets less load is no better for that.
`; got != want[1:] {
		t.Errorf("%s", got)
	}
}

// The page has the fleet's chart: requests, shares, states, what reached the service, and when each phase was.
func TestPage(t *testing.T) {
	s := read(t, down)
	page := func(texts ...string) string {
		var page strings.Builder
		if err := Run(s, Options{Name: "down.yaml", Policies: policies(t, texts...), Timeline: true}).WriteHTML(&page); err != nil {
			t.Fatal(err)
		}
		if _, err := html.Parse(strings.NewReader(page.String())); err != nil {
			t.Fatal(err)
		}
		return page.String()
	}
	const probing = `{"probe": {"path": "/"}}`
	fleet, one := page(`{}`, probing), ""
	s.Instances = 1
	one = page(`{}`)
	for want, in := range map[string][2]bool{ // the fleet's page, and that of one Envoy
		"down.yaml: 18,": {true, false}, "to 1 Envoy, seed 0.": {false, true}, "Share of the 5 breakers by state": {true, false},
		`<div class="caption">Trials that reached the service, up to `: {true, true}, "Trials and probes that reached the service": {true, false},
		`<path class="trials" d="M0 1000V`: {true, true}, `<path class="probes" d="M0 1000V`: {true, false},
		`<title>00:01:00 &lt;down&gt;</title>`: {true, true}, "00:00:00 healthy, 00:01:00 &lt;down&gt;, 00:02:00 recovered</div>": {true, true}, "line: a trip": {false, true}, `<line class="trip"`: {false, true},
		`data-label="ALL CLOSED">`: {true, true}, `data-label="PROBES/S">`: {true, false},
	} {
		if got := [2]bool{strings.Contains(fleet, want), strings.Contains(one, want)}; got != in {
			t.Errorf("%s: %v, want %v", want, got, in)
		}
	}
	// The whole fleet open fills the height of the chart, and no more.
	if !strings.Contains(fleet, `<path class="open" d="M0 100V100H`) || strings.Contains(fleet, "V-") {
		t.Error("the share of open breakers is out of range")
	}
	if t.Failed() {
		t.Log(fleet)
	}
}
