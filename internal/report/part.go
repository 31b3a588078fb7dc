package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// parse reads a report of a log that WriteJSON wrote. Its error says what to do about any other text: where something is unknown or
// missing, or adds up to something else, it is another version's or was changed, and what is merged with it would not be exact.
func parse(text []byte) (*Report, error) {
	const again = "make it again, by this breakerctl with -json, and leave it as it is"
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, errors.New("is empty: the command that was to write it has failed, and said why")
	}
	r := &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("is no report: %w: %s", err, again)
	}
	if len(r.Logs) == 0 || len(r.Policies) == 0 {
		return nil, errors.New("is no report of replay or compare, which alone are of parts of a log")
	}
	r.intern()
	r.Complete()
	c := comparer{left: text}
	if err := r.WriteJSON(&c); err != nil {
		return nil, fmt.Errorf("is not as it was written, or by another version: %w: %s", err, again)
	}
	return r, nil
}

// intern keeps one copy of what transitions have in common: there can be millions.
func (r *Report) intern() {
	known := map[string]string{}
	one := func(s *string) {
		if _, is := known[*s]; !is {
			known[*s] = *s
		}
		*s = known[*s]
	}
	for i := range r.Policies {
		for j := range r.Policies[i].Breakers {
			for k := range r.Policies[i].Breakers[j].Transitions {
				m := &r.Policies[i].Breakers[j].Transitions[k]
				one(&m.From)
				one(&m.To)
				one(&m.Reason)
			}
		}
	}
}

// A comparer fails where what is written to it is another text than the one that it has.
type comparer struct{ left []byte } // what has not been written yet

func (c *comparer) Write(text []byte) (int, error) {
	const shown = 40
	wanted := len(text)
	if len(c.left) < wanted { // blanks at the end do not matter
		text = bytes.TrimRight(text, "\n")
	}
	same := 0
	for same < min(len(text), len(c.left)) && text[same] == c.left[same] {
		same++
	}
	if same < len(text) {
		start := max(0, same-shown)
		show := func(b []byte) string { return fmt.Sprintf("%q", Valid(string(b[start:min(len(b), same+shown)]))) }
		return 0, fmt.Errorf("%s where there should be %s", show(c.left), show(text))
	}
	c.left = c.left[same:]
	return wanted, nil
}
