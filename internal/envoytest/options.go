package envoytest

import (
	_ "embed"
	"encoding/json"
	"net"
	"strings"
	"text/template"
)

// pluginFile is the plugin that make builds, relative to the module's root, where Envoy is started.
const pluginFile = "build/plugin.wasm"

// Options say what Envoy runs. Fields called raw hold YAML that is put in as it is: it may be indented as a whole, as the Go
// source around it is, and is shifted to where it belongs.
type Options struct {
	Concurrency int        // worker threads; 0 means 2
	Clusters    []Cluster  // upstreams
	Listeners   []Listener // none means one of the zero Listener
	Bootstrap   string     // raw: more fields of the bootstrap, such as stats_config

	// Raw, when set, is the whole configuration, and nothing above but Concurrency is used. It is a text/template in which
	// {{.AccessLogPath}} is the file that AccessLog reads. Its admin and its listeners must have port 0.
	Raw string
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
	Plugin            *Plugin // nil leaves the circuit breaker out
	FiltersBefore     string  // raw: list items, HTTP filters before the plugin
	FiltersAfter      string  // raw: list items, HTTP filters between the plugin and the router
	Routes            []Route // none means one for each cluster: from /NAME to cluster NAME
	ConnectionManager string  // raw: more fields of the HTTP connection manager, such as upgrade_configs
}

// A Route leads from a path prefix to a cluster, or elsewhere.
type Route struct {
	Prefix  string // empty when Match says which paths
	Match   string // raw: more fields of the match, such as headers
	Cluster string // empty when Action or Extra say what to do
	Action  string // raw: more fields of the route action, such as timeout and retry_policy
	Extra   string // raw: more fields of the route, such as direct_response and typed_per_filter_config
}

// A Plugin is the circuit breaker as one HTTP filter. The zero value is the plugin without any configuration.
type Plugin struct {
	Name          string // empty means "breaker"
	Config        string // the configuration as JSON text, sent as a StringValue
	RawConfig     string // raw: the configuration as any other message, "@type" included; used when Config is empty
	VMID          string
	FailurePolicy string // empty means FAIL_RELOAD
}

// Filter returns the plugin as raw YAML: one item of a list of HTTP filters.
func (p Plugin) Filter() string {
	return "- name: circuit_breaker\n  typed_config:" + indent(4, p.TypedConfig())
}

// TypedConfig returns the plugin as raw YAML: the message that a filter's typed_config holds.
func (p Plugin) TypedConfig() string { return render("plugin", pluginText, p) }

//go:embed bootstrap.yaml.tmpl
var bootstrapText string

//go:embed plugin.yaml.tmpl
var pluginText string

// config returns Envoy's configuration with the given file as access log.
func (o Options) config(accessLog string) string {
	data := struct {
		Options
		AccessLogPath string
	}{o.withDefaults(), accessLog}
	if o.Raw != "" {
		return render("raw", o.Raw, data)
	}
	return render("bootstrap", bootstrapText, data)
}

// withDefaults fills in what empty fields of the listeners stand for.
func (o Options) withDefaults() Options {
	listeners := o.Listeners
	if len(listeners) == 0 {
		listeners = []Listener{{}}
	}
	o.Listeners = nil
	for _, l := range listeners {
		if l.Name == "" {
			l.Name = "main"
		}
		if len(l.Routes) == 0 {
			for _, c := range o.Clusters {
				l.Routes = append(l.Routes, Route{Prefix: "/" + c.Name, Cluster: c.Name})
			}
		}
		o.Listeners = append(o.Listeners, l)
	}
	return o
}

// render fills in one of the templates. They are part of the test, so a mistake in one panics.
func render(name, text string, data any) string {
	functions := template.FuncMap{
		"yaml":  indent,
		"quote": quote,
		"host":  func(address string) string { return hostPort(address)[0] },
		"port":  func(address string) string { return hostPort(address)[1] },
		"wasm":  func() string { return pluginFile },
	}
	var out strings.Builder
	if err := template.Must(template.New(name).Funcs(functions).Parse(text)).Execute(&out, data); err != nil {
		panic(err)
	}
	return out.String()
}

// indent shifts raw YAML as a whole, so that its least indented line has the given depth, and starts it on a new line.
func indent(depth int, raw string) string {
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

func hostPort(address string) [2]string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	return [2]string{host, port}
}
