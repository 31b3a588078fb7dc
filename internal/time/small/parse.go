package small

import (
	"errors"
	"strings"
)

var errDuration = errors.New("invalid duration")

// ParseDuration reads a duration in Go's notation, such as "250ms" or "-1.5h30m", as time.ParseDuration does. Its error says no more.
func ParseDuration(s string) (Duration, error) {
	s, negative := strings.CutPrefix(s, "-")
	if !negative {
		s = strings.TrimPrefix(s, "+")
	}
	if s == "0" {
		return 0, nil
	}
	const most = 1 << 63 // nanoseconds, of a negative one
	total := uint64(0)
	for first := true; s != "" || first; first = false {
		whole, rest, ok := wholeNumber(s)
		if !ok {
			return 0, errDuration
		}
		numbered := len(rest) < len(s)
		fraction, scale := uint64(0), 1.0
		if after, has := strings.CutPrefix(rest, "."); has {
			fraction, scale, rest = fractionOf(after)
			numbered = numbered || len(rest) < len(after)
		}
		unit, rest := unitOf(rest)
		if !numbered || unit == 0 || whole > most/unit {
			return 0, errDuration
		}
		part := whole * unit
		if fraction > 0 {
			part += uint64(float64(fraction) * (float64(unit) / scale))
		}
		if total += part; part > most || total > most {
			return 0, errDuration
		}
		s = rest
	}
	switch {
	case negative:
		return -Duration(total), nil
	case total == most:
		return 0, errDuration
	}
	return Duration(total), nil
}

// wholeNumber reads the digits that a text begins with. It reports false for more than 1<<63.
func wholeNumber(s string) (n uint64, rest string, ok bool) {
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		if n > 1<<63/10 {
			return 0, s, false
		}
		if n = n*10 + uint64(s[0]-'0'); n > 1<<63 {
			return 0, s, false
		}
		s = s[1:]
	}
	return n, s, true
}

// fractionOf reads the digits behind a point: n is to be divided by scale. Those that an int64 cannot hold are left out.
func fractionOf(s string) (n uint64, scale float64, rest string) {
	scale = 1
	for s != "" && s[0] >= '0' && s[0] <= '9' {
		if next := n*10 + uint64(s[0]-'0'); n <= (1<<63-1)/10 && next <= 1<<63 {
			n, scale = next, scale*10
		}
		s = s[1:]
	}
	return n, scale, s
}

// unitOf reads the unit that a text begins with, in nanoseconds; 0 if it is none.
func unitOf(s string) (unit uint64, rest string) {
	end := 0
	for end < len(s) && s[end] != '.' && (s[end] < '0' || s[end] > '9') {
		end++
	}
	switch s[:end] {
	case "ns":
		unit = uint64(Nanosecond)
	case "us", "µs", "μs": // U+00B5, the micro sign, and U+03BC, the Greek letter
		unit = uint64(Microsecond)
	case "ms":
		unit = uint64(Millisecond)
	case "s":
		unit = uint64(Second)
	case "m":
		unit = uint64(Minute)
	case "h":
		unit = uint64(Hour)
	}
	return unit, s[end:]
}
