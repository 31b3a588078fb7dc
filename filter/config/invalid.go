package config

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protowire"
)

// Invalid tells what a configuration that [Parse] refuses asks for: whether the last good one is to stay in force, as
// "invalid_config": "keep" says, and where the status page is; "" if it does not say, or nothing valid. It reads that wherever the
// configuration is a JSON object or a Struct at all, whatever is wrong with the rest. (JSON that nests deeper than 10,000 levels is none
// to encoding/json.)
func Invalid(configuration []byte) (keep bool, statusPath string) {
	var policy, path string
	var top map[string]json.RawMessage
	if json.Unmarshal(configuration, &top) == nil {
		var status map[string]json.RawMessage
		_ = json.Unmarshal(top["status"], &status)
		policy, path = unquote(top["invalid_config"]), unquote(status["path"])
	} else {
		policy = structText(configuration, "invalid_config")
		path = structText(bytesIn(structValue(configuration, "status"), valueStruct), "path")
	}
	if !isPath(path) {
		path = ""
	}
	return policy == "keep", path
}

func structText(b []byte, key string) string {
	return string(bytesIn(structValue(b, key), valueString))
}

// structValue returns a key's Value in the wire bytes of a Struct; nil if there is none, or if they are no Struct's.
func structValue(b []byte, key string) (value []byte) {
	err := fields(b, func(number protowire.Number, v field) error {
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
func bytesIn(b []byte, wanted protowire.Number) (value []byte) {
	_ = fields(b, func(number protowire.Number, v field) error {
		if number == wanted {
			value = v.bytes
		}
		return nil
	})
	return value
}
