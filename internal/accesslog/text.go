package accesslog

import (
	"bytes"
	"errors"
)

var (
	errNotText  = errors.New(`is no line of this format: it does not begin with [TIME] "METHOD PATH PROTOCOL"`)
	errTextEnds = errors.New("has fewer parts than the format: was it cut off?")
)

// envoyText reads a line of Envoy's default format.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage#default-format-string
//
//	[TIME] "METHOD PATH PROTOCOL" STATUS FLAGS RECEIVED SENT DURATION SERVICE "FORWARDED" "AGENT" "ID" "AUTHORITY" "HOST"
func (p *parser) envoyText(_ *Format, line []byte) error {
	rest, err := p.request(line)
	if err != nil {
		return err
	}
	t := words{rest: rest}
	p.put(fieldStatus, t.word())
	p.put(fieldFlags, t.word())
	t.word()
	t.word()
	p.put(fieldDuration, t.word())
	p.put(fieldService, t.word())
	// What clients have sent may contain anything, so that the rest is read from its end.
	host, ok := lastQuoted(t.rest)
	if t.short || !ok {
		return errTextEnds
	}
	p.put(fieldHost, host)
	return nil
}

// istioText reads a line of Istio's default format, EnvoyTextLogFormat in pilot/pkg/model/telemetry_logging.go.
//
//	[TIME] "METHOD PATH PROTOCOL" STATUS FLAGS DETAILS TERMINATION "FAILURE" RECEIVED SENT DURATION SERVICE
//	"FORWARDED" "AGENT" "ID" "AUTHORITY" "HOST" CLUSTER LOCAL LOCAL REMOTE SERVER ROUTE
func (p *parser) istioText(_ *Format, line []byte) error {
	rest, err := p.request(line)
	if err != nil {
		return err
	}
	t := words{rest: rest}
	p.put(fieldStatus, t.word())
	p.put(fieldFlags, t.word())
	p.put(fieldDetails, t.word())
	failure := bytes.Index(t.rest, []byte(` "`))
	if failure < 0 {
		return errTextEnds
	}
	t.rest = t.rest[failure+2:]
	if failure = bytes.Index(t.rest, []byte(`" `)); failure < 0 {
		return errTextEnds
	}
	t.rest = t.rest[failure+1:]
	t.word()
	t.word()
	p.put(fieldDuration, t.word())
	p.put(fieldService, t.word())
	if t.short {
		return errTextEnds
	}
	end := len(t.rest)
	for end >= 0 && !bytes.HasPrefix(t.rest[end:], []byte(`" `)) {
		end = bytes.LastIndexByte(t.rest[:end], '"')
	}
	if end < 0 {
		return errTextEnds
	}
	host, ok := lastQuoted(t.rest[:end+1])
	if !ok {
		return errTextEnds
	}
	p.put(fieldHost, host)
	t.rest = t.rest[end+1:]
	p.put(fieldCluster, t.word())
	for range 4 {
		t.word()
	}
	if t.short || len(t.rest) < 2 {
		return errTextEnds
	}
	p.put(fieldRoute, t.rest[1:])
	return nil
}

// request takes what both formats begin with, and returns the rest, from the blank before the status on.
func (p *parser) request(line []byte) (rest []byte, err error) {
	if len(line) == 0 || line[0] != '[' {
		return nil, errNotText
	}
	end := bytes.IndexByte(line, ']')
	if end < 0 || !bytes.HasPrefix(line[end:], []byte(`] "`)) {
		return nil, errNotText
	}
	p.put(fieldTime, line[1:end])
	line = line[end+3:]
	method := bytes.IndexByte(line, ' ')
	if method < 0 {
		return nil, errNotText
	}
	p.put(fieldMethod, line[:method])
	// A path may contain quotes, but no blank.
	path := bytes.IndexByte(line[method+1:], ' ')
	if path < 0 {
		return nil, errTextEnds
	}
	line = line[method+1+path:]
	if end = bytes.Index(line, []byte(`" `)); end < 0 {
		return nil, errTextEnds
	}
	return line[end+1:], nil
}

// put sets a field to a word, where - is nothing.
func (p *parser) put(f field, word []byte) {
	v := value{text: word, kind: text}
	if len(word) == 1 && word[0] == '-' {
		v.kind = nothing
	}
	p.values[f] = v
}

// lastQuoted returns what the last quotes enclose, which end the text.
func lastQuoted(b []byte) (quoted []byte, ok bool) {
	if len(b) < 2 || b[len(b)-1] != '"' {
		return nil, false
	}
	b = b[:len(b)-1]
	i := bytes.LastIndexByte(b, '"')
	return b[i+1:], i >= 0
}

// words are separated by single blanks; there is one before each.
type words struct {
	rest  []byte
	short bool // there were fewer than have been asked for
}

func (w *words) word() []byte {
	if len(w.rest) < 2 || w.rest[0] != ' ' {
		w.short = true
		return nil
	}
	w.rest = w.rest[1:]
	end := bytes.IndexByte(w.rest, ' ')
	if end < 0 {
		end = len(w.rest)
	}
	word := w.rest[:end]
	w.rest = w.rest[end:]
	return word
}
