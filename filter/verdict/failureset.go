package verdict

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"strings"
)

// grpcNames are the gRPC statuses by number, in Envoy's spelling.
// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
var grpcNames = [...]string{
	1: "cancelled", 2: "unknown", 3: "invalid-argument", 4: "deadline-exceeded", 5: "not-found", 6: "already-exists",
	7: "permission-denied", 8: "resource-exhausted", 9: "failed-precondition", 10: "aborted", 11: "out-of-range",
	12: "unimplemented", 13: "internal", 14: "unavailable", 15: "data-loss", 16: "unauthenticated",
}

// FailureNames says what failure_on may list, for an error message.
const FailureNames = `"5xx", "gateway-error", a status code such as "429" or a range such as "500-504" (100 to 599), ` +
	`"connect-failure", "reset", "timeout", "body-timeout", "no-healthy-upstream", "overflow", or a gRPC status: "cancelled", "unknown", ` +
	`"invalid-argument", "deadline-exceeded", "not-found", "already-exists", "permission-denied", "resource-exhausted", ` +
	`"failed-precondition", "aborted", "out-of-range", "unimplemented", "internal", "unavailable", "data-loss", "unauthenticated"`

// A FailureSet is what failure_on lists. The zero value is the empty set.
type FailureSet struct {
	origins uint16 // bit per origin
	grpc    uint32 // bit per gRPC status
	codes   CodeSet
}

// DefaultFailureOn is failure_on where it is not given.
func DefaultFailureOn() (s FailureSet) {
	for _, name := range []string{
		"5xx", "connect-failure", "reset", "timeout", "no-healthy-upstream",
		"unavailable", "deadline-exceeded", "internal", "data-loss",
	} {
		s.Add(name)
	}
	return s
}

// Add adds what a name in failure_on stands for. It reports false, and adds nothing, if there is no such name.
func (s *FailureSet) Add(name string) bool {
	switch name {
	case "5xx":
		return s.codes.add(500, 599)
	case "gateway-error":
		return s.codes.add(502, 504)
	}
	for o := range Overflow + 1 {
		if o.inFailureOn() && o.String() == name {
			s.origins |= 1 << o
			return true
		}
	}
	for status, n := range grpcNames {
		if n == name && n != "" {
			s.grpc |= 1 << status
			return true
		}
	}
	return s.codes.Add(name)
}

// Names are the names that failure_on may list, without codes and ranges.
func Names() []string {
	names := []string{"5xx", "gateway-error"}
	for o := range Overflow + 1 {
		if o.inFailureOn() {
			names = append(names, o.String())
		}
	}
	return append(names, grpcNames[1:]...)
}

// String lists the set as failure_on does, in an order of its own.
func (s *FailureSet) String() string {
	var names []string
	if s.codes != (CodeSet{}) {
		names = append(names, s.codes.String())
	}
	for o := range Overflow + 1 {
		if s.hasOrigin(o) {
			names = append(names, o.String())
		}
	}
	for status, name := range grpcNames {
		if s.hasGRPC(status) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Hash identifies the set.
func (s *FailureSet) Hash() uint64 {
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint16(make([]byte, 0, 128), s.origins), s.grpc)
	for _, codes := range s.codes {
		b = le.AppendUint64(b, codes)
	}
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// AnyGRPC reports whether a gRPC status is in the set at all: if none is, a verdict needs no gRPC status of an answer.
func (s *FailureSet) AnyGRPC() bool { return s.grpc != 0 }

func (s *FailureSet) hasGRPC(status int) bool {
	return status >= 0 && status < len(grpcNames) && s.grpc&(1<<status) != 0
}

func (s *FailureSet) hasOrigin(o Origin) bool { return s.origins&(1<<o) != 0 }

// A CodeSet is a set of HTTP status codes: bit per code. The zero value is the empty set.
type CodeSet [600/64 + 1]uint64

// Add adds what a text such as "429" or "500-504" names. It reports false, and adds nothing, if the text names no code from
// 100 to 599.
func (s *CodeSet) Add(text string) bool {
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
	n := number([]byte(s))
	return n, len(s) == 3 && n >= 100 && n <= 599
}

func (s *CodeSet) add(first, last int) bool {
	for code := first; code <= last; code++ {
		s[code/64] |= 1 << (code % 64)
	}
	return first <= last
}

// Has reports whether the set has a code; -1, for no status at all, is in none.
func (s *CodeSet) Has(code int) bool {
	return code >= 0 && code < 600 && s[code/64]&(1<<(code%64)) != 0
}

// String lists the codes, as ranges where they follow each other. All that a server may fail with is "5xx".
func (s *CodeSet) String() string {
	var names []string
	for code := 100; code < 600; code++ {
		first := code
		for s.Has(code) {
			code++
		}
		switch last := code - 1; {
		case last < first:
		case first == 500 && last == 599:
			names = append(names, "5xx")
		case last == first:
			names = append(names, strconv.Itoa(first))
		default:
			names = append(names, strconv.Itoa(first)+"-"+strconv.Itoa(last))
		}
	}
	return strings.Join(names, ",")
}
