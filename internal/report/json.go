package report

import (
	"bytes"
	"encoding/json"
	"io"
)

// WriteJSON writes the report for programs. Breakers are written one by one, because there can be millions of transitions: the text is
// the one that encoding/json makes of the whole.
func (r *Report) WriteJSON(w io.Writer) error {
	const none, inner, outer = `"breakers": []`, "        ", "      " // as deep as breakers are, and the list of them
	frame := *r
	frame.Policies = append([]Policy(nil), r.Policies...)
	for i := range frame.Policies {
		frame.Policies[i].Breakers = []Breaker{}
	}
	text, err := encode(&frame, "")
	if err != nil {
		return err
	}
	parts := bytes.Split(text, []byte("\n"+outer+none)) // which is in no string: that has neither line breaks nor quotes
	var failed error
	write := func(text []byte) {
		if failed == nil {
			_, failed = w.Write(text)
		}
	}
	write(parts[0])
	for i, after := range parts[1:] {
		breakers := r.Policies[i].Breakers
		write([]byte("\n" + outer + none[:len(none)-1]))
		for j := range breakers {
			text, err := encode(&breakers[j], inner)
			if err != nil {
				return err
			}
			between := ",\n"
			if j == 0 {
				between = "\n"
			}
			write([]byte(between + inner))
			write(bytes.TrimSuffix(text, []byte("\n")))
		}
		if len(breakers) > 0 {
			write([]byte("\n" + outer))
		}
		write([]byte("]"))
		write(after)
	}
	return failed
}

// encode writes a value as a report has it, indented by two spaces more than what is before it.
func encode(v any, before string) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent(before, "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return text.Bytes(), err
}
