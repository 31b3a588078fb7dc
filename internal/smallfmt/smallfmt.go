// Package smallfmt formats texts with values in them, as fmt does, without reflection: fmt and what it brings along would be a tenth
// of the plugin's code, and an Envoy compiles and keeps all of that.
//
// It knows the verbs %s, %q, %d, %v, %w and %%, without flags or a width:
//
//   - %d for int, int32, int64, uint8, uint32 and uint64;
//   - %s for string, []byte, errors and what has a method String;
//   - %v for all those but []byte, and for nil, bool and float64;
//   - %q for string and []byte; %w, in Errorf alone, for errors.
//
// They read as they do in fmt, but for %q, which quotes as JSON does. Other verbs, other types, and values that are missing or left over
// are mistakes in a program: a test of this package finds them in the plugin's packages, and the text shows where they are, after "%!".
package smallfmt

import (
	"errors"
	"strconv"
	"strings"

	"envoy-circuit-breaker/internal/strictjson"
)

// Sprintf returns the text that a format makes of values.
func Sprintf(format string, args ...any) string {
	return string(Appendf(nil, format, args...))
}

// Errorf returns an error with that text. It wraps the error that is the value of a %w, if there is one; the last, if several are.
func Errorf(format string, args ...any) error {
	text, wrapped := appendf(nil, format, args)
	if wrapped == nil {
		return errors.New(string(text))
	}
	return &wrapping{string(text), wrapped}
}

// Appendf appends that text to b.
func Appendf(b []byte, format string, args ...any) []byte {
	b, _ = appendf(b, format, args)
	return b
}

type wrapping struct {
	text string
	err  error
}

func (w *wrapping) Error() string { return w.text }
func (w *wrapping) Unwrap() error { return w.err }

func appendf(b []byte, format string, args []any) (text []byte, wrapped error) {
	for {
		plain, rest, found := strings.Cut(format, "%")
		b = append(b, plain...)
		if !found {
			break
		}
		value := ""
		switch {
		case rest == "":
			return append(b, "%!(NOVERB)"...), wrapped
		case rest[0] == '%':
			value = "%"
		case len(args) == 0:
			value = "%!" + rest[:1] + "(MISSING)"
		default:
			if err, is := args[0].(error); is && rest[0] == 'w' {
				wrapped = err
			}
			value = textOf(rest[0], args[0])
			args = args[1:]
		}
		b, format = append(b, value...), rest[1:]
	}
	if len(args) > 0 {
		b = append(b, "%!(EXTRA)"...)
	}
	return b, wrapped
}

// textOf returns a value as a verb has it.
func textOf(verb byte, arg any) string {
	text, ok := "", false
	switch verb {
	case 's':
		text, ok = plain(arg)
	case 'd':
		text, ok = integer(arg)
	case 'q':
		text, ok = quoted(arg)
	case 'w':
		if _, ok = arg.(error); ok {
			text, _ = plain(arg)
		}
	case 'v':
		text, ok = natural(arg)
	}
	if !ok {
		return "%!" + string(rune(verb)) + "(?)"
	}
	return text
}

func natural(arg any) (text string, ok bool) {
	switch v := arg.(type) {
	case nil:
		return "<nil>", true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case []byte: // which fmt writes as a list of numbers
		return "", false
	}
	if text, ok = integer(arg); ok {
		return text, ok
	}
	return plain(arg)
}

func integer(arg any) (text string, ok bool) {
	var n int64
	switch v := arg.(type) {
	case int:
		n = int64(v)
	case int32:
		n = int64(v)
	case int64:
		n = v
	case uint8:
		n = int64(v)
	case uint32:
		n = int64(v)
	case uint64:
		return strconv.FormatUint(v, 10), true
	default:
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}

func plain(arg any) (text string, ok bool) {
	switch v := arg.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case error:
		return v.Error(), true
	case interface{ String() string }:
		return v.String(), true
	}
	return "", false
}

func quoted(arg any) (text string, ok bool) {
	switch v := arg.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		return "", false
	}
	return string(strictjson.AppendQuoted(nil, text)), true
}
