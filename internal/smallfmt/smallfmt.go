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
// They read as they do in fmt, but for %q, which quotes as JSON does. Other verbs, other types, and values that are missing or left over are mistakes in a program: go vet
// finds most of them, a test of this package all of them in the plugin's packages, and the text shows where they are, after "%!".
package smallfmt

import (
	"errors"
	"fmt"
	"strconv"

	"envoy-circuit-breaker/internal/strictjson"
)

// Sprintf returns the text that a format makes of values.
func Sprintf(format string, args ...any) string {
	if false {
		_ = fmt.Sprintf(format, args...) // by which go vet knows what this is; the compiler leaves it out
	}
	return string(Appendf(nil, format, args...))
}

// Errorf returns an error with that text. It wraps the error that is the value of a %w, if there is one; the last, if several are.
func Errorf(format string, args ...any) error {
	if false {
		_ = fmt.Errorf(format, args...) // as above
	}
	text, wrapped := appendf(nil, format, args)
	if wrapped == nil {
		return errors.New(string(text))
	}
	return &wrapping{string(text), wrapped}
}

// Appendf appends that text to b.
func Appendf(b []byte, format string, args ...any) []byte {
	if false {
		_ = fmt.Appendf(b, format, args...) // as above
	}
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
	used := 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b = append(b, format[i])
			continue
		}
		i++
		switch {
		case i == len(format):
			b = append(b, "%!(NOVERB)"...)
		case format[i] == '%':
			b = append(b, '%')
		case used == len(args):
			b = append(b, '%', '!', format[i])
			b = append(b, "(MISSING)"...)
		default:
			arg := args[used]
			used++
			if err, is := arg.(error); is && format[i] == 'w' {
				wrapped = err
			}
			b = appendValue(b, format[i], arg)
		}
	}
	if used < len(args) {
		b = append(b, "%!(EXTRA)"...)
	}
	return b, wrapped
}

// appendValue appends a value as a verb has it.
func appendValue(b []byte, verb byte, arg any) []byte {
	var text []byte
	ok := false
	switch verb {
	case 's':
		text, ok = appendText(b, arg)
	case 'd':
		text, ok = appendInteger(b, arg)
	case 'q':
		text, ok = appendQuoted(b, arg)
	case 'w':
		if _, ok = arg.(error); ok {
			text, ok = appendText(b, arg)
		}
	case 'v':
		text, ok = appendAny(b, arg)
	}
	if !ok {
		return append(b, '%', '!', verb, '(', '?', ')')
	}
	return text
}

func appendAny(b []byte, arg any) ([]byte, bool) {
	switch v := arg.(type) {
	case nil:
		return append(b, "<nil>"...), true
	case bool:
		return strconv.AppendBool(b, v), true
	case float64:
		return strconv.AppendFloat(b, v, 'g', -1, 64), true
	case []byte: // which fmt writes as a list of numbers
		return b, false
	}
	if number, ok := appendInteger(b, arg); ok {
		return number, true
	}
	return appendText(b, arg)
}

func appendInteger(b []byte, arg any) ([]byte, bool) {
	switch v := arg.(type) {
	case int:
		return strconv.AppendInt(b, int64(v), 10), true
	case int32:
		return strconv.AppendInt(b, int64(v), 10), true
	case int64:
		return strconv.AppendInt(b, v, 10), true
	case uint8:
		return strconv.AppendUint(b, uint64(v), 10), true
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10), true
	case uint64:
		return strconv.AppendUint(b, v, 10), true
	}
	return b, false
}

func appendText(b []byte, arg any) ([]byte, bool) {
	switch v := arg.(type) {
	case string:
		return append(b, v...), true
	case []byte:
		return append(b, v...), true
	case error:
		return append(b, v.Error()...), true
	case interface{ String() string }:
		return append(b, v.String()...), true
	}
	return b, false
}

func appendQuoted(b []byte, arg any) ([]byte, bool) {
	switch v := arg.(type) {
	case string:
		return strictjson.AppendQuoted(b, v), true
	case []byte:
		return strictjson.AppendQuoted(b, string(v)), true
	}
	return b, false
}
