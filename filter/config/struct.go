package config

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of Struct, of its map's entries, and of Value and ListValue.
// https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/struct.proto
const (
	structField = 1<<3 | byte(protowire.BytesType) // tag of Struct.fields

	entryKey, entryValue = 1, 2

	valueNull, valueNumber, valueString, valueBool, valueStruct, valueList = 1, 2, 3, 4, 5, 6
)

// maxDepth is as deep as a Struct may nest; the configuration needs a few levels.
const maxDepth = 32

func parseStruct(b []byte) (map[string]any, error) { return structOf(b, 0) }

func structOf(b []byte, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	object := map[string]any{}
	err := fields(b, func(number protowire.Number, v field) error {
		if number != 1 || v.kind != protowire.BytesType {
			return nil
		}
		var key string
		var value any
		err := fields(v.bytes, func(number protowire.Number, v field) (err error) {
			switch {
			case number == entryKey && v.kind == protowire.BytesType:
				key = string(v.bytes)
			case number == entryValue && v.kind == protowire.BytesType:
				value, err = valueOf(v.bytes, depth+1)
			}
			return err
		})
		object[key] = value
		return err
	})
	return object, err
}

func valueOf(b []byte, depth int) (value any, err error) {
	err = fields(b, func(number protowire.Number, v field) (err error) {
		switch {
		case number == valueNull && v.kind == protowire.VarintType:
			value = nil
		case number == valueNumber && v.kind == protowire.Fixed64Type:
			value = math.Float64frombits(v.integer)
		case number == valueString && v.kind == protowire.BytesType:
			value = string(v.bytes)
		case number == valueBool && v.kind == protowire.VarintType:
			value = protowire.DecodeBool(v.integer)
		case number == valueStruct && v.kind == protowire.BytesType:
			value, err = structOf(v.bytes, depth)
		case number == valueList && v.kind == protowire.BytesType:
			value, err = listOf(v.bytes, depth)
		}
		return err
	})
	return value, err
}

func listOf(b []byte, depth int) ([]any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	list := []any{}
	err := fields(b, func(number protowire.Number, v field) error {
		if number != 1 || v.kind != protowire.BytesType {
			return nil
		}
		item, err := valueOf(v.bytes, depth+1)
		list = append(list, item)
		return err
	})
	return list, err
}

// A field is a field's value as it is on the wire.
type field struct {
	kind    protowire.Type
	integer uint64 // varint and fixed64
	bytes   []byte
}

// fields calls visit for each field of a message.
func fields(b []byte, visit func(protowire.Number, field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		v := field{kind: kind}
		switch kind {
		case protowire.VarintType:
			v.integer, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			v.integer, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := visit(number, v); err != nil {
			return err
		}
	}
	return nil
}
