package verdict_test

import (
	"testing"
	"time"

	"envoy-circuit-breaker/filter/verdict"
)

func TestDeadlinesEnded(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		d            verdict.Deadlines
		details      string
		took, lasted time.Duration
		had          time.Duration
		ended        bool
	}{
		{verdict.Deadlines{}, "response_timeout", 100 * ms, 100 * ms, 100 * ms, false},
		{verdict.Deadlines{}, "upstream_per_try_timeout", 100 * ms, 100 * ms, 0, false},
		{verdict.Deadlines{}, "max_duration_timeout", 100 * ms, 100 * ms, 100 * ms, false},

		// Envoy goes by these headers whatever the route says.
		{verdict.Deadlines{Request: 20 * ms}, "response_timeout", 20 * ms, 20 * ms, 20 * ms, true},
		{verdict.Deadlines{Request: 20 * ms}, "response_timeout", 500 * ms, 500 * ms, 500 * ms, true}, // a busy machine
		{verdict.Deadlines{Request: 20 * ms}, "max_duration_timeout", 20 * ms, 20 * ms, 20 * ms, false},
		{verdict.Deadlines{Request: 20 * ms}, "stream_idle_timeout", 20 * ms, 20 * ms, 20 * ms, false},
		{verdict.Deadlines{PerTry: 20 * ms}, "upstream_per_try_timeout", 60 * ms, 60 * ms, 20 * ms, true}, // the third try
		{verdict.Deadlines{PerTry: 20 * ms}, "upstream_per_try_timeout", 10 * ms, 10 * ms, 10 * ms, true},
		{verdict.Deadlines{PerTry: 20 * ms}, "response_timeout", 60 * ms, 60 * ms, 60 * ms, false},
		{verdict.Deadlines{PerTry: 20 * ms}, "upstream_per_try_idle_timeout", 60 * ms, 60 * ms, 60 * ms, false},

		// A route may go by grpc-timeout, or by a timeout of its own.
		{verdict.Deadlines{GRPC: 300 * ms}, "response_timeout", 219 * ms, 219 * ms, 219 * ms, false},
		{verdict.Deadlines{GRPC: 300 * ms}, "response_timeout", 220 * ms, 220 * ms, 220 * ms, true},
		{verdict.Deadlines{GRPC: 300 * ms}, "response_timeout", 300 * ms, 300 * ms, 300 * ms, true},
		{verdict.Deadlines{GRPC: 300 * ms}, "response_timeout", 380 * ms, 380 * ms, 380 * ms, true},
		{verdict.Deadlines{GRPC: 300 * ms}, "response_timeout", 381 * ms, 381 * ms, 381 * ms, false},
		{verdict.Deadlines{GRPC: 300 * ms}, "max_duration_timeout", 300 * ms, 300 * ms, 300 * ms, true},
		// A slow upload has left the upstream little of it.
		{verdict.Deadlines{GRPC: 300 * ms}, "max_duration_timeout", 10 * ms, 300 * ms, 10 * ms, true},
		// A filter before has had its part of it.
		{verdict.Deadlines{GRPC: 300 * ms}, "max_duration_timeout", 150 * ms, 150 * ms, 150 * ms, true},
		// A busy machine's loop woke up long before.
		{verdict.Deadlines{GRPC: 10 * ms}, "max_duration_timeout", 0, ms, 0, true},
		// The connection manager's own limit came first.
		{verdict.Deadlines{GRPC: 30_000 * ms}, "max_duration_timeout", 300 * ms, 300 * ms, 300 * ms, false},

		{verdict.Deadlines{Request: ms, PerTry: ms, GRPC: ms}, "", ms, ms, ms, false},
		{verdict.Deadlines{Request: ms, PerTry: ms, GRPC: ms}, "via_upstream", ms, ms, ms, false},
		{verdict.Deadlines{Request: ms, PerTry: ms, GRPC: ms}, "downstream_remote_disconnect", ms, ms, ms, false},
	} {
		if had, ended := c.d.Ended(c.details, c.took, c.lasted); ended != c.ended || ended && had != c.had {
			t.Errorf("%+v, %s after %v of %v: %v, %v, want %v, %v", c.d, c.details, c.took, c.lasted, had, ended, c.had, c.ended)
		}
	}
}

func TestDeadlinesExceeded(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		deadline, lasted time.Duration
		want             bool
	}{
		{0, time.Hour, false},
		{300 * ms, 300 * ms, true},
		{300 * ms, 220 * ms, true}, // what is under way, and a busy machine
		{300 * ms, 219 * ms, false},
		{300 * ms, 5 * time.Second, true},
		{10 * ms, 0, true},
		{time.Hour, time.Second, false},
	} {
		d := verdict.Deadlines{GRPC: c.deadline}
		if got := d.Exceeded(c.lasted); got != c.want {
			t.Errorf("%v after %v: %v", c.deadline, c.lasted, got)
		}
	}
}
