package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A bootstrap in which nothing is wrong, and places to change it.
const bootstrap = `static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          early_header_mutation_extensions:
          - typed_config: { mutations: [{ remove: X-Fallback }] }
          route_config:
            virtual_hosts:
            - routes:
              - { match: { prefix: /, headers: [{ name: X-Fallback }] }, route: { cluster: spare, timeout: 30s } }
              - { match: { prefix: /slow }, route: { weighted_clusters: { clusters: [{ name: slow }, { name: other }] }, timeout: 60s } }
              - { match: { prefix: /stream }, route: { cluster: stream, timeout: 0s } }
              - { match: { prefix: / }, route: { cluster: payments, timeout: 2s } }
          http_filters:
          - name: envoy.filters.http.cors
          - name: circuit_breaker
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                configuration:
                  "@type": type.googleapis.com/google.protobuf.Struct
                  value:
                    half_open: { permit_timeout: 60s }
                    fallback: { header: x-fallback, cluster: spare }
                    clusters:
                    - { match: payments, slow_call: { duration: 1s } }
                    - { match: "s*", slow_call: { duration: 20s } }
          - name: envoy.filters.http.router
  clusters: [{ name: payments }, { name: spare }, { name: slow }, { name: other }, { name: stream }]
`

func TestAround(t *testing.T) {
	for name, c := range map[string]struct {
		change []string // what for what
		want   []string
	}{
		"nothing": {},
		"not last": {[]string{"          - name: envoy.filters.http.router", "          - name: a_filter\n          - name: envoy.filters.http.router"},
			[]string{"22: the filter is not the last before the router: a_filter stands behind it"}},
		"behind the router": {[]string{"          - name: envoy.filters.http.cors\n", "          - name: envoy.filters.http.router\n",
			"          - name: envoy.filters.http.router\n  clusters", "  clusters"}, []string{"22: the filter is behind the router: it never runs"}},
		"slower than the timeout": {[]string{"duration: 1s", "duration: 2s"}, []string{
			`28: clusters[0].slow_call.duration: 2s is not less than the timeout of the route to "payments" (line 15), 2s: no call is ever slow`}},
		"slower than the default": {[]string{", timeout: 2s", "", "duration: 1s", "duration: 15s"}, []string{
			`28: clusters[0].slow_call.duration: 15s is not less than the timeout of the route to "payments" (line 15), 15s by default`}},
		"permit": {[]string{"permit_timeout: 60s", "permit_timeout: 40s"}, []string{
			`25: half_open.permit_timeout: 40s is less than the timeout of the route to "slow" (line 13), 1m0s: a trial gives`}},
		"no such cluster": {[]string{"cluster: spare }\n                    clusters", "cluster: spear }\n                    clusters"},
			[]string{`26: fallback.cluster: "spear" is no cluster of this file`}},
		"clusters from elsewhere": {[]string{"cluster: spare }\n                    clusters", "cluster: spear }\n                    clusters",
			"static_resources:\n", "dynamic_resources: { cds_config: {} }\nstatic_resources:\n"}, nil},
		"no route matches": {[]string{"headers: [{ name: X-Fallback }]", "headers: [{ name: x-other }]"},
			[]string{`26: fallback.header: no route of this file matches "x-fallback"`}},
		"not stripped":          {[]string{"remove: X-Fallback", "remove: x-other"}, []string{`26: fallback.header: clients can send "x-fallback" themselves`}},
		"routes from elsewhere": {[]string{"route_config:", "other:", "permit_timeout: 60s", "permit_timeout: 40s"}, nil},
		"routes by name":        {[]string{"route_config:\n", "rds: { route_config_name: main }\n          elsewhere:\n            name: main\n", "permit_timeout: 60s", "permit_timeout: 40s"}, []string{"27: half_open.permit_timeout"}},
		"a probe without a host": {[]string{"match: payments,", `match: "inbound|80||", probe: { path: / },`, "static_resources:\n", "dynamic_resources: { cds_config: {} }\nstatic_resources:\n"}, []string{
			"29: clusters[0].probe: the cluster's name ends without a host"}},
		"a probe with a host":     {[]string{"match: payments,", `match: "inbound|80||", probe: { path: /, host: payments },`, "static_resources:\n", "dynamic_resources: { cds_config: {} }\nstatic_resources:\n"}, nil},
		"a probe of Istio's name": {[]string{"match: payments,", `match: "outbound|80||payments", probe: { path: / },`, "static_resources:\n", "dynamic_resources: { cds_config: {} }\nstatic_resources:\n"}, nil},
		"a probe of a plain name": {[]string{"match: payments,", `match: payments, probe: { path: / },`}, nil},
		"a warning by what is here": {[]string{"match: payments,", "match: payments$,"}, []string{"28: clusters[0].match: \"payments$\" looks like a regular",
			"28: clusters[0].match: \"payments$\" is no cluster of this file: did you mean \"payments\"?"}},
		"no such cluster to match":  {[]string{"match: payments,", "match: paymets,"}, []string{"28: clusters[0].match: \"paymets\" is no cluster of this file: did you mean \"payments\"?"}},
		"no such clusters to match": {[]string{`match: "s*"`, `match: "z*"`}, []string{`29: clusters[1].match: "z*" matches no cluster of this file: they are "other", "payments", "slow", "spare", "stream"`}},
		"two breakers":              {[]string{router, secondBreaker("second") + router}, nil},
		"one breaker twice":         {[]string{router, secondBreaker("") + router}, []string{`34: the plugin "" is in the chain before (line 22), and would count each request twice`}},
		"two breakers, not last": {[]string{router, secondBreaker("second") + "          - name: a_filter\n" + router}, []string{
			"22: the filter is not the last before the router: a_filter stands behind it", "34: the filter is not the last before the router: a_filter stands behind it"}},
	} {
		warns(t, name, changed(t, bootstrap, c.change...), c.want)
	}
}

const router = "          - name: envoy.filters.http.router\n  clusters"

// secondBreaker is another filter of the chain.
func secondBreaker(name string) string {
	return `          - name: second_breaker
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: "` + name + `"
                configuration: { "@type": type.googleapis.com/google.protobuf.Struct, value: { failure_rate: 70 } }
`
}

// changed returns a text with the first of each pair of texts replaced by the second, once.
func changed(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not there", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// warns reads a file of which these warnings are wanted, by how they begin.
func warns(t *testing.T, name, text string, want []string) {
	t.Helper()
	f := Read("envoy.yaml", []byte(text))
	var got []string
	for _, finding := range f.Findings {
		got = append(got, fmt.Sprintf("%d: %s", finding.Line, finding.Text))
		if !finding.Warning || !strings.Contains(finding.String(), ": warning: ") {
			t.Errorf("%s: no warning: %s", name, finding)
		}
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%s\ngot  %q\nwant %q", name, got, want)
	}
}

func TestIstioWarnings(t *testing.T) {
	text := strings.Replace(wasmPlugin("probe: {path: /healthz}"), "spec:\n", "spec:\n  phase: AUTHN\n", 1)
	f := Read("plugin.yaml", []byte(text))
	if len(f.Findings) != 1 || f.HasErrors() || f.Findings[0].Line != 5 {
		t.Errorf("got %v", f.Findings)
	}
}
