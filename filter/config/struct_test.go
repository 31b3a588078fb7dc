package config

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Struct is a configuration exactly as the JSON text that it stands for.
func TestStructIsJSON(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"failure_rate": 12.5, "min_requests": 30}`,
		`{"failure_on": ["5xx", "429"], "reject": {"headers": {"x-a": "{state}"}, "overloaded": false, "body": "größer"}}`,
		`{"clusters": [{"match": "a", "open": {"duration": "1s"}}, {"match": "b*", "mode": "disabled"}]}`,
		`{"failure_rate": null}`,
		`{"failure_rate": "high"}`,
		`{"clusters": [[], {}, 5]}`,
		`{"open": {"duration": 5}}`,
	} {
		var message structpb.Struct
		if err := protojson.Unmarshal([]byte(text), &message); err != nil {
			t.Fatal(err)
		}
		wire, err := proto.Marshal(&message)
		if err != nil {
			t.Fatal(err)
		}
		fromJSON, jsonErr := Parse([]byte(text))
		fromStruct, structErr := Parse(wire)
		if !reflect.DeepEqual(fromJSON, fromStruct) || show(errorText(jsonErr)) != show(errorText(structErr)) {
			t.Errorf("%s:\nJSON   %+v %v\nStruct %+v %v", text, fromJSON, jsonErr, fromStruct, structErr)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestBrokenStruct(t *testing.T) {
	whole, err := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{"failure_rate": structpb.NewNumberValue(5)}})
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n < len(whole); n++ { // one byte is a line feed, and so an empty text
		if _, err := Parse(whole[:n]); err == nil || !strings.Contains(err.Error(), "neither a google.protobuf.Struct") {
			t.Errorf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := Parse(append(whole, 1<<3|3, 1<<3|4)); err == nil || !strings.Contains(err.Error(), "a group is in it") {
		t.Errorf("with a group: %v", err)
	}
	deep := structpb.NewNumberValue(1)
	for range 100 {
		deep = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{deep}})
	}
	wire, err := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{"a": deep}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(wire); err == nil || !strings.Contains(err.Error(), "nested deeper than 32 levels") {
		t.Errorf("a deep one: %v", err)
	}
}

// Messages are read as protowire reads them.
func FuzzFields(f *testing.F) {
	for _, b := range []string{
		"", "\x08\x01", "\x08", "\x08\x80", "\x09\x01\x02\x03\x04\x05\x06\x07\x08", "\x09\x01", "\x0a\x02ab\x0a\x00", "\x0a\x02a", "\x0d1234", "\x0d123",
		"\x0b\x0c", "\x0e", "\x00\x01", "\x80\x80\x80\x80\x10\x01", "\xf8\xff\xff\xff\x0f\x01", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a", "\x88\x00\x01",
	} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		type numbered struct {
			number int
			field  field
		}
		var got, want []numbered
		err := fields(b, func(number int, v field) error {
			got = append(got, numbered{number, v})
			return nil
		})
		isGood := true
		for rest := b; isGood && len(rest) > 0; {
			number, kind, n := protowire.ConsumeTag(rest)
			if isGood = n > 0 && number <= protowire.MaxValidNumber; !isGood {
				break
			}
			v := field{kind: wireType(kind)}
			size := -1
			switch rest = rest[n:]; kind {
			case protowire.VarintType:
				v.integer, size = protowire.ConsumeVarint(rest)
			case protowire.Fixed64Type:
				v.integer, size = protowire.ConsumeFixed64(rest)
			case protowire.BytesType:
				v.bytes, size = protowire.ConsumeBytes(rest)
			case protowire.Fixed32Type:
				_, size = protowire.ConsumeFixed32(rest)
			}
			if isGood = size > 0; isGood {
				rest = rest[size:]
				want = append(want, numbered{int(number), v})
			}
		}
		if (err == nil) != isGood || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v; want %v, %v", b, got, err, want, isGood)
		}
	})
}
