package replay

import (
	"errors"
	"fmt"
	"slices"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/report"
)

// A policy is one of those that are replayed.
type policy struct {
	Policy
	at             int
	owners         map[identity]*owner
	breakers       map[string]int // by instance
	withoutBreaker int64          // requests beyond max_breakers
}

// owner finds whose breaker a source's requests have, or makes it; nil beyond max_breakers.
func (p *policy) owner(r *Replay, id identity) *owner {
	id.route = p.Config.OwnRoute(id.cluster, id.route)
	if o := p.owners[id]; o != nil {
		return o
	}
	if p.breakers[id.instance] == p.Config.MaxBreakers {
		return nil
	}
	o, err := newOwner(&r.run, p.at, p.Config, id)
	if err != nil {
		panic(errors.Join(errors.New("a policy that its parser took"), err))
	}
	if r.timeline {
		r.drawn = append(r.drawn, o)
	}
	p.breakers[id.instance]++
	p.owners[id] = o
	return o
}

// finish reports what the policy would have done.
func (p *policy) finish() report.Policy {
	out := p.Report()
	out.WithoutBreaker, out.Unmatched = p.withoutBreaker, p.unmatched()
	for _, o := range p.owners {
		out.Breakers = append(out.Breakers, o.finish())
	}
	return out
}

// Report is what a report has of the policy itself.
func (p *Policy) Report() report.Policy {
	some := func(is func(*config.Rules) bool) bool {
		return is(&p.Config.Rules) || slices.ContainsFunc(p.Config.Overrides, func(o config.Override) bool { return is(&o.Rules) })
	}
	return report.Policy{
		Name: p.Name, Fingerprint: fingerprint(p.Config), MaxBreakers: p.Config.MaxBreakers,
		Fallback:   some(func(r *config.Rules) bool { return r.Fallback.Header != "" }),
		Probe:      some(func(r *config.Rules) bool { return r.Policy.ProbeInterval > 0 }),
		RetryAfter: some(func(r *config.Rules) bool { return r.HonorRetryAfter }),
	}
}

// unmatched names the overrides that gave no breaker its rules.
func (p *policy) unmatched() []string {
	matched := map[int]bool{}
	for id := range p.owners {
		matched[p.Config.Match(id.cluster, id.route)] = true
	}
	return p.Unmatched(matched)
}

// Unmatched names the overrides that are not among those of the given numbers, by their place: several can be for the same clusters.
func (p *Policy) Unmatched(matched map[int]bool) (names []string) {
	for i := range p.Config.Overrides {
		if !matched[i] {
			names = append(names, fmt.Sprintf("clusters[%d] %s", i, p.Config.Overrides[i].Name()))
		}
	}
	return names
}
