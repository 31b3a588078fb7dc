package verdict

import (
	"bytes"
	"math"

	"envoy-circuit-breaker/internal/time"
)

// ParseStatus reads an HTTP or gRPC status; -1 if the text is none.
func ParseStatus(text []byte) int { return number(text) }

// ParseRetryAfter reads the retry-after header, which is a number of seconds or a date; 0 if it is neither, or past. A number
// that no duration can hold is the longest one.
// https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
func ParseRetryAfter(value []byte, now time.Time) time.Duration {
	if d := duration(value, time.Second); d >= 0 {
		return d
	}
	if t, ok := parseDate(string(value)); ok {
		return max(0, t.Sub(now))
	}
	return 0
}

// ParsePushback reads grpc-retry-pushback-ms; 0 if it says nothing, or that one shall not retry at all.
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
func ParsePushback(value []byte) time.Duration {
	return max(0, duration(value, time.Millisecond))
}

// ParseTimeout reads the headers in which a caller gives Envoy a timeout in milliseconds, such as
// x-envoy-upstream-rq-timeout-ms; 0 if it says none.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter#x-envoy-upstream-rq-timeout-ms
func ParseTimeout(value []byte) time.Duration {
	return max(0, duration(asEnvoyReads(value), time.Millisecond))
}

// ParseGRPCTimeout reads grpc-timeout, which is a number and a unit; 0 if it is not. A deadline that has passed already, whose number
// is 0, reads as the shortest there is.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
func ParseGRPCTimeout(value []byte) time.Duration {
	if len(value) == 0 {
		return 0
	}
	var unit time.Duration
	switch value[len(value)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0
	}
	d := duration(asEnvoyReads(value[:len(value)-1]), unit)
	if d == 0 {
		return 1
	}
	return max(0, d)
}

// asEnvoyReads leaves out what Envoy does not mind around a number: blanks, and a sign before it.
func asEnvoyReads(number []byte) []byte {
	return bytes.TrimPrefix(bytes.Trim(number, " \t\n\v\f\r"), []byte("+"))
}

// duration reads a number of units; -1 if it is none, the longest duration if it is too long for one.
func duration(digits []byte, unit time.Duration) time.Duration {
	if len(digits) == 0 {
		return -1
	}
	d := time.Duration(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return -1
		}
		if next := time.Duration(c-'0') * unit; d <= (math.MaxInt64-next)/10 {
			d = d*10 + next
		} else {
			d = math.MaxInt64
		}
	}
	return d
}

// number reads a decimal number; -1 if it is none.
func number(digits []byte) int {
	if len(digits) == 0 || len(digits) > 9 {
		return -1
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return -1
		}
		n = n*10 + int(d-'0')
	}
	return n
}
