package suggest

import (
	"fmt"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/text"
)

// mostlyBad is the percentage of bad requests from which on what is usual looks like an outage.
const mostlyBad = 50

// note says what the reader must know: what is assumed, and what was left out.
func (r *Report) note(base *Base) {
	say := func(is bool, format string, arguments ...any) {
		if is {
			r.Notes = append(r.Notes, fmt.Sprintf(format, arguments...))
		}
	}
	suggests := false
	for i := range r.Clusters {
		suggests = suggests || len(r.Clusters[i].Suggestions) > 0
	}
	say(suggests, "Requests that would have been rejected are assumed to have ended as they did. What breakers reject depends on when they "+
		"happen to try requests again: the figures are the mean of %d plays, CAUGHT and NEEDLESS those of the worst.", lucks)
	for i := range r.Clusters {
		c := &r.Clusters[i]
		rules, name := base.rules(c.Cluster), text.Printable(c.Cluster)
		say(len(c.Suggestions) > 0 && c.Suggestions[0].Lost > c.Suggestions[0].Avoided,
			"%s: what is suggested loses more good requests than it avoids calls. That may be worse than no breaker.", name)
		say(len(c.Outages) > 0 && base.byRoute(c.Cluster), "%s has or may have breakers of its routes, so there is no suggestion: what is searched is one "+
			"breaker for the whole cluster. For that one use a -config without \"per\": \"route\" and without overrides with \"route\" that match it.", name)
		say(len(c.Suggestions) > 0 && isGlob(c.Cluster), "%s: a * in the name of an override stands for anything, so this one matches other clusters, too.", name)
		say(c.Bad >= mostlyBad, "%s: usually %s of its requests are bad, by this log, and what is usual is no outage. If that was one, the log "+
			"must have time before or after it, too: a quarter or more.", name, percent(c.Bad))
		say(c.P99 > c.TooSlow, "%s: usually more than 1%% of the good answers take longer than -slow, which count as bad here.", name)
		say(c.Now != nil && (rules.Policy.Mode == breaker.Disabled || rules.Policy.Mode == breaker.ForceOpen),
			"%s is in mode %v now. What is suggested is in mode shadow, and rejects nothing.", name, rules.Policy.Mode)
	}
	say(r.Truncated, "The log has more requests than -max-requests. What is here was learnt from the first %s, until %s.",
		text.Grouped(int64(r.Requests)), r.To.Format(clock))
	say(r.AlreadyRejected > 0, "%s had been rejected or sent to a fallback by a breaker when the log was written. Nobody knows how they "+
		"would have ended, so they are left out: for the whole picture record a log with \"mode\": \"shadow\".",
		text.Count(r.AlreadyRejected, "request"))
	say(r.Broken > 0, "%s could not be understood and were left out.", text.Count(r.Broken, "line"))
	say(r.WithoutCluster > 0, "%s went to no upstream cluster and were left out.", text.Count(r.WithoutCluster, "request"))
	say(r.OutOfTime > 0, "%s had times that cannot be and were left out.", text.Count(r.OutOfTime, "request"))
}
