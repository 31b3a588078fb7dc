package breaker

// A Stat is a counter or gauge of a [Tally]. Its [Stat.String] is the one place where its name is spelt.
type Stat uint8

const (
	// Every request that asked this breaker ends up in exactly one of these five or in FellBack, once.
	Calls    Stat = iota // ended and counted: a success or failure of this epoch
	Late                 // ended in a later epoch than it was admitted in: changes nothing (rule 8)
	Neutrals             // ended by something other than the upstream: changes nothing
	Rejected             // not admitted
	Errors               // admitted in doubt, because the record could not be read or written

	Failures  // calls that failed
	SlowCalls // calls that were slow, whether or not they failed

	FellBack       // not admitted, and sent elsewhere by the caller
	ShadowRejected // would not have been admitted, but for Shadow
	Transitions
	Opened
	OpenedFailureRate     // the trips by reason: these five add up to Opened
	OpenedSlowRate        //
	OpenedConsecutive     //
	OpenedHalfOpenFailure //
	OpenedRamp            // whatever the reason, while the ramp was on
	PermitsExpired        // half-open permits taken back without a verdict
	Probes                // probes begun
	ProbeFailures         // probes that found the upstream still failing, or could not be made
	Successes             // good ends, which end a streak; kept where ConsecutiveFailures is on (rule 7)
	Changes               // the bell (rule 1): moves whenever the record changes in a way that others must know of

	StateGauge // gauge: a State
	Streak     // gauge: failures in a row, to show; kept where ConsecutiveFailures is on. An ended one may show for a second
	Waiting    // gauge: calls counted as slow that still wait for their answer

	NumStats // how many there are
)

// Gauge reports whether a stat is a gauge.
func (s Stat) Gauge() bool { return s >= StateGauge }

// String returns the stat's name.
func (s Stat) String() string {
	return [NumStats]string{
		"calls", "late", "neutral", "rejected", "errors", "failures", "slow_calls", "fallback", "shadow_rejected",
		"transitions", "opened", "opened_failure_rate", "opened_slow_rate", "opened_consecutive",
		"opened_half_open_failure", "opened_ramp", "permits_expired", "probes", "probe_failures", "successes", "changes", "state", "consecutive_failures", "waiting",
	}[s]
}
