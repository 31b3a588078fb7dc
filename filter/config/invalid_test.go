package config

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

const structWithKeep = "\n\x18\n\x0einvalid_config\x12\x06\x1a\x04keep"

// What a configuration asks for that does not hold is read whatever is wrong with it, in either form, as long as it is an object.
func TestInvalid(t *testing.T) {
	deep := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	for text, want := range map[string]struct {
		keep bool
		path string
	}{
		`{"invalid_config": "keep", "failure_rate": 140}`:                                            {true, ""},
		`{"failure_rate": "high", "invalid_config": "keep"}`:                                         {true, ""},
		`{"failure_rates": 40, "invalid_config": "keep", "clusters": [{"x": 1}, 2, {}]}`:             {true, ""},
		`{"clusters": [{"match": "a", "invalid_config": "refuse"}], "invalid_config": "keep"}`:       {true, ""},
		`{"a": {"invalid_config": "refuse"}, "invalid_config": "keep", "z": ["invalid_config", {}]}`: {true, ""},
		`{"a": ` + deep(100) + `, "invalid_config": "keep", "z": ` + deep(5000) + `}`:                {true, ""},
		`{"invalid_config": "keep", "status": {"path": "/page", "x": 1}}`:                            {true, "/page"},
		`{"invalid_config": "keep", "status": {"path": "page"}}`:                                     {true, ""},
		`{"invalid_config": "keep", "status": {"path": "/page?x"}}`:                                  {true, ""},
		`{"invalid_config": "keep", "status": {"path": 5}}`:                                          {true, ""},
		`{"invalid_config": "keep", "status": "/page"}`:                                              {true, ""},
		`{"status": {"path": "/page"}, "x": 1}`:                                                      {false, "/page"},
		`{"invalid_config": "refuse", "x": 1}`:                                                       {},
		`{"invalid_config": "kept"}`:                                                                 {},
		`{"invalid_config": "Keep"}`:                                                                 {},
		`{"invalid_config": true}`:                                                                   {},
		`{"invalid_config": null}`:                                                                   {},
		`{"invalid_config": ["keep"]}`:                                                               {},
		`{"invalid_config": {"keep": "keep"}}`:                                                       {},
		`{"Invalid_config": "keep"}`:                                                                 {},
		`{"clusters": [{"match": "a", "invalid_config": "keep"}]}`:                                   {},
		`{"x": {"invalid_config": "keep"}}`:                                                          {},
		`{"x": "\"invalid_config\": \"keep\""}`:                                                      {},
	} {
		for form, configuration := range map[string][]byte{"JSON": []byte(text), "Struct": structOfJSON(t, []byte(text))} {
			if form == "Struct" && configuration == nil && !strings.Contains(text, "[[") { // protojson does not nest that deep
				t.Fatalf("no Struct of %s", text)
			}
			if configuration == nil {
				continue
			}
			if keep, path := Invalid(configuration); keep != want.keep || path != want.path {
				t.Errorf("%.100s as %s: %v %q, want %v %q", text, form, keep, path, want.keep, want.path)
			}
			if _, err := Parse(configuration); err == nil {
				t.Errorf("%.100s as %s is accepted", text, form)
			}
		}
	}
	// What one of the forms alone can be.
	for text, want := range map[string]bool{
		`{"failure_rate": 1e999, "invalid_config": "keep"}`:                true,
		`{"failure_rate": 1, "failure_rate": 2, "invalid_config": "keep"}`: true,
		`{"invalid_config": "keep", "failure_rate": 40,}`:                  false,
		`{"invalid_config": "keep"`:                                        false,
		`{"invalid_config": "keep"} {}`:                                    false,
		`[{"invalid_config": "keep"}]`:                                     false,
		`"invalid_config: keep"`:                                           false,
		"invalid_config: keep\nfailure_rate: 140\n":                        false,
		structWithKeep:                   true,
		structWithKeep + "\n\x03\n\x01x": true,  // a key without a value
		structWithKeep + "\n\x04\n\x01x": false, // cut off
		"":                               false,
	} {
		if keep, _ := Invalid([]byte(text)); keep != want {
			t.Errorf("%q: %v, want %v", text, keep, want)
		}
	}
	for text, want := range map[string]string{
		`{"clusters": [{"match": "a", "invalid_config": "keep"}]}`: `clusters[0].invalid_config: "keep" is not allowed: must be at the top level only`,
		`{"invalid_config": "kept"}`:                               `invalid_config: "kept" is not allowed: must be one of "refuse", "keep"`,
		`{"invalid_config": true}`:                                 `invalid_config: true is not allowed: must be a string`,
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	nested := structpb.NewNumberValue(1)
	for range 5000 {
		nested = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{nested}})
	}
	wire, err := proto.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{"a": nested, "invalid_config": structpb.NewStringValue("keep"), "z": nested}})
	if err != nil {
		t.Fatal(err)
	}
	if keep, _ := Invalid(wire); !keep {
		t.Error("not read beside a Struct that nests deep")
	}
}

// The keys that count before a configuration holds are read as encoding/json reads them.
func FuzzInvalid(f *testing.F) {
	for _, text := range []string{
		`{"invalid_config": "keep"}`, `{"status": {"path": "/a", "path": 5}, "invalid_config": "keep", "invalid_config": null}`, `{}`, `null`,
		`{"status": {"path": "/a"}, "status": {}}`, `{"status": ["path", {"path": "/a"}]}`, `{"a": {"path": "/b"}, "status": {"p\u0061th": "\ud83d/"}}`,
		`{"status": {"path": {"path": "/a"}}, "x": [[{"invalid_config": "keep"}]]}`, `[{"invalid_config": "keep"}]`, `{"invalid_config": ["keep"]`,
	} {
		f.Add([]byte(text))
	}
	text := func(token []byte) (s string) {
		_ = json.Unmarshal(token, &s)
		return s
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var top, status map[string]json.RawMessage
		isObject := json.Unmarshal(b, &top) == nil && top != nil
		_ = json.Unmarshal(top["status"], &status)
		policy, path, ok := jsonTexts(b)
		if ok != isObject || ok && (policy != text(top["invalid_config"]) || path != text(status["path"])) {
			t.Errorf("%q: %q, %q, %v; want %q, %q, %v", b, policy, path, ok, text(top["invalid_config"]), text(status["path"]), isObject)
		}
	})
}
