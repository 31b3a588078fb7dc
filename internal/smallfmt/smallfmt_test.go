package smallfmt

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
)

type level uint8

func (l level) String() string { return [...]string{"low", "high"}[l] }

type point struct{ x, y int }

func (p *point) String() string { return "a point" }

// Whatever is allowed reads as it does in fmt.
func TestAsFmt(t *testing.T) {
	for _, c := range []struct {
		format string
		args   []any
	}{
		{"", nil}, {"no verb, 100%%", nil}, {"größer %s", []any{"als ä"}}, {"%s%s", []any{"a", []byte("b")}},
		{"%v %v %v", []any{nil, true, false}}, {"%d %d %d %d %d", []any{-5, int32(-6), int64(math.MinInt64), uint32(7), uint64(math.MaxUint64)}}, {"%d%v", []any{byte(8), byte(9)}},
		{"%v %v %v %v %v", []any{-5, int32(-6), int64(math.MinInt64), uint32(7), uint64(math.MaxUint64)}},
		{"%v %v %v %v", []any{0.1, 1e6, 123456.0, 1e20}}, {"%v %v %v %v", []any{1e21, 50.0, -1e-5, 2.5}},
		{"%v %v %v", []any{math.Inf(-1), math.NaN(), math.MaxFloat64}}, {"%v%%", []any{12.5}},
		{"%s %v", []any{time.Minute, 1500 * time.Millisecond}}, {"%s, %v", []any{level(1), level(0)}}, {"%v", []any{&point{}}},
		{"%q %q", []any{"a\"b\\c\n\té\u2028", []byte("c'`<")}}, {"%s: %v", []any{errors.New("bad"), errors.New("worse")}},
	} {
		want := fmt.Sprintf(c.format, c.args...)
		if got := Sprintf(c.format, c.args...); got != want {
			t.Errorf("%q: got %q, fmt has %q", c.format, got, want)
		}
		if got := string(Appendf([]byte("> "), c.format, c.args...)); got != "> "+want {
			t.Errorf("%q appended: %q", c.format, got)
		}
	}
}

func FuzzAsFmt(f *testing.F) {
	f.Add("a", 1, 0.5, true)
	f.Add("\xff\"\n", -1<<63, math.Inf(1), false)
	f.Fuzz(func(t *testing.T, s string, i int, x float64, b bool) {
		const format = "%s %v %d %v %v %v %s"
		args := []any{s, s, i, i, x, b, []byte(s)}
		if got, want := Sprintf(format, args...), fmt.Sprintf(format, args...); got != want {
			t.Errorf("got %q, fmt has %q", got, want)
		}
	})
}

func TestErrorf(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err     error
		text    string
		wrapped error
	}{
		{Errorf("a %d", 1), "a 1", nil},
		{Errorf("%w: %d", cause, 1), "cause: 1", cause},
		{Errorf("%v: 1", cause), "cause: 1", nil},
	} {
		if c.err.Error() != c.text || errors.Unwrap(c.err) != c.wrapped {
			t.Errorf("%q wraps %v, want %q and %v", c.err, errors.Unwrap(c.err), c.text, c.wrapped)
		}
	}
}

// A mistake in a program shows in the text, and nothing breaks.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		format string
		args   []any
		want   string
	}{
		{"%x", []any{1}, "%!x(?)"}, {"%v", []any{point{}}, "%!v(?)"}, {"%d", []any{"a"}, "%!d(?)"}, {"%d", []any{level(1)}, "%!d(?)"},
		{"%s", []any{1}, "%!s(?)"}, {"%q", []any{1}, "%!q(?)"}, {"%v", []any{[]byte("a")}, "%!v(?)"}, {"%w", []any{"a"}, "%!w(?)"},
		{"%5d", []any{1}, "%!5(?)d"}, {"%q", []any{"\x00\x7f\xff"}, `"\u0000\u007f�"`}, {"%s and %s", []any{"a"}, "a and %!s(MISSING)"}, {"a", []any{1}, "a%!(EXTRA)"}, {"a%", nil, "a%!(NOVERB)"},
	} {
		if got := Sprintf(c.format, c.args...); got != c.want {
			t.Errorf("%q: got %q, want %q", c.format, got, c.want)
		}
	}
}
