package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// parse reads a report of a log that WriteJSON wrote, and returns its digest too. Its error says what to do about any other text.
func parse(text []byte) (r *Report, sum string, err error) {
	const again = "make it again, by this breakerctl with -json, and leave it as it is"
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, "", errors.New("is empty: the command that was to write it has failed, and said why")
	}
	r = &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, "", fmt.Errorf("is no report: %w: %s", err, again)
	}
	switch {
	case r.Simulation != nil:
		return nil, "", errors.New("is the report of a simulation, which has no parts")
	case len(r.Logs) == 0 || len(r.Policies) == 0:
		return nil, "", errors.New("is no report of replay or compare, which alone are of parts of a log")
	}
	if sum = digest(text); sum == "" {
		return nil, "", errors.New("is not as it was written, or by another version: " + again)
	}
	r.intern()
	return r, sum, nil
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
