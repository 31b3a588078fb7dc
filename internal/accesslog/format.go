package accesslog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A field is something that a line may tell.
type field uint8

const (
	fieldTime field = iota
	fieldDuration
	fieldRequest
	fieldResponse
	fieldService // from the end of the request to the answer's headers
	fieldStatus
	fieldGRPC
	fieldAttempts
	fieldMethod
	fieldDetails
	fieldFlags
	fieldCluster
	fieldHost // the upstream's address
	fieldRoute
	fieldInstance
	fieldBreaker // the breaker's own note
	fields
)

// FieldNames are what ParseFormat maps to keys of JSON.
var FieldNames = []string{
	"time", "duration", "request", "response", "service", "status", "grpc", "attempts",
	"method", "details", "flags", "cluster", "host", "route", "instance", "breaker",
}

// keys are those that fields have in JSON, the first of a line counts: envoy.yaml's, then those of the defaults of Istio and Envoy Gateway,
// then the operators' own names.
var keys = [fields][]string{
	fieldTime:     {"time", "start_time"},
	fieldDuration: {"duration_ms", "duration"},
	fieldRequest:  {"request_ms", "request_duration"},
	fieldResponse: {"response_ms", "response_duration"},
	fieldService:  {"upstream_service_time", "x-envoy-upstream-service-time"},
	fieldStatus:   {"status", "response_code"},
	fieldGRPC:     {"grpc_status", "grpc_status_number"},
	fieldAttempts: {"attempts", "upstream_request_attempt_count"},
	fieldMethod:   {"method"},
	fieldDetails:  {"details", "response_code_details"},
	fieldFlags:    {"flags", "response_flags"},
	fieldCluster:  {"cluster", "upstream_cluster"},
	fieldHost:     {"upstream_host"},
	fieldRoute:    {"route", "route_name"},
	fieldBreaker:  {"circuit_breaker", "breaker"},
}

// A Format is how a line is written.
type Format struct {
	name  string
	parse func(*parser, *Format, []byte) error // fills in the parser's values
	keys  *node                                // of JSON
	units [fields]time.Duration                // of numbers that are durations
}

// A node is a key of JSON: what its value tells, and the keys within that are wanted where it is an object.
type node struct {
	tells    []telling
	children map[string]*node
}

// A telling is a key's value that tells a field, of several keys for one field the one whose rank is the lowest.
type telling struct {
	field field
	rank  int8
}

// put adds a key, which path leads to.
func (n *node) put(t telling, path ...string) {
	for _, key := range path {
		child := n.children[key]
		if child == nil {
			child = &node{}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[key] = child
		}
		n = child
	}
	n.tells = append(n.tells, t)
}

// FormatNames are the names that ParseFormat knows, the first being what is told from a log's first lines.
var FormatNames = []string{"auto", "json", "envoy", "istio"}

var (
	envoyText = newFormat("envoy", (*parser).envoyText)
	istioText = newFormat("istio", (*parser).istioText)

	defaultJSON, _ = newJSON(nil)
)

func isDuration(f field) bool { return fieldDuration <= f && f <= fieldService }

func newFormat(name string, parse func(*parser, *Format, []byte) error) *Format {
	f := &Format{name: name, parse: parse}
	for i := range f.units {
		f.units[i] = time.Millisecond
	}
	return f
}

// ParseFormat returns the format of that name: "" and auto are told from a log's first lines, and are nil unless there are fields,
// which make it JSON. Each of fields is FIELD=KEY or, for a duration that is a number, FIELD=KEY,UNIT, as in status=response.code
// (nested) or duration=took,us; other keys are those of envoy.yaml, Istio's default and Envoy Gateway's. The error says what to do.
func ParseFormat(name string, fields []string) (*Format, error) {
	switch {
	case name != "" && !slices.Contains(FormatNames, name):
		return nil, fmt.Errorf("format %q is none of %s", name, strings.Join(FormatNames, ", "))
	case (name == "envoy" || name == "istio") && len(fields) > 0:
		return nil, fmt.Errorf("the format %s is text, which has no fields to name: use the format json, or leave the fields out", name)
	case name == "envoy":
		return envoyText, nil
	case name == "istio":
		return istioText, nil
	case name == "json" || len(fields) > 0:
		return newJSON(fields)
	}
	return nil, nil
}

func newJSON(mapped []string) (*Format, error) {
	f := newFormat("json", (*parser).json)
	f.keys = &node{}
	names := keys
	for _, m := range mapped {
		name, key, _ := strings.Cut(m, "=")
		of := slices.Index(FieldNames, name)
		if of < 0 {
			return nil, fmt.Errorf("field %q: %q is none of %s", m, name, strings.Join(FieldNames, ", "))
		}
		if i := strings.LastIndexByte(key, ','); i >= 0 && isDuration(field(of)) {
			unit, ok := map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": 1}[key[i+1:]]
			if !ok {
				return nil, fmt.Errorf("field %q: %q is no unit: one of s, ms, us, ns", m, key[i+1:])
			}
			f.units[of], key = unit, key[:i]
		}
		if key == "" {
			return nil, fmt.Errorf("field %q: name the key of the log's JSON that has it, such as %s=response.%s", m, name, name)
		}
		names[of] = []string{key}
	}
	for of, keys := range names {
		for rank, key := range keys {
			t := telling{field(of), int8(rank)}
			f.keys.put(t, key)
			if path := strings.Split(key, "."); len(path) > 1 {
				f.keys.put(t, path...)
			}
		}
	}
	return f, nil
}
