package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"envoy-circuit-breaker/filter/config"
)

// shipped returns the files that are for people to use, and the blocks of documentation, by name.
func shipped(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../../*.yaml", "../../examples/*.*", "../../examples/fleet/*", "../../deploy/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			texts[file] = read(t, file)
		}
	}
	blocks := regexp.MustCompile("(?s)```(yaml|json)\n(.*?)```")
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../deploy/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			for i, m := range blocks.FindAllStringSubmatch(read(t, file), -1) {
				texts[fmt.Sprintf("%s, block %d.%s", file, i, m[1])] = m[2]
			}
		}
	}
	return texts
}

// Nothing is said about what is shipped, and what there has a configuration is found.
func TestShipped(t *testing.T) {
	found := 0
	for name, text := range shipped(t) {
		f := Read(name, []byte(text))
		found += len(f.Plugins)
		for _, finding := range f.Findings {
			if len(f.Plugins) > 0 || !strings.HasSuffix(finding.Text, "is here") {
				t.Error(finding)
			}
		}
		if strings.Contains(text, "kind: WasmPlugin\n") && len(f.Plugins) != 1 || strings.HasSuffix(name, "/envoy.yaml") && len(f.Plugins) != 2 {
			t.Errorf("%s: found %d configurations", name, len(f.Plugins))
		}
	}
	if found < 20 {
		t.Errorf("%d configurations found", found)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The breaker is found among other plugins, by its names or its keys, in all forms that files have.
func TestFinds(t *testing.T) {
	const wasm = `"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm`
	for name, c := range map[string]struct {
		file, text string
		want       []string // names of plugins
	}{
		"by its name": {"a.yaml", "- typed_config: {" + wasm + ", config: {name: my-breaker}}", []string{"my-breaker"}},
		"by its code": {"a.yaml", "- typed_config: {" + wasm + ", config: {name: a, vm_config: {code: {local: {filename: /opt/circuit-breaker.wasm}}}}}", []string{"a"}},
		"by its remote code": {"a.yaml", "- typed_config: {" + wasm +
			", config: {name: a, vm_config: {code: {remote: {http_uri: {uri: 'http://example.com/circuit.wasm'}}}}}}", []string{"a"}},
		"by its root":          {"a.yaml", "- typed_config: {" + wasm + ", config: {name: a, root_id: circuit_breaker}}", []string{"a"}},
		"by a key":             {"a.yaml", "- typed_config: {" + wasm + ", config: {name: a, configuration: {'@type': a/google.protobuf.Struct, value: {min_requests: 5}}}}", []string{"a"}},
		"by the filter's name": {"a.yaml", "http_filters: [{name: circuit_breaker, typed_config: {" + wasm + ", config: {name: a}}}]", []string{"a"}},
		"not another": {"a.yaml", "- typed_config: {" + wasm + ", config: {name: a, configuration: {'@type': a/google.protobuf.Struct, value: {mode: x}}}}\n" +
			"- typed_config: {" + wasm + ", config: {name: breaker}}", []string{"breaker"}},
		"ECDS, in JSON": {"a.json", `{"resources": [{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": "x", "typedConfig": {` +
			`"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {"rootId": "circuit_breaker", "name": "a"}}}]}`, []string{"a"}},
		"an EnvoyFilter": {"a.yaml", "kind: EnvoyFilter\nspec: {configPatches: [{patch: {value: {typed_config: {'@type': type.googleapis.com/udpa.type.v1.TypedStruct, " +
			"type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, value: {config: {name: breaker}}}}}}]}", []string{"breaker"}},
		"an EnvoyFilter, with decimals and protobuf's names": {"a.yaml", "kind: EnvoyFilter\nspec: {typed_config: {" + wasm +
			", config: {rootId: breaker, configuration: {'@type': a/google.protobuf.Struct, value: {open: {jitter: 0.1}}}}}}", []string{""}},
		"a TrafficExtension": {"a.yaml", "kind: TrafficExtension\nmetadata: {name: b}\nspec: {wasm: {url: oci://circuit, pluginConfig: {failure_rate: 5}}}", []string{"b"}},
		"two documents":      {"a.yaml", wasmPlugin("failure_rate: 5") + "---\n" + wasmPlugin("failure_rate: 6"), []string{"circuit-breaker", "circuit-breaker"}},
		"a list":             {"a.yaml", "kind: List\nitems:\n- kind: Service\n- kind: WasmPlugin\n  metadata: {name: circuit}\n  spec: {}", []string{"circuit"}},
		"two in one policy":  {"a.yaml", "kind: EnvoyExtensionPolicy\nmetadata: {name: x}\nspec: {wasm: [{name: a, config: {b: 1}}, {name: breaker}]}", []string{"breaker"}},
		"one of two in the breaker's policy": {"a.yaml", "kind: EnvoyExtensionPolicy\nmetadata: {name: circuit-breaker}\nspec: {wasm: [{name: a, config: {b: 1}}, " +
			"{name: b, config: {failure_rate: 5}}]}", []string{"b"}},
		"the only one in the breaker's policy": {"a.yaml", "kind: EnvoyExtensionPolicy\nmetadata: {name: breaker}\nspec: {wasm: [{name: a}]}", []string{"a"}},
		"by itself":                            {"a.json", `{}`, []string{""}},
		"by itself, in YAML":                   {"a.yaml", "failure_rate: 5", []string{""}},
		"from standard input":                  {"stdin", `{"failure_rate": 5}`, []string{""}},
		"by an alias": {"a.yaml", "x: &c {min_requests: 5}\nlist:\n- typed_config: {" + wasm +
			", config: {name: a, configuration: {'@type': a/google.protobuf.Struct, value: *c}}}", []string{"a"}},
	} {
		f := Read(c.file, []byte(c.text))
		var got []string
		for _, p := range f.Plugins {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		for _, finding := range f.Findings {
			if finding.Text != "no configuration: the defaults are in force" {
				t.Errorf("%s: %v", name, finding)
			}
		}
	}
	f := Read("a.yaml", []byte("- typed_config: {"+wasm+", config: {name: other}}"))
	if len(f.Findings) != 1 || f.Findings[0].String() != "a.yaml: no configuration of the circuit breaker is here; other Wasm plugins are: other" {
		t.Errorf("another plugin only: %v", f.Findings)
	}
	f = Read("a.yaml", []byte("- typed_config: {"+wasm+", config: {root_id: x}}"))
	if len(f.Findings) != 1 || !strings.HasSuffix(f.Findings[0].Text, "other Wasm plugins are: one without a name") {
		t.Errorf("another plugin, without a name: %v", f.Findings)
	}
}

// A plugin without a configuration is one that people have forgotten, or put elsewhere.
func TestNoConfiguration(t *testing.T) {
	const none = "no configuration: the defaults are in force"
	for name, c := range map[string]struct{ text, want string }{
		"Istio's, null":   {strings.Replace(wasmPlugin("x"), "    x\n", "", 1), "1: " + none},
		"Istio's, absent": {strings.Replace(wasmPlugin("x"), "  pluginConfig:\n    x\n", "", 1), "1: " + none},
		"Istio's, empty":  {strings.Replace(wasmPlugin("x"), ":\n    x\n", ": {}\n", 1), ""},
		"Envoy Gateway's": {strings.Replace(policy("x"), "    config:\n      x\n", "", 1), "6: " + none},
		"a Struct's":      {strings.Replace(filter("Struct", "x"), "        value: x\n", "", 1), "5: " + none},
		"a text's":        {strings.Replace(filter("StringValue", "x"), "        value: x\n", "", 1), "5: " + none},
		"Envoy's":         {"- name: breaker\n  typed_config:\n    \"@type\": a/" + wasmType + "\n    config:\n      name: breaker\n", "5: " + none},
	} {
		f := Read("a.yaml", []byte(c.text))
		got := ""
		for _, finding := range f.Findings {
			got += fmt.Sprintf("%d: %s", finding.Line, finding.Text)
		}
		if got != c.want || f.HasErrors() || len(f.Plugins) != 1 {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// Aliases can make much of a little.
func TestBomb(t *testing.T) {
	text := "a0: &a0 [x, x]\n"
	for i := range 40 {
		text += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	if f := Read("a.yaml", []byte(text)); !f.HasErrors() || !strings.Contains(f.Findings[0].Text, "too large") {
		t.Errorf("got %v", f.Findings)
	}
}

// JSON that would fill the stack is refused.
func TestDeepJSON(t *testing.T) {
	const depth = 1_000_000
	for _, text := range []string{
		strings.Repeat("[", depth),
		strings.Repeat("[", depth) + strings.Repeat("]", depth),
		strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth),
	} {
		f := Read("a.json", []byte(text))
		if len(f.Findings) != 1 || !strings.HasSuffix(f.Findings[0].Text, "nested deeper than 32 levels is not allowed") {
			t.Errorf("%.20s: %v", text, f.Findings)
		}
		if _, err := ReadRunning([]byte(text)); err == nil {
			t.Errorf("%.20s is what runs", text)
		}
	}
}

// A value means the same to this package as to those that hand it on to the plugin.
func TestYAMLValues(t *testing.T) {
	const text = "{a: 5, b: 5.5, c: 5s, d: true, e: null, f: ~, g: '5', h: [1, x], i: 1e3, j: {k: off}, l: 0x10, m: -1}"
	documents, err := readYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := yaml.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	want.(map[string]any)["j"] = map[string]any{"k": "off"} // which is false to YAML 1.1
	if got := documents[0].tree("", map[string]int{}, func(*config.Error, int, bool) {}); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

// Kubernetes' readers resolve merge keys, wherever they stand; Envoy's does not.
func TestMergeKeys(t *testing.T) {
	for _, text := range []string{
		"x: &o {a: 1, b: {c: 2}}\nw: {<<: *o, b: 3, d: 4}",
		"x: &o {a: 1, b: 2}\nw: {b: 3, d: 4, <<: *o}",
		"x: &o {a: 1, b: 2}\nz: &p {a: 5, e: 6}\nw: {<<: [*o, *p], d: 4}",
	} {
		documents, err := readYAML([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := yaml.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got := documents[0].tree("", map[string]int{}, nil); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Errorf("%s\ngot  %#v\nwant %#v", text, got, want)
		}
	}
	merged := "x: &o {failure_rate: 30}\n"
	if f := Read("a.yaml", []byte(merged+wasmPlugin("<<: *o\nmin_requests: 5"))); len(f.Findings) > 0 || f.Plugins[0].Config.Policy.FailureRate != 30 {
		t.Errorf("in Kubernetes: %v", f.Findings)
	}
	if f := Read("a.yaml", []byte(merged+"list:\n"+structFilter("<<: *o\nmin_requests: 5"))); len(f.Findings) != 1 || f.Findings[0].Line != 11 ||
		!strings.Contains(f.Findings[0].Text, "merge keys (<<) are not known to Envoy") {
		t.Errorf("in Envoy's: %v", f.Findings)
	}
}

// The plugin must not take in what reads YAML.
func TestNotInPlugin(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "envoy-circuit-breaker/filter")
	list.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	deps, err := list.Output()
	if err != nil || !strings.Contains(string(deps), "envoy-circuit-breaker/filter/config") {
		t.Fatal(err)
	}
	for _, pkg := range []string{"yaml", "envoy-circuit-breaker/internal/check", "\nflag\n"} {
		if strings.Contains(string(deps), pkg) {
			t.Errorf("the plugin imports %s", pkg)
		}
	}
}
