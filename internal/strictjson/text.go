package strictjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote returns what a string stands for that a [Scanner] has read, with its quotes. Bytes that are no UTF-8, and halves of surrogate
// pairs, become U+FFFD.
func Unquote(token []byte) string {
	b := token[1 : len(token)-1]
	if bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == '\\' {
			r, n = unescape(b)
		}
		out, b = utf8.AppendRune(out, r), b[n:]
	}
	return string(out)
}

// unescape returns what the escape stands for with which a text begins, and how long it is.
func unescape(b []byte) (r rune, n int) {
	if c, ok := escaped(b[1]); ok {
		return rune(c), 2
	}
	r, n = unit(b), 6
	if !utf16.IsSurrogate(r) {
		return r, n
	}
	if rest := b[6:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		if both := utf16.DecodeRune(r, unit(rest)); both != utf8.RuneError {
			return both, 12
		}
	}
	return utf8.RuneError, n
}

// escaped returns what a byte stands for behind a backslash.
func escaped(c byte) (stands byte, ok bool) {
	switch c {
	case '"', '\\', '/':
		return c, true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}

// unit returns the number of an escape with u, such as \u00e9.
func unit(escape []byte) (u rune) {
	for _, c := range escape[2:6] {
		u = u<<4 | hex(c)
	}
	return u
}

// hex returns the value of a hexadecimal digit; -1 if it is none.
func hex(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return rune(c - 'A' + 10)
	}
	return -1
}

// AppendQuoted appends a text as a JSON string, in one line. Bytes that are no UTF-8 become U+FFFD.
func AppendQuoted(b []byte, text string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range text {
		short := byte(r) // behind a backslash
		switch r {
		case '"', '\\':
		case '\n':
			short = 'n'
		case '\r':
			short = 'r'
		case '\t':
			short = 't'
		default:
			// Controls, what ends a line as well, and what looks like a blank or like nothing.
			if r < ' ' || 0x7f <= r && r <= 0xa0 || r == 0xad || r == '\u2028' || r == '\u2029' {
				b = append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
			} else {
				b = utf8.AppendRune(b, r)
			}
			continue
		}
		b = append(b, '\\', short)
	}
	return append(b, '"')
}
