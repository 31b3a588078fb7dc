package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
)

// WriteJSON writes the report for programs. Breakers are written one by one, because there can be millions of transitions: the text is
// the one that encoding/json makes of the whole, with one field more, by which a change is noticed.
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
	text = bytes.TrimSuffix(text, []byte(end+"\n"))
	parts := bytes.Split(text, []byte("\n"+outer+none)) // which is in no string: that has neither line breaks nor quotes
	var failed error
	hash := sha256.New()
	write := func(text []byte) {
		hash.Write(text)
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
	write([]byte(digestField(hash.Sum(nil)) + end + "\n"))
	return failed
}

// end is that of a report's JSON, but for the line's.
const end = "\n}"

// digestField is the last field of a report: the SHA-256 of all text before it.
func digestField(sum []byte) string { return ",\n  \"digest\": \"" + hex.EncodeToString(sum) + "\"" }

// digest returns the field that a report's JSON ends with; "" where that is none, or one of another text.
func digest(text []byte) string {
	body := bytes.TrimSuffix(text, []byte(end))
	at := max(0, len(body)-len(digestField(make([]byte, sha256.Size))))
	sum := sha256.Sum256(body[:at])
	if field := digestField(sum[:]); string(body[at:]) == field {
		return field
	}
	return ""
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
