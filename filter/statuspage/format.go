package statuspage

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(max(0, int(d.Seconds()))) + " s ago"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min ago"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h ago"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days ago"
}

// seconds writes a length of time: with a tenth below ten seconds, where it is short. Number and unit stay on one line.
func seconds(s float64) string {
	format := "%.0f\u00a0h"
	switch {
	case s < 1 && s > 0:
		s, format = s*1000, "%.0f\u00a0ms"
	case s < 10:
		format = "%.2g\u00a0s"
	case s < 120:
		format = "%.0f\u00a0s"
	case s < 7200:
		s, format = s/60, "%.0f\u00a0min"
	default:
		s /= 3600
	}
	return fmt.Sprintf(format, s)
}

// grouped writes a number with a comma at every thousand.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
