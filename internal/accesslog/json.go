package accesslog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// deepest is how deep JSON may be nested, as in encoding/json.
const deepest = 10000

var errCutOff = errors.New("ends in the middle of its JSON: was it cut off?")

// json reads a line with one object, and takes what its keys tell. It lets control characters in strings pass, as encoding/json
// does not.
func (p *parser) json(f *Format, line []byte) error {
	s := scanner{p, line, blanks(line, 0)}
	if s.at < len(line) && line[s.at] != '{' {
		return errors.New("is no JSON object: it does not begin with {")
	}
	if err := s.object(f.keys, 1); err != nil {
		return err
	}
	if s.at = blanks(line, s.at); s.at < len(line) {
		return s.unexpected("after its JSON")
	}
	return nil
}

// A scanner is at a byte of a line.
type scanner struct {
	p    *parser
	line []byte
	at   int
}

func blanks(line []byte, at int) int {
	for at < len(line) && line[at] <= ' ' && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r' || line[at] == '\n') {
		at++
	}
	return at
}

func (s *scanner) unexpected(where string) error {
	if s.at >= len(s.line) {
		return errCutOff
	}
	return fmt.Errorf("is no JSON: %q at byte %d %s", s.line[s.at], s.at+1, where)
}

// next goes over blanks and returns the byte that follows; 0 at the end.
func (s *scanner) next() byte {
	if s.at = blanks(s.line, s.at); s.at < len(s.line) {
		return s.line[s.at]
	}
	return 0
}

// object reads an object. Of n's keys it takes what they tell; n may be nil.
func (s *scanner) object(n *node, depth int) error {
	if depth > deepest {
		return errors.New("is JSON nested too deep")
	}
	s.at++ // {
	if s.next() == '}' {
		s.at++
		return nil
	}
	for i := 0; ; i++ {
		if s.next() != '"' {
			return s.unexpected("in place of a key")
		}
		of, expected := s.p.order.expect(s, n, i)
		if !expected {
			key, err := s.string()
			if err != nil {
				return err
			}
			if n != nil {
				of = s.p.order.find(n, i, key)
			}
		}
		if s.next() != ':' {
			return s.unexpected("in place of a colon")
		}
		s.at++
		if err := s.value(of, depth); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case '}':
			s.at++
			return nil
		default:
			return s.unexpected("after a value")
		}
	}
}

// value reads what a key has; n is the key, nil if nobody wants it.
func (s *scanner) value(n *node, depth int) error {
	var v value
	switch c := s.next(); {
	case c == '"':
		b, err := s.string()
		if err != nil {
			return err
		}
		v = value{text: b, kind: text}
		if len(b) == 1 && b[0] == '-' {
			v.kind = nothing // as of old Envoys
		}
	case c == '{':
		if n != nil && n.children == nil {
			n = nil
		}
		return s.object(n, depth+1)
	case c == '[':
		return s.array(depth + 1)
	case c == '-' || '0' <= c && c <= '9':
		b, err := s.number()
		if err != nil {
			return err
		}
		v = value{text: b, kind: literal}
	default:
		for _, word := range [...]string{"null", "true", "false"} {
			if rest := s.line[s.at:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
				v = value{text: rest[:len(word)], kind: literal}
				break
			}
		}
		if v.kind == absent {
			return s.unexpected("in place of a value")
		}
		s.at += len(v.text)
		if len(v.text) == len("null") && v.text[0] == 'n' {
			v.kind = nothing
		}
	}
	if n != nil {
		for _, t := range n.tells {
			if was := &s.p.values[t.field]; was.kind == absent || t.rank <= was.rank {
				v.rank = t.rank
				*was = v
			}
		}
	}
	return nil
}

func (s *scanner) array(depth int) error {
	if depth > deepest {
		return errors.New("is JSON nested too deep")
	}
	s.at++ // [
	if s.next() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.value(nil, depth); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case ']':
			s.at++
			return nil
		default:
			return s.unexpected("in a list")
		}
	}
}

func (s *scanner) number() ([]byte, error) {
	from := s.at
	if s.line[s.at] == '-' {
		s.at++
	}
	whole := s.at
	ok := s.digits() && (s.line[whole] != '0' || s.at == whole+1)
	if ok && s.at < len(s.line) && s.line[s.at] == '.' {
		s.at++
		ok = s.digits()
	}
	if ok && s.at < len(s.line) && s.line[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.line) && (s.line[s.at] == '+' || s.line[s.at] == '-') {
			s.at++
		}
		ok = s.digits()
	}
	if !ok {
		return nil, s.unexpected("in a number")
	}
	return s.line[from:s.at], nil
}

