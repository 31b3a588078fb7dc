package suggest

import (
	"reflect"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/replay"
)

// entry is a request that is answered after some time, in the tenth of a second of its number.
func entry(number, status int, took time.Duration) accesslog.Entry {
	return accesslog.Entry{
		Start: int64(number) * int64(100*time.Millisecond), Duration: took, Response: took, Status: status, GRPC: -1, Attempts: 1, Method: "GET",
		Details: "via_upstream", Cluster: "payments",
	}
}

// What a policy would have done is told by what was bad whatever its slow_call is: here failures, and what took more than a second.
func TestFigures(t *testing.T) {
	l := NewLog(10_000)
	for i := range 3000 {
		e := entry(i, 200, 5*time.Millisecond)
		switch {
		case i >= 600 && i < 620: // a blip
			e.Status = 503
		case i >= 1500 && i < 1800: // an outage, in which each tenth request is answered, and some clients go away
			switch e.Status = 503; i % 10 {
			case 7:
				e.Status = 200
			case 8:
				e.Details, e.Status, e.Response = "downstream_remote_disconnect", 0, -1
			default:
				e.Attempts = 3
			}
		case i >= 2400 && i < 2500: // answers that are slower than usual, but not too slow
			e.Duration, e.Response = 500*time.Millisecond, 500*time.Millisecond
		}
		if err := l.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	base := baseOf(t, "{}")
	h := l.clusters["payments"].look(&base.config.Rules, time.Second, 10*time.Second)
	if len(h.outages) != 1 || h.blips != 1 || h.good != 3000-20-300+30 || h.outages[0].Begin != int64(150*time.Second) || h.outages[0].Requests != 270 {
		t.Fatalf("%+v, %d blips, %d good", h.outages, h.blips, h.good)
	}
	const steady = `, "open": {"duration": "10s", "multiplier": 1, "jitter": 0}, "half_open": {"max_requests": 1, "success_threshold": 1}}`
	noticed := 0.405
	for policy, want := range map[string]Figures{
		`{"failure_rate": 0, "consecutive_failures": 5` + steady: {
			Caught: 1, Needless: 1, NoticedMedian: &noticed, NoticedMax: &noticed,
		},
		`{"failure_rate": 0, "slow_call": {"duration": "100ms", "rate": 50}, "min_requests": 5` + steady: {Needless: 1},
		`{"failure_rate": 0, "consecutive_failures": 50` + steady:                                        {},
	} {
		c, err := config.Parse([]byte(policy))
		if err != nil {
			t.Fatal(err)
		}
		p := h.play(&h.tapes[0], c, 0)
		got := h.sum([]play{p})
		if got.Caught != want.Caught || got.Needless != want.Needless || !reflect.DeepEqual(got.NoticedMedian, want.NoticedMedian) || !reflect.DeepEqual(got.NoticedMax, want.NoticedMax) {
			t.Errorf("%s: %+v", policy, got)
		}
		// The breaker's own report tells the same requests otherwise.
		own := h.tapes[0].Play(replay.PlayOptions{Config: c})
		switch {
		case want.Caught > 0:
			if bad := own.Saved; got.Lost != own.Lost || got.Avoided != 3*(bad-15)+15 || got.Avoided < 500 || got.LostShare != float64(got.Lost)*100/float64(h.good) {
				t.Errorf("%s: %+v, where the breaker tells %+v", policy, got, own.Counts)
			}
		case got.Avoided != 0 || got.Lost != own.Saved+own.Lost:
			t.Errorf("%s: %+v, where the breaker tells %+v", policy, got, own.Counts)
		}
	}
}

// Each outage counts, however often a breaker has moved before: more often than a report lists.
func TestManyOutages(t *testing.T) {
	l := NewLog(100_000)
	for i := range 36_000 { // an hour with 36 outages of half a minute
		e := entry(i, 200, 5*time.Millisecond)
		if i%1000 >= 700 {
			e.Status = 503
		}
		if err := l.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	base := baseOf(t, `{"failure_rate": 0, "consecutive_failures": 5, "open": {"duration": "100ms", "multiplier": 1, "jitter": 0}}`)
	h := l.clusters["payments"].look(&base.config.Rules, time.Second, 10*time.Second)
	own := h.tapes[0].Play(replay.PlayOptions{Config: base.config})
	if f := h.sum([]play{h.play(&h.tapes[0], base.config, 0)}); own.TransitionsLeftOut == 0 || len(h.outages) != 36 || f.Caught != 36 || f.Needless != 0 {
		t.Errorf("%+v of %d outages; %d transitions are not listed", f, len(h.outages), own.TransitionsLeftOut)
	}
}

func TestTogether(t *testing.T) {
	one, two, five := 1.0, 2.0, 5.0
	got := together([]Figures{
		{Caught: 2, Needless: 0, Avoided: 10, Lost: 4, LostShare: 1, LostMost: 1, NoticedMedian: &two, NoticedMax: &five},
		{Caught: 1, Needless: 3, Avoided: 20, Lost: 5, LostShare: 2, LostMost: 2, NoticedMedian: &one, NoticedMax: &two},
		{Caught: 2, Needless: 1, Avoided: 30, Lost: 6, LostShare: 6, LostMost: 6},
	})
	middle := 1.5
	if want := (Figures{Caught: 1, Needless: 3, Avoided: 20, Lost: 5, LostShare: 3, LostMost: 6, NoticedMedian: &middle, NoticedMax: &five}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
