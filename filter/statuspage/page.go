package statuspage

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"
)

// Render returns the page, as of now: JSON for programs that ask for it, else HTML. accept is the request's header of
// that name.
func Render(plugin string, now time.Time, clusters []Cluster, accept string) (contentType, body string) {
	if strings.Contains(accept, "application/json") {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // people read it too
		e.SetIndent("", "  ")
		err := e.Encode(struct {
			Plugin   string    `json:"plugin"`
			At       time.Time `json:"at"`
			Clusters []Cluster `json:"clusters"`
		}{plugin, now, clusters})
		if err != nil {
			return "text/plain", err.Error() // cannot happen: there is nothing in it that JSON cannot write
		}
		return "application/json", b.String()
	}
	return "text/html; charset=utf-8", htmlPage(plugin, now, clusters)
}

// shownStates are the states in the order of the page: first what somebody may have to look after.
var shownStates = []struct{ name, text, color string }{
	{"open", "open", "d1242f"},
	{"forced_open", "forced open", "d1242f"},
	{"half_open", "half-open", "bf8700"},
	{"closed", "closed", "1f883d"},
	{"disabled", "disabled", "818b98"},
}

//go:embed page.css
var pageStyle string

// htmlPage loads nothing, runs nothing, and asks for itself again every two seconds. Its title and icon tell the worst of it
// to those who keep it in a tab.
func htmlPage(plugin string, now time.Time, clusters []Cluster) string {
	var pills, title, sections strings.Builder
	icon := "818b98"
	for _, state := range shownStates {
		n := 0
		for i := range clusters {
			if clusters[i].State == state.name {
				n++
				section(&sections, now, &clusters[i], state.text)
			}
		}
		if n == 0 {
			continue
		}
		if title.Len() == 0 {
			icon = state.color
		} else {
			title.WriteString(", ")
		}
		fmt.Fprintf(&title, "%d %s", n, state.text)
		fmt.Fprintf(&pills, `<span class="pill %s">%d %s</span>`, state.name, n, state.text)
	}
	if len(clusters) == 0 {
		title.WriteString("no cluster yet")
		sections.WriteString("<p class=\"empty\">No cluster has had a request yet.</p>\n")
	}

	plugin = html.EscapeString(plugin)
	return fmt.Sprintf(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>%s: %s</title>
<link rel="icon" href="data:image/svg+xml,%%3Csvg xmlns='http:%%2F%%2Fwww.w3.org/2000/svg' viewBox='0 0 2 2'%%3E%%3Ccircle cx='1' cy='1' r='.9' fill='%%23%s'/%%3E%%3C/svg%%3E">
<style>
%s</style>
</head>
<body>
<header><h1>Circuit breakers</h1><p class="counts">%s</p><p class="now">Plugin %s, %s UTC</p></header>
<main>
%s</main>
<footer>Refreshes every 2 seconds. Nothing on this page changes anything.</footer>
</body>
</html>
`, plugin, title.String(), icon, pageStyle, pills.String(), plugin, now.UTC().Format("2 Jan 2006 15:04:05"), sections.String())
}

// breakable lets long names of clusters break where one would break them.
var breakable = strings.NewReplacer(".", ".<wbr>", "|", "|<wbr>")

// section shows one cluster.
func section(b *strings.Builder, now time.Time, c *Cluster, state string) {
	fmt.Fprintf(b, `<section class="%s"><h2>%s</h2><div class="states"><span class="pill">%s</span>`,
		c.State, breakable.Replace(html.EscapeString(c.Name)), capital(state))
	if c.Policy.Mode == breaker.Shadow.String() {
		b.WriteString(` <span class="pill mode">shadow</span>`)
	}
	b.WriteString("</div><dl>")
	switch c.State {
	case "open":
		next := "in\u00a0" + seconds(c.NextTry)
		if c.NextTry == 0 {
			next = "now" // the next request is the first trial
		}
		entry(b, "Next try", next, "")
		entry(b, "Trips in a row", grouped(uint64(c.Trips)), "")
	case "half_open":
		entry(b, "Good trials", grouped(uint64(c.Successes)), fmt.Sprintf("of %d to close", c.Policy.SuccessThreshold))
		entry(b, "Trials in flight", strconv.Itoa(c.Trials), fmt.Sprintf("of %d at once", c.Policy.MaxTrials))
	case "closed":
		entry(b, "Calls", grouped(c.Calls), windowText(c))
		rate(b, "Failed", c.FailureRate, "", c.Policy.FailureRate)
		if c.Policy.SlowCallSeconds > 0 {
			rate(b, "Slow", c.SlowRate, "over "+seconds(c.Policy.SlowCallSeconds)+", ", c.Policy.SlowCallRate)
		}
	}
	if c.State != "disabled" {
		b.WriteString(`<div class="last">`)
		pair(b, "Rejected", grouped(c.Rejected), turnedAway(c))
		b.WriteString("</div>")
	}
	b.WriteString("</dl>")
	if len(c.Transitions) > 0 {
		b.WriteString("<ol>")
		for _, t := range c.Transitions {
			history(b, now, t)
		}
		b.WriteString("</ol>")
	}
	b.WriteString("</section>\n")
}

// windowText says what the calls are those of, and from how many on they are judged.
func windowText(c *Cluster) string {
	p := &c.Policy
	text := "in " + seconds(p.WindowSeconds)
	if p.WindowRequests > 0 {
		text = "of the last " + grouped(uint64(p.WindowRequests))
	}
	if rates := p.FailureRate > 0 || p.SlowCallSeconds > 0; rates && c.Calls < uint64(p.MinRequests) {
		text += ", judged from " + grouped(uint64(p.MinRequests))
	}
	return text
}

// turnedAway tells of requests that were not admitted, and not rejected either.
func turnedAway(c *Cluster) string {
	var parts []string
	if c.Fallback > 0 {
		parts = append(parts, grouped(c.Fallback)+" to the fallback")
	}
	if c.ShadowRejected > 0 {
		parts = append(parts, grouped(c.ShadowRejected)+" would be")
	}
	return strings.Join(parts, ", ")
}

func entry(b *strings.Builder, name, value, note string) {
	b.WriteString("<div>")
	pair(b, name, value, note)
	b.WriteString("</div>")
}

func pair(b *strings.Builder, name, value, note string) {
	fmt.Fprintf(b, "<dt>%s</dt><dd>%s", name, value)
	if note != "" {
		fmt.Fprintf(b, `<span class="note">%s</span>`, note)
	}
	b.WriteString("</dd>")
}

// rate shows a rate beside the one that opens the breaker; a limit of 0 is none.
func rate(b *strings.Builder, name string, percent float64, note string, limit float64) {
	class, at := "bar", ""
	if limit == 0 {
		note += "opens no breaker"
	} else {
		at = fmt.Sprintf(";--limit:%.4g", limit)
		note += fmt.Sprintf("opens at %.4g%%", limit)
		switch {
		case percent >= limit:
			class = "bar over"
		case percent >= limit/2:
			class = "bar near"
		}
	}
	entry(b, name, fmt.Sprintf(`%.1f%%<span class="%s" style="--value:%.1f%s"></span>`, percent, class, percent, at), note)
}

// history shows a transition, which a log line tells as "from -> to: why".
func history(b *strings.Builder, now time.Time, t Transition) {
	change, why, _ := strings.Cut(t.Text, ": ")
	change = strings.NewReplacer("->", "→", "_", "-").Replace(change)
	why = strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(why) // in durations
	at, layout := t.At.UTC(), "15:04:05"
	if at.YearDay() != now.UTC().YearDay() || at.Year() != now.UTC().Year() {
		layout = "2 Jan 15:04"
	}
	fmt.Fprintf(b, `<li><b>%s</b><time datetime="%s">%s, %s</time><span>%s</span></li>`, html.EscapeString(change),
		at.Format(time.RFC3339), at.Format(layout), ago(now.Sub(at)), html.EscapeString(why))
}
