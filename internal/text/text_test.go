package text

import (
	"strings"
	"testing"
)

// Columns stand under each other in a terminal, whatever is in names, and nothing reaches it as more than text.
func TestTable(t *testing.T) {
	table := Table{Left: 2}
	table.Add([]string{"NAME", "STATE"}, []string{"N"})
	table.Add([]string{"\x1b[31mred\x9b\u202e", "a\tb\r\n"}, []string{"1,000"})
	table.Add([]string{"支払い", "cafe\u0301"}, []string{"7"})
	table.Add([]string{"😀", "\xff"}, []string{"-"})
	var b strings.Builder
	table.Write(&b)
	const want = "" +
		"NAME        STATE      N\n" +
		"�[31mred��  a�b��  1,000\n" +
		"支払い      cafe\u0301       7\n" +
		"😀          �          -\n\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		cells int
		want  string
	}{
		{"payments", 8, "payments"}, {"payments", 7, "paymen…"}, {"支払い", 6, "支払い"}, {"支払い", 5, "支払…"}, {"支払い", 4, "支…"},
		{"cafe\u0301", 4, "cafe\u0301"}, {"cafe\u0301s", 4, "caf…"}, {"", 1, ""}, {"ab", 1, "…"},
	} {
		if got := Cut(c.text, c.cells); got != c.want || Width(got) > c.cells {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.text, c.cells, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for want, got := range map[string]string{
		"1 line": Count(1, "line"), "0 lines": Count(0, "line"), "1,234,567 lines": Count(1234567, "line"), "999": Grouped(999),
		"5ms": Span(0.0051), "1.91s": Span(1.9051), "15.2s": Span(15.23), "2m3s": Span(123.4),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
