package verdict_test

import (
	"bytes"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/verdict"
)

const longest = time.Duration(math.MaxInt64)

func TestParseStatus(t *testing.T) {
	for text, want := range map[string]int{
		"": -1, "0": 0, "14": 14, "200": 200, "999999999": 999999999, "1000000000": -1, "-1": -1, "+1": -1, " 1": -1, "2 ": -1, "0x2": -1, "ok": -1,
	} {
		if got := verdict.ParseStatus([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":     0,
		"0":    0,
		"120":  2 * time.Minute,
		"-5":   0,
		"+5":   0,
		" 5":   0,
		"1.5":  0,
		"soon": 0,
		// Long values are long, not absent.
		"0000000020":                      20 * time.Second,
		strings.Repeat("0", 100):          0,
		strings.Repeat("0", 100) + "7":    7 * time.Second,
		"1000000000":                      1_000_000_000 * time.Second,
		"9223372036":                      9_223_372_036 * time.Second,
		"9223372037":                      longest, // in nanoseconds it is beyond int64
		"9223372036854775807":             longest,
		"9223372036854775808":             longest,
		"99999999999999999999":            longest,
		strings.Repeat("9", 1000):         longest,
		"99999999999999999999x":           0,
		"Tue, 24 Nov 2026 10:00:30 GMT":   30 * time.Second,
		"Tuesday, 24-Nov-26 10:00:30 GMT": 30 * time.Second,
		"Tue Nov 24 10:00:30 2026":        30 * time.Second,
		"Tue, 24 Nov 2026 09:00:00 GMT":   0,
		"Fri, 31 Dec 9999 23:59:59 GMT":   longest,
	} {
		if got := verdict.ParseRetryAfter([]byte(value), now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// Headers that count milliseconds.
func TestParseMilliseconds(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                     0,
		"0":                    0,
		"2500":                 2500 * time.Millisecond,
		"-1":                   0, // as a pushback it forbids to retry
		"0000000002500":        2500 * time.Millisecond,
		"10000000000":          10_000_000_000 * time.Millisecond,
		"9223372036854":        9_223_372_036_854 * time.Millisecond,
		"9223372036855":        longest,
		"99999999999999999999": longest,
		"1.5":                  0,
		"15s":                  0,
	} {
		if got := verdict.ParsePushback([]byte(value)); got != want {
			t.Errorf("pushback %q: %v, want %v", value, got, want)
		}
		if got := verdict.ParseTimeout([]byte(value)); got != want {
			t.Errorf("timeout %q: %v, want %v", value, got, want)
		}
	}
}

func TestParseGRPCTimeout(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                      0,
		"1":                     0,
		"m":                     0,
		"300m":                  300 * time.Millisecond,
		"2H":                    2 * time.Hour,
		"3M":                    3 * time.Minute,
		"4S":                    4 * time.Second,
		"5u":                    5 * time.Microsecond,
		"6n":                    6,
		"0S":                    1, // it has passed already
		"0n":                    1,
		"00000020m":             20 * time.Millisecond,
		"99999999H":             longest,
		"99999999999999999999n": longest,
		"-5S":                   0,
		"1.5S":                  0,
		"5s":                    0,
		"5 S":                   5 * time.Second, // Envoy does not mind
		" +5S":                  5 * time.Second,
		"5mS":                   0,
	} {
		if got := verdict.ParseGRPCTimeout([]byte(value)); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// FuzzParse holds the parsers of headers, which anybody may have written, against arithmetic without limits.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "0", "14", "120", "-1", "0000000020", "9223372037", "99999999999999999999", "300m", "99999999H", "0S", " +2", "5s", "Tue, 24 Nov 2026 10:00:30 GMT"} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1}
	f.Fuzz(func(t *testing.T, text []byte) {
		given := bytes.Clone(text)
		check := func(what string, got, want time.Duration) {
			if got != want {
				t.Errorf("%s %q: %v, want %v", what, given, got, want)
			}
		}
		if n, ok := integer(text); ok && len(text) <= 9 {
			if got := verdict.ParseStatus(text); int64(got) != n.Int64() {
				t.Errorf("status %q: %d", text, got)
			}
		} else if got := verdict.ParseStatus(text); got != -1 {
			t.Errorf("status %q: %d, want -1", text, got)
		}
		check("pushback", verdict.ParsePushback(text), exact(text, time.Millisecond))
		check("timeout", verdict.ParseTimeout(text), exact(asEnvoyReads(text), time.Millisecond))
		if _, ok := integer(text); ok {
			check("retry-after", verdict.ParseRetryAfter(text, now), exact(text, time.Second))
		} else if got := verdict.ParseRetryAfter(text, now); got < 0 {
			t.Errorf("retry-after %q: %v", text, got)
		}
		want := time.Duration(0)
		if last := len(text) - 1; last >= 0 && units[text[last]] > 0 {
			number := asEnvoyReads(text[:last])
			want = exact(number, units[text[last]])
			if _, ok := integer(number); ok && want == 0 {
				want = 1 // the deadline has passed
			}
		}
		check("grpc-timeout", verdict.ParseGRPCTimeout(text), want)
		if !bytes.Equal(text, given) {
			t.Errorf("%q was changed to %q", given, text)
		}
	})
}

// asEnvoyReads leaves out the blanks around a number and a plus before it.
func asEnvoyReads(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	return text
}

// integer reads a number that consists of digits only.
func integer(text []byte) (*big.Int, bool) {
	if len(text) == 0 || len(bytes.Trim(text, "0123456789")) > 0 {
		return nil, false
	}
	return new(big.Int).SetString(string(text), 10)
}

// exact is a number of units: 0 if there is no number, and the longest duration if it is longer.
func exact(text []byte, unit time.Duration) time.Duration {
	n, ok := integer(text)
	switch {
	case !ok:
		return 0
	case !n.Mul(n, big.NewInt(int64(unit))).IsInt64():
		return longest
	}
	return time.Duration(n.Int64())
}
