package suggest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"envoy-circuit-breaker/internal/strictjson"
)

// firstKeys are those that come first in a text, in this order; the others follow by name.
var firstKeys = []string{
	"match", "route", "mode",
	"failure_rate", "min_requests", "window", "slow_call", "duration", "max_duration", "rate", "consecutive_failures", "open",
}

func sortedKeys(object map[string]any) []string {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	rank := func(key string) int {
		if i := slices.Index(firstKeys, key); i >= 0 {
			return i
		}
		return len(firstKeys)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	return keys
}

// appendJSON appends a value of a configuration in one line, as people write it.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendQuoted(b, v)
	case float64:
		return strconv.AppendFloat(b, v, 'f', -1, 64)
	case bool:
		return strconv.AppendBool(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			b = appendJSON(comma(b, i), item)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, key := range sortedKeys(v) {
			b = appendQuoted(comma(b, i), key)
			b = appendJSON(append(b, ": "...), v[key])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// appendQuoted appends a text as a JSON string in which a terminal sees nothing but text: anything may be in a name.
func appendQuoted(b []byte, text string) []byte {
	for _, r := range string(strictjson.AppendQuoted(nil, text)) {
		if unicode.IsPrint(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	return b
}

// comma goes before all items but the first.
func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ", "...)
	}
	return b
}

// shortDuration writes a duration without units of which there are none.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
