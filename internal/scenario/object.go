package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/text"
)

// A reader collects what is wrong with a file, and goes on.
type reader struct {
	file  string
	wrong []mistake
}

type mistake struct {
	line int
	text string
}

// tell reports what is wrong with a key, which may be empty for the whole.
func (r *reader) tell(line int, path, what string) {
	if path != "" {
		what = path + ": " + what
	}
	r.wrong = append(r.wrong, mistake{line, what})
}

// error is all that is wrong, in the order of the lines; nil if nothing is.
func (r *reader) error() error {
	slices.SortStableFunc(r.wrong, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	var all []error
	for _, m := range r.wrong {
		all = append(all, fmt.Errorf("%s:%d: %s", r.file, m.line, m.text))
	}
	return errors.Join(all...)
}

// root returns the object that a file has; nil if it has none.
func (r *reader) root(content []byte) *object {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if err == io.EOF {
		r.tell(1, "", "the file is empty: must be an object with phases")
		return nil
	}
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			r.tell(second.Line, "", "a second document is not allowed: must be one scenario in a file")
			return nil
		}
	}
	if err != io.EOF {
		r.tell(notYAML(content, err))
		return nil
	}
	return r.object("", document.Content[0], "an object with phases")
}

var (
	atLine = regexp.MustCompile(`^line (\d+): `)
	tabbed = regexp.MustCompile(`(?m)^ *\t`)
)

// notYAML says where a text is no YAML, as far as the parser knows, and why. A tab is what people do not see.
func notYAML(content []byte, err error) (line int, path, what string) {
	what = strings.TrimPrefix(err.Error(), "yaml: ")
	line = 1
	if m := atLine.FindStringSubmatch(what); m != nil {
		line, _ = strconv.Atoi(m[1])
		what = what[len(m[0]):]
	}
	if tab := tabbed.FindIndex(content); tab != nil && strings.HasSuffix(what, "cannot start any token") {
		line, what = 1+bytes.Count(content[:tab[0]], []byte("\n")), "a tab at the beginning of the line: YAML is indented by spaces"
	}
	return line, "", "not valid YAML: " + what
}

// An object takes the keys of one in the file, and reports what is wrong with them.
type object struct {
	*reader
	path  string
	line  int
	keys  []*yaml.Node // as they are in the file
	of    map[string]*yaml.Node
	known []string
}

// object returns what is to be an object; nil if it is none.
func (r *reader) object(path string, node *yaml.Node, allowed string) *object {
	if node = target(node); node.Kind != yaml.MappingNode {
		r.tell(node.Line, path, show(node)+" is not allowed: must be "+allowed)
		return nil
	}
	o := &object{reader: r, path: path, line: node.Line, of: map[string]*yaml.Node{}}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := target(node.Content[i]), target(node.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode:
			r.tell(key.Line, path, show(key)+" is not allowed as a key: must be a text")
		case o.of[key.Value] != nil:
			r.tell(key.Line, config.Join(path, key.Value), show(value)+" is not allowed: the key is given twice")
		default:
			o.keys = append(o.keys, key)
			o.of[key.Value] = value
		}
	}
	return o
}

// target is what a node stands for that is an alias.
func target(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// show writes a value as the file does, objects and lists aside.
func show(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "an object"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!str":
		return strconv.Quote(text.Cut(node.Value, 80))
	case node.Value == "":
		return "nothing"
	}
	return text.Cut(text.Printable(node.Value), 80)
}

// fail reports the value of a key, which is given.
func (o *object) fail(key, allowed string) {
	o.tell(o.of[key].Line, config.Join(o.path, key), show(o.of[key])+" is not allowed: must be "+allowed)
}

// required reports a key that is not there.
func (o *object) required(key, allowed string) {
	if o.of[key] == nil {
		o.tell(o.line, config.Join(o.path, key), "is missing: must be "+allowed)
	}
}

// take returns the value of a key; nil if it is not given.
func (o *object) take(key string) *yaml.Node {
	o.known = append(o.known, key)
	return o.of[key]
}

// end refuses keys that nobody asked for.
func (o *object) end() {
	for _, key := range o.keys {
		if slices.Contains(o.known, key.Value) {
			continue
		}
		what := "unknown key with value " + show(o.of[key.Value]) + ": "
		if meant := config.Nearest(key.Value, o.known); meant != "" {
			what += "did you mean " + meant + "?"
		} else {
			what += "must be one of " + strings.Join(o.known, ", ")
		}
		o.tell(key.Line, config.Join(o.path, text.Cut(key.Value, 80)), what)
	}
}

// name, and those below, take a key, if it is given, and report whether it has a value that is allowed. A name is what is shown to people,
// and written to logs.
func (o *object) name(key string, to *string) bool {
	node := o.take(key)
	if node == nil {
		return false
	}
	const most = 100
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" {
		o.fail(key, "a text"+inQuotes(node))
		return false
	}
	if node.Value == "" || len(node.Value) > most || node.Value != text.Printable(node.Value) {
		o.fail(key, fmt.Sprintf("a printable text of 1 to %d bytes", most))
		return false
	}
	*to = node.Value
	return true
}

// inQuotes is what to say of a number or the like where a text is allowed.
func inQuotes(node *yaml.Node) string {
	if node.Kind == yaml.ScalarNode && node.Value != "" {
		return " in quotes"
	}
	return ""
}

func (o *object) number(key string, to *float64, least, most float64) bool {
	node := o.take(key)
	if node == nil {
		return false
	}
	var n float64
	tag := node.ShortTag()
	isNumber := node.Kind == yaml.ScalarNode && (tag == "!!int" || tag == "!!float") && node.Decode(&n) == nil
	if !isNumber || !(n >= least && n <= most) {
		o.fail(key, "a number from "+plain(least)+" to "+plain(most))
		return false
	}
	*to = n
	return true
}

func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func (o *object) duration(key string, to *time.Duration, least, most time.Duration) bool {
	node := o.take(key)
	if node == nil {
		return false
	}
	d, err := time.ParseDuration(node.Value)
	switch {
	case node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" || err != nil:
		o.fail(key, `a duration such as "250ms", "5s" or "1m30s"`)
	case d < least || d > most:
		o.fail(key, short(least)+" to "+short(most))
	default:
		*to = d
		return true
	}
	return false
}

// short writes whole hours as such.
func short(d time.Duration) string { return strings.TrimSuffix(d.String(), "0m0s") }

func (o *object) flag(key string, to *bool) {
	node := o.take(key)
	if node == nil {
		return
	}
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!bool" || node.Decode(to) != nil {
		o.fail(key, "true or false")
	}
}

// object takes an object; nil if there is none.
func (o *object) object(key, allowed string) *object {
	node := o.take(key)
	if node == nil {
		return nil
	}
	return o.reader.object(config.Join(o.path, key), node, allowed)
}

// phases takes the list that has to be there.
func (o *object) phases(key string) []*yaml.Node {
	const allowed = "a list with at least one phase"
	node := o.take(key)
	switch {
	case node == nil:
		o.required(key, allowed)
	case node.Kind != yaml.SequenceNode || len(node.Content) == 0:
		o.fail(key, allowed)
	default:
		return node.Content
	}
	return nil
}
