package check

import (
	"bytes"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"envoy-circuit-breaker/filter/config"
)

// A Plugin is a configuration of the circuit breaker in a file.
type Plugin struct {
	Name   string         // what it is called there; empty for a configuration by itself
	Line   int            // where it begins
	Config *config.Config // nil if it is refused
	Tree   map[string]any // what Config was read from, as [config.Read] takes it; nil where there is nothing

	file        *File
	value       *node             // the configuration, nil if there is none
	lines       map[string]int    // the line of each path in it
	told        map[string]bool   // the paths of what is wrong that the plugin cannot know; true where it is told instead of what that says
	decimals    map[string]string // what are numbers here and strings to Envoy, by path
	isMisplaced bool              // some of it, or what is around it, is not where it counts
	chain       *chain            // where it stands; nil if that is not known
}

// A chain is the HTTP connection manager that has a filter.
type chain struct {
	manager *node
	at      int // the filter, in http_filters
}

// A File is what has been found in a file, or on standard input.
type File struct {
	Name     string
	Plugins  []*Plugin
	Findings []Finding // by line

	documents    []*node
	others       []string // Wasm plugins that are not the breaker
	isForeign    bool     // it has no configuration of the breaker
	isKubernetes bool     // the document that is read is for Kubernetes, rather than for Envoy
}

// Together makes it a warning that a file has no configuration, where another one has: not all that belongs together is configuration.
func Together(files []*File) {
	if !slices.ContainsFunc(files, func(f *File) bool { return !f.isForeign }) {
		return
	}
	for _, f := range files {
		if f.isForeign {
			f.Findings[0].Warning = true
		}
	}
}

// Read finds the configurations of a file and all that is wrong with them or surely not meant.
func Read(name string, text []byte) *File {
	f := &File{Name: name}
	f.find(text)
	for _, p := range f.Plugins {
		if p.Config != nil {
			for _, w := range p.Config.Warnings() {
				f.add(p.line(w.Path), true, w.Error())
			}
			p.lookAround()
		}
	}
	if len(f.Plugins) == 0 && len(f.Findings) == 0 {
		text := "no configuration of the circuit breaker is here"
		if len(f.others) > 0 {
			text += "; other Wasm plugins are: " + strings.Join(f.others, ", ")
		}
		f.add(0, false, text)
		f.isForeign = true
	}
	slices.SortStableFunc(f.Findings, func(a, b Finding) int { return a.Line - b.Line })
	return f
}

func (f *File) find(text []byte) {
	isJSON := bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) || bytes.HasPrefix(bytes.TrimSpace(text), []byte("["))
	if ext := filepath.Ext(f.Name); isJSON && ext != ".yaml" && ext != ".yml" {
		document, err := readJSON(text)
		if err != nil { // then nothing but the plugin can say it as well
			f.addText(text, 1, true, &Plugin{Line: 1})
			return
		}
		f.documents = []*node{document}
		f.walk(document, nil)
		if len(f.Plugins) == 0 && len(f.others) == 0 && !isEnvelope(document) {
			f.addText(text, 1, true, &Plugin{Line: 1})
		}
		return
	}
	documents, err := readYAML(text)
	f.documents = documents
	for _, document := range documents {
		known, ours := len(f.Plugins)+len(f.others), len(f.Plugins)
		f.isKubernetes = document.get("apiVersion") != nil || document.get("kind") != nil
		f.walk(document, nil)
		if len(f.Plugins)+len(f.others) == known && isBare(document) {
			f.addObject(document, &Plugin{Line: document.line})
		}
		if len(f.Plugins) > ours && !f.isKubernetes {
			for _, line := range document.merges {
				f.add(line, false, "merge keys (<<) are not known to Envoy's YAML: write the keys out")
			}
		}
	}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		if rest := bytes.SplitAfterN(text, []byte("\n"), syntax.line+1); len(rest) > syntax.line && nextDocument.Match(rest[syntax.line]) {
			syntax.text += "; the documents behind this one were not read"
		}
		f.add(syntax.line, false, syntax.text)
	}
}

var nextDocument = regexp.MustCompile(`(?m)^---`)

// isBare reports whether a YAML document is a configuration by itself: it has one of the breaker's keys, or what was meant as one.
func isBare(document *node) bool {
	return !isEnvelope(document) && slices.ContainsFunc(document.fields, func(f field) bool {
		return config.Nearest(f.key, config.Keys("")) != "" || config.Joined(f.key) != "" || isWrapper(f) && isOurs(f.value, "")
	})
}

// isEnvelope reports whether a document has a key that tells that it is something else than a configuration by itself.
func isEnvelope(document *node) bool {
	for _, key := range []string{
		"apiVersion", "kind", "@type", "static_resources", "dynamic_resources", "layered_runtime", "admin", "node", "resources",
		"http_filters", "typed_config", "filter_chains", "virtual_hosts", "load_assignment", "configs", "cluster_statuses",
	} {
		if document.get(key) != nil {
			return true
		}
	}
	return false
}

