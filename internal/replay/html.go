package replay

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"envoy-circuit-breaker/internal/text"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"count": text.Count, "span": func(s *float64) string { return text.Span(*s) }, "clock": func(t time.Time) string { return t.Format("2006-01-02 15:04:05.000") },
}).Parse(pageText))

// mostDrawn breakers have a timeline on the page: those that would have rejected most.
const mostDrawn = 50

// A pageView is what the page shows.
type pageView struct {
	*Report
	Table   [][]string // its first row is the head
	Left    int        // how many of its columns are names
	Drawn   []breakerView
	Undrawn int
}

// A breakerView is a breaker on the page.
type breakerView struct {
	*Owner
	Name, Policy string
	Facts        []fact
	Chart        *chart
	Listed       []Transition
	MoreListed   int
}

type fact struct{ Name, Value, Note string }

// WriteHTML writes the report as one page, which needs nothing else. The replay must have kept a timeline.
func (r *Report) WriteHTML(w io.Writer) error {
	t := r.sideBySide()
	if len(r.Policies) == 1 {
		t = r.one()
	}
	view := pageView{Report: r, Table: t.Rows, Left: t.Left}
	var owners []*Owner
	order := map[*Policy]int{}
	for i := range r.Policies {
		for j := range r.Policies[i].Owners {
			owners = append(owners, &r.Policies[i].Owners[j])
			order[owners[len(owners)-1].policy] = i
		}
	}
	byRejected := func(a, b *Owner) int {
		return cmp.Or(cmp.Compare(b.Rejected, a.Rejected), cmp.Compare(b.Failures+b.SlowCalls, a.Failures+a.SlowCalls), cmp.Compare(b.Requests, a.Requests))
	}
	slices.SortStableFunc(owners, byRejected)
	view.Undrawn = max(0, len(owners)-mostDrawn)
	owners = owners[:len(owners)-view.Undrawn]
	if len(r.Policies) > 1 { // what is compared stands together
		slices.SortFunc(owners, func(a, b *Owner) int {
			return cmp.Or(compareOwners(*a, *b), cmp.Compare(order[a.policy], order[b.policy]))
		})
	}
	for _, o := range owners {
		view.Drawn = append(view.Drawn, r.view(o))
	}
	return page.Execute(w, &view)
}

func (r *Report) view(o *Owner) breakerView {
	v := breakerView{Owner: o, Name: o.name(), Chart: r.draw(o)}
	if len(r.Policies) > 1 {
		v.Policy = o.policy.Name
	}
	percent := func(part, whole int64) string {
		if whole == 0 {
			return ""
		}
		return fmt.Sprintf("%.3g%%", float64(part)*100/float64(whole))
	}
	v.Facts = []fact{
		{"Requests", text.Grouped(o.Requests), ""},
		{"Failed", text.Grouped(o.Failures), percent(o.Failures, o.Calls) + " of those counted"},
		{"Slow", text.Grouped(o.SlowCalls), percent(o.SlowCalls, o.Calls) + " of those counted"},
		{"Trips", text.Grouped(o.Trips), ""},
		{"Open", text.Span(o.OpenFor), percent(int64(o.OpenFor*1000), r.To.Sub(r.From).Milliseconds()) + " of the time"},
		{"Rejected", text.Grouped(o.Rejected), percent(o.Rejected, o.Requests) + " of the requests"},
		{"Saved", text.Grouped(o.Saved), "of these had failed or were slow"},
		{"Lost", text.Grouped(o.Lost), "of these had succeeded"},
	}
	if o.NoticedMax != nil {
		v.Facts = append(v.Facts, fact{"Noticed in", text.Span(*o.NoticedMedian), "at most " + text.Span(*o.NoticedMax)})
	}
	for _, m := range o.Transitions {
		switch {
		case m.To == "half_open":
		case len(v.Listed) == 5*mostShown:
			v.MoreListed++
		default:
			v.Listed = append(v.Listed, m)
		}
	}
	v.MoreListed += o.TransitionsLeftOut
	return v
}
