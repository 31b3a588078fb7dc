package config

import (
	"envoy-circuit-breaker/internal/smallfmt"
)

// A configuration is a tree of values: nil, bool, float64, string, []any and map[string]any. JSON text and
// google.protobuf.Struct messages both become one.

// maxDepth is how many objects and lists may be in each other; the configuration needs a few.
const maxDepth = 32

// parseTree reads a configuration, which is either JSON text or the wire bytes of a google.protobuf.Struct: Envoy passes
// a StringValue on as its text, and a Struct as it is, without saying which. Beside the tree it returns keys that are given twice.
func parseTree(b []byte) (root map[string]any, twice Errors, err error) {
	// No Struct reads as JSON. Its first byte is a line feed to JSON and the second may be a brace, but after that comes
	// another line feed and then the length of a key, and no key begins like JSON does.
	root, twice, jsonErr := parseJSON(b)
	if jsonErr == nil || b[0] != structField {
		return root, twice, jsonErr
	}
	root, err = parseStruct(b)
	if err != nil && !hasPlace(err) {
		return nil, nil, smallfmt.Errorf("neither a google.protobuf.Struct (%w) nor JSON text (%w)", err, jsonErr)
	}
	return root, nil, err
}

// hasPlace reports whether an error is about a place in a tree, rather than about bytes that are none.
func hasPlace(err error) bool {
	e, is := err.(*Error)
	return is && e.Line == 0
}

// under puts a key or an index before the path of an error.
func under(step string, err error) error {
	if e, ok := err.(*Error); ok {
		e.under(step)
	}
	return err
}

func tooDeep() error {
	return &Error{Text: smallfmt.Sprintf("nested deeper than %d levels is not allowed", maxDepth)}
}

func notFinite(number string) error {
	return &Error{Text: cut(number) + " is not allowed: must be a number from -1.79e308 to 1.79e308"}
}
