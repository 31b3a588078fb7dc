package report

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
	Header  string
	Tables  []*text.Table // of each the first row is the head
	Drawn   []breakerView
	Undrawn int
}

// A breakerView is a breaker on the page.
type breakerView struct {
	*Breaker
	Name, Policy string
	Ending       string // its state, or how many of several are closed
	Facts        []fact
	Chart        *chart
	Listed       []Transition
	MoreListed   int
}

type fact struct{ Name, Value, Note string }

// WriteHTML writes the report as one page, which needs nothing else. It has timelines of the breakers that have Bins.
func (r *Report) WriteHTML(w io.Writer) error {
	t := r.sideBySide()
	if len(r.Policies) == 1 {
		t = r.one()
	}
	view := pageView{Report: r, Header: r.header(), Tables: []*text.Table{t}}
	if r.Simulation != nil {
		view.Tables = append(view.Tables, r.fleet())
	}
	drawn := r.entries()
	slices.SortStableFunc(drawn, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.Rejected, a.Rejected), cmp.Compare(b.Failures+b.SlowCalls, a.Failures+a.SlowCalls), cmp.Compare(b.Requests, a.Requests))
	})
	view.Undrawn = max(0, len(drawn)-mostDrawn)
	drawn = drawn[:len(drawn)-view.Undrawn]
	if len(r.Policies) > 1 {
		slices.SortFunc(drawn, compareEntries)
	}
	for _, e := range drawn {
		view.Drawn = append(view.Drawn, r.view(e))
	}
	return page.Execute(w, &view)
}

func (r *Report) view(e entry) breakerView {
	o := e.Breaker
	v := breakerView{Breaker: o, Name: o.name(), Ending: o.State, Chart: r.draw(o)}
	if fleet := r.Policies[e.policy].Fleet; o.Envoys > 0 {
		v.Ending = fmt.Sprintf("%d of %d not closed", fleet[len(fleet)-1].NotClosed, o.Envoys)
	}
	if len(r.Policies) > 1 {
		v.Policy = r.Policies[e.policy].Name
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
		{"Open", text.Span(o.OpenFor / o.envoys()), percent(int64(o.OpenFor/o.envoys()*1000), r.To.Sub(r.From).Milliseconds()) + " of the time"},
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
