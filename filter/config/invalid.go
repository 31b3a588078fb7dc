package config

import "envoy-circuit-breaker/internal/strictjson"

// Invalid tells what a configuration that [Parse] refuses asks for: whether the last good one is to stay in force, as
// "invalid_config": "keep" says, and where the status page is; "" if it does not say, or nothing valid. It reads that wherever the
// configuration is a JSON object or a Struct at all, whatever is wrong with the rest.
func Invalid(configuration []byte) (keep bool, statusPath string) {
	policy, path, ok := jsonTexts(configuration)
	if !ok {
		policy = structText(configuration, "invalid_config")
		path = structText(bytesIn(structValue(configuration, "status"), valueStruct), "path")
	}
	if !isPath(path) {
		path = ""
	}
	return policy == "keep", path
}

// jsonTexts returns what a JSON object has at invalid_config and status.path, empty for what is no text there. It reports whether it is
// an object.
func jsonTexts(text []byte) (policy, path string, ok bool) {
	s := strictjson.NewScanner(text)
	kind, err := s.Next()
	if err != nil || kind != strictjson.Object {
		return "", "", false
	}
	var outer string // the last key of the outermost object
	for kind != strictjson.End {
		if kind, err = s.Next(); err != nil {
			return "", "", false
		}
		depth := s.Depth()
		if kind != strictjson.Key || depth > 2 {
			continue
		}
		key, value := s.Text(), ""
		if kind, err = s.Next(); err != nil {
			return "", "", false
		}
		if kind == strictjson.String {
			value = s.Text()
		}
		switch {
		case depth == 2 && outer == "status" && key == "path":
			path = value
		case depth == 2:
		case key == "invalid_config":
			policy = value
		case key == "status":
			path = "" // of a key that is given twice, the last counts
		}
		if depth == 1 {
			outer = key
		}
	}
	return policy, path, true
}

func structText(b []byte, key string) string {
	return string(bytesIn(structValue(b, key), valueString))
}

// structValue returns a key's Value in the wire bytes of a Struct; nil if there is none, or if they are no Struct's.
func structValue(b []byte, key string) (value []byte) {
	err := fields(b, func(number int, v field) error {
		if number == 1 && string(bytesIn(v.bytes, entryKey)) == key {
			value = bytesIn(v.bytes, entryValue)
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return value
}

// bytesIn returns the last text or message of that number in a message.
func bytesIn(b []byte, wanted int) (value []byte) {
	_ = fields(b, func(number int, v field) error {
		if number == wanted {
			value = v.bytes
		}
		return nil
	})
	return value
}