const wasmType = "envoy.extensions.filters.http.wasm.v3.Wasm"

// walk finds plugins in a value, which is part of that chain's filter, if of any.
func (f *File) walk(n *node, at *chain) {
	spec := n.get("spec")
	switch n.get("kind").string() {
	case "WasmPlugin":
		f.addIstio(n, spec)
		return
	case "TrafficExtension":
		if wasm := spec.get("wasm"); wasm != nil {
			f.addIstio(n, wasm)
		}
		return
	case "EnvoyExtensionPolicy":
		entries := spec.get("wasm").list()
		for _, entry := range entries {
			p := &Plugin{Name: entry.get("name").string(), Line: entry.line, value: entry.meant("config")}
			code := entry.get("code")
			names := []*node{entry.get("rootID"), code.at("image", "url"), code.at("http", "url")}
			if len(entries) == 1 { // or else the resource's name tells nothing of any
				names = append(names, n.at("metadata", "name"))
			}
			f.addStruct(p, []envelope{{entry, policyPluginKeys, "config"}}, names...)
		}
		if len(entries) == 0 && looksOurs.MatchString(n.at("metadata", "name").string()) {
			f.lookAtKeys([]envelope{{n, resourceKeys, "spec.wasm[].config"}, {spec, policyKeys, "wasm[].config"}})
		}
		return
	}
	if strings.HasSuffix(n.get("type_url").string(), wasmType) { // a TypedStruct
		wasm := n.meant("value")
		f.addEnvoy(wasm, at, envelope{n, typedKeys, ""}, envelope{wasm, wasmKeys, inWasm})
		return
	}
	if strings.HasSuffix(n.get("@type").string(), wasmType) {
		f.addEnvoy(n, at, envelope{n, wasmKeys, inWasm})
		return
	}
	for _, field := range n.fields {
		if field.key == "http_filters" || field.key == "httpFilters" {
			for i, filter := range field.value.items {
				f.walk(filter, &chain{n, i})
			}
			continue
		}
		f.walk(field.value, at)
	}
	for _, item := range n.items {
		f.walk(item, at)
	}
}

// looksOurs is what people call a circuit breaker, or its file.
var looksOurs = regexp.MustCompile(`(?i)circuit|breaker`)

// isOurs reports whether a plugin is the breaker: one of its names says so, or its configuration has one of those keys that nothing
// but the breaker has, which are those with an underscore.
func isOurs(value *node, text string, names ...*node) bool {
	for _, name := range names {
		if looksOurs.MatchString(name.string()) {
			return true
		}
	}
	for _, key := range config.Keys("") {
		if strings.Contains(key, "_") && (value.get(key) != nil || strings.Contains(text, key)) {
			return true
		}
	}
	return false
}

// addIstio adds what an Istio resource has: a WasmPlugin, or the like.
func (f *File) addIstio(resource, spec *node) {
	name := resource.at("metadata", "name")
	p := &Plugin{Name: name.string(), Line: resource.line, value: spec.meant("plugin_config")}
	envelopes := []envelope{{resource, resourceKeys, "spec.pluginConfig"}}
	if spec != resource.get("spec") {
		envelopes = append(envelopes, envelope{resource.get("spec"), extensionKeys, "wasm.pluginConfig"})
	}
	if f.addStruct(p, append(envelopes, envelope{spec, wasmPluginKeys, "pluginConfig"}), name, spec.get("plugin_name"), spec.get("url")) {
		if phase := resource.at("spec", "phase"); phase != nil && phase.string() != "UNSPECIFIED_PHASE" && p.Config != nil {
			f.add(phase.line, true, "phase: "+phase.string()+": the filter is not the last before the router: leave phase out")
		}
	}
}

// addStruct adds a plugin whose configuration is an object, if it is the breaker's.
func (f *File) addStruct(p *Plugin, envelopes []envelope, names ...*node) bool {
	if !isOurs(p.value, "", append(names, &node{value: p.Name})...) {
		f.addOther(p)
		return false
	}
	p.isMisplaced = f.lookAtKeys(envelopes)
	if p.value == nil || p.value.kind == scalar && p.value.value == nil {
		if !p.isMisplaced {
			f.warnOfNone(p.Line)
		}
		p.value = &node{line: p.Line, kind: object}
	}
	f.addObject(p.value, p)
	return true
}

func (f *File) addOther(p *Plugin) {
	name := p.Name
	if name == "" {
		name = "one without a name"
	}
	f.others = append(f.others, name)
}

// inWasm is where Envoy's Wasm has the configuration.
const inWasm = "config.configuration.value"