// digits goes over digits, and reports whether there were any.
func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.line) && '0' <= s.line[s.at] && s.line[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

// string reads a string. Its text is a part of the line, or of scratch if there are escapes.
func (s *scanner) string() ([]byte, error) {
	s.at++ // "
	from := s.at
	for s.at < len(s.line) {
		if s.at+8 <= len(s.line) {
			found := quoteOrBackslash(binary.LittleEndian.Uint64(s.line[s.at:]))
			s.at += found
			if found == 8 {
				continue
			}
		}
		switch s.line[s.at] {
		case '"':
			s.at++
			return s.line[from : s.at-1 : s.at-1], nil
		case '\\':
			return s.escaped(from)
		}
		s.at++
	}
	return nil, errCutOff
}

// quoteOrBackslash returns which of eight bytes is the first that may end a string's plain text; 8 if none is.
func quoteOrBackslash(eight uint64) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quotes, backslashes := eight^(ones*'"'), eight^(ones*'\\')
	// The lowest byte that is zero borrows first, so that the lowest bit is right.
	return bits.TrailingZeros64(((quotes-ones)&^quotes|(backslashes-ones)&^backslashes)&tops) / 8
}

// escaped reads on at the first escape of a string whose text begins at a byte.
func (s *scanner) escaped(begin int) ([]byte, error) {
	out := append(s.p.scratch, s.line[begin:s.at]...)
	from := len(s.p.scratch)
	for s.at < len(s.line) {
		c := s.line[s.at]
		s.at++
		switch c {
		case '"':
			s.p.scratch = out
			return out[from:len(out):len(out)], nil
		case '\\':
			var err error
			if out, err = s.escape(out); err != nil {
				return nil, err
			}
		default:
			out = append(out, c)
		}
	}
	return nil, errCutOff
}

// escape appends what the escape stands for whose backslash has been read.
func (s *scanner) escape(out []byte) ([]byte, error) {
	if s.at >= len(s.line) {
		return nil, errCutOff
	}
	c := s.line[s.at]
	if c == 'u' {
		r := s.hex(s.at + 1)
		if r < 0 {
			return nil, s.unexpected("begins no escape")
		}
		s.at += 5
		if utf16.IsSurrogate(r) {
			r = s.second(r)
		}
		return utf8.AppendRune(out, r), nil
	}
	i := bytes.IndexByte([]byte(`"\/bfnrt`), c)
	if i < 0 {
		return nil, s.unexpected("begins no escape")
	}
	s.at++
	return append(out, "\"\\/\b\f\n\r\t"[i]), nil
}

// second returns the rune of a surrogate and its second half, which follows.
func (s *scanner) second(first rune) rune {
	if rest := s.line[s.at:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		if r := utf16.DecodeRune(first, s.hex(s.at+2)); r != utf8.RuneError {
			s.at += 6
			return r
		}
	}
	return utf8.RuneError
}

// hex reads four hexadecimal digits; -1 if they are none.
func (s *scanner) hex(at int) (r rune) {
	if len(s.line) < at+4 {
		return -1
	}
	for _, c := range s.line[at : at+4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}

// A keyOrder remembers the keys of a line's object by their place, which is the same in nearly all of Envoy's lines, so that most
// need not be looked up.
type keyOrder struct {
	of   *node
	keys [48]struct {
		quoted string // "" if it is not known yet
		is     *node
	}
}

// expect goes over the i-th key of an object of which n is known, if it is the same as in other lines.
func (o *keyOrder) expect(s *scanner, n *node, i int) (is *node, ok bool) {
	if o.of != n || n == nil || i >= len(o.keys) {
		return nil, false
	}
	k := &o.keys[i]
	if k.quoted == "" || len(s.line)-s.at < len(k.quoted) || string(s.line[s.at:s.at+len(k.quoted)]) != k.quoted {
		return nil, false
	}
	s.at += len(k.quoted)
	return k.is, true
}

// find returns the i-th key of an object of which n is known; nil if that has none of this name.
func (o *keyOrder) find(n *node, i int, name []byte) *node {
	is := n.children[string(name)]
	if o.of == nil {
		o.of = n
	}
	if o.of == n && i < len(o.keys) && o.keys[i].quoted == "" && len(name) <= 64 && bytes.IndexAny(name, "\"\\") < 0 {
		o.keys[i].quoted, o.keys[i].is = `"`+string(name)+`"`, is
	}
	return is
}
