//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A row is a figure, with the goal that it is held to.
type row struct {
	what   string
	unit   string // "" for a ratio or a count
	goal   goal
	values []float64 // of the rounds; one where there are none
}

// A goal is a limit; the zero value is none.
type goal struct {
	kind  goalKind
	value float64
}

type goalKind int

const (
	noGoal goalKind = iota
	atMost
	atLeast
)

func most(v float64) goal  { return goal{atMost, v} }
func least(v float64) goal { return goal{atLeast, v} }

// missed reports whether the figure misses its goal.
func (r *row) missed() bool {
	v := median(r.values)
	return r.goal.kind == atMost && v > r.goal.value || r.goal.kind == atLeast && v < r.goal.value
}

func (g goal) String() string {
	return [...]string{"", "≤ ", "≥ "}[g.kind] + map[bool]string{true: number(g.value)}[g.kind != noGoal]
}

// median returns NaN if there are no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// middle returns the quartiles of several values: half of them are between the two, all of up to three.
func middle(values []float64) (low, high float64) {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return s[n/4], s[n-1-n/4]
}

func spread(values []float64) string {
	if len(values) < 2 {
		return ""
	}
	low, high := middle(values)
	return number(low) + " – " + number(high)
}

// number writes a value with three digits, or two where it is small.
func number(v float64) string {
	decimals := 0
	switch a := math.Abs(v); {
	case v == math.Trunc(v):
	case a < 0.1:
		decimals = 1 - int(math.Floor(math.Log10(a)))
	case a < 10:
		decimals = 2
	case a < 100:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

func goalsTable(rows []row) string {
	lines := [][]string{{"", "measured", "middle half", "goal", ""}}
	for _, r := range rows {
		verdict := ""
		switch {
		case r.missed():
			verdict = "**missed**"
		case r.goal.kind != noGoal:
			verdict = "met"
		}
		measured := strings.TrimSpace(number(median(r.values)) + " " + r.unit)
		lines = append(lines, []string{r.what, measured, spread(r.values), r.goal.String(), verdict})
	}
	return markdown(lines)
}

func variantsTable(variants []*variant) string {
	lines := [][]string{{"", "CPU a request, µs", "middle half", "added, µs", "÷ empty plugin's", "requests/s"}}
	for _, v := range variants {
		line := []string{v.name, number(median(v.cpu)), spread(v.cpu), "", "", number(math.Round(median(v.rate)))}
		if v.base != nil {
			line[3], line[4] = number(median(v.added)), number(median(v.ratio))
		}
		lines = append(lines, line)
	}
	return markdown(lines)
}

// markdown aligns a table so that it can be read as it is; the first line is the heading.
func markdown(lines [][]string) string {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&out, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		out.WriteString("|\n")
		if n == 0 {
			for _, w := range widths {
				out.WriteString("|" + strings.Repeat("-", w+2))
			}
			out.WriteString("|\n")
		}
	}
	return out.String()
}
