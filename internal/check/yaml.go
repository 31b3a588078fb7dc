package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"envoy-circuit-breaker/filter/config"
)

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
			var syntax *syntaxError
			if errors.As(err, &syntax) {
				return documents, syntax
			}
			return documents, &syntaxError{n.Line, err.Error()}
		}
		document.merges = r.merges
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
	switch indent := lines[line-1][:len(lines[line-1])-len(content)]; {
	case bytes.ContainsRune(indent, '\t'):
		said = "a tab at the beginning of the line: YAML is indented by spaces"
	case braces.Match(content):
		said = template
	case star.Match(content):
		said += ": a text that begins with * has to be in quotes"
	case placeholder.Match(content):
		said += ": a text that begins with { has to be in quotes"
	}
	return &syntaxError{line, "not valid YAML: " + said}
}

var (
	star        = regexp.MustCompile(`^(- )*([^"'#]*:\s+)?\*`)
	placeholder = regexp.MustCompile(`^[^"'#]*:\s+\{[a-z_]*\}\s*[^\s,}\]#]`)
)

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
type yamlReader struct {
	left   int
	merges []int // the lines of merge keys
}

func (r *yamlReader) value(y *yaml.Node, depth int) (*node, error) {
	if r.left--; r.left < 0 || depth > maxDepth {
		return nil, errTooLarge
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
			key, line := y.Content[i], y.Content[i].Line
			if key.Kind == yaml.AliasNode {
				key = key.Alias
			}
			switch key.Kind {
			case yaml.MappingNode:
				return nil, &syntaxError{line, "not valid YAML: an object is no key, but in a template: check what it renders to"}
			case yaml.SequenceNode:
				return nil, &syntaxError{line, "not valid YAML: a list is no key"}
			}
			value, err := r.value(y.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			if key.Tag == "!!merge" {
				r.merges = append(r.merges, key.Line)
				n.merge(value)
				continue
			}
			n.fields = slices.DeleteFunc(n.fields, func(f field) bool { return f.isMerged && f.key == key.Value })
			n.fields = append(n.fields, field{key: key.Value, line: line, value: value, unclear: unclearKey(key)})
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
		n.value, n.unclear = scalarOf(y), unclear(y)
		if _, isNumber := n.value.(float64); isNumber && strings.ContainsAny(y.Value, ".eE") && !strings.HasPrefix(y.Value, "0x") {
			n.decimal = y.Value
		}
		if y.Style&yaml.LiteralStyle != 0 {
			n.text = y.Line + 1
		}
	}
	return n, nil
}

// merge adds what a merge key (<<) names, as Kubernetes' reader does it: the keys before it give way, of several objects the first
// counts.
func (n *node) merge(from *node) {
	for _, item := range slices.Backward(from.items) {
		n.merge(item)
	}
	for _, f := range from.fields {
		f.isMerged = true
		n.fields = slices.DeleteFunc(n.fields, func(before field) bool { return before.key == f.key })
		n.fields = append(n.fields, f)
	}
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

// isYes are the words for true and false that YAML 1.2 has no longer.
var isYes = map[string]bool{"y": true, "yes": true, "on": true, "n": false, "no": false, "off": false}

// unclear tells why a value is not the same to all that read YAML: to Envoy (yaml-cpp), to Kubernetes (YAML 1.1) and to editors
// (YAML 1.2). It is empty for one that is.
func unclear(y *yaml.Node) string {
	quotes := fmt.Sprintf("or %q in quotes", y.Value)
	switch {
	case y.Style&yaml.TaggedStyle != 0:
		return "Envoy takes no notice of the tag " + y.Tag + ": leave it out, and put what is to be a string in quotes"
	case y.Style != 0:
		return ""
	case y.Tag == "!!timestamp":
		return y.Value + " is a time to Kubernetes: put it in quotes"
	case sexagesimal.MatchString(y.Value):
		return y.Value + " is a number to some that read YAML: put it in quotes"
	case y.Tag == "!!int" && oldOctal.MatchString(y.Value):
		return fmt.Sprintf("%s is %s to Envoy and Kubernetes: write %[2]s, %s", y.Value, written(scalarOf(y)), quotes)
	case (y.Tag == "!!int" || y.Tag == "!!float") && oddNumber.MatchString(y.Value):
		return fmt.Sprintf("%s is %s to Kubernetes, and a string to Envoy: write %[2]s, %s", y.Value, written(scalarOf(y)), quotes)
	}
	word := strings.ToLower(y.Value)
	yes, is := isYes[word]
	if mixed := y.Value != word && y.Value != strings.ToUpper(word) && y.Value[1:] != word[1:]; !is || mixed {
		return ""
	}
	return fmt.Sprintf("%s is %v to Envoy and Kubernetes: write %[2]v, %s", y.Value, yes, quotes)
}

// unclearKey tells why a key is not the same to all that read YAML, or not a text to some. It is empty for one that is.
func unclearKey(y *yaml.Node) string {
	is := ""
	_, isYes := isYes[strings.ToLower(y.Value)]
	switch {
	case y.Style&yaml.TaggedStyle != 0:
		return "this key has the tag " + y.Tag + ", of which Envoy takes no notice: leave it out"
	case y.Style != 0:
		return ""
	case isYes || y.Tag == "!!bool":
		is = "true or false"
	case y.Tag == "!!int" || y.Tag == "!!float" || sexagesimal.MatchString(y.Value):
		is = "a number"
	case y.Tag == "!!timestamp":
		is = "a time"
	case y.Tag == "!!null":
		is = "null"
	default:
		return ""
	}
	return "this key is " + is + " to some that read YAML, and a text to others: only a header can be called so, and in quotes"
}

func written(number any) string {
	n, _ := number.(float64)
	return strconv.FormatFloat(n, 'f', -1, 64)
}

var (
	oldOctal    = regexp.MustCompile(`^[-+]?0[0-9]+$`)
	oddNumber   = regexp.MustCompile(`_|^[-+]?0[ob]`)
	sexagesimal = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
)

// toEnvoy turns decimals to what they are in a Struct in Envoy's YAML, up to its version 1.40: strings. It notes their paths.
// https://github.com/envoyproxy/envoy/issues/24410
func (n *node) toEnvoy(path string, decimals map[string]string) {
	for _, f := range n.fields {
		f.value.toEnvoy(config.Join(path, f.key), decimals)
	}
	for i, item := range n.items {
		item.toEnvoy(fmt.Sprintf("%s[%d]", path, i), decimals)
	}
	if n.decimal != "" {
		n.value, decimals[path] = n.decimal, n.decimal
	}
}
