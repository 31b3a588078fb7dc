package statuspage

import (
	"strconv"
	"time"
	"unicode/utf8"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/version"
)

// A Page is one page of the list of breakers as JSON, while it is written.
type Page struct {
	b     []byte
	empty bool
}

// A Head is what all pages of a list have alike.
type Head struct {
	Plugin        string
	At            time.Time
	ConfigInvalid bool       // the configuration that was loaded last does not hold
	Overrides     int        // of the configuration in force
	Unmatched     int        // those of them that have given no breaker its policy yet
	Some          []Override // the first of these
	Total         int        // breakers on all pages
}

// MaxUnmatched is how many overrides that have matched nothing are named at most.
const MaxUnmatched = 50

// BeginPage begins a page in a buffer.
func BeginPage(b []byte, h *Head) *Page {
	b = appendString(append(b[:0], `{"plugin":`...), h.Plugin)
	b = appendString(append(b, `,"version":`...), version.Version)
	b = appendTime(append(b, `,"at":`...), h.At)
	b = strconv.AppendBool(append(b, `,"config_invalid":`...), h.ConfigInvalid)
	b = strconv.AppendInt(append(b, `,"overrides":{"total":`...), int64(h.Overrides), 10)
	b = strconv.AppendInt(append(b, `,"unmatched":`...), int64(h.Unmatched), 10)
	b = append(b, `,"first_unmatched":[`...)
	for i := range h.Some {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(h.Some[i].appendTo(append(b, '{')), '}')
	}
	b = strconv.AppendInt(append(b, `]},"total":`...), int64(h.Total), 10)
	return &Page{append(b, `,"clusters":[`...), true}
}

// Add writes one more cluster.
func (p *Page) Add(c *Cluster) {
	if !p.empty {
		p.b = append(p.b, ',')
	}
	p.empty = false
	p.b = c.appendTo(append(p.b, '\n'))
}

// End ends the page, and returns it. next is the query of the one that follows, "" at the last one.
func (p *Page) End(next string) []byte {
	p.b = append(p.b, "\n],\"next\":"...)
	if next == "" {
		return append(p.b, "null}\n"...)
	}
	return append(appendString(p.b, next), "}\n"...)
}

func (c *Cluster) appendTo(b []byte) []byte {
	s := &c.Status
	number := func(key string, n uint64) { b = strconv.AppendUint(append(b, key...), n, 10) }
	b = appendString(append(b, `{"cluster":`...), c.Name)
	b = appendOptional(append(b, `,"route":`...), c.Route)
	b = appendString(append(b, `,"state":`...), c.state())
	probing, wait, probe := false, s.OpenFor, time.Duration(0)
	if s.State == breaker.Open && c.Policy.Probes {
		probing, wait, probe = true, max(wait, c.Policy.OpenMax-s.OpenedFor), s.ProbeIn
	}
	b = appendSeconds(append(b, `,"next_try_seconds":`...), wait)
	b = strconv.AppendBool(append(b, `,"probing":`...), probing)
	b = appendSeconds(append(b, `,"next_probe_seconds":`...), probe)
	number(`,"trips":`, uint64(s.Trips))
	number(`,"successes":`, uint64(s.Successes))
	number(`,"trials_in_flight":`, uint64(s.Trials))
	w := s.Window
	number(`,"calls":`, w.Calls)
	number(`,"failures":`, w.Failures)
	number(`,"slow_calls":`, w.SlowCalls)
	b = appendPercent(append(b, `,"failure_rate":`...), w.Failures, w.Calls)
	b = appendPercent(append(b, `,"slow_rate":`...), w.SlowCalls, w.Calls)
	number(`,"rejected":`, c.Rejected)
	number(`,"shadow_rejected":`, c.ShadowRejected)
	number(`,"fallback":`, c.Fallback)
	b = append(append(b, `,"policy":`...), c.Policy.json...)
	b = append(b, `,"transitions":[`...)
	for i, past := range parseHistory(c.History) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTime(append(b, `{"at":`...), past.at)
		b = append(appendString(append(b, `,"text":`...), past.text), '}')
	}
	return append(b, `]}`...)
}

func appendSeconds(b []byte, d time.Duration) []byte { return appendFloat(b, d.Seconds()) }

func appendPercent(b []byte, part, whole uint64) []byte {
	if whole == 0 {
		return append(b, '0')
	}
	return appendFloat(b, 100*float64(part)/float64(whole))
}

func appendFloat(b []byte, f float64) []byte { return strconv.AppendFloat(b, f, 'f', -1, 64) }

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), "2006-01-02T15:04:05.000Z"), '"')
}

// appendOptional writes a string as JSON; null for the empty one.
func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

// appendString writes a string as JSON, whatever is in it: what is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
