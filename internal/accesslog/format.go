package accesslog

import "errors"

// A Format is how a line is written.
type Format struct {
	name string
}

// FormatNames are the names that ParseFormat knows, the first being what is told from a log's first lines.
var FormatNames = []string{"auto", "json", "envoy", "istio"}

// FieldNames are what ParseFormat maps to keys of JSON.
var FieldNames = []string{
	"time", "duration", "request", "response", "service", "status", "grpc", "attempts",
	"method", "details", "flags", "cluster", "host", "route", "instance", "breaker",
}

// ParseFormat returns the format of that name: "" and auto are told from a log's first lines. Each of fields is FIELD=KEY or, for a
// duration, FIELD=KEY,UNIT, as in status=response.code (nested) or duration=took,us; they are for JSON, whose keys are otherwise
// those of envoy.yaml, Istio's default and Envoy Gateway's. The error says what to do.
func ParseFormat(name string, fields []string) (*Format, error) { return nil, errors.ErrUnsupported }
