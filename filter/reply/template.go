package reply

import (
	"strings"

	"envoy-circuit-breaker/internal/smallfmt"
)

// A Template is text with placeholders: {cluster}, {route}, {retry_after} and {state}. Any brace that does not enclose letters or _
// alone is plain text, so JSON needs no escaping.
type Template []segment

// A segment is a placeholder's name or, where that is empty, literal text.
type segment struct{ text, placeholder string }

// Placeholders are those that there are, for an error message.
const Placeholders = "{cluster}, {route}, {retry_after} or {state}"

// ParseTemplate splits a text. A placeholder of another name is an error.
func ParseTemplate(text string) (Template, error) {
	var t Template
	done := 0 // how much of the text is in t
	for i := 0; i < len(text); i++ {
		if text[i] != '{' {
			continue
		}
		n := strings.IndexFunc(text[i+1:], func(r rune) bool {
			return !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
		})
		if n <= 0 || text[i+1+n] != '}' {
			continue
		}
		name := text[i+1 : i+1+n]
		switch name {
		case "cluster", "route", "retry_after", "state":
		default:
			return nil, smallfmt.Errorf("{%s} is no placeholder", name)
		}
		t = append(t.literal(text[done:i]), segment{placeholder: name})
		i += n + 1
		done = i + 1
	}
	return t.literal(text[done:]), nil
}

// literal appends text, if there is any.
func (t Template) literal(text string) Template {
	if text == "" {
		return t
	}
	return append(t, segment{text: text})
}

// Values are what the placeholders stand for. Route is empty where the breaker is the cluster's.
type Values struct{ Cluster, Route, RetryAfter, State string }

// String is the text as it was written.
func (t Template) String() string {
	return t.Expand(Values{Cluster: "{cluster}", Route: "{route}", RetryAfter: "{retry_after}", State: "{state}"})
}

// Expand fills the placeholders.
func (t Template) Expand(v Values) string {
	var b strings.Builder
	for _, s := range t {
		text := s.text
		switch s.placeholder {
		case "cluster":
			text = v.Cluster
		case "route":
			text = v.Route
		case "retry_after":
			text = v.RetryAfter
		case "state":
			text = v.State
		}
		b.WriteString(text)
	}
	return b.String()
}
