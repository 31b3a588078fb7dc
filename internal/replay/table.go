package replay

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostShown transitions of a breaker are in the text.
const mostShown = 20

// WriteText writes the report for people: a table, the trips, and the notes.
func (r *Report) WriteText(w io.Writer) error {
	b := &strings.Builder{}
	if r.From.IsZero() {
		fmt.Fprintf(b, "%s, and none to replay.\n", count(r.Lines, "line"))
	} else {
		fmt.Fprintf(b, "%s, %s to %s UTC.\n\n", count(r.Lines, "line"), r.From.Format("2006-01-02 15:04:05"), r.To.Format("2006-01-02 15:04:05"))
		if len(r.Policies) == 1 {
			r.one().write(b)
			for i := range r.Policies[0].Owners {
				r.Policies[0].Owners[i].writeTransitions(b)
			}
		} else {
			r.sideBySide().write(b)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(b, "* %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns are those of what would have been done.
var columns = []string{"TRIPS", "OPEN", "REJECTED", "SAVED", "LOST", "AVOIDED", "NOTICED"}

func (c *Counts) cells() []string {
	noticed, open := "-", "-"
	if c.NoticedMedian != nil {
		noticed = span(*c.NoticedMedian)
	}
	if c.Outages > 1 && c.NoticedMax != nil {
		noticed += ", most " + span(*c.NoticedMax)
	}
	if c.OpenFor > 0 {
		open = span(c.OpenFor)
	}
	return []string{grouped(c.Trips), open, grouped(c.Rejected), grouped(c.Saved), grouped(c.Lost), grouped(c.CallsAvoided), noticed}
}

// one is what one policy would have done.
func (r *Report) one() *table {
	p := &r.Policies[0]
	names := namesOf(p.Owners)
	t := &table{left: len(names.head())}
	t.add(names.head(), []string{"REQUESTS", "FAILED", "SLOW", "LATE", "NEUTRAL"}, columns)
	row := func(name []string, c *Counts) {
		t.add(name, []string{grouped(c.Requests), grouped(c.Failures), grouped(c.SlowCalls), grouped(c.Late), grouped(c.Neutral)}, c.cells())
	}
	for i := range p.Owners {
		row(names.row(&p.Owners[i]), &p.Owners[i].Counts)
	}
	if len(p.Owners) > 1 {
		row(names.total(), &p.Total)
	}
	return t
}

// writeTransitions writes when the breaker opened, and when it closed again.
func (o *Owner) writeTransitions(b *strings.Builder) {
	shown := 0
	left := int64(o.TransitionsLeftOut)
	for _, m := range o.Transitions {
		switch {
		case m.To == "half_open":
			continue
		case shown == mostShown:
			left++
			continue
		case shown == 0:
			fmt.Fprintf(b, "%s\n", o.name())
		}
		shown++
		fmt.Fprintf(b, "  %s  %s", m.At.Format("2006-01-02 15:04:05.000"), m.Text)
		if m.Noticed != nil {
			fmt.Fprintf(b, "; noticed in %s", span(*m.Noticed))
		}
		b.WriteString("\n")
	}
	if left > 0 {
		fmt.Fprintf(b, "  and %s: -json lists up to %s\n", count(left, "more transition"), grouped(mostTransitions))
	}
	if shown > 0 {
		b.WriteString("\n")
	}
}

// name is what the breaker's requests are called.
func (o *Owner) name() string {
	name := o.Cluster
	if o.Route != "" {
		name += " route " + o.Route
	}
	if o.Instance != "" {
		name += " on " + o.Instance
	}
	return printable(name)
}

// printable replaces what a terminal or page would take for more than text: logs may have anything in a name.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// sideBySide is what several policies would have done, by breaker.
func (r *Report) sideBySide() *table {
	var all []Owner
	for i := range r.Policies {
		all = append(all, r.Policies[i].Owners...)
	}
	slices.SortStableFunc(all, compareOwners) // of one breaker in the order of the policies
	names := namesOf(all)
	t := &table{left: len(names.head()) + 1}
	t.add(names.head(), []string{"POLICY", "REQUESTS"}, columns)
	for i := range all {
		o := &all[i]
		t.add(names.row(o), []string{o.policy.Name, grouped(o.Requests)}, o.cells())
	}
	for i := range r.Policies {
		if p := &r.Policies[i]; len(all) > len(r.Policies) {
			t.add(names.total(), []string{p.Name, grouped(p.Total.Requests)}, p.Total.cells())
		}
	}
	return t
}

// A table lines up its columns: the first ones to the left, numbers to the right.
type table struct {
	left   int
	rows   [][]string
	widths []int
}

func (t *table) add(parts ...[]string) {
	row := slices.Concat(parts...)
	for i := range row {
		row[i] = printable(row[i])
	}
	t.rows = append(t.rows, row)
	for len(t.widths) < len(row) {
		t.widths = append(t.widths, 0)
	}
	for i, cell := range row {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
}

func (t *table) write(b *strings.Builder) {
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i < t.left {
				fmt.Fprintf(&line, "%-*s  ", t.widths[i], cell)
			} else {
				fmt.Fprintf(&line, "%*s  ", t.widths[i], cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	b.WriteString("\n")
}

// names say which columns name a breaker: those that any of them needs.
type names struct{ routes, instances bool }

func namesOf(owners []Owner) (n names) {
	for i := range owners {
		n.routes = n.routes || owners[i].Route != ""
		n.instances = n.instances || owners[i].Instance != ""
	}
	return n
}

func (n names) cells(cluster, route, instance string) []string {
	cells := []string{cluster}
	if n.routes {
		cells = append(cells, cmp.Or(route, "-"))
	}
	if n.instances {
		cells = append(cells, cmp.Or(instance, "-"))
	}
	return cells
}

func (n names) head() []string { return n.cells("CLUSTER", "ROUTE", "INSTANCE") }

func (n names) row(o *Owner) []string { return n.cells(o.Cluster, o.Route, o.Instance) }

func (n names) total() []string { return n.cells("all", " ", " ") }
