package config

import (
	"fmt"
	"strings"
)

// A configuration is a tree of values: nil, bool, float64, string, []any and map[string]any. JSON text and
// google.protobuf.Struct messages both become one.

// maxDepth is how many objects and lists may be in each other; the configuration needs a few.
const maxDepth = 32

// parseTree reads a configuration, which is either JSON text or the wire bytes of a google.protobuf.Struct: Envoy passes
// a StringValue on as its text, and a Struct as it is, without saying which.
func parseTree(b []byte) (map[string]any, error) {
	// No Struct reads as JSON. Its first byte is a line feed to JSON and the second may be a brace, but after that comes
	// another line feed and then the length of a key, and no key begins like JSON does.
	root, jsonErr := parseJSON(b)
	if jsonErr == nil || b[0] != structField {
		return root, jsonErr
	}
	root, err := parseStruct(b)
	if err != nil && !isKeyError(err) {
		return nil, fmt.Errorf("neither a google.protobuf.Struct (%w) nor JSON text (%w)", err, jsonErr)
	}
	return root, err
}

// A keyError is about a place in a tree. Only on the way out it gets its path, so that values without an error need none.
type keyError struct{ path, text string }

func (e *keyError) Error() string { return strings.TrimPrefix(e.path+e.text, ": ") }

func isKeyError(err error) bool {
	_, is := err.(*keyError)
	return is
}

// under puts a key or an index before the path of an error.
func under(step string, err error) error {
	if e, ok := err.(*keyError); ok {
		if e.path != "" && e.path[0] != '[' {
			step += "."
		}
		e.path = step + e.path
	}
	return err
}

func tooDeep() error {
	return &keyError{text: fmt.Sprintf(": nested deeper than %d levels is not allowed", maxDepth)}
}

func notFinite(number string) error {
	return &keyError{text: ": " + cut(number) + " is not allowed: must be a number from -1.79e308 to 1.79e308"}
}
