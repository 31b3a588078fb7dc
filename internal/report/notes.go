package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"envoy-circuit-breaker/internal/text"
)

// MostHorizon is the longest horizon of a replay that is of use: what it takes memory for.
const MostHorizon = time.Hour

// note says what the reader must know: what is assumed, and what was left out.
func (r *Report) note() {
	say := func(is bool, format string, arguments ...any) {
		if is {
			r.Notes = append(r.Notes, fmt.Sprintf(format, arguments...))
		}
	}
	some := func(is func(Policy) bool) bool { return slices.ContainsFunc(r.Policies, is) }
	simulated := r.Simulation != nil
	say(simulated, "A request that is rejected would have ended as the scenario has it at that time, as trials and probes end; a service that gets less "+
		"load is no better for that.")
	say(simulated && r.Simulation.Instances > 1, "OPEN is how long a breaker was so on average.")
	say(!simulated, "Requests that would have been rejected are assumed to have ended as they did; the breaker heard nothing of them.")
	say(r.Recovery, "Trials are assumed to have ended as any request of their breaker did in the second before (-recovery).")
	say(some(func(p Policy) bool { return p.Fallback }), "Those that would have been sent to a fallback are among the rejected.")
	say(some(func(p Policy) bool { return p.Probe }), "Probes are not simulated: an open breaker tries requests when its open time is over.")
	say(some(func(p Policy) bool { return p.RetryAfter }), "Retry-After is not known: open.honor_retry_after has no effect.")
	say(r.AlreadyRejected > 0, "%s had been rejected or sent to a fallback by a breaker when the log was written. Nobody knows how they "+
		"would have ended, so they are left out: for the whole picture record a log with \"mode\": \"shadow\".", text.Count(r.AlreadyRejected, "request"))
	say(r.Broken > 0, "%s could not be understood and were left out.", text.Count(r.Broken, "line"))
	say(r.WithoutCluster > 0, "%s went to no upstream cluster and were left out.", text.Count(r.WithoutCluster, "request"))
	say(r.TooLate > 0, "%s came too late to be put in order and were left out: their requests began up to %s before one that had "+
		"ended already. %s", text.Count(r.TooLate, "line"), text.Span(r.LatestBy), remedy(r.LatestBy))
	say(r.HeldFor > 0, "More requests than -max-in-flight were within the horizon, so that it shrank to %s at times.", text.Span(r.HeldFor))
	for i := range r.Policies {
		p := &r.Policies[i]
		say(len(p.Unmatched) > 0, "%s: %s matched no request: %s.", p.Name, text.Count(int64(len(p.Unmatched)), "override"),
			strings.Join(p.Unmatched[:min(5, len(p.Unmatched))], ", "))
		say(p.WithoutBreaker > 0, "%s: %s beyond max_breakers (%d) had no breaker.", p.Name, text.Count(p.WithoutBreaker, "request"), p.MaxBreakers)
	}
	r.Notes = append(r.Notes, r.consequences()...)
}

// remedy says what to do about a request that began so many seconds too early.
func remedy(latestBy float64) string {
	if latestBy < MostHorizon.Seconds() {
		return "A longer -horizon takes them, and more memory."
	}
	return "The longest -horizon, " + MostHorizon.String() + ", does not take all of them: are they streams, or was a clock wrong?"
}
