package config

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// The package protowire would do what is done here at the end, and bring fmt into the plugin.

// A wireType is how a field's value is written.
// https://protobuf.dev/programming-guides/encoding/#structure
type wireType byte

const (
	varint  wireType = 0
	fixed64 wireType = 1
	length  wireType = 2 // a text, or a message
	fixed32 wireType = 5
)

// The fields of Struct, of its map's entries, and of Value and ListValue.
// https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/struct.proto
const (
	structField = 1<<3 | byte(length) // tag of Struct.fields

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
	err = fields(b, func(number int, v field) error {
		if number != 1 || v.kind != length {
			return nil
		}
		var key, value []byte
		err := fields(v.bytes, func(number int, v field) error {
			switch {
			case number == entryKey && v.kind == length:
				key = v.bytes
			case number == entryValue && v.kind == length:
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
	err = fields(b, func(number int, v field) (err error) {
		switch {
		case number == valueNull && v.kind == varint:
			value = nil
		case number == valueNumber && v.kind == fixed64:
			n := math.Float64frombits(v.integer)
			if math.IsNaN(n) || math.IsInf(n, 0) { // which JSON cannot say
				return notFinite(strconv.FormatFloat(n, 'g', -1, 64))
			}
			value = n
		case number == valueString && v.kind == length && keep:
			value = string(v.bytes)
		case number == valueBool && v.kind == varint:
			value = v.integer != 0
		case number == valueStruct && v.kind == length:
			value, err = structOf(v.bytes, depth, keep)
		case number == valueList && v.kind == length:
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
	err = fields(b, func(number int, v field) error {
		if number != 1 || v.kind != length {
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
	kind    wireType
	integer uint64 // varint and fixed64
	bytes   []byte // length
}

var (
	errGroup  = errors.New("a group is in it")
	errBroken = errors.New("its bytes are none of a message")
)

// fields calls visit for each field of a message.
func fields(b []byte, visit func(number int, v field) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		number := tag >> 3
		if n <= 0 || number == 0 || number >= 1<<29 {
			return errBroken
		}
		b = b[n:]
		v := field{kind: wireType(tag & 7)}
		switch v.kind {
		case varint:
			v.integer, n = binary.Uvarint(b)
		case fixed64:
			if n = 8; len(b) >= n {
				v.integer = binary.LittleEndian.Uint64(b)
			}
		case length:
			var size uint64
			if size, n = binary.Uvarint(b); n <= 0 || size > uint64(len(b)-n) {
				return errBroken
			}
			v.bytes = b[n : n+int(size)]
			n += int(size)
		case fixed32:
			n = 4
		default: // a group, which can nest as deep as the stack of no virtual machine is
			return errGroup
		}
		if n <= 0 || n > len(b) {
			return errBroken
		}
		b = b[n:]
		if err := visit(int(number), v); err != nil {
			return err
		}
	}
	return nil
}
