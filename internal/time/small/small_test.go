package small

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// durations are some at the edges of everything, and some of each size.
func durations() []int64 {
	all := []int64{0, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1}
	for _, unit := range []time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		for n := int64(-3); n <= 3; n++ {
			all = append(all, n*int64(unit)-1, n*int64(unit), n*int64(unit)+1, n*int64(unit)/2)
		}
	}
	for range 10_000 {
		all = append(all, rand.Int64()>>rand.IntN(63), -rand.Int64()>>rand.IntN(63))
	}
	return all
}

// Durations and times do what those of package time do.
func TestAsPackageTime(t *testing.T) {
	all := durations()
	for _, n := range all {
		got, want := Duration(n), time.Duration(n)
		if got.String() != want.String() || got.Seconds() != want.Seconds() || got.Milliseconds() != want.Milliseconds() || int64(got.Abs()) != int64(want.Abs()) {
			t.Errorf("%d ns: %v, %v s, %d ms, %v without its sign; want %v", n, got, got.Seconds(), got.Milliseconds(), got.Abs(), want)
		}
		for _, unit := range []int64{-1, 0, 1, 2, 7, 1e7, 3e9, math.MaxInt64, all[rand.IntN(len(all))]} {
			if got, want := got.Round(Duration(unit)), want.Round(time.Duration(unit)); int64(got) != int64(want) {
				t.Errorf("%d ns rounded to %d: %d, want %d", n, unit, got, want)
			}
		}
		other := all[rand.IntN(len(all))]
		at, wantAt := Unix(n/1e9, n%1e9), time.Unix(n/1e9, n%1e9)
		if at.UnixNano() != wantAt.UnixNano() || at.UnixMilli() != wantAt.UnixMilli() || int64(at.Sub(Time(other))) != int64(wantAt.Sub(time.Unix(0, other))) {
			t.Errorf("%d ns: %d, %d ms, %d after %d; want %v", n, at.UnixNano(), at.UnixMilli(), at.Sub(Time(other)), other, wantAt)
		}
	}
}

func TestUnits(t *testing.T) {
	got := []Duration{Nanosecond, Microsecond, Millisecond, Second, Minute, Hour}
	for i, want := range []time.Duration{time.Nanosecond, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour} {
		if int64(got[i]) != int64(want) {
			t.Errorf("unit %d is %d ns, want %d", i, got[i], want)
		}
	}
}

func checkParse(t *testing.T, text string) {
	t.Helper()
	got, err := ParseDuration(text)
	want, wantErr := time.ParseDuration(text)
	if int64(got) != int64(want) || (err == nil) != (wantErr == nil) {
		t.Errorf("%q: %d, error %v; want %d, error %v", text, got, err, want, wantErr)
	}
}

// What is a duration to package time is one here, the same one, and nothing else is.
func TestParseDuration(t *testing.T) {
	for _, text := range []string{"", "0", "-0", "+0", "00", "1", "s", ".s", "1.s", ".5s", "-.5s", "+5s", "--5s", "1h-5s", "1.5h30m", "1h 5s", "1e3s", "1µs", "1μs", "1us",
		"3.0000000000000000000000000000000001s", "9223372036854775807ns", "9223372036854775808ns", "-9223372036854775808ns", "-9223372036854775809ns",
		"18446744073709551616ns", "2562047h47m16.854775807s", "-2562047h47m16.854775808s", "2562047h47m16.854775808s", "0.9223372036854775807h", "0.9223372036854775808h",
		"0.9223372036854775809h", "0.92233720368547758091h", "0.92233720368547758070h", "0.3333333333333333333h", "0.100000000000000000000h", "0.830103483285477580700h", "1x", "1d", "1ms1", "\x001s", "1s\xff"} {
		checkParse(t, text)
	}
	const letters = "0123456789.nuµmsh-+ "
	for range 200_000 {
		var b strings.Builder
		for range rand.IntN(12) {
			b.WriteString(string([]rune(letters)[rand.IntN(20)]))
		}
		checkParse(t, b.String())
	}
	for _, n := range durations() {
		checkParse(t, time.Duration(n).String())
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("-1.5h30m7.25µs")
	f.Fuzz(func(t *testing.T, text string) { checkParse(t, text) })
}
