package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"envoy-circuit-breaker/internal/smallfmt"
)

// parseJSON reads a configuration given as text. Empty text is an empty configuration. Beside the tree it returns keys that are
// given twice.
func parseJSON(text []byte) (root map[string]any, twice Errors, err error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil, nil
	}
	if _, err := (&jsonReader{text: text}).value(1); err != nil && hasPlace(err) {
		return nil, nil, err
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, nil, notJSON(text, err)
	}
	r := &jsonReader{text: text, keep: true}
	v, err := r.value(1)
	if err != nil {
		return nil, nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, nil, &Error{Text: show(v) + ` is not allowed: must be an object of keys, such as {"failure_rate": 50}`}
	}
	return root, r.twice, nil
}

// A jsonReader goes through a text. Unlike json.Unmarshal it names the key of what it refuses, and refuses a key that is
// given twice: one of the two would be ignored.
type jsonReader struct {
	text  []byte
	at    int
	keep  bool // the text is valid, and its values are wanted; or else only its depth is looked at, without memory for the rest
	twice Errors
}

// value reads the next value, which is depth levels deep.
func (r *jsonReader) value(depth int) (any, error) {
	open := r.next()
	if open == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if open != '{' && open != '[' {
		return r.scalar(r.token())
	}
	if depth > maxDepth {
		return nil, tooDeep()
	}
	var object map[string]any
	var list []any
	if r.keep {
		object, list = map[string]any{}, []any{}
	}
	r.at++
	for i := 0; r.next() != open+2; i++ { // which is the brace or bracket that closes it
		var quoted []byte
		if open == '{' {
			quoted = r.token()
		}
		known := len(r.twice)
		v, err := r.value(depth + 1)
		if err != nil || len(r.twice) > known {
			here := index("", i)
			if quoted != nil {
				here = step(cut(unquote(quoted)))
			}
			for _, e := range r.twice[known:] {
				e.under(here)
			}
			if err != nil {
				return nil, under(here, err)
			}
		}
		switch {
		case r.keep && quoted == nil:
			list = append(list, v)
		case r.keep:
			key := unquote(quoted)
			if _, again := object[key]; again && len(r.twice) < mostTwice {
				r.twice = append(r.twice, Twice(step(cut(key)), v))
			}
			object[key] = v
		}
	}
	r.at++
	if open == '{' {
		return object, nil
	}
	return list, nil
}

func (r *jsonReader) scalar(token []byte) (any, error) {
	if !r.keep {
		return nil, nil
	}
	switch token[0] {
	case '"':
		return unquote(token), nil
	case 't', 'f':
		return token[0] == 't', nil
	case 'n':
		return nil, nil
	}
	n, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return nil, notFinite(string(token))
	}
	return n, nil
}

// next goes to the next token, and returns its first byte, or 0 at the end. In a valid text only a string can hold what
// it leaves out.
func (r *jsonReader) next() byte {
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// token takes the next string, with its quotes, or the next number or name.
func (r *jsonReader) token() []byte {
	quoted := r.next() == '"'
	start := r.at
	for r.at++; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '\\':
			r.at++
		case '"':
			if quoted {
				r.at++
				return r.text[start:r.at]
			}
		case ' ', '\t', '\r', '\n', ',', ':', ']', '}':
			if !quoted {
				return r.text[start:r.at]
			}
		}
	}
	r.at = len(r.text)
	return r.text[start:]
}

// unquote returns the string that a token stands for; it is empty if the token is no string.
func unquote(token []byte) (s string) {
	json.Unmarshal(token, &s)
	return s
}

// notJSON says where a text is no JSON, and what to do.
func notJSON(text []byte, err error) error {
	at := len(text)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = int(syntax.Offset)
	}
	before := text[:at]
	line, column := 1+bytes.Count(before, []byte("\n")), len(before)-1-bytes.LastIndexByte(before, '\n')
	advice := ""
	switch start, broken := bytes.TrimSpace(text), text[max(0, at-1)]; {
	case start[0] != '{' && start[0] != '[':
		advice = "; for YAML use google.protobuf.Struct in place of StringValue"
	case (broken == '}' || broken == ']') && bytes.HasSuffix(bytes.TrimSpace(text[:at-1]), []byte(",")):
		advice = "; leave out the comma before it"
	case at == len(text): // where it ends too soon
	case broken == '#' || broken == '/':
		advice = "; JSON has no comments"
	case broken == '\'':
		advice = "; strings are in double quotes"
	}
	return &Error{Text: smallfmt.Sprintf("not valid JSON: line %d, column %d: %v%s", line, column, err, advice), Line: line}
}
