package accesslog

import (
	"bytes"
	"strconv"
	"time"
)

// parseTime reads a time as Unix nanoseconds: by RFC 3339, where a blank may be for T and none for the zone is UTC; or a
// number of seconds, milli-, micro- or nanoseconds since 1970, which of them is told from its size.
func parseTime(b []byte) (ns int64, ok bool) {
	if len(b) < 19 || b[4] != '-' {
		return parseEpoch(b)
	}
	year, month, day := digits(b[0:4]), digits(b[5:7]), digits(b[8:10])
	hour, minute, second := digits(b[11:13]), digits(b[14:16]), digits(b[17:19])
	if b[7] != '-' || b[10] != 'T' && b[10] != ' ' || b[13] != ':' || b[16] != ':' || year < 1970 || year > 2261 ||
		month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour|minute|second < 0 || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	ns = int64(daysSince1970(year, month, day)*86400+hour*3600+minute*60+second) * 1e9
	b = b[19:]
	if len(b) > 0 && (b[0] == '.' || b[0] == ',') {
		n := 1
		for unit := int64(1e8); n < len(b) && '0' <= b[n] && b[n] <= '9'; n++ {
			ns += int64(b[n]-'0') * unit
			unit /= 10
		}
		if n == 1 {
			return 0, false
		}
		b = b[n:]
	}
	if len(b) == 0 || len(b) == 1 && b[0] == 'Z' {
		return ns, true
	}
	if len(b) == 6 && b[3] == ':' {
		b = append(append(make([]byte, 0, 5), b[:3]...), b[4:]...)
	}
	if len(b) != 5 || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	hour, minute = digits(b[1:3]), digits(b[3:5])
	if hour|minute < 0 || hour > 23 || minute > 59 {
		return 0, false
	}
	offset := int64(hour*3600+minute*60) * 1e9
	if b[0] == '+' {
		offset = -offset
	}
	return ns + offset, ns+offset >= 0
}

// digits reads a number of digits only; -1 if there are others.
func digits(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func daysIn(year, month int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

// daysSince1970 counts years from March, so that leap days are at their ends.
func daysSince1970(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}

func parseEpoch(b []byte) (ns int64, ok bool) {
	whole, nano, ok := decimal(b)
	if !ok {
		return 0, false
	}
	unit := int64(1)
	switch {
	case whole < 9e9: // the year 2255
		unit = 1e9
	case whole < 9e12:
		unit = 1e6
	case whole < 9e15:
		unit = 1e3
	}
	return whole*unit + nano*unit/1e9, true
}

// decimal reads a number that is not negative: its whole part, and the rest in billionths.
func decimal(b []byte) (whole, nano int64, ok bool) {
	point := bytes.IndexByte(b, '.')
	if point < 0 {
		point = len(b)
	}
	if point == 0 || point > 19 {
		return 0, 0, false
	}
	for _, c := range b[:point] {
		if c < '0' || c > '9' || whole > (1<<63-10)/10 {
			return 0, 0, false
		}
		whole = whole*10 + int64(c-'0')
	}
	unit := int64(1e8)
	for _, c := range b[min(point+1, len(b)):] {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		nano += int64(c-'0') * unit
		unit /= 10
	}
	return whole, nano, true
}

// longest is more than a request takes, and few enough that sums hold it.
const longest = 10 * 365 * 24 * time.Hour

// parseDuration reads a number of units, or text that has its own; -1 where there is none.
func parseDuration(v *value, unit time.Duration) (time.Duration, bool) {
	if v.kind <= nothing {
		return -1, true
	}
	if whole, nano, ok := decimal(v.text); ok {
		if whole > int64(longest/unit) {
			return 0, false
		}
		return time.Duration(whole)*unit + time.Duration(nano*int64(unit)/1e9), true
	}
	if v.kind == text {
		d, err := time.ParseDuration(string(v.text))
		return d, err == nil && d >= 0 && d <= longest
	}
	// 1e3, which JSON has as well.
	x, err := strconv.ParseFloat(string(v.text), 64)
	if err != nil || !(x >= 0 && x <= float64(longest/unit)) {
		return 0, false
	}
	return time.Duration(x * float64(unit)), true
}

// parseCount reads a small number; none where there is none.
func parseCount(v *value, none int) (int, bool) {
	if v.kind <= nothing {
		return none, true
	}
	if len(v.text) == 0 || len(v.text) > 9 {
		return 0, false
	}
	n := digits(v.text)
	return n, n >= 0
}

// parseGRPC reads a gRPC status, which Envoy writes as a number or as a name in one of two spellings; -1 where there is none.
func parseGRPC(v *value) (int, bool) {
	if v.kind <= nothing || len(v.text) == 0 {
		return -1, true
	}
	if n, ok := parseCount(v, -1); ok {
		return n, true
	} else if string(v.text) == "-1" {
		return -1, true // Envoy's word for a status that is none
	}
	var name [len("failedprecondition")]byte
	n := 0
	for _, c := range v.text {
		if c == '_' {
			continue
		}
		if n == len(name) {
			return 0, false
		}
		name[n] = c | 0x20 // lower case
		n++
	}
	code, ok := grpcCodes[string(name[:n])]
	return code, ok
}

// grpcCodes by their names in lower case.
var grpcCodes = map[string]int{
	"invalidcode": -1, "ok": 0, "canceled": 1, "cancelled": 1, "unknown": 2, "invalidargument": 3, "deadlineexceeded": 4, "notfound": 5, "alreadyexists": 6,
	"permissiondenied": 7, "resourceexhausted": 8, "failedprecondition": 9, "aborted": 10, "outofrange": 11, "unimplemented": 12,
	"internal": 13, "unavailable": 14, "dataloss": 15, "unauthenticated": 16,
}
