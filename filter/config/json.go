package config

import (
	"bytes"

	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/strictjson"
)

// parseJSON reads a configuration given as text. Empty text is an empty configuration. Beside the tree it returns keys that are
// given twice. It goes through the text twice, so that no memory is spent on one that is no JSON, or nests too deep.
func parseJSON(text []byte) (root map[string]any, twice Errors, err error) {
	if len(trimBlanks(text)) == 0 {
		return map[string]any{}, nil, nil
	}
	if _, err := (&jsonReader{Scanner: strictjson.NewScanner(text)}).whole(); err != nil {
		return nil, nil, notJSON(text, err)
	}
	r := &jsonReader{Scanner: strictjson.NewScanner(text), keep: true}
	v, err := r.whole()
	if err != nil {
		return nil, nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, nil, &Error{Text: show(v) + ` is not allowed: must be an object of keys, such as {"failure_rate": 50}`}
	}
	return root, r.twice, nil
}

// A jsonReader makes a tree of a text. It names the key of what it refuses, and notes keys that are given twice: one of the two would be
// ignored.
type jsonReader struct {
	*strictjson.Scanner
	keep  bool // the values are wanted, and not only whether there is anything wrong with the text
	twice Errors
}

// whole reads the one value that a text is.
func (r *jsonReader) whole() (any, error) {
	kind, err := r.Next()
	if err != nil {
		return nil, err
	}
	v, err := r.value(kind)
	if err != nil {
		return nil, err
	}
	_, err = r.Next()
	return v, err
}

// value reads the value that begins with the last token.
func (r *jsonReader) value(kind strictjson.Kind) (any, error) {
	switch {
	case kind != strictjson.Object && kind != strictjson.List:
		return r.scalar(kind)
	case r.Depth() > maxDepth:
		return nil, tooDeep()
	case kind == strictjson.Object:
		return r.object()
	}
	return r.list()
}

func (r *jsonReader) object() (any, error) {
	var object map[string]any
	if r.keep {
		object = map[string]any{}
	}
	for {
		kind, err := r.Next()
		if err != nil || kind == strictjson.ObjectEnd {
			return object, err
		}
		quoted, known := r.Token(), len(r.twice)
		if kind, err = r.Next(); err != nil {
			return nil, err
		}
		v, err := r.value(kind)
		if err = r.under(known, err, func() string { return step(cut(strictjson.Unquote(quoted))) }); err != nil {
			return nil, err
		}
		if !r.keep {
			continue
		}
		key := strictjson.Unquote(quoted)
		if _, again := object[key]; again && len(r.twice) < mostTwice {
			r.twice = append(r.twice, Twice(step(cut(key)), v))
		}
		object[key] = v
	}
}

func (r *jsonReader) list() (any, error) {
	var list []any
	if r.keep {
		list = []any{}
	}
	for i := 0; ; i++ {
		kind, err := r.Next()
		if err != nil || kind == strictjson.ListEnd {
			return list, err
		}
		known := len(r.twice)
		v, err := r.value(kind)
		if err = r.under(known, err, func() string { return index("", i) }); err != nil {
			return nil, err
		}
		if r.keep {
			list = append(list, v)
		}
	}
}

// under puts a key or an index before the paths of what is wrong with its value: an error, and the keys that are given twice since so many
// were known.
func (r *jsonReader) under(known int, err error, step func() string) error {
	if err == nil && len(r.twice) == known {
		return nil
	}
	here := step()
	for _, e := range r.twice[known:] {
		e.under(here)
	}
	return under(here, err)
}

func (r *jsonReader) scalar(kind strictjson.Kind) (any, error) {
	if !r.keep {
		return nil, nil
	}
	switch kind {
	case strictjson.String:
		return r.Text(), nil
	case strictjson.Null:
		return nil, nil
	case strictjson.Number:
		n, err := r.Float()
		if err != nil {
			return nil, notFinite(string(r.Token()))
		}
		return n, nil
	}
	return kind == strictjson.True, nil
}

// trimBlanks leaves out what JSON does not mind around a value.
func trimBlanks(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }

// notJSON says where a text is no JSON, and what to do; other errors it returns as they are.
func notJSON(text []byte, err error) error {
	syntax, ok := err.(*strictjson.SyntaxError)
	if !ok {
		return err
	}
	before := text[:syntax.Offset]
	advice := ""
	switch start, broken := trimBlanks(text), text[max(0, len(before)-1)]; {
	case start[0] != '{' && start[0] != '[':
		advice = "; for YAML use google.protobuf.Struct in place of StringValue"
	case (broken == '}' || broken == ']') && bytes.HasSuffix(trimBlanks(before[:len(before)-1]), []byte(",")):
		advice = "; leave out the comma before it"
	case len(before) == len(text): // where it ends too soon
	case broken == '#' || broken == '/':
		advice = "; JSON has no comments"
	case broken == '\'':
		advice = "; strings are in double quotes"
	}
	return &Error{Text: smallfmt.Sprintf("not valid JSON: line %d, column %d: %v%s", syntax.Line, syntax.Column, err, advice), Line: syntax.Line}
}
