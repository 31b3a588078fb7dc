package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"
)

// The examples are valid, and README or a page of docs shows them as they are.
func TestExamples(t *testing.T) {
	pages, _ := filepath.Glob("../../docs/*.md")
	shown := map[string]string{}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("<!-- examples/(\\S+) -->\n```\\w+\n((?s:.*?))```\n").FindAllStringSubmatch(string(text), -1) {
			shown[m[1]] = m[2]
		}
	}
	files, err := filepath.Glob("../../examples/*.*")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if shown[name] != string(text) {
			t.Errorf("the documentation shows %s as\n%s\nbut it is\n%s", name, shown[name], text)
		}
		configuration := text
		if strings.HasSuffix(name, ".yaml") {
			configuration = structOfYAML(t, text)
		}
		if _, err := Parse(configuration); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// structOfYAML returns what Envoy passes on of the configuration in an item of http_filters, which is a Struct.
func structOfYAML(t *testing.T, text []byte) []byte {
	t.Helper()
	var filters []struct {
		TypedConfig struct {
			Config struct {
				Configuration struct {
					Value map[string]any `json:"value"`
				} `json:"configuration"`
			} `json:"config"`
		} `json:"typed_config"`
	}
	if err := yaml.Unmarshal(text, &filters); err != nil {
		t.Fatal(err)
	}
	if len(filters) != 1 || len(filters[0].TypedConfig.Config.Configuration.Value) == 0 {
		t.Fatal("not one filter with a configuration")
	}
	s, err := structpb.NewStruct(filters[0].TypedConfig.Config.Configuration.Value)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}
