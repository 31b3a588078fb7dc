package verdict

import (
	"strings"
	"testing"
	"time"
)

// layouts are HTTP's dates to package time.
var layouts = [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// Each second reads as package time has it, in all forms.
func TestParseDate(t *testing.T) {
	for at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2101; at = at.Add(35*time.Hour + 17*time.Minute + 13*time.Second) {
		for _, layout := range layouts {
			text := at.Format(layout)
			want, err := time.Parse(layout, text)
			if got, ok := parseDate(text); !ok || err != nil || !got.Equal(want) {
				t.Fatalf("%q: %v, %v; want %v, %v", text, got, ok, want, err)
			}
		}
	}
}

func TestParseDateRefuses(t *testing.T) {
	for _, text := range []string{
		"", "Sun", "Sun, ", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 anF 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 29 Feb 2100 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:60 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 06 08:49:37 94", "Sun Nov  x 08:49:37 1994", ", 06 Nov 1994 08:49:37 GMT",
		"Sun, -6 Nov 1994 08:49:37 GMT", "Sun, 06 No", "Sun, 06 Nov 1994 08:49:37 GMTGMT",
	} {
		if got, ok := parseDate(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// What is a date here is that date to package time too; the weekday is not looked at.
func FuzzParseDate(f *testing.F) {
	for _, layout := range layouts {
		f.Add(time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC).Format(layout))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseDate(text)
		var want time.Time
		isDate := false
		for _, layout := range layouts {
			weekday, rest, _ := strings.Cut(layout, " ")
			_, restOfText, _ := strings.Cut(text, " ")
			if at, err := time.Parse(rest, restOfText); err == nil && strings.HasSuffix(weekday, ",") == strings.Contains(text, ", ") {
				want, isDate = at, true
			}
		}
		if ok && (!isDate || want.Year() > 0 && !got.Equal(want)) {
			t.Errorf("%q: %v, package time has %v, %v", text, got, want, isDate)
		}
	})
}
