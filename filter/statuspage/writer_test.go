package statuspage

import (
	"math"
	"testing"
	"time"
)

// Times read as package time writes them: on each day of the 400 years after which dates repeat, in each year that has four digits,
// and at the ends of what a history can hold.
func TestTime(t *testing.T) {
	var times []time.Time
	const step = 24*time.Hour + 13*time.Minute + 7*time.Second + 12345678*time.Nanosecond
	for at := time.Date(1899, 12, 31, 23, 59, 59, 999999999, time.UTC); at.Year() < 2301; at = at.Add(step) {
		times = append(times, at, at.Truncate(24*time.Hour), at.Truncate(24*time.Hour).Add(-1))
	}
	for year := 1; year <= 9999; year++ {
		march := time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC)
		times = append(times, march, march.Add(-1), time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 12, 31, 23, 59, 59, 999999999, time.UTC))
	}
	for _, ns := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		times = append(times, time.Unix(0, ns))
	}
	for _, at := range times {
		w := writer{}
		w.time("at", at)
		if got, want := string(w.b), `"at":"`+at.UTC().Format("2006-01-02T15:04:05.000Z")+`"`; got != want {
			t.Fatalf("%v: %s, want %s", at, got, want)
		}
	}
}
