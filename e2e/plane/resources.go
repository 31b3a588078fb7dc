// Package plane is what the tests with real control planes share: clients and upstreams, the resources of Kubernetes that deploy/ has,
// the plugin's image, and processes. It is a module of its own, since those tests are modules that do not agree in what they need.
package plane

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// An Object is a resource of Kubernetes or a part of one.
type Object = map[string]any

// Documents returns the texts of a file's resources.
func Documents(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n---\n")
}

// Resources returns the resources of a file. A key that is there twice fails the test.
func Resources(t *testing.T, file string) (all []Object) {
	t.Helper()
	for _, document := range Documents(t, file) {
		var one Object
		if err := yaml.UnmarshalStrict([]byte(document), &one); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, one)
	}
	return all
}

// Snippet decodes a piece of YAML that a file's comments say to put elsewhere: the nth, from 0, of the indented ones. A field that is
// unknown fails the test.
func Snippet(t *testing.T, file string, n int, into any) {
	t.Helper()
	var snippets []string
	inside := false
	for line := range strings.Lines(strings.Join(Documents(t, file), "\n---\n")) {
		text, indented := strings.CutPrefix(line, "#   ")
		if indented && !inside {
			snippets = append(snippets, "")
		}
		if inside = indented; inside {
			snippets[len(snippets)-1] += text
		}
	}
	if n >= len(snippets) {
		t.Fatalf("%s has %d snippets: %q", file, len(snippets), snippets)
	}
	if err := yaml.UnmarshalStrict([]byte(snippets[n]), into); err != nil {
		t.Fatalf("%s, snippet %d: %v", file, n, err)
	}
}

// ToYAML returns the text of a resource or another value.
func ToYAML(t *testing.T, v any) string {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Clone returns a copy that shares nothing.
func Clone(t *testing.T, o Object) (copied Object) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &copied); err != nil {
		t.Fatal(err)
	}
	return copied
}

// At returns the object at a path of keys and indexes. It panics where there is none.
func At(o Object, path ...any) Object {
	var v any = o
	for _, step := range path {
		switch step := step.(type) {
		case string:
			v = v.(Object)[step]
		case int:
			v = v.([]any)[step]
		}
	}
	return v.(Object)
}
