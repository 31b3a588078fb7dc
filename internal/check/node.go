package check

import (
	"errors"
	"fmt"
	"strings"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/strictjson"
)

// A node is a value of a document, YAML or JSON, that knows its line.
type node struct {
	line   int
	kind   kind
	value  any     // of a scalar: nil, bool, float64 or string
	fields []field // of an object; a key may be there twice
	items  []*node // of a list
	text   int     // the line of the file at which a text begins whose lines are the file's; 0 for any other

	unclear string // why a value is not the same to all that read YAML, and what to write; empty if it is
	decimal string // a number with a point or an exponent in YAML, as it is written; empty for any other
	merges  []int  // in a document of YAML, the lines of merge keys
}

type kind uint8

const (
	scalar kind = iota
	object
	list
)

type field struct {
	key      string
	line     int
	value    *node
	isMerged bool   // it is from another object, by a merge key of YAML
	unclear  string // why the key is not the same to all that read YAML; empty if it is
}

// get returns the value of a key, which protobuf's JSON may write in either of two ways: typed_config or typedConfig. It returns
// nil if there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.key == key || strings.Contains(key, "_") && f.key == camel(key) {
			return f.value
		}
	}
	return nil
}

// meant returns the value of a key, or of what is surely meant as that key, nil if there is none.
func (n *node) meant(key string) *node {
	v := n.get(key)
	if v != nil || n == nil {
		return v
	}
	for _, f := range n.fields {
		if config.Nearest(f.key, []string{key}) != "" {
			return f.value
		}
	}
	return nil
}

// at returns what is under a path of keys, nil if that is nothing.
func (n *node) at(keys ...string) *node {
	for _, key := range keys {
		n = n.get(key)
	}
	return n
}

// string returns a text, and an empty one for anything else.
func (n *node) string() string {
	if n == nil {
		return ""
	}
	s, _ := n.value.(string)
	return s
}

// list returns the items of a list, and none of anything else.
func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

func camel(key string) string {
	var s strings.Builder
	for i, part := range strings.Split(key, "_") {
		if i > 0 && part != "" {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		s.WriteString(part)
	}
	return s.String()
}

// A syntaxError is why a document cannot be read, and where.
type syntaxError struct {
	line int
	text string
}

func (e *syntaxError) Error() string { return e.text }

// maxDepth is how many values may be in each other: more than any file has, and less than fills a stack.
const maxDepth = 200

var errTooLarge = errors.New("too large, or nested too deep")

// readJSON reads a text that is one value.
func readJSON(text []byte) (*node, error) {
	r := jsonReader{strictjson.NewScanner(text)}
	kind, err := r.Next()
	if err != nil {
		return nil, err
	}
	n, err := r.value(kind)
	if err != nil {
		return nil, err
	}
	_, err = r.Next() // behind which there is nothing
	return n, err
}

type jsonReader struct{ *strictjson.Scanner }

// value reads the value that begins with the last token.
func (r jsonReader) value(kind strictjson.Kind) (n *node, err error) {
	if r.Depth() > maxDepth {
		return nil, errTooLarge
	}
	n = &node{line: r.Line()}
	switch kind {
	case strictjson.Object:
		n.kind = object
		n.fields, err = r.fields()
	case strictjson.List:
		n.kind = list
		n.items, err = r.items()
	case strictjson.String:
		n.value = r.Text()
	case strictjson.Number:
		n.value, _ = r.Float() // which is infinite beyond what there is
	case strictjson.True, strictjson.False:
		n.value = kind == strictjson.True
	}
	return n, err
}

func (r jsonReader) fields() (fields []field, _ error) {
	for {
		kind, err := r.Next()
		if err != nil || kind == strictjson.ObjectEnd {
			return fields, err
		}
		f := field{key: r.Text(), line: r.Line()}
		if kind, err = r.Next(); err != nil {
			return nil, err
		}
		if f.value, err = r.value(kind); err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
}

func (r jsonReader) items() (items []*node, _ error) {
	for {
		kind, err := r.Next()
		if err != nil || kind == strictjson.ListEnd {
			return items, err
		}
		item, err := r.value(kind)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
}

// tree returns what the plugin is given for a value; lines has the line of each path in it. It tells what is wrong that the plugin
// cannot know, instead of or beside what that says. Of a key that is given twice the last counts.
func (n *node) tree(path string, lines map[string]int, tell func(e *config.Error, line int, instead bool)) any {
	switch n.kind {
	case object:
		keys := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			here := config.Join(path, f.key)
			v := f.value.tree(here, lines, tell)
			if f.unclear != "" {
				tell(&config.Error{Path: here, Text: f.unclear}, f.line, true)
			}
			if _, again := keys[f.key]; again {
				tell(config.Twice(here, v), f.line, false)
			}
			keys[f.key], lines[here] = v, f.line
		}
		return keys
	case list:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			here := fmt.Sprintf("%s[%d]", path, i)
			lines[here] = item.line
			items[i] = item.tree(here, lines, tell)
		}
		return items
	}
	if n.unclear != "" {
		tell(&config.Error{Path: path, Text: n.unclear}, n.line, true)
	}
	return n.value
}
