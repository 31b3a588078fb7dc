package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"envoy-circuit-breaker/internal/text"
)

// mostShown transitions of a breaker are in the text.
const mostShown = 20

// WriteText writes the report for people: a table, the trips, and the notes.
func (r *Report) WriteText(w io.Writer) error {
	b := &strings.Builder{}
	b.WriteString(r.header() + "\n")
	if !r.From.IsZero() {
		b.WriteString("\n")
		if len(r.Policies) == 1 {
			r.one().Write(b)
			r.writeFleet(b)
			for i := range r.Policies[0].Breakers {
				r.Policies[0].Breakers[i].writeTransitions(b)
			}
		} else {
			r.sideBySide().Write(b)
			r.writeFleet(b)
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
		noticed = text.Span(*c.NoticedMedian)
	}
	if c.Outages > 1 && c.NoticedMax != nil {
		noticed += ", most " + text.Span(*c.NoticedMax)
	}
	if c.OpenFor > 0 {
		open = text.Span(c.OpenFor)
	}
	return []string{text.Grouped(c.Trips), open, text.Grouped(c.Rejected), text.Grouped(c.Saved), text.Grouped(c.Lost), text.Grouped(c.CallsAvoided), noticed}
}

// cells are those of the breaker, and of several Envoys' on average for how long it was open.
func (b *Breaker) cells() []string {
	c := b.Counts
	c.OpenFor /= b.envoys()
	return c.cells()
}

// envoys is how many Envoys' breakers are added up.
func (b *Breaker) envoys() float64 { return float64(max(1, b.Envoys)) }

// one is what one policy would have done.
func (r *Report) one() *text.Table {
	p := &r.Policies[0]
	var names names
	for i := range p.Breakers {
		names.see(&p.Breakers[i])
	}
	t := &text.Table{Left: len(names.head())}
	t.Add(names.head(), []string{"REQUESTS", "FAILED", "SLOW", "LATE", "NEUTRAL"}, columns)
	row := func(name []string, c *Counts, cells []string) {
		t.Add(name, []string{text.Grouped(c.Requests), text.Grouped(c.Failures), text.Grouped(c.SlowCalls), text.Grouped(c.Late), text.Grouped(c.Neutral)}, cells)
	}
	for i := range p.Breakers {
		b := &p.Breakers[i]
		row(names.row(b), &b.Counts, b.cells())
	}
	if len(p.Breakers) > 1 {
		row(names.total(), &p.Total, p.Total.cells())
	}
	return t
}

// writeTransitions writes when the breaker opened, and when it closed again.
func (o *Breaker) writeTransitions(b *strings.Builder) {
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
			fmt.Fprintf(b, "; noticed in %s", text.Span(*m.Noticed))
		}
		b.WriteString("\n")
	}
	if left > 0 {
		fmt.Fprintf(b, "  and %s: -json lists up to %s\n", text.Count(left, "more transition"), text.Grouped(MostTransitions))
	}
	if shown > 0 {
		b.WriteString("\n")
	}
}

// name is what the breaker's requests are called.
func (o *Breaker) name() string {
	name := o.Cluster
	if o.Route != "" {
		name += " route " + o.Route
	}
	if o.Instance != "" {
		name += " on " + o.Instance
	}
	return text.Printable(name)
}

// An entry is a breaker by one of the policies.
type entry struct {
	policy int
	*Breaker
}

// compareEntries puts what is compared together, in the order of the policies.
func compareEntries(a, b entry) int {
	return cmp.Or(a.compare(b.Breaker), cmp.Compare(a.policy, b.policy))
}

// entries are all breakers, policy by policy.
func (r *Report) entries() (all []entry) {
	for i := range r.Policies {
		for j := range r.Policies[i].Breakers {
			all = append(all, entry{i, &r.Policies[i].Breakers[j]})
		}
	}
	return all
}

// sideBySide is what several policies would have done, by breaker.
func (r *Report) sideBySide() *text.Table {
	all := r.entries()
	slices.SortFunc(all, compareEntries)
	var names names
	for _, e := range all {
		names.see(e.Breaker)
	}
	t := &text.Table{Left: len(names.head()) + 1}
	t.Add(names.head(), []string{"POLICY", "REQUESTS"}, columns)
	for _, e := range all {
		t.Add(names.row(e.Breaker), []string{r.Policies[e.policy].Name, text.Grouped(e.Requests)}, e.cells())
	}
	for i := range r.Policies {
		if p := &r.Policies[i]; len(all) > len(r.Policies) {
			t.Add(names.total(), []string{p.Name, text.Grouped(p.Total.Requests)}, p.Total.cells())
		}
	}
	return t
}

// names say which columns name a breaker: those that any of them needs.
type names struct{ routes, instances bool }

func (n *names) see(b *Breaker) {
	n.routes = n.routes || b.Route != ""
	n.instances = n.instances || b.Instance != ""
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

func (n names) row(o *Breaker) []string { return n.cells(o.Cluster, o.Route, o.Instance) }

func (n names) total() []string { return n.cells("all", " ", " ") }
