package main

import (
	"encoding/json"
	"fmt"
	"html"
	"strings"
	"time"
)

// A clusterStatus is what the status page says of one cluster's breaker.
type clusterStatus struct {
	Cluster   string  `json:"cluster"`
	State     string  `json:"state"`
	NextTry   float64 `json:"next_try_seconds"` // rest of the open time, while open
	Trips     uint32  `json:"trips"`            // in a row
	Successes uint32  `json:"successes"`        // of trials, while half-open
	Trials    int     `json:"trials_in_flight"` // while half-open

	// In the window, while closed. Rates are percentages.
	Calls       uint64  `json:"calls"`
	FailureRate float64 `json:"failure_rate"`
	SlowRate    float64 `json:"slow_rate"`

	Rejected    uint64          `json:"rejected"`    // ever
	Transitions []transitionLog `json:"transitions"` // the last ones, the newest first
}

// A transitionLog is one line of a cluster's history.
type transitionLog struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// page is the answer of the status page: JSON for programs that ask for it, else HTML.
func page(plugin string, now time.Time, clusters []clusterStatus, accept string) (contentType, body string) {
	if strings.Contains(accept, "application/json") {
		b, err := json.MarshalIndent(struct {
			Plugin   string          `json:"plugin"`
			At       time.Time       `json:"at"`
			Clusters []clusterStatus `json:"clusters"`
		}{plugin, now, clusters}, "", "  ")
		if err != nil {
			return "text/plain", err.Error() // cannot happen: there is nothing in it that JSON cannot write
		}
		return "application/json", string(b) + "\n"
	}
	return "text/html; charset=utf-8", htmlPage(plugin, now, clusters)
}

func htmlPage(plugin string, now time.Time, clusters []clusterStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, pageHead, html.EscapeString(plugin), html.EscapeString(plugin), now.UTC().Format("15:04:05"), len(clusters))
	if len(clusters) == 0 {
		b.WriteString("<p>No cluster has had a request yet.</p>")
	}
	for _, c := range clusters {
		fmt.Fprintf(&b, `<section class="%s"><h2>%s</h2><p class="state">%s</p><dl>`,
			c.State, html.EscapeString(c.Cluster), stateText(c))
		if c.State == "closed" {
			entry(&b, "calls in the window", fmt.Sprint(c.Calls))
			rate(&b, "failed", c.FailureRate)
			rate(&b, "slow", c.SlowRate)
		}
		entry(&b, "rejected so far", fmt.Sprint(c.Rejected))
		b.WriteString("</dl>")
		if len(c.Transitions) > 0 {
			b.WriteString("<ol>")
			for _, t := range c.Transitions {
				fmt.Fprintf(&b, "<li><time>%s</time> %s</li>", t.At.UTC().Format("2006-01-02 15:04:05"), html.EscapeString(t.Text))
			}
			b.WriteString("</ol>")
		}
		b.WriteString("</section>\n")
	}
	b.WriteString(pageFoot)
	return b.String()
}

// stateText is the state, and what goes with it.
func stateText(c clusterStatus) string {
	switch c.State {
	case "open":
		return fmt.Sprintf("open: next try in %.1f s, trip %d in a row", c.NextTry, c.Trips)
	case "half_open":
		return fmt.Sprintf("half-open: %d trials good, %d in flight", c.Successes, c.Trials)
	}
	return c.State
}

func entry(b *strings.Builder, name, value string) {
	fmt.Fprintf(b, "<div><dt>%s</dt><dd>%s</dd></div>", name, value)
}

func rate(b *strings.Builder, name string, percent float64) {
	entry(b, name, fmt.Sprintf(`%.1f %%<meter max="100" value="%.1f"></meter>`, percent, percent))
}

// The page loads nothing, runs nothing, and asks for itself again every two seconds.
const pageHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>Circuit breakers: %s</title>
<style>
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --page: #f6f8fa; --card: #fff; --line: #d0d7de; --closed: #1a7f37; --open: #cf222e; --half: #9a6700; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9198a1; --page: #0d1117; --card: #161b22; --line: #30363d; --closed: #3fb950; --open: #ff7b72; --half: #d29922; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; font: 1rem/1.45 system-ui, sans-serif; color: var(--text); background: var(--page); }
h1 { font-size: 1.35rem; margin: 0; }
header p { margin: .2rem 0 1rem; color: var(--soft); }
main { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%%, 22rem), 1fr)); align-items: start; }
section { background: var(--card); border: 1px solid var(--line); border-left: .4rem solid var(--closed); border-radius: .5rem; padding: .8rem 1rem; }
section.open { border-left-color: var(--open); }
section.half_open { border-left-color: var(--half); }
h2 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
.state { margin: .1rem 0 .6rem; font-weight: 600; color: var(--closed); }
.open .state { color: var(--open); }
.half_open .state { color: var(--half); }
dl { display: grid; gap: .3rem .8rem; margin: 0; }
dl div { display: flex; justify-content: space-between; gap: .8rem; }
dt { color: var(--soft); }
dd { margin: 0; font-variant-numeric: tabular-nums; text-align: right; }
meter { display: block; width: 8rem; margin-left: auto; }
ol { list-style: none; margin: .7rem 0 0; padding: .6rem 0 0; border-top: 1px solid var(--line); font-size: .85rem; color: var(--soft); }
li { margin: .25rem 0; overflow-wrap: anywhere; }
time { font-variant-numeric: tabular-nums; color: var(--text); }
</style>
</head>
<body>
<header><h1>Circuit breakers: %s</h1><p>%s UTC, %d clusters</p></header>
<main>
`

const pageFoot = `</main>
</body>
</html>
`
