package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/filter/verdict"
)

// A schema is a part of filter/schema.json.
type schema struct {
	Type        any
	Description string
	Default     json.RawMessage
	Minimum     *float64
	Maximum     *float64
	Enum        []any
	Properties  map[string]schema
	Items       *schema
	AnyOf       []schema
	Additional  any `json:"additionalProperties"`
	Definitions map[string]schema
}

func readSchema(t *testing.T) (s schema, valid func(tree any) error) {
	t.Helper()
	text := []byte(read(t, "../../filter/schema.json"))
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s, compiled.Validate
}

// The schema has the parser's keys, all of them and no others.
func TestSchemaKeys(t *testing.T) {
	s, _ := readSchema(t)
	same := func(name string, properties map[string]schema, want []string) {
		t.Helper()
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(properties)); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the parser %v", name, got, want)
		}
	}
	same("the top level", s.Properties, config.Keys(""))
	override := slices.DeleteFunc(config.Keys(""), func(key string) bool {
		return slices.Contains([]string{"max_breakers", "status", "invalid_config", "clusters"}, key)
	})
	same("an override", s.Definitions["override"].Properties, append(override, "match", "route"))
	for name, d := range s.Definitions {
		if d.Description == "" || d.Type == nil {
			t.Errorf("%s has no description or no type", name)
		}
		if name == "override" || d.Properties == nil {
			continue
		}
		same(name, d.Properties, config.Keys(name))
		for key, p := range d.Properties {
			if p.Description == "" || p.Type == nil {
				t.Errorf("%s.%s has no description or no type", name, key)
			}
		}
		if d.Additional != false {
			t.Errorf("%s takes more keys", name)
		}
	}
}

// leaves calls visit for each key that holds no keys itself. around writes a value of it into a configuration.
func (s *schema) leaves(visit func(path string, leaf schema, around func(value string) string)) {
	needs := map[string]string{"probe.path": "", "probe": `, "path": "/"`, "fallback.header": "", "fallback": `, "header": "x"`}
	for name, d := range s.Definitions {
		if d.Properties == nil {
			visit(name, d, func(value string) string { return fmt.Sprintf(`{%q: %s}`, name, value) })
			continue
		}
		for key, leaf := range d.Properties {
			if name == "override" {
				continue
			}
			path := name + "." + key
			rest, own := needs[path]
			if !own {
				rest = needs[name]
			}
			visit(path, leaf, func(value string) string { return fmt.Sprintf(`{%q: {%q: %s%s}}`, name, key, value, rest) })
		}
	}
}

// Without a default a key has none, or it depends on another.
var noDefault = []string{"window.requests", "probe.path", "probe.headers", "reject.headers", "fallback.header", "status.path"}

// A default is what holds if the key is not given.
func TestSchemaDefaults(t *testing.T) {
	s, _ := readSchema(t)
	s.leaves(func(path string, leaf schema, around func(string) string) {
		if (leaf.Default == nil) != slices.Contains(noDefault, path) {
			t.Errorf("%s: default %s", path, leaf.Default)
		}
		if leaf.Default == nil {
			return
		}
		given, err := config.Parse([]byte(around(string(leaf.Default))))
		if err != nil {
			t.Errorf("%s: the default is refused: %v", path, err)
			return
		}
		empty := `{}`
		switch name, _, _ := strings.Cut(path, "."); name {
		case "probe":
			empty = `{"probe": {"path": "/"}}`
		case "fallback":
			empty = `{"fallback": {"header": "x"}}`
		}
		absent, err := config.Parse([]byte(empty))
		if err != nil {
			t.Fatal(err)
		}
		if given.String() != absent.String() || given.MaxBreakers != absent.MaxBreakers ||
			!reflect.DeepEqual(given.Rules.Reject, absent.Rules.Reject) || !reflect.DeepEqual(given.Rules.Probe, absent.Rules.Probe) {
			t.Errorf("%s: given as its default it is another configuration:\n%s\n%s", path, given, absent)
		}
	})
}

