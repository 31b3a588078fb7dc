//go:build wasip1

package main

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/bridge"
	"envoy-circuit-breaker/filter/verdict"
)

// noteOutcome makes what became of an admitted request readable for access logs. Where it ended elsewhere, another plugin of the chain may
// have said why.
func noteOutcome(s *stream, o breaker.Outcome, reason string) {
	if reason == verdict.Elsewhere.String() && len(bridge.Property(noteName)) > 0 {
		return
	}
	decision := "admitted"
	if s.permit.Shadowed() {
		decision = "shadow_rejected"
	}
	outcome := [...]string{breaker.Success: "success", breaker.Failure: "failure", breaker.Neutral: "neutral"}[o.Result]
	if o.Slow {
		outcome += ",slow"
	}
	note(decision, s.permit.State(), s.cluster.owner, outcome, reason)
}

const noteName = "circuit_breaker"

// note sets the property that access logs and traces read as %FILTER_STATE(wasm.circuit_breaker:PLAIN)%. A plainly healthy
// request has none, and does not pay for it.
func note(decision, state string, o owner, outcome, reason string) {
	b := append(notes[:0], "decision="...)
	b = append(b, decision...)
	b = append(append(b, " state="...), state...)
	b = append(append(b, " cluster="...), o.name...)
	if o.route != "" {
		b = append(append(b, " route="...), o.route...)
	}
	if outcome != "" {
		b = append(append(b, " outcome="...), outcome...)
		b = append(append(b, " reason="...), reason...)
	}
	notes = b
	bridge.SetProperty(noteName, b)
}

// notes is the buffer of the last note.
var notes []byte
