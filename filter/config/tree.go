package config

import "fmt"

// A configuration is a tree of values: nil, bool, float64, string, []any and map[string]any. JSON text and
// google.protobuf.Struct messages both become one.

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
	if err != nil {
		return nil, fmt.Errorf("neither a google.protobuf.Struct (%w) nor JSON text (%w)", err, jsonErr)
	}
	return root, nil
}
