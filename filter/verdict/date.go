package verdict

import (
	"strings"

	"envoy-circuit-breaker/internal/time"
)

// dateForms are the forms in which HTTP has dates: the one that is to be written, and two old ones that are to be read as well. A letter
// stands for a part of the date, any other byte for itself. Package time reads such forms too, by code of which an Envoy would have to
// keep 40 KB.
// https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats
var dateForms = [...]string{"w, D o Y h:m:s GMT", "w, D-o-y h:m:s GMT", "w o d h:m:s Y"}

// parseDate reads a date of HTTP.
func parseDate(text string) (t time.Time, ok bool) {
	for _, form := range dateForms {
		var d date
		if d.parse(form, text) {
			return time.Unix(d.unix(), 0), true
		}
	}
	return t, false
}

// A date is a second in UTC.
type date struct{ year, month, day, hour, minute, second int }

// parse takes a text that is a date of that form, and reports whether it is.
func (d *date) parse(form, text string) bool {
	for i := range len(form) {
		n := d.part(form[i], text)
		if n == 0 {
			return false
		}
		text = text[n:]
	}
	return text == "" && d.exists()
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// part takes what a byte of a form stands for from the beginning of a text, and returns how long that is; 0 if it is not there.
func (d *date) part(c byte, text string) int {
	switch c {
	case 'w': // a weekday, which says nothing new
		return max(0, strings.IndexAny(text, ", "))
	case 'o': // a month
		if len(text) < 3 {
			return 0
		}
		i := strings.Index(months, text[:3])
		d.month = i/3 + 1
		if i%3 != 0 { // or -1
			return 0
		}
		return 3
	case 'D':
		return take(&d.day, text, 2)
	case 'd': // with a blank in place of a 0
		if strings.HasPrefix(text, " ") {
			return 1 + take(&d.day, text[1:], 1)
		}
		return take(&d.day, text, 2)
	case 'Y':
		return take(&d.year, text, 4)
	case 'y':
		n := take(&d.year, text, 2)
		if d.year += 1900; d.year < 1969 {
			d.year += 100
		}
		return n
	case 'h':
		return take(&d.hour, text, 2)
	case 'm':
		return take(&d.minute, text, 2)
	case 's':
		return take(&d.second, text, 2)
	}
	if strings.HasPrefix(text, string(c)) {
		return 1
	}
	return 0
}

// take takes a number of so many digits, and returns how many they are; 0 if it is not there.
func take(to *int, text string, digits int) int {
	if len(text) < digits {
		return 0
	}
	if *to = number([]byte(text[:digits])); *to < 0 {
		return 0
	}
	return digits
}

// exists reports whether there is such a day, and such a time.
func (d *date) exists() bool {
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[d.month-1]
	if d.month == 2 && d.year%4 == 0 && (d.year%100 != 0 || d.year%400 == 0) {
		days = 29
	}
	return d.day >= 1 && d.day <= days && d.hour < 24 && d.minute < 60 && d.second < 60
}

// unix is the date in seconds since 1970.
func (d *date) unix() int64 {
	// A year begins with March here, so that the day that only some have is its last.
	// https://howardhinnant.github.io/date_algorithms.html#days_from_civil
	year, month := d.year, d.month-3
	if month < 0 {
		year, month = year-1, month+12
	}
	days := year*365 + year/4 - year/100 + year/400 + (153*month+2)/5 + d.day - 1 - 719_468
	return int64(days)*86_400 + int64(d.hour*3600+d.minute*60+d.second)
}
