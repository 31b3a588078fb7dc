package verdict_test

import (
	"math"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/verdict"
)

// A deadline may seem to come early or late by what a busy machine makes of it, and no more.
func TestAtDeadline(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		took, deadline time.Duration
		want           bool
	}{
		{0, 0, false},
		{20 * ms, 0, false},
		{20 * ms, 20 * ms, true},
		{5 * ms, 20 * ms, true},
		{72 * ms, 20 * ms, true},
		{73 * ms, 20 * ms, false},
		{300 * ms, 20 * ms, false},
		{850 * ms, time.Second, true},
		{849 * ms, time.Second, false},
		{1150 * ms, time.Second, true},
		{1151 * ms, time.Second, false},
		{time.Second, math.MaxInt64, false},
	} {
		if got := verdict.AtDeadline(test.took, test.deadline); got != test.want {
			t.Errorf("after %v, at a deadline of %v: %v", test.took, test.deadline, got)
		}
	}
}
