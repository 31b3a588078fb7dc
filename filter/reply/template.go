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
	rest := text
	for rest != "" {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			break
		}
		n := strings.IndexFunc(rest[i+1:], func(r rune) bool {
			return !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
		})
		if n <= 0 || rest[i+1+n] != '}' {
			t = t.literal(rest[:i+1])
			rest = rest[i+1:]
			continue
		}
		name := rest[i+1 : i+1+n]
		switch name {
		case "cluster", "route", "retry_after", "state":
		default:
			return nil, smallfmt.Errorf("{%s} is no placeholder", name)
		}
		t = append(t.literal(rest[:i]), segment{placeholder: name})
		rest = rest[i+n+2:]
	}
	return t.literal(rest), nil
}

// literal appends text, to the last segment where that is literal too.
func (t Template) literal(text string) Template {
	if text == "" {
		return t
	}
	if n := len(t); n > 0 && t[n-1].placeholder == "" {
		t[n-1].text += text
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
