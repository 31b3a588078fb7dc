package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"
	"unicode"
	"unicode/utf16"
)

// A Report is what the status pages of some Envoys said.
type Report struct {
	At     time.Time `json:"at"`
	Envoys []Envoy   `json:"envoys"` // in the order of their URLs

	all   bool
	names []string // of the Envoys in the table
}

// An Envoy is what its page said, or why that could not be read.
type Envoy struct {
	URL    string  `json:"url"` // without a password
	Error  *string `json:"error"`
	*Board         // nil if there is an error
}

// A Board is all pages of an Envoy in one.
type Board struct {
	Plugin        string         `json:"plugin"`
	Version       string         `json:"version"`
	At            time.Time      `json:"page_at"` // by the Envoy's clock, as all times of its breakers
	ConfigInvalid bool           `json:"config_invalid"`
	States        map[string]int `json:"states"` // how many breakers are in each
	// Breakers are those that are neither closed nor disabled, unless all were asked for; by their clusters' names and routes.
	Breakers []Breaker `json:"breakers"`
}

// add takes over what a page says.
func (b *Board) add(p *page, all bool) {
	b.Plugin, b.Version, b.At, b.ConfigInvalid = p.Plugin, p.Version, p.At, p.ConfigInvalid
	for i := range p.Clusters {
		c := &p.Clusters[i]
		b.States[c.State]++
		if all || c.State != closed && c.State != disabled {
			c.tell()
			b.Breakers = append(b.Breakers, *c)
		}
	}
}

func newReport(urls []*url.URL, all bool) *Report {
	r := &Report{Envoys: make([]Envoy, len(urls)), all: all, names: names(urls)}
	for i, u := range urls {
		r.Envoys[i].URL = u.Redacted()
	}
	return r
}

// Complete reports whether all pages could be read.
func (r *Report) Complete() bool {
	for i := range r.Envoys {
		if r.Envoys[i].Error != nil {
			return false
		}
	}
	return true
}

// WriteJSON writes the report as one document. It is harmless in a terminal too, whatever is in names.
func (r *Report) WriteJSON(w io.Writer) error {
	var document bytes.Buffer
	encoder := json.NewEncoder(&document)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return err
	}
	_, err := w.Write(escaped(document.Bytes()))
	return err
}

// escaped escapes what a terminal would take for more than text and JSON leaves as it is: C1 controls, overrides of the direction.
func escaped(document []byte) []byte {
	b := make([]byte, 0, len(document))
	for _, r := range string(document) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b = append(b, string(r)...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}
