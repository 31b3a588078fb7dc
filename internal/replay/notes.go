package replay

import (
	"fmt"
	"slices"
	"strings"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/text"
)

// note says what the reader must know: what is assumed, and what was left out.
func (r *Replay) note() {
	out := &r.report
	say := func(is bool, format string, arguments ...any) {
		if is {
			out.Notes = append(out.Notes, fmt.Sprintf(format, arguments...))
		}
	}
	some := func(is func(*config.Rules) bool) bool {
		return slices.ContainsFunc(r.policies, func(p *policy) bool {
			return is(&p.Config.Rules) || slices.ContainsFunc(p.Config.Overrides, func(o config.Override) bool { return is(&o.Rules) })
		})
	}
	say(true, "Requests that would have been rejected are assumed to have ended as they did; the breaker heard nothing of them.")
	say(out.Recovery, "Trials are assumed to have ended as any request of their breaker did in the second before (-recovery).")
	say(some(func(rules *config.Rules) bool { return rules.Fallback.Header != "" }), "Those that would have been sent to a fallback are among the rejected.")
	say(some(func(rules *config.Rules) bool { return rules.Policy.ProbeInterval > 0 }),
		"Probes are not simulated: an open breaker tries requests when its open time is over.")
	say(some(func(rules *config.Rules) bool { return rules.HonorRetryAfter }), "Logs do not have Retry-After: open.honor_retry_after has no effect.")
	say(out.AlreadyRejected > 0, "%s had been rejected or sent to a fallback by a breaker when the log was written. Nobody knows how they "+
		"would have ended, so they are left out: for the whole picture record a log with \"mode\": \"shadow\".", text.Count(out.AlreadyRejected, "request"))
	say(out.Broken > 0, "%s could not be understood and were left out.", text.Count(out.Broken, "line"))
	say(out.WithoutCluster > 0, "%s went to no upstream cluster and were left out.", text.Count(out.WithoutCluster, "request"))
	say(out.TooLate > 0, "%s came too late to be put in order and were left out: their requests began up to %s before one that had "+
		"ended already. %s", text.Count(out.TooLate, "line"), text.Span(out.LatestBy), remedy(out.LatestBy))
	say(out.HeldFor > 0, "More requests than -max-in-flight were within the horizon, so that it shrank to %s at times.", text.Span(out.HeldFor))
	for _, p := range r.policies {
		unmatched := p.unmatched()
		say(len(unmatched) > 0, "%s: %s matched no request: %s.", p.Name, text.Count(int64(len(unmatched)), "override"), strings.Join(unmatched[:min(5, len(unmatched))], ", "))
		say(p.withoutBreaker > 0, "%s: %s beyond max_breakers (%d) had no breaker.", p.Name, text.Count(p.withoutBreaker, "request"), p.Config.MaxBreakers)
	}
}

// unmatched names the overrides that gave no breaker its rules.
func (p *policy) unmatched() (names []string) {
	matched := map[int]bool{}
	for id := range p.owners {
		matched[p.Config.Match(id.cluster, id.route)] = true
	}
	for i := range p.Config.Overrides {
		if !matched[i] {
			names = append(names, p.Config.Overrides[i].Name())
		}
	}
	return names
}

// remedy says what to do about a request that began so many seconds too early.
func remedy(latestBy float64) string {
	if latestBy < MostHorizon.Seconds() {
		return "A longer -horizon takes them, and more memory."
	}
	return "The longest -horizon, " + MostHorizon.String() + ", does not take all of them: are they streams, or was a clock wrong?"
}
