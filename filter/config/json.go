package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// parseJSON reads a configuration given as text. Empty text is an empty configuration.
func parseJSON(text []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		line, column := position(text, err)
		return nil, fmt.Errorf("not valid JSON: line %d, column %d: %w", line, column, err)
	}
	v, err := jsonValue(json.NewDecoder(bytes.NewReader(text)), "")
	if err != nil {
		return nil, err
	}
	root, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is not allowed: must be an object of keys, such as {\"failure_rate\": 50}", show(v))
	}
	return root, nil
}

// jsonValue reads one value. Unlike json.Unmarshal it refuses a key that is given twice: one of the two would be
// ignored.
func jsonValue(d *json.Decoder, path string) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			token, err := d.Token()
			if err != nil {
				return nil, err
			}
			key := token.(string) // an object has no other keys, or Token returns an error
			if _, twice := object[key]; twice {
				return nil, fmt.Errorf("%s is given twice", join(path, key))
			}
			if object[key], err = jsonValue(d, join(path, key)); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := jsonValue(d, fmt.Sprintf("%s[%d]", path, len(list)))
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return token, nil
}

// position tells where in the text a JSON error is.
func position(text []byte, err error) (line, column int) {
	at := len(text)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = int(syntax.Offset)
	}
	before := text[:at]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - 1 - bytes.LastIndexByte(before, '\n')
}
