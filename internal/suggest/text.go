package suggest

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"envoy-circuit-breaker/internal/text"
)

const (
	clock = "2006-01-02 15:04:05"
	// mostTold outages of a cluster, and clusters without one, are told one by one.
	mostTold = 20
	mostBare = 5
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s, ", text.Count(r.Lines, "line"))
	if r.Requests == 0 {
		b.WriteString("and no request to learn from.\n\n")
	} else {
		fmt.Fprintf(b, "%s to %s UTC.\n\n", r.From.Format(clock), r.To.Format(clock))
	}
	var bare []string
	blips := 0
	for i := range r.Clusters {
		if c := &r.Clusters[i]; len(c.Outages) > 0 {
			r.writeCluster(b, c)
		} else {
			bare = append(bare, text.Printable(c.Cluster))
			blips += c.Blips
		}
	}
	if len(bare) > 0 {
		r.writeBare(b, bare, blips)
	}
	if r.Configuration != "" {
		fmt.Fprintf(b, "A configuration with the first suggestion of each cluster:\n%s\n", r.Configuration)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(b, "* %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeCluster writes what was found for a cluster that has outages.
func (r *Report) writeCluster(b *strings.Builder, c *Result) {
	fmt.Fprintf(b, "%s: %s", text.Printable(c.Cluster), text.Count(int64(c.Requests), "request"))
	if c.Envoys > 1 {
		fmt.Fprintf(b, " to %d Envoys", c.Envoys)
	}
	fmt.Fprintf(b, ". Usual: %s bad, the 99th percentile of good answers %s. Too slow: more than %s.\n",
		percent(c.Bad), text.Span(c.P99), text.Span(c.TooSlow))
	for i, o := range c.Outages {
		if i == mostTold {
			fmt.Fprintf(b, "  and %s\n", text.Count(int64(len(c.Outages)-i), "more outage"))
			break
		}
		fmt.Fprintf(b, "  outage at %s, %s long: %s of %s bad\n",
			o.Begin.Format(clock), text.Span(o.Lasted), text.Grouped(int64(o.Bad)), text.Count(int64(o.Requests), "request"))
	}
	if c.Blips > 0 {
		fmt.Fprintf(b, "  %s shorter than %s\n", text.Count(int64(c.Blips), "blip"), text.Span(r.LeastOutage))
	}
	b.WriteString("\n")
	if c.Now != nil {
		r.writePolicies(b, c)
	}
}

// writePolicies writes the table of a cluster's policies, and each of them.
func (r *Report) writePolicies(b *strings.Builder, c *Result) {
	t := &text.Table{Left: 1}
	t.Add([]string{"POLICY", "CAUGHT", "NEEDLESS", "AVOIDED", "LOST", "SHARE", "NOTICED"})
	row := func(name string, p *Policy) {
		noticed := "-"
		if p.NoticedMax != nil {
			noticed = text.Span(*p.NoticedMedian) + ", most " + text.Span(*p.NoticedMax)
		}
		caught := fmt.Sprintf("%d of %d", p.Caught, len(c.Outages))
		needless, avoided, lost := text.Grouped(int64(p.Needless)), text.Grouped(p.Avoided), text.Grouped(p.Lost)
		t.Add([]string{name, caught, needless, avoided, lost, percent(p.LostShare), noticed})
	}
	row("now", c.Now)
	var overrides strings.Builder
	for i := range c.Suggestions {
		p, name := &c.Suggestions[i], strconv.Itoa(i+1)
		if row(name, p); p.IsNow {
			fmt.Fprintf(&overrides, "%s  what it has now\n", name)
		} else {
			fmt.Fprintf(&overrides, "%s  %s\n", name, p.Override)
		}
	}
	if c.Beyond != nil {
		row("beyond", c.Beyond)
		fmt.Fprintf(&overrides, "beyond -max-lost %s:\n   %s\n", percent(r.MaxLost), c.Beyond.Override)
	}
	t.Write(b)
	if len(c.Suggestions) == 0 {
		fmt.Fprintf(b, "No policy that was tried opens in an outage and loses at most %s of the good requests (-max-lost).\n", percent(r.MaxLost))
	}
	b.WriteString(overrides.String() + "\n")
}

// writeBare writes of which clusters nothing can be learnt.
func (r *Report) writeBare(b *strings.Builder, names []string, blips int) {
	where := ""
	if len(names) < len(r.Clusters) {
		where = " in " + strings.Join(names[:min(mostBare, len(names))], ", ")
		if more := len(names) - mostBare; more > 0 {
			where += " and " + text.Grouped(int64(more)) + " more"
		}
	}
	slow := "that takes three times the usual 99th percentile (-slow)"
	if r.tooSlow > 0 {
		slow = "that takes more than " + text.Span(r.tooSlow.Seconds()) + " (-slow)"
	}
	least := shortDuration(time.Duration(r.LeastOutage * float64(time.Second)))
	fmt.Fprintf(b, "There is no outage to learn from%s. One would be %s or more (-outage) in which clearly more requests than usual are bad, "+
		"ten at least; bad is what fails, or %s. Shorter ones: %s.\n\n", where, least, slow, text.Grouped(int64(blips)))
}

// percent writes a share with three digits or so.
func percent(share float64) string { return strconv.FormatFloat(share, 'g', 3, 64) + "%" }
