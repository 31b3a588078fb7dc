package check

import (
	"fmt"
	"strings"
	"testing"
)

// wasmPlugin, policy and filter put a configuration, by its lines, where people have it. Each begins at a line of its own.
func wasmPlugin(lines string) string {
	return "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: circuit-breaker, namespace: istio-ingress}\n" +
		"spec:\n  url: oci://example.com/envoy-circuit-breaker:1.0.0\n  pluginConfig:\n" + indent(lines, 4)
}

func policy(lines string) string {
	return "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata: {name: circuit-breaker}\n" +
		"spec:\n  wasm:\n  - name: circuit-breaker\n    config:\n" + indent(lines, 6)
}

func filter(kind, lines string) string {
	return "- name: circuit_breaker\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n" +
		"    config:\n      name: breaker\n      configuration:\n        \"@type\": type.googleapis.com/google.protobuf." + kind + "\n" +
		"        value:" + strings.TrimPrefix(indent(lines, 10), strings.Repeat(" ", 9))
}

func indent(lines string, by int) string {
	space := strings.Repeat(" ", by)
	return space + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n"+space) + "\n"
}

func structFilter(lines string) string { return filter("Struct", "\n"+lines) }
func textFilter(lines string) string   { return filter("StringValue", "|\n"+lines) }

func longKey(end string) string { return `"` + strings.Repeat("k", 300) + end + `"` }

