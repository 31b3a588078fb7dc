package config

import (
	"errors"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of Struct, of its map's entries, and of Value and ListValue.
// https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/struct.proto
const (
	structField = 1<<3 | byte(protowire.BytesType) // tag of Struct.fields

	entryKey, entryValue = 1, 2

	valueNull, valueNumber, valueString, valueBool, valueStruct, valueList = 1, 2, 3, 4, 5, 6
)

// parseStruct reads a configuration given as a Struct. It goes through it twice, so that no memory is spent on one that
// nests too deep.
func parseStruct(b []byte) (map[string]any, error) {
	if _, err := structOf(b, 1, false); err != nil {
		return nil, err
	}
	return structOf(b, 1, true)
}

func structOf(b []byte, depth int, keep bool) (object map[string]any, err error) {
	if depth > maxDepth {
		return nil, tooDeep()
	}
	if keep {
		object = map[string]any{}
	}
	err = fields(b, func(number protowire.Number, v field) error {
		if number != 1 || v.kind != protowire.BytesType {
			return nil
		}
		var key, value []byte
		err := fields(v.bytes, func(number protowire.Number, v field) error {
			switch {
			case number == entryKey && v.kind == protowire.BytesType:
				key = v.bytes
			case number == entryValue && v.kind == protowire.BytesType:
				value = v.bytes
			}
			return nil
		})
		if err != nil {
			return err
		}
		tree, err := valueOf(value, depth+1, keep)
		if err != nil {
			return under(step(cut(string(key))), err)
		}
		if keep {
			object[string(key)] = tree
		}
		return nil
	})
	return object, err
}

func valueOf(b []byte, depth int, keep bool) (value any, err error) {
	err = fields(b, func(number protowire.Number, v field) (err error) {
		switch {
		case number == valueNull && v.kind == protowire.VarintType:
			value = nil
		case number == valueNumber && v.kind == protowire.Fixed64Type:
			n := math.Float64frombits(v.integer)
			if math.IsNaN(n) || math.IsInf(n, 0) { // which JSON cannot say
				return notFinite(strconv.FormatFloat(n, 'g', -1, 64))
			}
			value = n
		case number == valueString && v.kind == protowire.BytesType && keep:
			value = string(v.bytes)
		case number == valueBool && v.kind == protowire.VarintType:
			value = protowire.DecodeBool(v.integer)
		case number == valueStruct && v.kind == protowire.BytesType:
			value, err = structOf(v.bytes, depth, keep)
		case number == valueList && v.kind == protowire.BytesType:
			value, err = listOf(v.bytes, depth, keep)
		}
		return err
	})
	return value, err
}

func listOf(b []byte, depth int, keep bool) (list []any, err error) {
	if depth > maxDepth {
		return nil, tooDeep()
	}
	if keep {
		list = []any{}
	}
	i := 0
	err = fields(b, func(number protowire.Number, v field) error {
		if number != 1 || v.kind != protowire.BytesType {
			return nil
		}
		item, err := valueOf(v.bytes, depth+1, keep)
		if err != nil {
			return under(index("", i), err)
		}
		if i++; keep {
			list = append(list, item)
		}
		return nil
	})
	return list, err
}

// A field is a field's value as it is on the wire.
type field struct {
	kind    protowire.Type
	integer uint64 // varint and fixed64
	bytes   []byte
}

var errGroup = errors.New("a group is in it")

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
		case protowire.Fixed32Type:
			_, n = protowire.ConsumeFixed32(b)
		default: // a group, which can nest as deep as the stack of no virtual machine is
			return errGroup
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
