package report

import (
	"fmt"
	"slices"
	"strings"

	"envoy-circuit-breaker/internal/text"
)

// A Simulation is what requests were simulated by.
type Simulation struct {
	Scenario  string `json:"scenario"`
	Instances int    `json:"instances"` // Envoys, each with a breaker of its own
	Seed      uint64 `json:"seed"`
}

// A Phase is what a service got from all Envoys during a phase of a scenario. Times are in seconds.
type Phase struct {
	Name string  `json:"name"`
	From float64 `json:"from_seconds"` // since the scenario's beginning
	To   float64 `json:"to_seconds"`

	Asked    int64 `json:"asked"`    // requests that began
	Admitted int64 `json:"admitted"` // of these, trials included
	Trials   int64 `json:"trials"`
	Probes   int64 `json:"probes"`
	// The most of each in a second.
	MostAdmitted int64 `json:"most_admitted_per_second"`
	MostTrials   int64 `json:"most_trials_per_second"`
	MostProbes   int64 `json:"most_probes_per_second"`

	NotClosed int `json:"not_closed_at_end"` // breakers
	// AllOpen is how long after the phase began the last breaker had opened that was closed then; null where none was closed, or some
	// never opened.
	AllOpen *float64 `json:"all_open_after_seconds"`
	// AllClosed is how long after the phase began the last breaker that was open had closed for good; null where none was open, or
	// some are at the phase's end.
	AllClosed *float64 `json:"all_closed_after_seconds"`
	// Half and Most are how long after the phase began half and 90 % of the requests of each second were admitted, until it was over;
	// null where it did not come to that, or they were from the beginning.
	Half *float64 `json:"admitted_50_percent_after_seconds"`
	Most *float64 `json:"admitted_90_percent_after_seconds"`
}

// Rate is how many of something there were in a second, on average.
func (p *Phase) Rate(n int64) float64 { return float64(n) / (p.To - p.From) }

// header says what the report is about.
func (r *Report) header() string {
	if s := r.Simulation; s != nil {
		return fmt.Sprintf("%s: %s in %s to %s, seed %d.", text.Printable(s.Scenario), text.Count(r.Lines, "request"), text.Span(r.Policies[0].Fleet[len(r.Policies[0].Fleet)-1].To),
			text.Count(int64(s.Instances), "Envoy"), s.Seed)
	}
	if r.From.IsZero() {
		return text.Count(r.Lines, "line") + ", and none to replay."
	}
	const layout = "2006-01-02 15:04:05"
	return fmt.Sprintf("%s, %s to %s UTC.", text.Count(r.Lines, "line"), r.From.Format(layout), r.To.Format(layout))
}

// writeFleet writes what the service got, if that was simulated.
func (r *Report) writeFleet(b *strings.Builder) {
	if r.Simulation != nil {
		r.fleet().Write(b)
	}
}

// fleet is what the service got, phase by phase.
func (r *Report) fleet() *text.Table {
	policies := len(r.Policies) > 1
	probes := slices.ContainsFunc(r.Policies, func(p Policy) bool { return p.Total.Probes > 0 })
	t := &text.Table{Left: 1}
	row := func(phase, policy string, rates, probing, rest []string) {
		names := []string{phase}
		if policies {
			names = append(names, policy)
			t.Left = 2
		}
		if !probes {
			probing = nil
		}
		t.Add(names, rates, probing, rest)
	}
	row("PHASE", "POLICY", []string{"ASKED/S", "ADMITTED/S", "MOST", "TRIALS/S", "MOST"}, []string{"PROBES/S", "MOST"}, []string{"50% IN", "90% IN", "ALL OPEN", "ALL CLOSED", "NOT CLOSED"})
	for i := range r.Policies[0].Fleet {
		for j, p := range r.Policies {
			f := &p.Fleet[i]
			name := f.Name
			if j > 0 {
				name = "" // it stands above
			}
			row(name, p.Name,
				[]string{rate(f.Rate(f.Asked)), rate(f.Rate(f.Admitted)), text.Grouped(f.MostAdmitted), rate(f.Rate(f.Trials)), text.Grouped(f.MostTrials)},
				[]string{rate(f.Rate(f.Probes)), text.Grouped(f.MostProbes)},
				[]string{after(f.Half), after(f.Most), after(f.AllOpen), after(f.AllClosed), text.Grouped(int64(f.NotClosed))})
		}
	}
	return t
}

// rate writes how many a second, with three digits or so.
func rate(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 10:
		return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return text.Grouped(int64(x + 0.5))
}

// after writes how long something took; a dash where it did not come to that.
func after(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return text.Span(*seconds)
}
