package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A node is a value of a document, YAML or JSON, that knows its line.
type node struct {
	line   int
	kind   kind
	value  any     // of a scalar: nil, bool, float64 or string
	fields []field // of an object; a key may be there twice
	items  []*node // of a list
	text   int     // the line of the file at which a text begins whose lines are the file's; 0 for any other
}

type kind uint8

const (
	scalar kind = iota
	object
	list
)

type field struct {
	key   string
	line  int
	value *node
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

// readJSON reads a text that is one value.
func readJSON(text []byte) (*node, error) {
	r := &jsonReader{decoder: json.NewDecoder(bytes.NewReader(text)), text: text, line: 1}
	r.decoder.UseNumber()
	n, err := r.value()
	if err != nil {
		return nil, err
	}
	if _, err := r.decoder.Token(); err != io.EOF {
		return nil, errors.New("there is more behind the value")
	}
	return n, nil
}

type jsonReader struct {
	decoder *json.Decoder
	text    []byte
	at      int // up to where lines are counted
	line    int
}

// here returns the line of the last token: none has more than one.
func (r *jsonReader) here() int {
	offset := int(r.decoder.InputOffset())
	r.line += bytes.Count(r.text[r.at:offset], []byte("\n"))
	r.at = offset
	return r.line
}

func (r *jsonReader) value() (*node, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.here()}
	switch token := token.(type) {
	case json.Delim:
		n.kind = list
		if token == '{' {
			n.kind = object
		}
		for r.decoder.More() {
			if n.kind == list {
				item, err := r.value()
				if err != nil {
					return nil, err
				}
				n.items = append(n.items, item)
				continue
			}
			key, err := r.decoder.Token()
			if err != nil {
				return nil, err
			}
			f := field{key: key.(string), line: r.here()}
			if f.value, err = r.value(); err != nil {
				return nil, err
			}
			n.fields = append(n.fields, f)
		}
		_, err = r.decoder.Token()
		return n, err
	case json.Number:
		n.value, _ = strconv.ParseFloat(string(token), 64) // which is infinite beyond what there is
	default:
		n.value = token
	}
	return n, nil
}

// readYAML reads the documents of a file. Where one is broken, it returns those before it.
func readYAML(text []byte) (documents []*node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		err := decoder.Decode(&n)
		if err == io.EOF {
			return documents, nil
		}
		if err != nil {
			return documents, notYAML(text, err)
		}
		r := yamlReader{left: 1_000_000}
		document, err := r.value(&n, 0)
		if err != nil {
			return documents, &syntaxError{n.Line, err.Error()}
		}
		documents = append(documents, document)
	}
}

// notYAML says where a text is no YAML. A tab is what people do not see.
func notYAML(text []byte, err error) error {
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if after, ok := strings.CutPrefix(said, "line "); ok {
		number, rest, _ := strings.Cut(after, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, said = n, rest
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	line = min(brokenLine(lines, line), len(lines))
	content := bytes.TrimLeft(lines[line-1], " \t")
	if indent := lines[line-1][:len(lines[line-1])-len(content)]; bytes.ContainsRune(indent, '\t') {
		said = "a tab at the beginning of the line: YAML is indented by spaces"
	}
	return &syntaxError{line, "not valid YAML: " + said}
}

// brokenLine returns the line with which a text becomes broken. The parser tells where the part began that it could not finish,
// which is that line or one before it.
func brokenLine(lines [][]byte, began int) int {
	const most = 200 // lines that may belong together
	good := max(0, began-2)
	for n := good + 1; n < len(lines) && n-good <= most; n++ {
		decoder := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines[:n], nil)))
		var err error
		for err == nil {
			err = decoder.Decode(&yaml.Node{})
		}
		if err == io.EOF {
			good = n
		}
	}
	return good + 1
}

// A yamlReader bounds what aliases make of a small text.
type yamlReader struct{ left int }

func (r *yamlReader) value(y *yaml.Node, depth int) (*node, error) {
	if r.left--; r.left < 0 || depth > 200 {
		return nil, errors.New("too large, or nested too deep")
	}
	n := &node{line: y.Line}
	switch y.Kind {
	case yaml.DocumentNode:
		return r.value(y.Content[0], depth)
	case yaml.AliasNode:
		return r.value(y.Alias, depth+1)
	case yaml.MappingNode:
		n.kind = object
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			value, err := r.value(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			n.fields = append(n.fields, field{key.Value, key.Line, value})
		}
	case yaml.SequenceNode:
		n.kind = list
		for _, item := range y.Content {
			value, err := r.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, value)
		}
	case yaml.ScalarNode:
		n.value = scalarOf(y)
		if y.Style&yaml.LiteralStyle != 0 {
			n.text = y.Line + 1
		}
	}
	return n, nil
}

func scalarOf(y *yaml.Node) any {
	switch y.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(y.Value, "true")
	case "!!int", "!!float":
		var n float64
		if y.Decode(&n) == nil {
			return n
		}
		return math.NaN()
	}
	return y.Value
}

// tree returns what the plugin is given for a value; lines has the line of each path in it. Of a key that is given twice the
// last counts, and twice is told.
func (n *node) tree(path string, lines map[string]int, twice func(path string, line int, value any)) any {
	switch n.kind {
	case object:
		keys := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			under := f.key
			if path != "" {
				under = path + "." + f.key
			}
			v := f.value.tree(under, lines, twice)
			if _, again := keys[f.key]; again {
				twice(under, f.line, v)
			}
			keys[f.key], lines[under] = v, f.line
		}
		return keys
	case list:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			under := fmt.Sprintf("%s[%d]", path, i)
			lines[under] = item.line
			items[i] = item.tree(under, lines, twice)
		}
		return items
	}
	return n.value
}
