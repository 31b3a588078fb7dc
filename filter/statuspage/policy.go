package statuspage

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"time"

	"envoy-circuit-breaker/breaker"
)

// A Policy is what a cluster's breaker goes by, as far as it explains the status, in the form in which workers tell each other.
type Policy struct {
	Generation uint32 // of the configuration that it is from
	Mode       breaker.Mode
	Probes     bool
	OpenMax    time.Duration

	json []byte
}

// policyHeader is the length of what comes before the JSON: a checksum of all that follows, and the fields.
const policyHeader = 8 + 4 + 1 + 1 + 8

// EncodePolicy writes what [ParsePolicy] reads. match is that of the override which gave the policy, "" if none did.
func EncodePolicy(p *breaker.Policy, match string, generation uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, policyHeader, 400)
	le.PutUint32(b[8:], generation)
	b[12] = byte(p.Mode)
	if p.ProbeInterval > 0 {
		b[13] = 1
	}
	le.PutUint64(b[14:], uint64(p.OpenMaxDuration))
	b = appendPolicy(b, p, match)
	le.PutUint64(b, checksum(b[8:]))
	return b
}

// ParsePolicy reports false if b is not what EncodePolicy wrote. The policy refers to b.
func ParsePolicy(b []byte) (Policy, bool) {
	le := binary.LittleEndian
	if len(b) < policyHeader || le.Uint64(b) != checksum(b[8:]) {
		return Policy{}, false
	}
	return Policy{le.Uint32(b[8:]), breaker.Mode(b[12]), b[13] != 0, time.Duration(le.Uint64(b[14:])), b[policyHeader:]}, true
}

func checksum(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

func appendPolicy(b []byte, p *breaker.Policy, match string) []byte {
	integer := func(key string, n int) { b = strconv.AppendInt(append(b, key...), int64(n), 10) }
	if b = append(b, `{"match":`...); match == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, match)
	}
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
