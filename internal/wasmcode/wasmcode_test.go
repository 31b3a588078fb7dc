package wasmcode

import (
	"reflect"
	"testing"
)

const head = "\x00asm\x01\x00\x00\x00"

// module has two functions, of 2 and 130 bytes, beside one that it imports.
func module(names string) []byte {
	m := []byte(head + "\x00\x04\x02abc" + "\x02\x08\x01\x01e\x01f\x00\x00x")
	code := append([]byte("\x02\x02\x00\x0b\x82\x01"), make([]byte, 130)...)
	m = append(append(m, 10, byte(len(code)|0x80), byte(len(code)>>7)), code...)
	if names != "" {
		m = append(m, byte(custom), byte(len(names)+5))
		m = append(m, "\x04name"+names...)
	}
	return m
}

func TestFunctions(t *testing.T) {
	const names = "\x00\x02\x01m" + "\x01\x0d\x03\x00\x01f\x01\x02ab\x02\x03x.y"
	for names, want := range map[string][]Function{"": {{"", 2}, {"", 130}}, names: {{"ab", 2}, {"x.y", 130}}} {
		if size, err := Size(module(names)); size != 136 || err != nil {
			t.Errorf("%q: %d bytes, error %v; want 136", names, size, err)
		}
		if got, err := Functions(module(names)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v; want %v", names, got, err, want)
		}
	}
	whole := module(names)
	for i := range whole[:len(whole)-len(names)-7] {
		if _, err := Size(whole[:i]); err == nil {
			t.Errorf("the first %d bytes: no error", i)
		}
	}
	for name, bad := range map[string][]byte{"empty": nil, "text": []byte("\n\x02hi"), "no code": []byte(head + "\x00\x04\x02abc"), "cut off": whole[:len(whole)-1]} {
		if _, err := Functions(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