// Where a range ends for the schema, or for its words, it ends for the parser.
func TestSchemaRanges(t *testing.T) {
	s, valid := readSchema(t)
	takes := func(text string) bool {
		_, err := config.Parse([]byte(text))
		return err == nil
	}
	words := regexp.MustCompile(`(\d+m?s)–(\d+[mh])\b`)
	ranges, durations := 0, 0
	s.leaves(func(path string, leaf schema, around func(string) string) {
		var inside, outside []string
		number := func(n float64) string { return fmt.Sprintf("%.1f", n) }
		switch {
		case leaf.Minimum != nil && leaf.Maximum != nil:
			ranges++
			inside = []string{number(*leaf.Minimum), number(*leaf.Maximum)}
			outside = []string{number(*leaf.Minimum - 1), number(*leaf.Maximum + 1)}
			if leaf.Type == "integer" {
				outside = append(outside, number(*leaf.Minimum+0.5))
			}
		case leaf.Type == "number" || leaf.Type == "integer":
			t.Errorf("%s has no range", path)
		case words.MatchString(leaf.Description):
			durations++
			m := words.FindStringSubmatch(leaf.Description)
			for _, text := range []string{m[1], m[2]} {
				if !takes(around(`"` + text + `"`)) {
					t.Errorf("%s: %s is refused", path, text)
				}
			}
			for _, text := range []string{"-1ns", m[2] + "1ms"} {
				if takes(around(`"` + text + `"`)) {
					t.Errorf("%s: %s is taken", path, text)
				}
			}
			inside, outside = []string{`"1s"`, `"1m"`, `"0.5m10s"`}, []string{`5`, `"5"`, `"5 s"`, `"1d"`, `""`}
		case leaf.Enum != nil:
			for _, v := range leaf.Enum {
				inside = append(inside, fmt.Sprintf("%q", v))
			}
			outside = []string{`"x"`, `""`, `null`}
		}
		if leaf.Type == "boolean" {
			inside, outside = []string{"true", "false"}, []string{`"true"`, "1", "null"}
		}
		for _, value := range inside {
			text := around(value)
			if !takes(text) {
				t.Errorf("the parser refuses %s", text)
			}
			if err := valid(parse(t, text)); err != nil {
				t.Errorf("the schema refuses %s: %v", text, err)
			}
		}
		for _, value := range outside {
			text := around(value)
			if takes(text) {
				t.Errorf("the parser takes %s", text)
			}
			if valid(parse(t, text)) == nil {
				t.Errorf("the schema takes %s", text)
			}
		}
	})
	if ranges < 10 || durations < 7 {
		t.Errorf("%d ranges and %d of durations were looked at", ranges, durations)
	}
	names := []string{}
	for _, n := range s.Definitions["failure_on"].Items.AnyOf[0].Enum {
		names = append(names, n.(string))
	}
	if want := verdict.Names(); !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(want))) {
		t.Errorf("failure_on: the schema has %v, the parser %v", names, want)
	}
}

func parse(t *testing.T, text string) (tree any) {
	t.Helper()
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return tree
}

// configurations returns those in a file that can be read at all.
func configurations(t *testing.T, name, text string) (trees []any) {
	t.Helper()
	for _, p := range Read(name, []byte(text)).Plugins {
		n := p.value
		switch {
		case p.lines == nil || p.isMisplaced || n == nil && p.Name != "": // it is not read as a configuration, or there is none
			continue
		case n == nil:
			n, _ = readJSON([]byte(text))
		case n.kind == scalar:
			n, _ = readJSON([]byte(n.string()))
		}
		if n == nil || n.kind != object {
			continue
		}
		tree, err := json.Marshal(n.tree("", map[string]int{}, func(*config.Error, int, bool) {}))
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, parse(t, string(tree)))
	}
	return trees
}

// What is shipped has the schema's form. What people get wrong has not, but for what no schema can say.
func TestSchemaExamples(t *testing.T) {
	_, valid := readSchema(t)
	good := 0
	for name, text := range shipped(t) {
		for _, tree := range configurations(t, name, text) {
			good++
			if err := valid(tree); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	bad := 0
	beyond := regexp.MustCompile(`the key is given twice|at most window\.requests|from 2m0s to 24h|failure_on: \[\]|given together with cluster`)
	for _, c := range mistakes {
		for _, tree := range configurations(t, c.file, c.text) {
			bad++
			if err := valid(tree); (err == nil) != beyond.MatchString(strings.Join(c.want, "\n")) {
				t.Errorf("%s\n%v", c.text, err)
			}
		}
	}
	if good < 20 || bad < 30 {
		t.Errorf("%d good ones and %d bad ones were looked at", good, bad)
	}
}