// mistakes are what people get wrong, with what they shall be told, line by line.
var mistakes = []struct {
	file, text string
	want       []string
}{
	// Keys.
	{"policy.json", "{\n  \"failure_rat\": 50\n}", []string{"2: failure_rat: unknown key with value 50: did you mean failure_rate?"}},
	{"policy.json", "{\n  \"failureRate\": 50,\n  \"min-requests\": 20\n}", []string{
		"2: failureRate: unknown key with value 50: did you mean failure_rate?", "3: min-requests: unknown key with value 20: did you mean min_requests?"}},
	{"policy.json", "{\n  \"open\": {\n    \"duratoin\": \"5s\"\n  }\n}", []string{`3: open.duratoin: unknown key with value "5s": did you mean duration?`}},
	{"plugin.yaml", wasmPlugin("half_open:\n  sucess_threshold: 3"), []string{"8: half_open.sucess_threshold: unknown key with value 3: did you mean success_threshold?"}},
	{"plugin.yaml", wasmPlugin("clusters:\n- match: a\n  slow_call:\n    rate: 50\n    durations: 1s"), []string{
		`11: clusters[0].slow_call.durations: unknown key with value "1s": did you mean duration?`}},
	{"plugin.yaml", wasmPlugin("clusters:\n- name: payments\n  failure_rate: 25"), []string{
		`8: clusters[0].match: is missing: must be the name of a cluster, or a glob such as "payments*"`,
		`8: clusters[0].name: unknown key with value "payments": did you mean match?`}},
	{"policy.json", "{\n  \"timeout\": \"5s\",\n  \"threshold\": 5\n}", []string{
		`2: timeout: unknown key with value "5s": did you mean probe.timeout?`,
		"3: threshold: unknown key with value 5: must be one of clusters, consecutive_failures, "}},
	{"policy.yaml", policy("prob:\n  path: /healthz"), []string{`8: prob: unknown key with value {"path":"/healthz"}: did you mean probe?`}},
	{"policy.json", "{\"failure_rate\": 50,\n\"min_requests\": 5,\n\"failure_rate\": 60}", []string{"3: failure_rate: 60 is not allowed: the key is given twice"}},
	{"filter.yaml", structFilter("open:\n  duration: 5s\n  multiplier: 3\n  duration: 6s"), []string{`12: open.duration: "6s" is not allowed: the key is given twice`}},
	{"plugin.yaml", wasmPlugin("open:\n  duration: 2m\n  max_duration: 3m\n  max_duration: 1m"), []string{
		`10: open.max_duration: "1m" is not allowed: the key is given twice`, `10: open.max_duration: "1m" is not allowed: must be from 2m0s`}},
	// Wrong places.
	{"policy.json", "{\n  \"max_requests\": 3\n}", []string{"2: max_requests: unknown key with value 3: did you mean half_open.max_requests?"}},
	{"plugin.yaml", wasmPlugin("open:\n  duration: 5s\n  half_open:\n    max_requests: 1"), []string{
		`9: open.half_open: unknown key with value {"max_requests":1}: did you mean half_open, which is no part of open?`}},
	{"plugin.yaml", wasmPlugin("clusters:\n- match: a\n  max_breakers: 5\n- match: b\n  status:\n    path: /x"), []string{
		"9: clusters[0].max_breakers: 5 is not allowed: must be at the top level only",
		`11: clusters[1].status: {"path":"/x"} is not allowed: must be at the top level only`}},
	{"plugin.yaml", wasmPlugin("clusters:\n  payments:\n    failure_rate: 25"), []string{`7: clusters: {"payments":{"failure_rate":25}} is not allowed: must be a list`}},
	{"policy.yaml", policy("clusters:\n- payments"), []string{`9: clusters[0]: "payments" is not allowed: must be an object such as {"match": "payments*"}`}},
	{"policy.json", "{\n  \"window.duration\": \"10s\",\n  \"slow_call_duration\": \"1s\",\n  \"clusters\": [{\"match\": \"a\",\n  \"half-open-max-requests\": 5}]}", []string{
		`2: "window.duration": unknown key with value "10s": did you mean {"window": {"duration": …}}?`,
		`3: slow_call_duration: unknown key with value "1s": did you mean {"slow_call": {"duration": …}}?`,
		`5: clusters[0].half-open-max-requests: unknown key with value 5: did you mean {"half_open": {"max_requests": …}}?`}},
	{"policy.yaml", "status.path: /x", []string{`1: "status.path": unknown key with value "/x": did you mean {"status": {"path": …}}?`}},
	{"policy.yaml", "open.duration: 5s\nopen:\n  duration: 1ms\n  max_duration: 1s", []string{
		`1: "open.duration": unknown key with value "5s": did you mean {"open": {"duration": …}}?`, `3: open.duration: "1ms" is not allowed: must be from 10ms`}},
	{"policy.json", "{\n" + longKey("1") + ": 1,\n" + longKey("3") + ": 3,\n" + longKey("2") + ": 2,\n\"\": 0,\n\"a\\n\": 5}", []string{
		"2: kkkkk", "3: kkkkk", "4: kkkkk", `5: "": unknown key with value 0`, `6: "a\n": unknown key with value 5`}},
	{"policy.yaml", "failure_rate: 5\n" + longKey("1") + ": 1\n" + longKey("2") + ": 2", []string{"2: kkkkk", "3: kkkkk"}},
	{"policy.json", "{\"configuration\":\n{\"failure_rate\": 40}}", []string{"1: configuration: unknown key: the configuration is what is inside of it: leave configuration out"}},
	{"plugin.yaml", wasmPlugin("config:\n  failure_rate: 40"), []string{"7: config: unknown key: the configuration is"}},
	{"filter.yaml", textFilter("{\n\"value\":\n{\"failure_rate\": 40}}"), []string{"10: value: unknown key: the configuration is"}},
	{"bare.yaml", "pluginConfig: {failure_rate: 50}", []string{"1: pluginConfig: unknown key: the configuration is"}},
	// Routes.
	{"policy.json", "{\n  \"per\": \"routes\",\n  \"route\": \"a\"\n}", []string{
		`2: per: "routes" is not allowed: must be "cluster" or "route"`, `3: route: unknown key with value "a": did you mean `}},
	{"plugin.yaml", wasmPlugin("clusters:\n- match: shop\n  route: reports\n  per: cluster"), []string{
		`10: clusters[0].per: "cluster" is not allowed: must be "route", or left out, beside "route"`}},
	{"plugin.yaml", wasmPlugin("clusters:\n- match: shop\n  route: ''"), []string{
		`9: clusters[0].route: "" is not allowed: must be the name of a route, or a glob such as "reports*"`}},
	{"plugin.yaml", wasmPlugin("clusters:\n- match: shop\n  route: [a, b]\n- route: a"), []string{
		`9: clusters[0].route: ["a","b"] is not allowed: must be a string`, "10: clusters[1].match: is missing"}},
	{"policy.yaml", policy("fallback:\n  header: x-a\n  route: spare"), []string{
		`10: fallback.route: "spare" is not allowed: must be given together with cluster, where that route leads`}},
	{"plugin.yaml", wasmPlugin("clusters:\n- match: shop\n  routes: reports"), []string{`9: clusters[0].routes: unknown key with value "reports": did you mean route?`}},
	// Types and units.
	{"policy.json", "{\n  \"failure_rate\": \"50%\",\n  \"min_requests\": \"20\"\n}", []string{
		`2: failure_rate: "50%" is not allowed: must be a number without quotes`, `3: min_requests: "20" is not allowed: must be a whole number without quotes`}},
	{"policy.json", "{\n  \"min_requests\": 20.5\n}", []string{"2: min_requests: 20.5 is not allowed: must be a whole number"}},
	{"plugin.yaml", wasmPlugin("open:\n  duration: 5\n  max_duration: 1 minute"), []string{
		`8: open.duration: 5 is not allowed: must be a duration such as "250ms", "5s" or "1m30s"`, `9: open.max_duration: "1 minute" is not allowed: must be a duration`}},
	{"filter.yaml", structFilter("ramp: 30\nopen: {honor_retry_after: \"yes\"}"), []string{
		"9: ramp: 30 is not allowed: must be a duration such as", `10: open.honor_retry_after: "yes" is not allowed: must be true or false without quotes`}},
	{"policy.json", "{\n  \"probe\": {\"path\": \"/\", \"status\": 200},\n  \"max_breakers\": 99999999999999999999\n}", []string{
		"2: probe.status: 200 is not allowed: must be a string in quotes", "3: max_breakers: 100000000000000000000 is not allowed: must be from 1 to 1000000"}},
	{"plugin.yaml", wasmPlugin("min_requests: 1e300\nreject: {status: 99999999999999999999}"), []string{
		"7: min_requests: 1e+300 is not allowed: must be from 1 to 1000000", "8: reject.status: 100000000000000000000 is not allowed: must be from 400 to 599"}},
	{"policy.json", "{\n  \"window\": \"10s\"\n}", []string{`2: window: "10s" is not allowed: must be an object`}},
	{"plugin.yaml", wasmPlugin("failure_on: [5xx, 429]"), []string{`7: failure_on[1]: 429 is not allowed: must be in quotes: "429"`}},
	{"plugin.yaml", wasmPlugin("failure_on: 5xx"), []string{`7: failure_on: "5xx" is not allowed: must be a list`}},
	{"plugin.yaml", wasmPlugin("mode:\nopen:"), []string{"7: mode: null is not allowed: must be a string", "8: open: null is not allowed: must be an object"}},
	// Beside the configuration.
	{"plugin.yaml", strings.Replace(wasmPlugin("failure_rate: 40"), "pluginConfig", "pluginconfig", 1), []string{"6: pluginconfig: unknown key: did you mean pluginConfig?"}},
	{"plugin.yaml", strings.Replace(wasmPlugin("failure_rate: 40"), "pluginConfig", "plugin_config", 1), []string{"6: plugin_config: unknown key: did you mean pluginConfig?"}},
	{"plugin.yaml", strings.Replace(wasmPlugin("failure_rate: 40"), "spec:", "specs:", 1), []string{"4: specs: unknown key: did you mean spec?"}},
	{"plugin.yaml", strings.Replace(wasmPlugin("failure_rate: 40"), "  url:", "  urls:", 1), []string{"5: urls: unknown key: did you mean url?"}},
	{"plugin.yaml", strings.Replace(wasmPlugin("x"), "  pluginConfig:\n    x", "  failure_rate: 40", 1), []string{
		"6: failure_rate: is a key of the configuration, which is to be under pluginConfig"}},
	{"plugin.yaml", "kind: WasmPlugin\nspec:\n  pluginConfg:\n    failure_rate: 140", []string{
		"3: pluginConfg: unknown key: did you mean pluginConfig?", "4: failure_rate: 140 is not allowed"}},
	{"policy.yaml", "kind: EnvoyExtensionPolicy\nspec:\n  wasm:\n  - configs:\n      failure_rate: 140", []string{
		"4: configs: unknown key: did you mean config?", "5: failure_rate: 140 is not allowed"}},
	{"filter.yaml", strings.Replace(strings.Replace(structFilter("failure_rate: 140"), "value:", "valu:", 1), "breaker\n      configuration", "a\n      configuratoin", 1), []string{
		"6: configuratoin: unknown key: did you mean configuration?", "8: valu: unknown key: did you mean value?", "9: failure_rate: 140 is not allowed"}},
	{"traffic.yaml", "kind: TrafficExtension\nmetadata: {name: breaker}\nspec:\n  wasm:\n    url: oci://x\n    pluginConfg: {failure_rate: 5}", []string{"6: pluginConfg: unknown key: did you"}},
	{"policy.yaml", strings.Replace(policy("failure_rate: 40"), "config:", "configs:", 1), []string{"7: configs: unknown key: did you mean config?"}},
	{"policy.yaml", strings.Replace(policy("failure_rate: 40"), "spec:", "specs:", 1), []string{"4: specs: unknown key: did you mean spec?"}},
	{"filter.yaml", strings.Replace(structFilter("failure_rate: 40"), "value:", "valeu:", 1), []string{"8: valeu: unknown key: did you mean value?"}},
	{"filter.yaml", strings.Replace(structFilter("failure_rate: 40"), "configuration:", "configuraton:", 1), []string{"6: configuraton: unknown key: did you mean configuration?"}},
	{"filter.yaml", strings.Replace(structFilter("x"), "value: \n          x", "failure_rate: 40", 1), []string{
		"8: failure_rate: is a key of the configuration, which is to be under value"}},
	{"filter.yaml", strings.Replace(structFilter("failure_rate: 40"), "name: breaker", "vmconfig: {}", 1), []string{"5: vmconfig: unknown key: did you mean vm_config?"}},
	{"filter.yaml", strings.Replace(structFilter("failure_rate: 140"), "    config:", "    confg:", 1), []string{
		"4: confg: unknown key: did you mean config?", "9: failure_rate: 140 is not allowed"}},
	{"filter.yaml", strings.Replace(structFilter("failure_rate: 40"), "    config:\n      name: breaker", "    conifg:", 1), []string{"4: conifg: unknown key: did you mean config?"}},
	{"listener.yaml", "http_filters:\n" + strings.Replace(structFilter("mode: shadow"), "    config:\n      name: breaker", "    Config:", 1), []string{
		"5: Config: unknown key: did you mean config?"}},
	{"listener.yaml", "http_filters:\n" + strings.Replace(structFilter("mode: shadow"), "  typed_config:", "  isOptional: true\n  disable: false\n  typed_config:", 1), []string{
		"4: disable: unknown key: did you mean disabled?"}},
	{"envoyfilter.yaml", "kind: EnvoyFilter\nspec:\n- type_url: a/" + wasmType + "\n  value:\n    confi:\n      name: breaker", []string{"5: confi: unknown key: did you mean config?"}},
	{"envoyfilter.yaml", "kind: EnvoyFilter\nspec:\n- type_url: a/" + wasmType + "\n  valu:\n    config:\n      name: breaker", []string{"4: valu: unknown key: did you mean value?"}},
	{"filter.yaml", strings.Replace(structFilter("failure_rate: 40"), "    config:\n      name: breaker\n      c", "    c", 1), []string{"3: config: is missing"}},
	{"filter.yaml", "\"@type\": a/" + wasmType + "\nfailure_rate: 40", []string{"2: failure_rate: is a key of the configuration, which is to be under config.configuration.value"}},
	// What is not the same to all that read YAML.
	{"plugin.yaml", wasmPlugin("failure_rate: 5\non: 5\nclusters:\n- match: a\n  Yes:\n    1: 5\n  1.5: x\n  open: {~: 5}\nreject:\n  headers:\n    y: a\n    \"n\": b"), []string{
		`8: on: this key is true or false to some that read YAML, and a text to others: only a header can be called so, and in quotes`,
		"11: clusters[0].Yes: this key is true or false", "12: clusters[0].Yes.1: this key is a number", `13: clusters[0]."1.5": this key is a number`,
		"14: clusters[0].open.~: this key is null", "17: reject.headers.y: this key is true or false"}},
	{"filter.yaml", structFilter("true: 5\n010: 5\n2026-01-01: 5\n1:30: 5\n!!str mode: shadow"), []string{
		"9: true: this key is true", "10: 010: this key is a number", "11: 2026-01-01: this key is a time", "12: 1:30: this key is a number",
		"13: mode: this key has the tag !!str"}},
	{"plugin.yaml", wasmPlugin("failure_rate: 5\n[a]: 5"), []string{"8: not valid YAML: a list is no key"}},
	{"policy.yaml", "ramp: &a [1s]\n*a : shadow", []string{"2: not valid YAML: a list is no key"}},
	{"policy.yaml", "failure_rate: &a mode\n*a : shadow", []string{`1: failure_rate: "mode" is not allowed`}},
	{"filter.yaml", structFilter("fallback: {value: yes, header: x-a}\nmode: on\nopen:\n  honor_retry_after: No\n  jitter: \"n\""), []string{
		`9: fallback.value: yes is true to Envoy and Kubernetes: write true, or "yes" in quotes`, "10: mode: on is true to Envoy",
		`12: open.honor_retry_after: No is false to Envoy and Kubernetes: write false, or "No" in quotes`,
		`13: open.jitter: "n" is not allowed: must be a number without quotes`}},
	{"plugin.yaml", wasmPlugin("failure_on: [5xx, Y]\nmin_requests: 1_000\nmax_breakers: 0o20\nconsecutive_failures: 010"), []string{
		"7: failure_on[1]: Y is true to", `8: min_requests: 1_000 is 1000 to Kubernetes, and a string to Envoy: write 1000, or "1_000" in quotes`,
		"9: max_breakers: 0o20 is 16 to Kubernetes,", "10: consecutive_failures: 010 is 8 to Envoy and Kubernetes: write 8,"}},
	{"policy.yaml", policy("min_requests: 1:30\nreject:\n  body: 1e3\n  content_type: 2026-01-01\nfailure_rate: !!str 40"), []string{
		"8: min_requests: 1:30 is a number to some", `10: reject.body: 1000 is not allowed: must be a string`, "11: reject.content_type: 2026-01-01 is a time",
		"12: failure_rate: Envoy takes no notice of the tag !!str"}},
	{"filter.yaml", structFilter("open: {jitter: 0.1}\nfailure_rate: .5e2\nreject: {body: 1e3}\n" + longKey("1") + ": 0.5"), []string{
		"9: open.jitter: 0.1 is a string to Envoy, whose YAML has whole numbers only in a Struct: give the configuration as JSON text",
		"10: failure_rate: .5e2 is a string to Envoy", "12: " + strings.Repeat("k", 80) + "…: 0.5 is a string to Envoy"}},
	{"policy.yaml", "open: {honor_retry_after: off}", []string{"1: open.honor_retry_after: off is false to Envoy"}},
	// Values.
	{"policy.json", "{\n  \"failure_rate\": 140,\n  \"min_requests\": 0\n}", []string{
		"2: failure_rate: 140 is not allowed: must be from 0 to 100", "3: min_requests: 0 is not allowed: must be from 1 to 1000000"}},
	{"policy.json", "{\"slow_call\": {\n\"duration\": \"2s\",\n\"rate\": 0.8}}", []string{"3: slow_call.rate: 0.8 is not allowed: must be from 1 to 100"}},
	{"policy.json", "{\"failure_rate\": 12345678}", []string{"1: failure_rate: 12345678 is not allowed: must be from 0 to 100"}},
	{"policy.json", "{\n  \"mode\": \"dry-run\"\n}", []string{`2: mode: "dry-run" is not allowed: must be one of "enforce", "shadow", "force_open", "disabled"`}},
	{"plugin.yaml", wasmPlugin("failure_on:\n- 5xx\n- conect-failure\n- 600"), []string{
		`9: failure_on[1]: "conect-failure" is not allowed: must be a name of a failure: did you mean "connect-failure"?`,
		`10: failure_on[2]: 600 is not allowed: must be "5xx", "gateway-error", a status code`}},
	{"policy.json", "{\"window\": {\"duration\": \"10s\",\n\"requests\": 100}}", []string{`1: window: {"duration":"10s","requests":100} is not allowed: must be either`}},
	{"policy.json", "{\"window\": {\"requests\": 15},\n\"min_requests\": 20}", []string{"2: min_requests: 20 is not allowed: must be at most window.requests (15)"}},
	{"plugin.yaml", wasmPlugin("open:\n  duration: 2m\n  max_duration: 1m"), []string{`9: open.max_duration: "1m" is not allowed: must be from 2m0s to 24h0m0s`}},
	{"plugin.yaml", wasmPlugin("reject:\n  status: 200\n  body: \"{service} is resting\"\n  headers:\n    Retry-After: \"5\""), []string{
		"8: reject.status: 200 is not allowed: must be from 400 to 599", `9: reject.body: "{service} is resting" is not allowed: must be text with no placeholder but`,
		`11: reject.headers.Retry-After: "5" is not allowed: must be left out`}},
	{"plugin.yaml", wasmPlugin("probe:\n  interval: 1s\nfallback:\n  cluster: spare"), []string{
		`7: probe.path: is missing: must be a path such as "/healthz"`, "9: fallback.header: is missing: must be the name of a request header"}},
	{"policy.json", "{\n  \"status\": {\"path\": \"circuit-breakers\"}}", []string{`2: status.path: "circuit-breakers" is not allowed: must be a path such as`}},
	{"policy.json", "{\n  \"failure_on\": []}", []string{"2: failure_on: [] is not allowed: must be at least one name"}},
	// What the plugin would live with, check does not.
	{"plugin.yaml", wasmPlugin("invalid_config: keep\nfailure_rate: 140\nclusters:\n- match: a\n  invalid_config: keep"), []string{
		"8: failure_rate: 140 is not allowed", `11: clusters[0].invalid_config: "keep" is not allowed: must be at the top level only`}},
	{"policy.json", "{\n  \"invalid_config\": \"kept\"}", []string{`2: invalid_config: "kept" is not allowed: must be one of "refuse", "keep"`}},
	// Text that is none.
	{"policy.json", "{\n  \"failure_rate\": 50,\n}", []string{"3: not valid JSON: column 1: invalid character '}' looking for beginning of object key string; leave out the comma before it"}},
	{"policy.json", "{\n  \"failure_rate\": 50\n  \"min_requests\": 5\n}", []string{"3: not valid JSON: column 3: invalid character '\"' after object key:value pair: a comma is missing before it"}},
	{"policy.json", "{\"failure_on\": [\"5xx\"\n\"429\"]}", []string{"2: not valid JSON: column 1: invalid character '\"' after array element: a comma is missing before it"}},
	{"policy.json", "{\n\"failure_rate\": {{ .Values.rate }}\n}", []string{"2: not valid JSON: this is a template: check what it renders to"}},
	{"plugin.yaml", wasmPlugin("{{- if .Values.rate }}\nfailure_rate: 5\n{{- end }}"), []string{"7: not valid YAML: this is a template: check what it renders to"}},
	{"plugin.yaml", wasmPlugin("min_requests: 5\nfailure_rate: {{ .Values.rate }}"), []string{"8: not valid YAML: an object is no key, but in a template: check what it renders to"}},
	{"plugin.yaml", wasmPlugin("reject:\n  body: {cluster} is down"), []string{"8: not valid YAML: did not find expected key: a text that begins with { has to be in quotes"}},
	{"policy.yaml", policy("reject: {body: {cluster} down}"), []string{"8: not valid YAML: did not find expected ',' or '}': a text that begins with { has to be in quotes"}},
	{"policy.yaml", policy("clusters:\n- match: *\n- match: a"), []string{"9: not valid YAML: did not find expected alphabetic or numeric character: a text that begins with * has"}},
	{"policy.yaml", policy("clusters:\n- match: *a"), []string{"9: not valid YAML: unknown anchor 'a' referenced: a text that begins with * has"}},
	{"two.yaml", wasmPlugin("failure_rate: 5\n x: [") + "---\n" + wasmPlugin("failure_rate: 140"), []string{
		"8: not valid YAML: mapping values are not allowed in this context; the documents behind this one were not read"}},
	{"policy.json", "{\n  // half\n  \"failure_rate\": 50\n}", []string{"2: not valid JSON: column 3: invalid character '/' looking for beginning of object key string; JSON has no comments"}},
	{"policy.json", "{'failure_rate': 50}", []string{"1: not valid JSON: column 2: invalid character '\\'' looking for beginning of object key string; strings are in double quotes"}},
	{"policy.json", "{\n  \"failure_rate\": 50\n", []string{"2: not valid JSON: it ends too soon: a quote, ] or } is missing"}},
	{"policy.json", "[{\"failure_rate\": 50}]", []string{"1: [{\"failure_rate\":50}] is not allowed: must be an object of keys"}},
	{"filter.yaml", textFilter("{\n  \"failure_rate\": 50,\n  \"min_requests\": \"5\"\n}"), []string{`11: min_requests: "5" is not allowed: must be a whole number without quotes`}},
	{"filter.yaml", textFilter("{\n  \"failure_rate\": 50,\n  \"min_requests\": 5,\n}"), []string{"12: not valid JSON: column 1: invalid character '}' looking for"}},
	{"filter.yaml", textFilter("failure_rate: 50\nmin_requests: 5"), []string{
		"9: not valid JSON: column 3: invalid character 'i' in literal false (expecting 'l'); for YAML use google.protobuf.Struct in place of StringValue"}},
	{"filter.yaml", filter("StringValue", `'{"failure_rate": 140}'`), []string{"8: failure_rate: 140 is not allowed: must be from 0 to 100"}},
	{"filter.yaml", filter("StringValue", "\nfailure_rate: 50"), []string{"9: configuration.value: StringValue holds JSON text: for YAML use google.protobuf.Struct"}},
	{"filter.yaml", filter("Struct", "|\n{\"failure_rate\": 50}"), []string{"8: configuration.value: Struct holds keys: for JSON text use google.protobuf.StringValue"}},
	{"filter.yaml", filter("Empty", "{}"), []string{"7: configuration.@type: type.googleapis.com/google.protobuf.Empty is not allowed: must be type.googleapis.com/google.protobuf.Struct"}},
	{"plugin.yaml", wasmPlugin("open:\n\tduration: 5s"), []string{"8: not valid YAML: a tab at the beginning of the line: YAML is indented by spaces"}},
	{"plugin.yaml", wasmPlugin("open:\n  duration: 5s\n jitter: 0.1"), []string{"9: not valid YAML: "}},
	{"plugin.yaml", wasmPlugin("a: {b: [}"), []string{"7: not valid YAML: "}},
	{"bootstrap.yaml", "static_resources: {}\n", []string{"0: no configuration of the circuit breaker is here"}},
	{"empty.yaml", "", []string{"0: no configuration of the circuit breaker is here"}},
	// What is wrong in one place hides nothing in another.
	{"two.yaml", wasmPlugin("failure_rate: 140") + "---\n" + policy("failure_rate: 150"), []string{
		"7: failure_rate: 140 is not allowed", "16: failure_rate: 150 is not allowed"}},
	{"plugin.yaml", wasmPlugin("failure_rate: 140\nprobe: {path: x}\nclusters:\n- match: a\n  min_requests: 5\n- match: b\n  failure_rate: 141\n- match: c\n  failure_rate: 140"), []string{
		"7: failure_rate: 140 is not allowed", `8: probe.path: "x" is not allowed`, "13: clusters[1].failure_rate: 141 is not allowed",
		"15: clusters[2].failure_rate: 140 is not allowed"}},
}

func TestMistakes(t *testing.T) {
	for _, c := range mistakes {
		file := Read(c.file, []byte(c.text))
		var got []string
		for _, f := range file.Findings {
			got = append(got, fmt.Sprintf("%d: %s", f.Line, f.Text))
			if f.Warning {
				t.Errorf("%s\nwarns: %s", c.text, f)
			}
		}
		if len(file.Plugins) == 1 && file.Plugins[0].Config != nil {
			t.Errorf("%s\nhas a configuration all the same", c.text)
		}
		same := len(got) == len(c.want)
		for i := 0; same && i < len(got); i++ {
			same = strings.HasPrefix(got[i], c.want[i])
		}
		if !same || !file.HasErrors() {
			t.Errorf("%s\ngot\n  %s\nwant\n  %s", c.text, strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
		}
	}
}
