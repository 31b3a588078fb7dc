// Package strictjson reads JSON as RFC 8259 has it, token by token: what encoding/json takes it takes, and nothing else, without the
// reflection that this brings into the plugin. A token knows its line.
package strictjson

import "strconv"

// A Kind says what a token is.
type Kind byte

// The kinds of tokens. Of a value that is no object and no list it is the byte with which that begins, but for numbers.
const (
	End       Kind = 0 // behind the value
	Object    Kind = '{'
	ObjectEnd Kind = '}'
	List      Kind = '['
	ListEnd   Kind = ']'
	Key       Kind = ':'
	String    Kind = '"'
	Number    Kind = '0'
	True      Kind = 't'
	False     Kind = 'f'
	Null      Kind = 'n'
)

// A SyntaxError says where a text is no JSON, and why, in encoding/json's words.
type SyntaxError struct {
	Offset       int // how many bytes were read, with the one that cannot be there
	Line, Column int // of the last of them, from 1; the column in bytes
	text         string
}

func (e *SyntaxError) Error() string { return e.text }

// A Scanner goes through a text that is one JSON value. It takes no memory but a byte for each object and list that is open.
type Scanner struct {
	text  []byte
	at    int    // behind the last token
	start int    // where the last token begins
	last  Kind   // of the last token
	begun bool   // there was one
	open  []byte // the braces and brackets that are open
	line  int
	begin int // of the line
}

// NewScanner returns a scanner of a text.
func NewScanner(text []byte) *Scanner { return &Scanner{text: text, line: 1} }

// Depth is how many objects and lists the next token is in.
func (s *Scanner) Depth() int { return len(s.open) }

// Line is the line of the last token, from 1.
func (s *Scanner) Line() int { return s.line }

// Token is the last token as it is written.
func (s *Scanner) Token() []byte { return s.text[s.start:s.at] }

// Text is what the last token says, which must be a key or a string.
func (s *Scanner) Text() string { return Unquote(s.Token()) }

// Float is the last token, which must be a number. The error is [strconv.ErrRange] for one that is too large, which is infinite then.
func (s *Scanner) Float() (float64, error) { return strconv.ParseFloat(string(s.Token()), 64) }

// Next goes on to the next token, and returns its kind. Its error is a [*SyntaxError]; the scanner is of no use after one.
func (s *Scanner) Next() (Kind, error) {
	isKey := s.inside() == Object
	s.skipBlanks()
	switch {
	case !s.begun:
	case s.last == Object || s.last == List:
		if s.peek() == byte(s.last)+2 { // the brace or bracket that closes it
			return s.close()
		}
	case s.last == Key:
		if s.peek() != ':' {
			return s.fail("after object key")
		}
		s.at++
		isKey = false
	case s.inside() == End:
		if s.at == len(s.text) {
			return End, nil
		}
		return s.fail("after top-level value")
	case s.peek() == byte(s.inside())+2:
		return s.close()
	case s.peek() == ',':
		s.at++
	case isKey:
		return s.fail("after object key:value pair")
	default:
		return s.fail("after array element")
	}
	s.begun = true
	s.skipBlanks()
	s.start = s.at
	if !isKey {
		return s.value()
	}
	if s.peek() != '"' {
		return s.fail("looking for beginning of object key string")
	}
	return s.string(Key)
}

// inside is the object or list that is open, or End.
func (s *Scanner) inside() Kind {
	if len(s.open) == 0 {
		return End
	}
	return Kind(s.open[len(s.open)-1])
}

// peek is the next byte; 0, which no token has, at the end.
func (s *Scanner) peek() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *Scanner) skipBlanks() {
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\n':
			s.line, s.begin = s.line+1, s.at+1
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}

// fail says that the next byte cannot be there.
func (s *Scanner) fail(context string) (Kind, error) {
	if s.at == len(s.text) {
		return End, &SyntaxError{s.at, s.line, s.at - s.begin, "unexpected end of JSON input"}
	}
	quoted := AppendQuoted(nil, string(rune(s.text[s.at])))
	c := string(quoted[1 : len(quoted)-1])
	switch c {
	case `\"`:
		c = `"`
	case `'`:
		c = `\'`
	}
	return End, &SyntaxError{s.at + 1, s.line, s.at + 1 - s.begin, "invalid character '" + c + "' " + context}
}

func (s *Scanner) close() (Kind, error) {
	s.start = s.at
	s.at++
	s.last = s.inside() + 2
	s.open = s.open[:len(s.open)-1]
	return s.last, nil
}

func (s *Scanner) value() (Kind, error) {
	switch c := s.peek(); c {
	case '{', '[':
		s.at++
		s.open = append(s.open, c)
		s.last = Kind(c)
		return s.last, nil
	case '"':
		return s.string(String)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	}
	return s.fail("looking for beginning of value")
}

func (s *Scanner) literal(word string) (Kind, error) {
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.fail("in literal " + word + " (expecting '" + word[i:i+1] + "')")
		}
		s.at++
	}
	s.last = Kind(word[0])
	return s.last, nil
}

func (s *Scanner) number() (Kind, error) {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if !s.digits() {
		return s.fail("in numeric literal")
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return s.fail("after decimal point in numeric literal")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return s.fail("in exponent of numeric literal")
		}
	}
	s.last = Number
	return Number, nil
}

// digits goes over digits, and reports whether there are any.
func (s *Scanner) digits() bool {
	from := s.at
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > from
}

// string goes over a string, which is of the given kind.
func (s *Scanner) string(kind Kind) (Kind, error) {
	for s.at++; s.at < len(s.text); {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			s.last = kind
			return kind, nil
		case c < ' ':
			return s.fail("in string literal")
		case c == '\\':
			s.at++
			if context := s.escape(); context != "" {
				return s.fail(context)
			}
		default:
			s.at++
		}
	}
	return s.fail("")
}

// escape goes over an escape behind its backslash. It returns where it is broken, or nothing.
func (s *Scanner) escape() (context string) {
	c := s.peek()
	if _, ok := escaped(c); ok {
		s.at++
		return ""
	}
	if c != 'u' {
		return "in string escape code"
	}
	s.at++
	for range 4 {
		if hex(s.peek()) < 0 {
			return "in \\u hexadecimal character escape"
		}
		s.at++
	}
	return ""
}
