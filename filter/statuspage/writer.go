package statuspage

import (
	"strconv"

	"envoy-circuit-breaker/internal/strictjson"
	"envoy-circuit-breaker/internal/time"
)

// A writer writes JSON: an object's keys one by one, each after a comma where one is due.
type writer struct{ b []byte }

// next begins the next element of a list, or the next key of an object.
func (w *writer) next() {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' && w.b[n-1] != '[' {
		w.b = append(w.b, ',')
	}
}

// raw writes what is JSON already, or part of it. Put in each of its places by the compiler, it would be 10 KB of the plugin.
//
//go:noinline
func (w *writer) raw(json string) { w.b = append(w.b, json...) }

func (w *writer) key(key string) {
	w.next()
	w.raw(`"`)
	w.raw(key)
	w.raw(`":`)
}

func (w *writer) text(key, s string) {
	w.key(key)
	w.b = strictjson.AppendQuoted(w.b, s)
}

// optional writes a text; null for the empty one.
func (w *writer) optional(key, s string) {
	if s != "" {
		w.text(key, s)
		return
	}
	w.key(key)
	w.raw("null")
}

func (w *writer) bool(key string, is bool) {
	w.key(key)
	if is {
		w.raw("true")
	} else {
		w.raw("false")
	}
}

func (w *writer) number(key string, n uint64) {
	w.key(key)
	w.b = strconv.AppendUint(w.b, n, 10)
}

func (w *writer) float(key string, f float64) {
	w.key(key)
	w.b = strconv.AppendFloat(w.b, f, 'f', -1, 64)
}

func (w *writer) seconds(key string, d time.Duration) { w.float(key, d.Seconds()) }

func (w *writer) percent(key string, part, whole uint64) {
	if whole == 0 {
		part, whole = 0, 1
	}
	w.float(key, 100*float64(part)/float64(whole))
}

// time writes a time in the form of RFC 3339, in UTC and to the millisecond. It is in one of the years 1 to 9999. (Package time knows
// every layout and time zone, and is 50 KB of the plugin where it is asked for a layout.)
func (w *writer) time(key string, t time.Time) {
	const day = 24 * 60 * 60 * 1000 // milliseconds
	ms := uint64(t.UnixMilli() + marchOfYear0*day)
	year, month, ofMonth := date(ms / day)
	w.key(key)
	text := len(w.b)
	w.raw(`"0000-00-00T00:00:00.000Z"`)
	for _, part := range [...]struct {
		last int // digit
		n    uint64
	}{{4, year}, {7, month}, {10, ofMonth}, {13, ms / (60 * 60 * 1000) % 24}, {16, ms / (60 * 1000) % 60}, {19, ms / 1000 % 60}, {23, ms % 1000}} {
		for i, n := text+part.last, part.n; n > 0; i, n = i-1, n/10 {
			w.b[i] = '0' + byte(n%10)
		}
	}
}

// marchOfYear0 is how many days before 1970 the first of March of the year 0 was.
const marchOfYear0 = 719468

// date is the date of a day, counted from the first of March of the year 0: years that begin in March have their leap day at the end.
func date(day uint64) (year, month, ofMonth uint64) {
	const days400, days100, days4 = 146097, 36524, 1461 // in so many years
	year = day / days400 * 400
	day %= days400
	over := (day - day/(days4-1) + day/days100 - day/(days400-1)) / 365 // years of these 400
	year += over
	day -= 365*over + over/4 - over/100
	month = (5*day + 2) / 153 // five months from March or August on have 153 days
	ofMonth = day - (153*month+2)/5 + 1
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	return year, month, ofMonth
}
