package time

import "envoy-circuit-breaker/internal/time/small"

type (
	Duration = small.Duration
	Time     = small.Time
)

const (
	Nanosecond  = small.Nanosecond
	Microsecond = small.Microsecond
	Millisecond = small.Millisecond
	Second      = small.Second
	Minute      = small.Minute
	Hour        = small.Hour
)

func Unix(seconds, nanoseconds int64) Time { return small.Unix(seconds, nanoseconds) }

func ParseDuration(s string) (Duration, error) { return small.ParseDuration(s) }
