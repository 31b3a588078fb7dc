package statuspage

import (
	"encoding/binary"
	"strconv"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/internal/checked"
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
	return checked.Seal(appendPolicy(b, p, from))
}

// ParsePolicy reports false if b is not what EncodePolicy wrote. The policy refers to b.
func ParsePolicy(b []byte) (Policy, bool) {
	le := binary.LittleEndian
	if _, ok := checked.Open(b); !ok || len(b) < policyHeader {
		return Policy{}, false
	}
	return Policy{le.Uint32(b[8:]), breaker.Mode(b[12]), b[13] != 0, time.Duration(le.Uint64(b[14:])), b[policyHeader:]}, true
}

// appendTo writes the keys of an override: null for what it does not have.
func (o *Override) appendTo(b []byte) []byte {
	b = appendOptional(append(b, `"match":`...), o.Match)
	return appendOptional(append(b, `,"route":`...), o.Route)
}

func appendPolicy(b []byte, p *breaker.Policy, from Override) []byte {
	integer := func(key string, n int) { b = strconv.AppendInt(append(b, key...), int64(n), 10) }
	b = from.appendTo(append(b, '{'))
	b = appendString(append(b, `,"mode":`...), p.Mode.String())
	if p.WindowRequests > 0 {
		integer(`,"window_requests":`, p.WindowRequests)
	} else {
		b = appendSeconds(append(b, `,"window_seconds":`...), p.WindowDuration)
	}
	integer(`,"min_requests":`, p.MinRequests)
	b = appendFloat(append(b, `,"failure_rate":`...), p.FailureRate)
	integer(`,"consecutive_failures":`, p.ConsecutiveFailures)
	b = appendSeconds(append(b, `,"slow_call_seconds":`...), p.SlowCallDuration)
	b = appendFloat(append(b, `,"slow_call_rate":`...), p.SlowCallRate)
	integer(`,"half_open_max_requests":`, p.HalfOpenMaxRequests)
	integer(`,"half_open_success_threshold":`, p.HalfOpenSuccessThreshold)
	return append(b, '}')
}
