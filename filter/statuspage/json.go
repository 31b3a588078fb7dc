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

// BeginPage begins the page of a plugin in a buffer. configInvalid tells that the configuration which was loaded last does not hold;
// total is how many clusters there are on all pages.
func BeginPage(b []byte, plugin string, at time.Time, configInvalid bool, total int) *Page {
	b = appendString(append(b[:0], `{"plugin":`...), plugin)
	b = appendString(append(b, `,"version":`...), version.Version)
	b = appendTime(append(b, `,"at":`...), at)
	b = strconv.AppendBool(append(b, `,"config_invalid":`...), configInvalid)
	b = strconv.AppendInt(append(b, `,"total":`...), int64(total), 10)
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
