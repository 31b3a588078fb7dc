package status

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"envoy-circuit-breaker/internal/text"
)

const (
	mostNamed   = 2  // Envoys that a row names, of those that it is about
	mostListed  = 20 // lines of a note
	longestName = 60 // cells of a terminal
	longestWhy  = 160
)

// A row is about one breaker, of one Envoy or of several where it is in the same state.
type row struct {
	plugin string
	*Breaker
	label  string    // the state in words
	at     time.Time // of the Envoy's page
	envoys []int
}

// WriteText writes the report for people: how many are in which state, a table of those that are neither closed nor disabled, one row for
// all Envoys where a breaker is in the same state; or, if all breakers were asked for, of each on each Envoy. Then what else there is to know.
func (r *Report) WriteText(w io.Writer) error {
	b := &strings.Builder{}
	r.writeSummary(b)
	if rows := r.rows(); len(rows) > 0 {
		r.table(rows).Write(b)
	}
	r.writeNotes(b)
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func (r *Report) writeSummary(b *strings.Builder) {
	read, total, in := r.read(), 0, map[string]int{}
	for _, e := range r.Envoys {
		if e.Board == nil {
			continue
		}
		for state, n := range e.States {
			total += n
			in[state] += n
		}
	}
	fmt.Fprintf(b, "%s UTC: ", r.At.Format("2006-01-02 15:04:05"))
	if read < len(r.Envoys) {
		fmt.Fprintf(b, "%s of ", text.Grouped(int64(read)))
	}
	fmt.Fprintf(b, "%s read, %s", text.Count(int64(len(r.Envoys)), "Envoy"), text.Count(int64(total), "breaker"))
	separator := ": "
	for _, state := range slices.SortedFunc(maps.Keys(in), compareStates) {
		fmt.Fprintf(b, "%s%s %s", separator, text.Grouped(int64(in[state])), short(words(state)))
		separator = ", "
	}
	b.WriteString(".\n\n")
}

// short is a name that leaves room for others.
func short(name string) string { return text.Cut(text.Printable(name), longestName) }

func words(state string) string {
	switch state {
	case halfOpen:
		return "half-open"
	case forcedOpen:
		return "forced open"
	}
	return state
}

func compareStates(a, b string) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

func rank(state string) int {
	if i := slices.Index(states, state); i >= 0 {
		return i
	}
	return len(states) // one that this version does not know
}

// rows are those of the table, in its order.
func (r *Report) rows() []*row {
	type key struct{ plugin, cluster, route, label string }
	var rows []*row
	known := map[key]*row{}
	for i := range r.Envoys {
		board := r.Envoys[i].Board
		if board == nil {
			continue
		}
		for j := range board.Breakers {
			c := &board.Breakers[j]
			label := short(words(c.State))
			if c.policy().Mode == "shadow" {
				label += " (shadow)"
			}
			k := key{board.Plugin, c.Cluster, c.route(), label}
			one := known[k]
			if one == nil || r.all {
				one = &row{plugin: board.Plugin, Breaker: c, label: label, at: board.At}
				known[k] = one
				rows = append(rows, one)
			} else if c.before(one.Breaker) {
				one.Breaker, one.at = c, board.At
			}
			one.envoys = append(one.envoys, i)
		}
	}
	slices.SortStableFunc(rows, func(a, b *row) int {
		return cmp.Or(compareStates(a.State, b.State), -cmp.Compare(len(a.envoys), len(b.envoys)),
			cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.route(), b.route()))
	})
	return rows
}

// before reports whether the breaker has been in its state for longer than another one.
func (b *Breaker) before(other *Breaker) bool {
	return b.Since != nil && (other.Since == nil || b.Since.Before(*other.Since))
}

func (b *Breaker) route() string {
	if b.Route == nil {
		return ""
	}
	return *b.Route
}

func (r *Report) table(rows []*row) *text.Table {
	routes, plugins := false, false
	for _, one := range rows {
		routes = routes || one.route() != ""
		plugins = plugins || one.plugin != rows[0].plugin
	}
	t := &text.Table{}
	names := func(cluster, route, plugin, envoys string) (cells []string) {
		cells = append(cells, short(cluster))
		if routes {
			cells = append(cells, short(route))
		}
		if plugins {
			cells = append(cells, short(plugin))
		}
		if len(r.Envoys) > 1 {
			cells = append(cells, envoys)
		}
		return cells
	}
	add := func(names []string, cells ...string) {
		t.Left = len(names) + len(cells)
		t.Add(names, cells)
	}
	add(names("CLUSTER", "ROUTE", "PLUGIN", "ENVOYS"), "STATE", "SINCE", "FOR", "TRIPS", "NEXT", "WHY")
	for _, one := range rows {
		since, long := one.since()
		add(names(one.Cluster, cmp.Or(one.route(), "-"), cmp.Or(one.plugin, "-"), r.where(one.envoys)),
			one.label, since, long, one.trips(), one.next(), text.Cut(text.Printable(one.why()), longestWhy))
	}
	return t
}

// where names some Envoys, or says that it is all that could be read.
func (r *Report) where(envoys []int) string {
	if n := len(envoys); n > mostNamed && n == r.read() {
		return "all " + text.Grouped(int64(n))
	}
	return r.name(envoys)
}

// name names the first of some Envoys.
func (r *Report) name(envoys []int) string {
	var some []string
	for _, i := range envoys[:min(len(envoys), mostNamed)] {
		some = append(some, r.names[i])
	}
	named := strings.Join(some, ", ")
	if more := len(envoys) - len(some); more > 0 {
		named += fmt.Sprintf(" and %s more", text.Grouped(int64(more)))
	}
	return named
}

func (r *Report) read() (n int) {
	for i := range r.Envoys {
		if r.Envoys[i].Board != nil {
			n++
		}
	}
	return n
}

// since tells since when, by the Envoy's clock, and for how long.
func (r *row) since() (at, long string) {
	if r.Since == nil {
		return "-", "-"
	}
	at, long = r.Since.UTC().Format("2006-01-02 15:04:05"), text.Span(max(r.at.Sub(*r.Since), 0).Round(time.Second).Seconds())
	if r.Earlier {
		return "before " + at, "over " + long
	}
	return at, long
}

func (r *row) trips() string {
	if r.State == opened || r.State == halfOpen {
		return text.Grouped(int64(r.Trips))
	}
	return "-"
}

// next tells what the breaker waits for.
func (r *row) next() string {
	in := func(seconds float64) string {
		if seconds <= 0 {
			return "now"
		}
		return "in " + text.Span(min(seconds, 1e9))
	}
	switch {
	case r.State == opened && r.Probing:
		return "probe " + in(r.NextProbe)
	case r.State == opened:
		return in(r.NextTry)
	case r.State == halfOpen:
		return fmt.Sprintf("%d of %d good", r.Successes, r.policy().Threshold)
	}
	return "-"
}

func (r *row) why() string {
	if r.State != closed {
		return cmp.Or(r.Why, "-")
	}
	said := fmt.Sprintf("%s/%s failed", text.Grouped(int64(r.Failures)), text.Grouped(int64(r.Calls)))
	if r.SlowCalls > 0 {
		said += fmt.Sprintf(", %s slow", text.Grouped(int64(r.SlowCalls)))
	}
	return said
}
