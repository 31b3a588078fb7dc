package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"envoy-circuit-breaker/internal/smallfmt"
	"envoy-circuit-breaker/internal/strictjson"
	"envoy-circuit-breaker/internal/time"
)

// An object takes the keys of a map one by one, and reports what is wrong with them.
type object struct {
	path    string
	keys    map[string]any
	known   []string // keys that were asked for
	missing string   // one that has to be there and is not
	report  *report  // shared by all objects of a configuration
}

func (o *object) fail(key string, v any, allowed string) {
	o.error(key, show(v)+" is not allowed: must be "+allowed)
}

// error reports what is wrong with a key, which may be any.
func (o *object) error(key, text string) {
	e := &Error{Path: Join(o.path, key), Text: text}
	if short := cut(key); short != key {
		e.shown = Join(o.path, short)
	}
	o.report.add(e)
}

// take returns the value of a key, if it is given. A null is a wrong type like any other, but to switchable.
func (o *object) take(key string) (any, bool) {
	o.known = append(o.known, key)
	v, given := o.keys[key]
	return v, given
}

// isWrong reports whether an error has been told of a key's value.
func (o *object) isWrong(key string) bool { return o.report.at[join(o.path, key)] }

// end refuses keys that nobody asked for.
func (o *object) end() {
	unknown := []string{}
	for key := range o.keys {
		if !slices.Contains(o.known, key) {
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return
	}
	sorted(o.known)
	for _, key := range sorted(unknown) { // the same errors for the same configuration
		if o.report.isFull() {
			return
		}
		text := "unknown key with value " + show(o.keys[key]) + ": "
		if meant := o.meant(key); len(meant) > 0 {
			text += "did you mean " + strings.Join(meant, " or ") + "?"
		} else {
			text += "must be one of " + strings.Join(o.known, ", ")
		}
		o.error(key, text)
	}
}

// meant returns what somebody may have meant by an unknown key.
func (o *object) meant(key string) []string {
	if name := nearest(key, o.known, 1); name != "" {
		return []string{name}
	}
	if path := Joined(key); path != "" {
		within, name := split(path)
		switch {
		case o.path == "" || strings.HasSuffix(o.path, "]"):
			path = smallfmt.Sprintf(`{"%s": {"%s": …}}`, within, name)
		case o.path == within || strings.HasSuffix(o.path, "."+within):
			path = name
		}
		return []string{path}
	}
	if paths := elsewhere(key); len(paths) > 0 {
		if o.path != "" && len(paths) == 1 && paths[0] == key {
			paths[0] += ", which is no part of " + o.path[strings.LastIndexByte(o.path, '.')+1:]
		}
		return paths
	}
	if name := nearest(key, o.known, slips(key)); name != "" {
		return []string{name}
	}
	if o.missing != "" {
		return []string{o.missing}
	}
	return nil
}

func (o *object) text(key string, to *string) bool {
	v, given := o.take(key)
	if !given {
		return false
	}
	s, ok := v.(string)
	if !ok {
		o.fail(key, v, "a string")
		return false
	}
	*to = s
	return true
}

// required reads a text that has to be there, unless it is inherited.
func (o *object) required(key string, to *string, ok func(string) bool, allowed string) {
	v, given := o.take(key)
	s, isText := v.(string)
	switch {
	case given && isText && ok(s):
		*to = s
		return
	case given:
		o.fail(key, v, allowed)
	case *to == "":
		o.missing = key
		o.report.error(join(o.path, key), "is missing: must be "+allowed)
	default:
		return
	}
	*to = "?" // so that who inherits it is not told again
}

func (o *object) flag(key string, to *bool) {
	v, given := o.take(key)
	if !given {
		return
	}
	b, ok := v.(bool)
	if !ok {
		o.fail(key, v, "true or false"+unquoted(v))
		return
	}
	*to = b
}

func (o *object) number(key string, to *float64) {
	v, given := o.take(key)
	if !given {
		return
	}
	n, ok := v.(float64)
	if !ok {
		o.fail(key, v, "a number"+unquoted(v))
		return
	}
	*to = n
}

func (o *object) integer(key string, to *int) bool {
	v, given := o.take(key)
	if !given {
		return false
	}
	n, ok := v.(float64)
	if !ok || n != math.Trunc(n) {
		o.fail(key, v, "a whole number"+unquoted(v))
		return false
	}
	*to = int(max(-1<<53, min(n, 1<<53))) // beyond which it is out of every range
	return true
}

// unquoted is what to say to a text where none is allowed.
func unquoted(v any) string {
	if _, is := v.(string); is {
		return " without quotes"
	}
	return ""
}

// duration reads a duration in Go's notation, such as "250ms" or "1m30s".
func (o *object) duration(key string, to *time.Duration) bool {
	v, given := o.take(key)
	if !given {
		return false
	}
	s, ok := v.(string)
	d, err := time.ParseDuration(s)
	if !ok || err != nil {
		o.fail(key, v, `a duration such as "250ms", "5s" or "1m30s"`)
		return false
	}
	*to = d
	return true
}

// object opens the object under a key. It returns nil if the key is not given.
func (o *object) object(key string) *object {
	return o.open(key, "an object")
}

// switchable opens the object under a key, or says that null is there, which is off.
func (o *object) switchable(key string) (sub *object, off bool) {
	if v, given := o.keys[key]; given && v == nil {
		o.take(key)
		return nil, true
	}
	return o.open(key, "an object, or null for off"), false
}

func (o *object) open(key, allowed string) *object {
	v, given := o.take(key)
	if !given {
		return nil
	}
	keys, ok := v.(map[string]any)
	if !ok {
		o.fail(key, v, allowed)
		return nil
	}
	return &object{path: join(o.path, key), keys: keys, report: o.report}
}

// list returns the items under a key, each with its path.
func (o *object) list(key string) (items []any, given bool) {
	v, given := o.take(key)
	if !given {
		return nil, false
	}
	items, ok := v.([]any)
	if !ok {
		o.fail(key, v, "a list")
		return nil, false
	}
	return items, true
}

// given returns the value under a key, or under one in another, which are joined by a dot.
func (o *object) given(path string) (any, bool) {
	key, rest, deeper := strings.Cut(path, ".")
	v, given := o.keys[key]
	if !deeper {
		return v, given
	}
	keys, _ := v.(map[string]any)
	v, given = keys[rest]
	return v, given
}

// Join returns the path of a key in the object at a path, with the key in quotes if it would read as a path itself.
func Join(path, key string) string { return join(path, step(key)) }

// step is how a key stands in a path: in quotes if it would read as more than one or none, or has in it what a line should not.
func step(key string) string {
	quoted := strictjson.AppendQuoted(make([]byte, 0, len(key)+2), key)
	if key == "" || strings.ContainsAny(key, ".[") || len(quoted) > len(key)+2 {
		return string(quoted)
	}
	return key
}

// join puts a path behind another. It is called in so many places that it would be much code if the compiler put it there.
//
//go:noinline
func join(path, more string) string {
	if path == "" {
		return more
	}
	return path + "." + more
}

// mostShown is how much of a text or a value an error shows, in bytes.
const mostShown = 80

// show writes a value as a configuration would.
func show(v any) string { return cut(string(appendJSON(nil, v))) }

// appendJSON appends a value as JSON, with keys in order; of an object or a list no more than is shown.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return strictjson.AppendQuoted(b, cut(v))
	case float64:
		return appendNumber(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case []any:
		open := byte('[')
		for _, item := range v {
			if len(b) > mostShown {
				return b
			}
			b = appendJSON(append(b, open), item)
			open = ','
		}
		return closed(b, open, "[]")
	case map[string]any:
		open := byte('{')
		for _, key := range sortedKeys(v) {
			if len(b) > mostShown {
				return b
			}
			b = strictjson.AppendQuoted(append(b, open), cut(key))
			b = appendJSON(append(b, ':'), v[key])
			open = ','
		}
		return closed(b, open, "{}")
	}
	return append(b, "null"...)
}

// closed appends what closes an object or a list, of which both are given, and where it is empty both.
func closed(b []byte, next byte, both string) []byte {
	if next == ',' {
		both = both[1:]
	}
	return append(b, both...)
}

// appendNumber writes a number without an exponent, unless that is much longer.
func appendNumber(b []byte, n float64) []byte {
	if size := math.Abs(n); size < 1e-6 && size > 0 || size >= 1e21 {
		return strconv.AppendFloat(b, n, 'g', -1, 64)
	}
	return strconv.AppendFloat(b, n, 'f', -1, 64)
}

// cut shortens a text that is too long for an error. As for join, one of it is enough.
//
//go:noinline
func cut(text string) string {
	if len(text) <= mostShown {
		return text
	}
	end := mostShown
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func index(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }
