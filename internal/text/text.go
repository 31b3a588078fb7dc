// Package text writes names, numbers and tables for people, in a terminal or a page.
package text

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Printable replaces what a terminal or page would take for more than text: anything may be in a name.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// Width is how many cells of a terminal a printable text takes.
func Width(s string) (cells int) {
	for _, r := range s {
		cells += runeWidth(r)
	}
	return cells
}

func runeWidth(r rune) int {
	if r < 0x300 { // where nothing is wide or combines
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Cut shortens a printable text to so many cells of a terminal, an ellipsis included.
func Cut(s string, cells int) string {
	if len(s) <= cells || Width(s) <= cells {
		return s
	}
	for i, r := range s {
		if cells -= runeWidth(r); cells < 1 { // one is the ellipsis's
			return s[:i] + "…"
		}
	}
	return s
}

// Count writes how many there are of something, whose plural has an s.
func Count(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return Grouped(n) + " " + what
}

// Grouped writes a number with its thousands apart.
func Grouped(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Span writes a length of time, given in seconds, with three digits or so.
func Span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
