package report

import (
	"fmt"

	"envoy-circuit-breaker/internal/text"
)

// A Merger makes the report of a log of the reports of its parts: the very report that the whole log would have had, since no breaker's
// depends on another's. So all requests of a breaker must be in one part.
type Merger struct {
	Version string // of this breakerctl, by which all parts must be, too

	merged *Report
	first  string            // the name of the first part
	names  map[string]string // of parts, by digest
	// By policy:
	parts    []map[owner]string // where each breaker is from
	breakers []map[string]int   // how many an instance has
}

// An owner is whose breaker it is.
type owner struct{ instance, cluster, route string }

// Add adds a part: its JSON, as [Report.WriteJSON] wrote it, and its name, which an error has. A part must be of the same policies, in
// the same order, and of the same flags. Parts have no breaker in common, and no more of one instance than max_breakers
// together: which of them would have been the first, they do not tell. After an error the Merger is of no more use.
//
// What it cannot know is which lines would have come too late in the whole, or made its horizon shrink.
func (m *Merger) Add(name string, json []byte) error {
	part, digest, err := parse(json)
	if err != nil {
		return fmt.Errorf("%s %w", name, err)
	}
	if part.Version != m.Version {
		return fmt.Errorf("%s was made by breakerctl %s, and this is %s: make it again, by this one", name, text.Printable(part.Version), m.Version)
	}
	if m.merged == nil {
		m.begin(name, part)
	} else if difference := m.merged.differs(part); difference != "" {
		return fmt.Errorf("%s and %s cannot be merged: %s: make both with the same policies and flags", m.first, name, difference)
	}
	if other, is := m.names[digest]; is && part.Lines > 0 {
		return fmt.Errorf("%s is the same report as %s, whose lines would count twice: leave one out. If they are of two parts that both have no lines "+
			"but of requests without a cluster, make one part of them", name, other)
	}
	m.names[digest] = name
	for i := range part.Policies {
		if err := m.take(i, name, part.Policies[i].Breakers); err != nil {
			return err
		}
	}
	m.merged.add(part)
	return nil
}

// begin makes the report that parts are added to: one of no lines, with the policies of the first part.
func (m *Merger) begin(name string, part *Report) {
	m.first, m.names = name, map[string]string{}
	m.merged = &Report{Version: part.Version, MadeWith: part.MadeWith, Recovery: part.Recovery}
	for _, p := range part.Policies {
		p.Breakers, p.WithoutBreaker = nil, 0
		m.merged.Policies = append(m.merged.Policies, p)
		m.parts = append(m.parts, map[owner]string{})
		m.breakers = append(m.breakers, map[string]int{})
	}
}

// differs says how the other report was made in another way; "" where it was not.
func (r *Report) differs(other *Report) string {
	if len(r.Policies) != len(other.Policies) {
		return fmt.Sprintf("one has %d of the policies, the other %d", len(r.Policies), len(other.Policies))
	}
	for i := range r.Policies {
		p, o := &r.Policies[i], &other.Policies[i]
		switch {
		case p.Name != o.Name:
			return fmt.Sprintf("policy %d is %s in one, %s in the other", i+1, text.Printable(p.Name), text.Printable(o.Name))
		case p.Fingerprint != o.Fingerprint:
			return text.Printable(p.Name) + " is another configuration in one than in the other"
		}
	}
	if r.MadeWith != other.MadeWith {
		return fmt.Sprintf("one was made with %s, the other with %s", text.Printable(r.MadeWith), text.Printable(other.MadeWith))
	}
	return ""
}

// take notes the breakers that a part has by a policy.
func (m *Merger) take(policy int, part string, breakers []Breaker) error {
	p := &m.merged.Policies[policy]
	for i := range breakers {
		b := &breakers[i]
		id := owner{b.Instance, b.Cluster, b.Route}
		if other, taken := m.parts[policy][id]; taken {
			return fmt.Errorf("%s and %s both have the breaker of %s. If they are of the same lines, or one is left over from an earlier run, leave it "+
				"out; else each had only some of its requests: split the log by cluster or by Envoy, so that all lines of a cluster of an Envoy are in "+
				"one part", other, part, b.name())
		}
		m.parts[policy][id] = part
		if m.breakers[policy][b.Instance]++; m.breakers[policy][b.Instance] > p.MaxBreakers {
			envoy := ""
			if b.Instance != "" {
				envoy = " of " + text.Printable(b.Instance)
			}
			return fmt.Errorf("%s: with %s there are more breakers%s than max_breakers (%d) of %s, and parts do not tell which would have been "+
				"the first. Split the log by Envoy rather than by cluster", part, b.name(), envoy, p.MaxBreakers, text.Printable(p.Name))
		}
	}
	return nil
}

// add adds what a part has.
func (r *Report) add(part *Report) {
	if !part.From.IsZero() && (r.From.IsZero() || part.From.Before(r.From)) {
		r.From = part.From
	}
	if part.To.After(r.To) {
		r.To = part.To
	}
	r.Lines += part.Lines
	for _, l := range part.Logs {
		r.AddLog(l)
	}
	r.Broken += part.Broken
	r.BrokenLines = append(r.BrokenLines, part.BrokenLines...)
	r.BrokenLines = r.BrokenLines[:min(len(r.BrokenLines), MostBroken)]
	r.WithoutCluster += part.WithoutCluster
	r.AlreadyRejected += part.AlreadyRejected
	r.TooLate += part.TooLate
	r.LatestBy = max(r.LatestBy, part.LatestBy)
	if r.HeldFor == 0 || part.HeldFor > 0 && part.HeldFor < r.HeldFor {
		r.HeldFor = part.HeldFor
	}
	for i := range r.Policies {
		p, o := &r.Policies[i], &part.Policies[i]
		p.Breakers = append(p.Breakers, o.Breakers...)
		p.WithoutBreaker += o.WithoutBreaker
		p.Unmatched = both(p.Unmatched, o.Unmatched)
	}
}

// Report returns the report of all parts together, of which there must be one.
func (m *Merger) Report() *Report {
	m.merged.Complete()
	return m.merged
}
