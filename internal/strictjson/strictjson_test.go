package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// value reads the value that begins with a token.
func value(t *testing.T, s *Scanner, kind Kind) (any, error) {
	next := func() Kind {
		t.Helper()
		kind, err := s.Next()
		if err != nil {
			t.Fatalf("a text that is valid: %v", err)
		}
		return kind
	}
	switch kind {
	case Object:
		object := map[string]any{}
		for next() == Key {
			key := s.Text()
			v, err := value(t, s, next())
			if err != nil {
				return nil, err
			}
			object[key] = v
		}
		return object, nil
	case List:
		list := []any{}
		for kind := next(); kind != ListEnd; kind = next() {
			v, err := value(t, s, kind)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case String:
		return s.Text(), nil
	case Number:
		return s.Float()
	case Null:
		return nil, nil
	}
	return kind == True, nil
}

// valid goes through a whole text.
func valid(text []byte) error {
	for s := NewScanner(text); ; {
		if kind, err := s.Next(); err != nil || kind == End {
			return err
		}
	}
}

// compare holds a text against encoding/json: both refuse it, at the same byte and in the same words, or read the same from it.
func compare(t *testing.T, text []byte) {
	t.Helper()
	err := valid(text)
	if json.Valid(text) != (err == nil) {
		t.Fatalf("%q: %v, and to encoding/json valid is %v", text, err, json.Valid(text))
	}
	var want any
	wantErr := json.Unmarshal(text, &want)
	if err != nil {
		var theirs *json.SyntaxError
		var ours *SyntaxError
		if !errors.As(wantErr, &theirs) || !errors.As(err, &ours) || int64(ours.Offset) != theirs.Offset {
			t.Fatalf("%q: %v at %d, encoding/json has %v", text, err, ours.Offset, wantErr)
		}
		const end = "unexpected end of JSON input"
		before := text[:ours.Offset]
		if bytes.HasSuffix(before, []byte("\n")) && ours.text != end {
			before = before[:len(before)-1] // it is in a string, and of its line
		}
		line, column := 1+bytes.Count(before, []byte("\n")), ours.Offset-1-bytes.LastIndexByte(before, '\n')
		if ours.Line != line || ours.Column != column {
			t.Fatalf("%q: %v in line %d, column %d; want %d, %d", text, err, ours.Line, ours.Column, line, column)
		}
		// A text that ends in the middle of a number or a word is invalid at a blank to encoding/json, which also writes \x for \u00.
		atEnd := ours.Offset == len(text) && ours.text == end
		if !atEnd && asGo(ours.text) != asGo(theirs.Error()) {
			t.Fatalf("%q: %v, encoding/json has %v", text, err, wantErr)
		}
		return
	}
	s := NewScanner(text)
	kind, _ := s.Next()
	got, err := value(t, s, kind)
	if err != nil {
		if !errors.Is(err, strconv.ErrRange) || wantErr == nil {
			t.Fatalf("%q: %v, encoding/json has %v", text, err, wantErr)
		}
		return
	}
	if kind, err := s.Next(); kind != End || err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %#v, then %q and %v; encoding/json has %#v, %v", text, got, kind, err, want, wantErr)
	}
}

// asGo writes a message in one way that has a byte in it as JSON or as Go escapes it.
func asGo(text string) string {
	return strings.NewReplacer(`\a`, `\x07`, `\b`, `\x08`, `\v`, `\x0b`, `\f`, `\x0c`, `\u00`, `\x`).Replace(text)
}

