package statuspage

import (
	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/time"
	"envoy-circuit-breaker/internal/version"
)

// A Page is one page of the list of breakers as JSON, while it is written.
type Page struct{ w writer }

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
	w := writer{b[:0]}
	w.raw("{")
	w.text("plugin", h.Plugin)
	w.text("version", version.Version)
	w.time("at", h.At)
	w.bool("config_invalid", h.ConfigInvalid)
	w.key("overrides")
	w.raw("{")
	w.number("total", uint64(h.Overrides))
	w.number("unmatched", uint64(h.Unmatched))
	w.key("first_unmatched")
	w.raw("[")
	for i := range h.Some {
		w.next()
		w.raw("{")
		h.Some[i].write(&w)
		w.raw("}")
	}
	w.raw("]}")
	w.number("total", uint64(h.Total))
	w.key("clusters")
	w.raw("[")
	return &Page{w}
}

// Add writes one more cluster.
func (p *Page) Add(c *Cluster) {
	p.w.next()
	p.w.raw("\n{")
	c.write(&p.w)
	p.w.raw("}")
}

// End ends the page, and returns it. next is the query of the one that follows, "" at the last one.
func (p *Page) End(next string) []byte {
	p.w.raw("\n]")
	p.w.optional("next", next)
	p.w.raw("}\n")
	return p.w.b
}

func (c *Cluster) write(w *writer) {
	s := &c.Status
	w.text("cluster", c.Name)
	w.optional("route", c.Route)
	w.text("state", c.state())
	probing, wait, probe := false, s.OpenFor, time.Duration(0)
	if s.State == breaker.Open && c.Policy.Probes {
		probing, wait, probe = true, max(wait, c.Policy.OpenMax-s.OpenedFor), s.ProbeIn
	}
	w.seconds("next_try_seconds", wait)
	w.bool("probing", probing)
	w.seconds("next_probe_seconds", probe)
	w.number("trips", uint64(s.Trips))
	w.number("successes", uint64(s.Successes))
	w.number("trials_in_flight", uint64(s.Trials))
	w.number("calls", s.Window.Calls)
	w.number("failures", s.Window.Failures)
	w.number("slow_calls", s.Window.SlowCalls)
	w.percent("failure_rate", s.Window.Failures, s.Window.Calls)
	w.percent("slow_rate", s.Window.SlowCalls, s.Window.Calls)
	w.number("rejected", c.Rejected)
	w.number("shadow_rejected", c.ShadowRejected)
	w.number("fallback", c.Fallback)
	w.key("policy")
	w.b = append(w.b, c.Policy.json...)
	w.key("transitions")
	w.raw("[")
	for _, past := range parseHistory(c.History) {
		w.next()
		w.raw("{")
		w.time("at", past.at)
		w.text("text", past.text)
		w.raw("}")
	}
	w.raw("]")
}
