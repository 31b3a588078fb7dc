package envoy

import (
	_ "embed"
	"encoding/json"
	"net"
	"strings"
	"text/template"
)

// PluginFile is the plugin that make builds, relative to the root of the module.
const PluginFile = "build/plugin.wasm"

// A Bootstrap is what Envoy's configuration is made of. Fields called raw hold YAML that is put in as it is: it may be
// indented as a whole, as the Go source around it is, and is shifted to where it belongs.
type Bootstrap struct {
	Clusters  []Cluster  // upstreams
	Listeners []Listener // none means one of the zero Listener
	AccessLog string     // file that a line of JSON is written to for each request of any listener; "" is none
	Extra     string     // raw: more fields of the bootstrap, such as stats_config
}

// A Cluster is one upstream of Envoy.
type Cluster struct {
	Name    string
	Address string // host:port; empty means a cluster without endpoints
	HTTP2   bool   // speak HTTP/2 to it, as gRPC needs; otherwise HTTP/1.1
	Extra   string // raw: more fields of the cluster, such as connect_timeout and circuit_breakers
}

// A Listener is one listening port of Envoy.
type Listener struct {
	Name              string  // empty means "main"
	Port              uint16  // 0 means one that Envoy chooses
	Plugin            *Plugin // nil leaves the circuit breaker out
	FiltersBefore     string  // raw: list items, HTTP filters before the plugin
	FiltersAfter      string  // raw: list items, HTTP filters between the plugin and the router
	Routes            []Route // none means one for each cluster: from /NAME to cluster NAME
	ConnectionManager string  // raw: more fields of the HTTP connection manager, such as upgrade_configs
}

// A Route leads from a path prefix to a cluster, or elsewhere.
type Route struct {
	Name    string // empty for none
	Prefix  string // empty when Match says which paths
	Match   string // raw: more fields of the match, such as headers
	Cluster string // empty when Action or Extra say what to do
	Action  string // raw: more fields of the route action, such as timeout and retry_policy
	Extra   string // raw: more fields of the route, such as direct_response and typed_per_filter_config
}

// A Plugin is the circuit breaker, or another plugin, as one HTTP filter. The zero value is the circuit breaker without any
// configuration.
type Plugin struct {
	Name      string // empty means "breaker"
	File      string // empty means PluginFile
	Config    string // the configuration as JSON text, sent as a StringValue
	RawConfig string // raw: the configuration as any other message, "@type" included; used when Config is empty
	VMID      string

	FailurePolicy string // what Envoy does when it has crashed; empty means FAIL_RELOAD
}

// Filter returns the plugin as raw YAML: one item of a list of HTTP filters.
func (p Plugin) Filter() string {
	return "- name: circuit_breaker\n  typed_config:" + Indent(4, p.TypedConfig())
}

// TypedConfig returns the plugin as raw YAML: the message that a filter's typed_config holds.
func (p Plugin) TypedConfig() string {
	if p.Name == "" {
		p.Name = "breaker"
	}
	if p.File == "" {
		p.File = PluginFile
	}
	if p.FailurePolicy == "" {
		p.FailurePolicy = "FAIL_RELOAD"
	}
	text, err := render(pluginTemplate, p)
	if err != nil {
		panic(err) // nothing that a Plugin may hold makes its template fail
	}
	return text
}

// YAML returns Envoy's configuration. It fails if an address is not of the form host:port.
func (b Bootstrap) YAML() (string, error) { return render(bootstrapTemplate, b.withDefaults()) }

// withDefaults fills in what empty fields of the listeners stand for.
func (b Bootstrap) withDefaults() Bootstrap {
	listeners := b.Listeners
	if len(listeners) == 0 {
		listeners = []Listener{{}}
	}
	b.Listeners = nil
	for _, l := range listeners {
		if l.Name == "" {
			l.Name = "main"
		}
		if len(l.Routes) == 0 {
			for _, c := range b.Clusters {
				l.Routes = append(l.Routes, Route{Prefix: "/" + c.Name, Cluster: c.Name})
			}
		}
		b.Listeners = append(b.Listeners, l)
	}
	return b
}

//go:embed bootstrap.yaml.tmpl
var bootstrapText string

//go:embed plugin.yaml.tmpl
var pluginText string

var (
	bootstrapTemplate = parse("bootstrap", bootstrapText)
	pluginTemplate    = parse("plugin", pluginText)
)

func parse(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{
		"yaml":  Indent,
		"quote": quote,
		"host":  func(address string) (string, error) { host, _, err := net.SplitHostPort(address); return host, err },
		"port":  func(address string) (string, error) { _, port, err := net.SplitHostPort(address); return port, err },
	}).Parse(text))
}

func render(t *template.Template, data any) (string, error) {
	var out strings.Builder
	err := t.Execute(&out, data)
	return out.String(), err
}

// Indent shifts raw YAML as a whole, so that its least indented line has the given depth, and starts it on a new line.
func Indent(depth int, raw string) string {
	lines := strings.Split(raw, "\n")
	least := len(raw)
	for _, line := range lines {
		if text := strings.TrimLeft(line, " \t"); text != "" {
			least = min(least, len(line)-len(text))
		}
	}
	var out strings.Builder
	for _, line := range lines {
		if strings.TrimSpace(line) != "" {
			out.WriteString("\n" + strings.Repeat(" ", depth) + line[least:])
		}
	}
	return out.String()
}

// quote returns text as a JSON string, which is a YAML string too.
func quote(text string) (string, error) {
	quoted, err := json.Marshal(text)
	return string(quoted), err
}