// addEnvoy adds a plugin that is configured by Envoy's Wasm, if it is the breaker.
func (f *File) addEnvoy(wasm *node, at *chain, around ...envelope) {
	if wasm == nil {
		return
	}
	plugin := wasm.meant("config")
	isMissing := plugin == nil
	if isMissing {
		plugin = wasm
	}
	name, configuration := plugin.get("name"), plugin.meant("configuration")
	kind, value, code := configuration.get("@type"), configuration.meant("value"), plugin.at("vm_config", "code")
	p := &Plugin{Name: name.string(), Line: plugin.line, value: value, chain: at}
	names := []*node{name, plugin.get("root_id"), code.at("local", "filename"), code.at("remote", "http_uri", "uri")}
	if at != nil {
		filter := at.manager.get("http_filters").list()[at.at]
		names, around = append(names, filter.get("name")), append(around, envelope{filter, filterKeys, ""})
	}
	if !isOurs(value, value.string(), names...) && !isOurs(configuration, "") && !isOurs(plugin, "") {
		f.addOther(p)
		return
	}
	if !isMissing {
		around = append(around, envelope{plugin, pluginKeys, "configuration.value"})
	}
	p.isMisplaced = f.lookAtKeys(append(around, envelope{plugin.get("vm_config"), vmKeys, ""}, envelope{configuration, anyKeys, "value"}))
	if isMissing && !p.isMisplaced {
		p.isMisplaced = true
		f.add(p.Line, false, "config: is missing: must be an object that has name, vm_config and configuration")
	}
	if !p.isMisplaced && value == nil && (configuration == nil || kind != nil) {
		f.warnOfNone(p.Line)
	}
	const wanted = "google.protobuf.Struct, or for JSON text google.protobuf.StringValue"
	_, short, _ := strings.Cut(kind.string(), "google.protobuf.")
	switch {
	case configuration == nil:
		f.addObject(&node{line: p.Line, kind: object}, p)
	case short == "StringValue" && value == nil:
		f.addText(nil, configuration.line, false, p)
	case short == "StringValue" && value.kind != scalar:
		f.refuse(p, value.line, "configuration.value: StringValue holds JSON text: for YAML use google.protobuf.Struct")
	case short == "StringValue" && value.text > 0:
		f.addText([]byte(value.string()), value.text, true, p)
	case short == "StringValue":
		f.addText([]byte(value.string()), value.line, false, p)
	case short == "Struct" && value == nil:
		f.addObject(&node{line: configuration.line, kind: object}, p)
	case short == "Struct" && value.kind == scalar:
		f.refuse(p, value.line, "configuration.value: Struct holds keys: for JSON text use google.protobuf.StringValue")
	case short == "Struct":
		if !f.isKubernetes {
			p.decimals = map[string]string{}
			value.toEnvoy("", p.decimals)
		}
		f.addObject(value, p)
	case kind == nil:
		f.refuse(p, configuration.line, "configuration.@type: is missing: must be type.googleapis.com/"+wanted)
	default:
		f.refuse(p, kind.line, "configuration.@type: "+kind.string()+" is not allowed: must be type.googleapis.com/"+wanted)
	}
}

func (f *File) refuse(p *Plugin, line int, text string) {
	p.file = f
	f.Plugins = append(f.Plugins, p)
	f.add(line, false, text)
}

// addObject adds a plugin whose configuration reaches it as an object.
func (f *File) addObject(value *node, p *Plugin) {
	p.file, p.lines = f, map[string]int{}
	f.Plugins = append(f.Plugins, p)
	if value.kind != object {
		f.add(value.line, false, "the configuration must be an object of keys, such as failure_rate: 50")
		return
	}
	p.lookAtPlaces(value, func(line int) int { return line })
	p.Tree = value.tree("", p.lines, p.tell).(map[string]any)
	c, err := config.Read(p.Tree)
	f.addErrors(p, err, nil, func(int) int { return p.Line })
	if len(p.told) == 0 && !p.isMisplaced {
		p.Config = c
	}
}

// tell adds what is wrong that the plugin cannot know, instead of or beside what it has to say of that path.
func (p *Plugin) tell(e *config.Error, line int, instead bool) {
	if p.told == nil {
		p.told = map[string]bool{}
	}
	p.told[e.Path] = p.told[e.Path] || instead
	p.file.add(line, false, e.Error())
}

// addText adds a plugin whose configuration reaches it as a text, which begins at a line. Where its lines are not the file's,
// everything in it is at that one.
func (f *File) addText(text []byte, line int, isLines bool, p *Plugin) {
	p.file, p.lines = f, map[string]int{}
	f.Plugins = append(f.Plugins, p)
	at := func(inText int) int {
		if isLines {
			return line + inText - 1
		}
		return line
	}
	if document, err := readJSON(text); err == nil {
		p.Tree, _ = document.tree("", p.lines, func(*config.Error, int, bool) {}).(map[string]any)
		for path, inText := range p.lines {
			p.lines[path] = at(inText)
		}
		p.lookAtPlaces(document, at)
	}
	c, err := config.Parse(text)
	f.addErrors(p, err, text, at)
	if !p.isMisplaced {
		p.Config = c
	}
}

// line returns the line of a path, or of the nearest above it that the configuration has.
func (p *Plugin) line(path string) int {
	for path != "" {
		if line, ok := p.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return p.Line
}