var texts = []string{
	``, ` `, `{}`, `[]`, ` { } `, `"a"`, `null`, `true`, `false`, `nul`, `nulx`, `truf`, `tru `, `falsy`, `True`, `nulll`, `{}{}`, `[] x`, "\xef\xbb\xbf{}", "0\x95", "\x7f", "\u0085", "\xa0", "\xad",
	`{"a":1}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a" 1}`, `{"a":}`, `{"a":1,,}`, `{,}`, `{1:2}`, `{'a':1}`, `{a:1}`, `{"a":1]`, `{"a"`, `{"a":`, `{"a":1`, `{"a",`,
	`[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `[`, `[1`, `[1,`, `[[[]],{"a":[{}]}]`, `]`, `}`, `:`, `,`, `{"a":{"a":{}},"a":[]}`,
	`0`, `-0`, `-`, `-x`, `01`, `1.`, `1.x`, `.5`, `1.5`, `1e`, `1e+`, `1e+x`, `1E5`, `1e-5`, `1.25e+10`, `+1`, `1e400`, `-1e999`, `1e-999`, `1a`, `[1.0.0]`, `0x10`,
	`123456789012345678901234567890`, `9007199254740993`, `0.1`, `2.2250738585072011e-308`, `5e-324`, `NaN`, `Infinity`,
	`"\"\\\/\b\f\n\r\t"`, `"\u00e9\u00E9\u0000"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\ud83d\ude00"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`,
	`"\x"`, `"\u12"`, `"\u12g4"`, `"\u`, `"\`, `"abc`, "\"a\nb\"", "\"\x00\"", "\"\x7f\"", "\"\xff\xfe\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"é€😀\"", `"\'"`, "\"\\\xff\"",
	"[1,\n2,\r\n\t3]", "{\v}", "[\u00a01]", "# a", "// a", "[\x00]", "[\"", "'", "{\"\"\":1}",
	strings.Repeat("[", 3000) + strings.Repeat("]", 3000),
}

func TestAsEncodingJSON(t *testing.T) {
	for _, text := range texts {
		compare(t, []byte(text))
	}
}

func FuzzAsEncodingJSON(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) < 10000 { // beyond which encoding/json does not nest
			compare(t, text)
		}
	})
}

// Where a text ends too soon, that is what is said of it.
func TestEnd(t *testing.T) {
	for _, text := range []string{``, `{"a": tru`, `1.`, `1e`, `-`, `"\`, `"\u00`, `[1,`, `{"a"`, `"a`} {
		var syntax *SyntaxError
		if err := valid([]byte(text)); !errors.As(err, &syntax) || syntax.Error() != "unexpected end of JSON input" || syntax.Offset != len(text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Each token knows its line, and how many objects and lists it is in.
func TestLines(t *testing.T) {
	text := "\n{\"a\"\n:\n1,\r\n\"b\": [\n\"\\n\",\ntrue]\n}\n"
	type token struct {
		kind  Kind
		text  string
		line  int
		depth int
	}
	want := []token{{Object, "{", 2, 1}, {Key, `"a"`, 2, 1}, {Number, "1", 4, 1}, {Key, `"b"`, 5, 1}, {List, "[", 5, 2},
		{String, `"\n"`, 6, 2}, {True, "true", 7, 2}, {ListEnd, "]", 7, 1}, {ObjectEnd, "}", 8, 0}}
	s := NewScanner([]byte(text))
	for _, w := range want {
		kind, err := s.Next()
		if got := (token{kind, string(s.Token()), s.Line(), s.Depth()}); got != w || err != nil {
			t.Errorf("%v, %v; want %v", got, err, w)
		}
	}
	if kind, err := s.Next(); kind != End || err != nil {
		t.Errorf("at the end: %q, %v", kind, err)
	}
}

// What is quoted is one line of JSON, and reads as it was.
func FuzzQuoted(f *testing.F) {
	for _, text := range []string{"", `a"b\c`, "\n\r\t\b\x00\x1f\x7f", "\u2028\u2029", "é€😀", "\xff\xc3", "<a&b>"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := AppendQuoted([]byte("x"), text)[1:]
		var want string
		if err := json.Unmarshal(quoted, &want); err != nil || want != string([]rune(text)) {
			t.Errorf("%q: %s, %v", text, quoted, err)
		}
		if got := Unquote(quoted); got != want {
			t.Errorf("%q comes back as %q", text, got)
		}
		if bytes.ContainsFunc(quoted, unicode.IsControl) || bytes.ContainsAny(quoted, "\u2028\u2029") {
			t.Errorf("%q is more than a line, or has a control character", quoted)
		}
	})
}

// A text costs no memory but for what is open.
func TestMemory(t *testing.T) {
	text := []byte(`[` + strings.Repeat(`{"a": ["b\u00e9", 1.5e3, true, null]},`, 10_000) + `0]`)
	if n := testing.AllocsPerRun(5, func() {
		if err := valid(text); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
