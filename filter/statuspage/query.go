package statuspage

import (
	"strconv"
	"strings"

	"envoy-circuit-breaker/internal/smallfmt"
)

// MaxLimit is how many clusters a page has at most, and if the query does not say.
const MaxLimit = 50

// A Query says which page is asked for.
type Query struct {
	After      string // the breakers are those that come after this cluster's by name
	AfterRoute string // and after that of this route to it
	Limit      int    // how many at most
}

// ParseQuery reads a URL's query, without the question mark. It ignores keys that it does not know.
func ParseQuery(text string) (Query, error) {
	q := Query{Limit: MaxLimit}
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "after", "after_route":
			name, ok := unescape(value)
			if !ok {
				return q, smallfmt.Errorf("%s: %q is not allowed: must be a name in URL encoding", key, value)
			}
			if key == "after" {
				q.After = name
			} else {
				q.AfterRoute = name
			}
		case "limit":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > MaxLimit {
				return q, smallfmt.Errorf("limit: %q is not allowed: must be from 1 to %d", value, MaxLimit)
			}
			q.Limit = n
		}
	}
	return q, nil
}

// String returns the query as a URL has it, with the question mark.
func (q Query) String() string {
	b := escape([]byte("?after="), q.After)
	if q.AfterRoute != "" {
		b = escape(append(b, "&after_route="...), q.AfterRoute)
	}
	return string(b) + "&limit=" + strconv.Itoa(q.Limit)
}

func escape(b []byte, s string) []byte {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b = append(b, c)
		default:
			const digits = "0123456789ABCDEF"
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// unescape decodes a value of a query. As in a form's, a plus is a space.
func unescape(s string) (string, bool) {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+3 > len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b, i = append(b, byte(n)), i+2
		default:
			b = append(b, s[i])
		}
	}
	return string(b), true
}
