package verdict

import "time"

// ParseStatus reads an HTTP or gRPC status; -1 if the text is none.
func ParseStatus(text []byte) int { return number(text) }

// ParseRetryAfter reads the retry-after header, which is a number of seconds or a date; 0 if it is neither, or past.
// https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
func ParseRetryAfter(value []byte, now time.Time) time.Duration {
	if seconds := number(value); seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, string(value)); err == nil {
			return max(0, t.Sub(now))
		}
	}
	return 0
}

// ParsePushback reads grpc-retry-pushback-ms; 0 if it says nothing, or that one shall not retry at all.
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
func ParsePushback(value []byte) time.Duration {
	return time.Duration(max(0, number(value))) * time.Millisecond
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
