package statuspage

import (
	"encoding/binary"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/checked"
	"envoy-circuit-breaker/internal/time"
)

// A Policy is what a cluster's breaker goes by, as far as it explains the status, in the form in which workers tell each other.
type Policy struct {
	Generation uint32 // of the configuration that it is from
	Mode       breaker.Mode
	Probes     bool
	OpenMax    time.Duration

	json []byte
}

// policyHeader is the length of what comes before the JSON.
const policyHeader = checked.Header + 4 + 1 + 1 + 8

// An Override names clusters, and routes to them if Route is not empty, as the configuration does.
type Override struct{ Match, Route string }

// EncodePolicy writes what [ParsePolicy] reads. from is the override which gave the policy, empty if none did.
func EncodePolicy(p *breaker.Policy, from Override, generation uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, policyHeader, 400)
	le.PutUint32(b[8:], generation)
	b[12] = byte(p.Mode)
	if p.ProbeInterval > 0 {
		b[13] = 1
	}
	le.PutUint64(b[14:], uint64(p.OpenMaxDuration))
	w := writer{b}
	writePolicy(&w, p, from)
	return checked.Seal(w.b)
}

// ParsePolicy reports false if b is not what EncodePolicy wrote. The policy refers to b.
func ParsePolicy(b []byte) (Policy, bool) {
	le := binary.LittleEndian
	if _, ok := checked.Open(b); !ok || len(b) < policyHeader {
		return Policy{}, false
	}
	return Policy{le.Uint32(b[8:]), breaker.Mode(b[12]), b[13] != 0, time.Duration(le.Uint64(b[14:])), b[policyHeader:]}, true
}

// write writes the keys of an override: null for what it does not have.
func (o *Override) write(w *writer) {
	w.optional("match", o.Match)
	w.optional("route", o.Route)
}

func writePolicy(w *writer, p *breaker.Policy, from Override) {
	w.raw("{")
	from.write(w)
	w.text("mode", p.Mode.String())
	if p.WindowRequests > 0 {
		w.number("window_requests", uint64(p.WindowRequests))
	} else {
		w.seconds("window_seconds", p.WindowDuration)
	}
	w.number("min_requests", uint64(p.MinRequests))
	w.float("failure_rate", p.FailureRate)
	w.number("consecutive_failures", uint64(p.ConsecutiveFailures))
	w.seconds("slow_call_seconds", p.SlowCallDuration)
	w.float("slow_call_rate", p.SlowCallRate)
	w.number("half_open_max_requests", uint64(p.HalfOpenMaxRequests))
	w.number("half_open_success_threshold", uint64(p.HalfOpenSuccessThreshold))
	w.raw("}")
}
