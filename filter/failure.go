package main

import (
	"strconv"
	"strings"
)

// An origin says who made an end of a request, and how: the upstream with its answer, Envoy in the upstream's place, or
// somebody with whom the breaker is not concerned.
type origin uint8

const (
	elsewhere      origin = iota // the client, another filter, the route: not the upstream's doing
	answered                     // the upstream answered
	clientGone                   // the client gave up
	connectFailure               // no connection could be made
	reset                        // the connection or stream broke, before or in the middle of the answer
	timedOut                     // Envoy gave up waiting
	outlived                     // Envoy's limit on how long a stream may last or idle, whoever it was that let it
	noHealthy                    // there was no host to ask
	overflow                     // Envoy's own circuit_breakers thresholds
)

// originNames are the names of the origins in failure_on, as in Envoy's retry_on where that has them.
var originNames = map[string]origin{
	"connect-failure":     connectFailure,
	"reset":               reset,
	"timeout":             timedOut,
	"no-healthy-upstream": noHealthy,
	"overflow":            overflow,
}

// grpcNames are the gRPC statuses by number, in Envoy's spelling.
// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
var grpcNames = [...]string{
	1: "cancelled", 2: "unknown", 3: "invalid-argument", 4: "deadline-exceeded", 5: "not-found", 6: "already-exists",
	7: "permission-denied", 8: "resource-exhausted", 9: "failed-precondition", 10: "aborted", 11: "out-of-range",
	12: "unimplemented", 13: "internal", 14: "unavailable", 15: "data-loss", 16: "unauthenticated",
}

// A failureSet is what failure_on lists.
type failureSet struct {
	origins uint16 // bit per origin
	grpc    uint32 // bit per gRPC status
	codes   codeSet
}

// A codeSet is a set of HTTP status codes: bit per code.
type codeSet [600/64 + 1]uint64

// defaultFailureOn is failure_on where it is not given.
var defaultFailureOn = []string{
	"5xx", "connect-failure", "reset", "timeout", "no-healthy-upstream",
	"unavailable", "deadline-exceeded", "internal", "data-loss",
}

const allowedFailures = `"5xx", "gateway-error", a status code such as "429" or a range such as "500-504" (100 to 599), ` +
	`"connect-failure", "reset", "timeout", "no-healthy-upstream", "overflow", or a gRPC status: "cancelled", "unknown", ` +
	`"invalid-argument", "deadline-exceeded", "not-found", "already-exists", "permission-denied", "resource-exhausted", ` +
	`"failed-precondition", "aborted", "out-of-range", "unimplemented", "internal", "unavailable", "data-loss", "unauthenticated"`

// parseFailureOn turns names into a set. The error names the position of the bad one.
func parseFailureOn(names []any) (set failureSet, bad int, ok bool) {
	for i, v := range names {
		name, isText := v.(string)
		if !isText || !set.add(name) {
			return set, i, false
		}
	}
	return set, 0, true
}

func (s *failureSet) add(name string) bool {
	switch name {
	case "5xx":
		return s.codes.add(500, 599)
	case "gateway-error":
		return s.codes.add(502, 504)
	}
	if o, ok := originNames[name]; ok {
		s.origins |= 1 << o
		return true
	}
	for status, n := range grpcNames {
		if n == name && n != "" {
			s.grpc |= 1 << status
			return true
		}
	}
	return s.codes.parse(name)
}

// parse adds what a text such as "429" or "500-504" names, and reports whether it names anything.
func (s *codeSet) parse(text string) bool {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, ok1 := parseCode(low)
	last, ok2 := parseCode(high)
	return ok1 && ok2 && s.add(first, last)
}

// parseCode reads an HTTP status code, which has three digits.
func parseCode(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && len(s) == 3 && n >= 100 && n <= 599
}

func (s *codeSet) add(first, last int) bool {
	for code := first; code <= last; code++ {
		s[code/64] |= 1 << (code % 64)
	}
	return first <= last
}

func (s *codeSet) has(code int) bool {
	return code >= 0 && code < 600 && s[code/64]&(1<<(code%64)) != 0
}

func (s *failureSet) hasGRPC(status int) bool {
	return status >= 0 && status < len(grpcNames) && s.grpc&(1<<status) != 0
}

func (s *failureSet) hasOrigin(o origin) bool { return s.origins&(1<<o) != 0 }
