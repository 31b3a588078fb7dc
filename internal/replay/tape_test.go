package replay

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/report"
)

func taped(entries []accesslog.Entry) *Tape {
	tape := NewTape("", "payments")
	for i := range entries {
		tape.Add(&entries[i])
	}
	tape.Rewind()
	return tape
}

// A tape, however many play it at once, gives what replaying the log gives.
func TestTape(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 1))
		var entries []accesslog.Entry
		for now := time.Duration(0); len(entries) < 3000; now += time.Duration(random.IntN(20)) * ms {
			if e := randomEntry(random.IntN, now); e.Start >= at(now-2*time.Second) {
				e.Cluster, e.Route = "payments", ""
				entries = append(entries, e)
			}
		}
		entries = written(entries)
		tape := taped(entries)
		var players sync.WaitGroup
		for _, policy := range policies {
			players.Go(func() {
				want := replayed(t, policy, Options{}, entries).Policies[0].Breakers[0]
				var rejected []int
				got := tape.Play(PlayOptions{Config: parse(t, policy), Rejected: func(i int) { rejected = append(rejected, i) }})
				all := report.Report{Policies: []report.Policy{{Breakers: []report.Breaker{got}}}}
				all.Complete()
				if got = all.Policies[0].Breakers[0]; want.Requests != 3000 || int64(len(rejected)) != got.Rejected {
					t.Errorf("%d requests, %d rejected, of which %d are told", want.Requests, got.Rejected, len(rejected))
				}
				got.Rules, want.Rules = nil, nil
				if !reflect.DeepEqual(got, want) {
					t.Errorf("seed %d, %s:\ngot  %+v\n%swant %+v\n%s", seed, policy, got.Counts, told(&got), want.Counts, told(&want))
				}
			})
		}
		players.Wait()
	}
}

func TestTapeTellsItsRequests(t *testing.T) {
	hang, unsent, unasked, redirected := hung(0, 4*time.Second), good(ms), failed(2*ms), good(3*ms)
	hang.Attempts, unsent.Unsent, unasked.Attempts = 2, true, 0
	redirected.Details = "direct_response"
	var got []Request
	var numbers []int
	taped([]accesslog.Entry{hang, unsent, unasked, redirected}).Requests(&parse(t, `{}`).Rules, func(i int, r Request) {
		got, numbers = append(got, r), append(numbers, i)
	})
	bad, none := breaker.Outcome{Result: breaker.Failure}, breaker.Outcome{Result: breaker.Neutral}
	want := []Request{
		{at(ms), at(6 * ms), breaker.Outcome{}, 0, 1},
		{at(2 * ms), at(7 * ms), bad, 5 * ms, 0},
		{at(3 * ms), at(8 * ms), none, 5 * ms, 1},
		{at(0), at(4 * time.Second), bad, 4 * time.Second, 2},
	}
	if !reflect.DeepEqual(got, want) || !slices.Equal(numbers, []int{1, 2, 3, 0}) {
		t.Errorf("%v\ngot  %+v\nwant %+v", numbers, got, want)
	}
}

// An open breaker that may probe does so at its interval, one at a time, until the upstream is well.
func TestTapeWithProbes(t *testing.T) {
	entries := written(every(100*ms, 0, 40*time.Second, failed), every(100*ms, 40*time.Second, 60*time.Second, good))
	const policy = `{"min_requests": 5, "probe": {"path": "/", "interval": "2s", "timeout": "500ms", CLOSES}, "half_open": {"success_threshold": 2}, ` + steady + `}`
	for name, test := range map[string]struct {
		closes string
		took   time.Duration
		probes int64
		trials int64
		told   string
	}{
		"that make it half-open": {`"on_success": "half_open"`, 100 * ms, 21, 2, `
405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row
42.6s open -> half_open: 2 probes in a row succeeded
42.705s half_open -> closed: 2 trials succeeded
`},
		"that close it": {`"on_success": "close"`, 100 * ms, 21, 0, `
405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row
42.6s open -> closed: 2 probes in a row succeeded
`},
		"that take too long": {`"on_success": "close"`, 600 * ms, 29, 0, `
405ms closed -> open: 5/5 failed in 10s, threshold 50%; open for 5s, trip 1 in a row
`},
	} {
		text := strings.Replace(policy, "CLOSES", test.closes, 1)
		tape := taped(entries)
		got := tape.Play(PlayOptions{
			Config: parse(t, text), Axis: report.Axis{Start: at(0), Width: int64(time.Second)},
			Probe: func(begin int64) (bool, time.Duration) { return begin >= at(40*time.Second), test.took },
		})
		var sum report.Bin
		for i := range got.Bins {
			sum.Add(&got.Bins[i])
		}
		if told(&got) != strings.TrimPrefix(test.told, "\n") || got.Probes != test.probes || int64(sum.Probes) != got.Probes || got.Trials != test.trials ||
			int64(sum.Trials) != got.Trials || int64(sum.Asked) != got.Requests || int64(sum.Asked-sum.Admitted) != got.Rejected {
			t.Errorf("%s: %d probes, %d trials\n%s%+v", name, got.Probes, got.Trials, told(&got), sum)
		}
	}
}
