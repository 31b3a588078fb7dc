//go:build !wasip1

// Package time is the standard package time, as far as the plugin needs it, and in the plugin a small one that does the same. To import
// the standard one costs a program 140 KB of code, whatever it uses of that, and an Envoy compiles and keeps all of a plugin's code.
//
// The types are the standard ones wherever that costs nothing, so other programs that import the plugin's packages see no others.
package time

import "time"

// A Duration is a time.Duration.
type Duration = time.Duration

// A Time is a time.Time, of the wall clock.
type Time = time.Time

// Units of a duration.
const (
	Nanosecond  = time.Nanosecond
	Microsecond = time.Microsecond
	Millisecond = time.Millisecond
	Second      = time.Second
	Minute      = time.Minute
	Hour        = time.Hour
)

// Unix returns the time that is so many seconds and nanoseconds after the beginning of 1970.
func Unix(seconds, nanoseconds int64) Time { return time.Unix(seconds, nanoseconds) }

// ParseDuration reads a duration in Go's notation, such as "250ms" or "1m30s".
func ParseDuration(s string) (Duration, error) { return time.ParseDuration(s) }
