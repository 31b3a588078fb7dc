package config

import "envoy-circuit-breaker/internal/smallfmt"

// headerNames returns the keys, sorted so that every worker sends the same. It refuses those that differ in case only:
// they are one header.
func (o *object) headerNames() []string {
	names := sortedKeys(o.keys)
	given := make(map[string]string, len(names))
	for _, name := range names {
		header := lower(name)
		if other, twice := given[header]; twice {
			o.fail(name, o.keys[name], smallfmt.Sprintf("left out: %s is the same header", show(other)))
		}
		given[header] = name
	}
	return names
}

// lower writes a name in lower case; what is no ASCII no header has.
func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// validHeaderName is stricter than HTTP, which allows a few signs that nobody uses; pseudo-headers are out.
func validHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if !(c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return name != ""
}

func validHeaderValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
