package accesslog

import (
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	for s, want := range map[string]string{
		"2026-11-26T10:56:46.581Z":       "2026-11-26T10:56:46.581Z",
		"2026-11-26 10:56:46,581":        "2026-11-26T10:56:46.581Z",
		"2024-02-29T23:59:59.123456789Z": "2024-02-29T23:59:59.123456789Z",
		"2000-03-01T00:00:00+05:30":      "2000-02-29T18:30:00Z",
		"2000-03-01T00:00:00.5-0100":     "2000-03-01T01:00:00.5Z",
		"1700000000":                     "2023-11-14T22:13:20Z",
		"1700000000.123":                 "2023-11-14T22:13:20.123Z",
		"1700000000123":                  "2023-11-14T22:13:20.123Z",
		"1700000000123456":               "2023-11-14T22:13:20.123456Z",
		"1700000000123456789":            "2023-11-14T22:13:20.123456789Z",
		"99999999999":                    "1973-03-03T09:46:39.999Z",
		"1970-01-01T01:00:00+02:00":      "", "2026-02-29T00:00:00Z": "", "2026-13-01T00:00:00Z": "", "2026-00-01T00:00:00Z": "", "2026-01-01T24:00:00Z": "",
		"2026-01-01T00:00:00.Z": "", "2026-01-01T00:00:00+1": "", "2026-01-01T00:00:0xZ": "", "1969-01-01T00:00:00Z": "",
		"": "", "-": "", "soon": "", ".5": "", "-5": "", "1e9": "", "92233720368547758070": "",
	} {
		ns, ok := parseTime([]byte(s))
		if got := time.Unix(0, ns).UTC().Format(time.RFC3339Nano); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %s, %v, want %q", s, got, ok, want)
		}
	}
}

func TestEveryDay(t *testing.T) {
	for at := time.Unix(0, 0).UTC(); at.Year() < 2262; at = at.Add(24*time.Hour + 7*time.Second) {
		s := at.Format(time.RFC3339)
		if ns, ok := parseTime([]byte(s)); !ok || ns != at.UnixNano() {
			t.Fatalf("%s: %d, %v", s, ns, ok)
		}
		if at.Day() > 27 && at.Month() == time.February && at.AddDate(0, 0, 1).Month() == time.March {
			if _, ok := parseTime([]byte(at.Format("2006-01-") + "30T00:00:00Z")); ok {
				t.Fatalf("there is no 30th of February in %d", at.Year())
			}
		}
	}
}

func TestDurations(t *testing.T) {
	for _, c := range []struct {
		text string
		kind kind
		unit time.Duration
		want time.Duration // -2: it is none
	}{
		{"12", literal, time.Millisecond, 12 * time.Millisecond},
		{"12.5", text, time.Millisecond, 12500 * time.Microsecond},
		{"0.25", literal, time.Second, 250 * time.Millisecond},
		{"7", literal, 1, 7},
		{"1.5e2", literal, time.Millisecond, 150 * time.Millisecond},
		{"1.5s", text, time.Millisecond, 1500 * time.Millisecond},
		{"", absent, time.Millisecond, -1},
		{"null", nothing, time.Millisecond, -1},
		{"-1", literal, time.Millisecond, -2},
		{"-1s", text, time.Millisecond, -2},
		{"true", literal, time.Millisecond, -2},
		{"", text, time.Millisecond, -2},
		{"99999999999999", literal, time.Second, -2},
		{"1e300", literal, time.Second, -2},
		{"1000000h", text, time.Second, -2},
	} {
		d, ok := parseDuration(&value{text: []byte(c.text), kind: c.kind}, c.unit)
		if ok != (c.want > -2) || ok && d != c.want {
			t.Errorf("%q: %v, %v, want %v", c.text, d, ok, c.want)
		}
	}
}

func TestGRPCStatuses(t *testing.T) {
	for s, want := range map[string]int{
		"0": 0, "14": 14, "-1": -1, "OK": 0, "Unavailable": 14, "UNAVAILABLE": 14, "DeadlineExceeded": 4, "DEADLINE_EXCEEDED": 4, "InvalidCode": -1,
		"FailedPrecondition": 9, "": -1, "x": -2, "FailedPreconditions": -2, "1.5": -2,
	} {
		code, ok := parseGRPC(&value{text: []byte(s), kind: text})
		if ok != (want > -2) || ok && code != want {
			t.Errorf("%q: %d, %v, want %d", s, code, ok, want)
		}
	}
}
