package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A value is what a line has for a field.
type value struct {
	text []byte
	kind kind
	rank int8 // of the key that it is from
}

type kind uint8

const (
	absent  kind = iota
	nothing      // JSON's null, text's -
	literal      // a number, true or false
	text
)

// A parser makes entries of lines. It is one goroutine's.
type parser struct {
	options *Options
	values  [fields]value
	seen    uint32 // the fields that any line has told, a bit for each
	strings interner
	order   keyOrder
	scratch []byte // text of the line that had escapes
}

// entry makes an entry of a line in a format.
func (p *parser) entry(f *Format, line []byte, e *Entry) error {
	p.values = [fields]value{}
	p.scratch = p.scratch[:0]
	if err := f.parse(p, f, line); err != nil {
		return err
	}
	return p.fill(f, e)
}

var errNoTime = errors.New("tells no time when the request started: its key is time or start_time, unless a field names another (time=KEY)")
var errNoStatus = errors.New("tells no HTTP status: its key is status or response_code, unless a field names another (status=KEY)")

// fill makes an entry of the line's values.
func (p *parser) fill(f *Format, e *Entry) error {
	v := &p.values
	for i := range v {
		if v[i].kind != absent {
			p.seen |= 1 << i
		}
	}
	var ok bool
	switch {
	case v[fieldTime].kind <= nothing:
		return errNoTime
	case v[fieldStatus].kind == absent:
		return errNoStatus
	}
	if e.Start, ok = parseTime(v[fieldTime].text); !ok {
		return fmt.Errorf("time %s is none: such as 2016-04-15T20:17:00.310Z, or seconds since 1970", quote(v[fieldTime].text))
	}
	var service time.Duration
	for _, d := range [...]struct {
		field field
		to    *time.Duration
	}{{fieldDuration, &e.Duration}, {fieldRequest, &e.Request}, {fieldResponse, &e.Response}, {fieldService, &service}} {
		if *d.to, ok = parseDuration(&v[d.field], f.units[d.field]); !ok {
			return fmt.Errorf("%s %s is no duration: a number, or one with its unit as in 1.5s", FieldNames[d.field], quote(v[d.field].text))
		}
	}
	if e.Status, ok = parseCount(&v[fieldStatus], 0); !ok || e.Status > 999 {
		return fmt.Errorf("status %s is no HTTP status", quote(v[fieldStatus].text))
	}
	if e.GRPC, ok = parseGRPC(&v[fieldGRPC]); !ok {
		return fmt.Errorf("grpc %s is no gRPC status", quote(v[fieldGRPC].text))
	}
	if e.Attempts, ok = parseCount(&v[fieldAttempts], -1); !ok {
		return fmt.Errorf("attempts %s is no number of them", quote(v[fieldAttempts].text))
	}
	e.Unsent = v[fieldRequest].kind == nothing
	if e.Response < 0 && service >= 0 {
		e.Response = max(0, e.Request) + service
	}

	e.Method = p.string(fieldMethod)
	e.Flags = p.string(fieldFlags)
	e.Route = p.string(fieldRoute)
	e.Instance = p.string(fieldInstance)
	e.Details = p.string(fieldDetails)
	if e.Details == "" {
		e.Details = p.detailsOf(e)
	}
	e.Cluster = p.cluster(e)
	e.Decision = ""
	p.note(e)
	return nil
}

// string is the text of a field; "" where the line tells none.
func (p *parser) string(f field) string {
	v := &p.values[f]
	if v.kind <= nothing {
		return ""
	}
	return p.strings.get(f, v.text)
}

// note takes what the breaker's own note says, such as "decision=rejected state=open cluster=payments": the decision, and the cluster and
// route that it was about. A fallback may have served the request elsewhere, which is what the line tells then.
func (p *parser) note(e *Entry) {
	v := &p.values[fieldBreaker]
	rest, ok := bytes.CutPrefix(v.text, []byte("decision="))
	if v.kind != text || !ok {
		return
	}
	decision, rest, _ := bytes.Cut(rest, []byte(" "))
	e.Decision = p.strings.get(fieldBreaker, decision)
	rest, _, _ = bytes.Cut(rest, []byte(" outcome="))
	if _, owner, ok := bytes.Cut(rest, []byte("cluster=")); ok {
		cluster, route, ok := bytes.Cut(owner, []byte(" route="))
		e.Cluster = p.strings.get(fieldCluster, cluster)
		if ok {
			e.Route = p.strings.get(fieldRoute, route)
		}
	}
}

// cluster is the line's; if it tells none the one that the options name or the upstream host, of a request that was routed.
func (p *parser) cluster(e *Entry) string {
	switch {
	case p.values[fieldMethod].kind == nothing:
		return "" // a TCP connection, or no request that Envoy could read: no filter saw it
	case p.values[fieldCluster].kind != absent:
		return p.string(fieldCluster)
	case e.Details == directResponse || e.Details == noRoute || e.Details == noCluster:
		return ""
	case p.options.Cluster != "":
		return p.options.Cluster
	}
	return p.string(fieldHost)
}

// quote shows a value in an error.
func quote(b []byte) string {
	if len(b) > 64 {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(string(b[:64]), "\uFFFD"))
	}
	return fmt.Sprintf("%q", b)
}

// An interner keeps one copy of each text, so that lines make no garbage.
type interner struct {
	last  [fields]string // most lines have what the one before had
	known map[string]string
	bytes int // that known holds
}

// mostInterned is how many bytes of texts are kept, in each parser. There are few different ones, but where a field tells something else.
const mostInterned = 4 << 20

func (n *interner) get(f field, b []byte) string {
	if n.last[f] == string(b) {
		return n.last[f]
	}
	s, ok := n.known[string(b)]
	if !ok {
		if n.bytes += len(b) + 64; n.known == nil || n.bytes > mostInterned {
			n.known, n.bytes = map[string]string{}, len(b)+64
		}
		s = string(b)
		n.known[s] = s
	}
	n.last[f] = s
	return s
}
