package replay

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/accesslog"
)

var policies = []string{
	`{"min_requests": 5, "slow_call": {"duration": "300ms", "rate": 40}, "open": {"duration": "500ms", "multiplier": 1}, "half_open": {"permit_timeout": "1s"}}`,
	`{"window": {"requests": 20}, "consecutive_failures": 3, "ramp": "5s", "open": {"duration": "200ms"}, "per": "route"}`,
	`{"window": {"duration": "1s"}, "min_requests": 2, "failure_on": ["5xx", "reset", "timeout", "body-timeout", "unavailable"], "max_breakers": 3}`,
	`{"mode": "shadow", "min_requests": 3, "slow_call": {"duration": "50ms"}, "clusters": [{"match": "b", "mode": "disabled"}, {"match": "c", "mode": "force_open"}]}`,
}

var someDetails = []string{"via_upstream", "via_upstream", "via_upstream", "response_timeout", "downstream_remote_disconnect", "ext_authz_denied", "",
	"upstream_reset_before_response_started{connection_termination}", "upstream_reset_after_response_started{remote_reset}", "stream_idle_timeout"}

// randomEntry is a line of any kind, some time after the one before.
func randomEntry(n func(int) int, now time.Duration) accesslog.Entry {
	duration := time.Duration(n(1200)) * ms
	e := accesslog.Entry{
		Start: at(now - duration), Duration: duration, Request: time.Duration(n(40)-20) * ms, Response: time.Duration(n(1200)-100) * ms, Unsent: n(20) == 0,
		Status: []int{200, 200, 503, 0, 101, 404}[n(6)], GRPC: []int{-1, -1, 0, 14, 4}[n(5)], Attempts: n(4) - 1, Details: someDetails[n(len(someDetails))],
		Cluster: string(rune('a' + n(3))), Route: []string{"", "x", "y"}[n(3)], Method: []string{"GET", "CONNECT"}[n(2)],
	}
	if n(500) == 0 {
		e.Start += int64(n(20)-10) * int64(time.Minute)
	}
	return e
}

// Whatever the log, each request is counted once, and the same log has the same report.
func TestRandomLogs(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var entries []accesslog.Entry
		for now := time.Duration(0); len(entries) < 3000; now += time.Duration(random.IntN(20)) * ms {
			entries = append(entries, randomEntry(random.IntN, now))
		}
		for _, policy := range policies {
			o := Options{Recovery: seed%2 == 0, Timeline: seed%3 == 0, MaxInFlight: 100 + int(seed)*20, Horizon: 10 * time.Second}
			first, second := replayed(t, policy, o, entries), replayed(t, policy, o, entries)
			total, again := first.Policies[0], second.Policies[0]
			if !reflect.DeepEqual(total.Total, again.Total) || total.Total.Requests+total.WithoutBreaker+first.TooLate != 3000 {
				t.Errorf("%s: %+v, and %+v; %d too late", policy, total.Total, again.Total, first.TooLate)
			}
			if seed == 0 && total.Total.Rejected == 0 {
				t.Errorf("%s: nothing was rejected", policy)
			}
		}
	}
}

// A part of a log takes each line that the whole takes; where lines come late, maybe more.
func TestPartsTakeNoLess(t *testing.T) {
	more := 0
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 2))
		var entries []accesslog.Entry
		for now := time.Duration(0); len(entries) < 3000; now += time.Duration(random.IntN(20)) * ms {
			entries = append(entries, randomEntry(random.IntN, now-time.Duration(random.IntN(3000))*ms))
		}
		o := Options{Horizon: time.Second}
		whole := replayed(t, `{}`, o, entries)
		for _, b := range whole.Policies[0].Breakers {
			part := replayed(t, `{}`, o, slices.DeleteFunc(slices.Clone(entries), func(e accesslog.Entry) bool { return e.Cluster != b.Cluster }))
			got := part.Policies[0].Total.Requests
			if got < b.Requests {
				t.Errorf("seed %d: the part of %s takes %d lines, the whole %d of it", seed, b.Cluster, got, b.Requests)
			}
			more += int(got - b.Requests)
		}
	}
	if more == 0 {
		t.Error("no part takes more")
	}
}

func FuzzReplay(f *testing.F) {
	f.Add(uint8(0), []byte("some lines"), int64(0), int64(time.Hour))
	f.Add(uint8(1), []byte("more of them, of which some are odd"), int64(1)<<62, int64(-5))
	f.Add(uint8(2), []byte("from 1970 to 2262"), int64(math.MaxInt64)-int64(time.Second)-1000, int64(time.Second))
	f.Fuzz(func(t *testing.T, policy uint8, data []byte, start, duration int64) {
		n := func(most int) int {
			if len(data) < 2 {
				return 0
			}
			x := binary.LittleEndian.Uint16(data)
			data = data[2:]
			return int(x) % most
		}
		var entries []accesslog.Entry
		for i := 0; len(data) > 1 && i < 1000; i++ {
			entries = append(entries, randomEntry(n, time.Duration(i)*10*ms))
		}
		odd := good(0)
		odd.Start, odd.Duration = start, time.Duration(duration)
		entries = append(entries, odd)
		replayed(t, policies[int(policy)%len(policies)], Options{Timeline: true, Horizon: time.Second}, entries)
	})
}
