package config

import (
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
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
