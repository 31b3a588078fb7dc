package check

import (
	"slices"
	"strings"
	"testing"
)

// routeNames give each route of the bootstrap a name, but the stream's.
var routeNames = []string{
	"{ match: { prefix: /, h", "{ name: spares, match: { prefix: /, h",
	"{ match: { prefix: /slow", "{ name: slow, match: { prefix: /slow",
	"{ match: { prefix: / }", "{ name: pay, match: { prefix: / }",
}

// override puts one before those of the bootstrap, in line 28.
func override(keys string) []string {
	const first = "                    - { match: payments,"
	return []string{first, "                    - { " + keys + " }\n" + first}
}

// What is said of routes goes by their names.
func TestAroundRoutes(t *testing.T) {
	named := func(changes ...[]string) []string { return slices.Concat(routeNames, slices.Concat(changes...)) }
	perRoute := []string{"value:\n", "value:\n                    per: route\n"}
	fallback := func(keys string) []string {
		return []string{"x-fallback, cluster: spare }", "x-fallback, " + keys + " }"}
	}
	const unnamed = " has a name: routes without one share their cluster's breaker"
	const asked = `26: fallback.cluster: "spare" has breakers of its routes, and none is asked` // which the configuration alone shows
	for name, c := range map[string]struct {
		change []string
		want   []string
	}{
		"names": {named(), nil},
		"slower than the timeout of a route": {named(override("match: payments, route: pay, slow_call: { duration: 3s }")), []string{
			`28: clusters[0].slow_call.duration: 3s is not less than the timeout of the route to "payments" (line 15), 2s: no call is ever slow`}},
		"a route that is faster than others": {named(override("match: payments, route: pay, slow_call: { duration: 1s }")), nil},
		"another route is slow": {named(override("match: payments, route: pay, slow_call: { duration: 1s }"), []string{
			"{ match: payments, slow_call: { duration: 1s } }", "{ match: payments, slow_call: { duration: 9s } }"}), nil},
		"a permit of a route": {named(override("match: slow, route: slow, half_open: { permit_timeout: 50s }")), []string{
			`28: clusters[0].half_open.permit_timeout: 50s is less than the timeout of the route to "slow" (line 13), 1m0s`}},

		"no name, at the top": {perRoute, []string{
			`25: per: no route of this file to "other", "payments", "slow", "spare", "stream"` + unnamed, `27: fallback.cluster: "spare" has breakers`}},
		"no name, and one for another": {named(perRoute, fallback("cluster: spare, route: spares")), []string{`25: per: no route of this file to "stream"` + unnamed}},
		"no name, of an override":      {[]string{"match: payments,", "match: payments, per: route,"}, []string{`28: clusters[0].per: no route of this file to "payments"` + unnamed}},
		"no name, inherited": {slices.Concat(perRoute, override(`match: "s*", per: cluster`), override("match: other, per: cluster")), []string{
			`25: per: no route of this file to "payments"` + unnamed, `32: clusters[3].match: "s*" never counts`}},
		"no name, for an override of routes": {override(`match: "pay*", route: pay`), []string{`28: clusters[0].route: no route of this file to "payments"` + unnamed}},
		"a name":                             {named([]string{"match: payments,", "match: payments, per: route,"}), nil},
		"any cluster": {append(override("match: payments, route: any"), "{ match: { prefix: /stream }, route: { cluster: stream,",
			"{ name: any, match: { prefix: /stream }, route: { cluster_header: x,"), nil},

		"another name": {named(override(`match: "pay*", route: "pax*"`)), []string{
			`28: clusters[0].route: "pax*" counts for no route of this file to "payments": there the names are "pay"`}},
		"other names": {named(override(`match: "*", route: "pax*"`)), []string{asked, `28: clusters[0].route: "pax*" counts for no route of this file to ` +
			`"other", "payments", "slow", "spare", "stream": there the names are "pay", "slow", "spares"`}},
		"a name of another cluster's": {named(override("match: payments, route: slow")), []string{
			`28: clusters[0].route: "slow" counts for no route of this file to "payments": there the names are "pay"`}},
		"the name, of many clusters":  {named(override(`match: "*", route: slow`)), []string{asked}},
		"a cluster that is not there": {named(override("match: elsewhere, route: pay")), []string{`28: clusters[0].match: "elsewhere" is no cluster of this file`}},
		"routes from elsewhere":       {named(override("match: payments, route: pax, slow_call: { duration: 9s }"), []string{"route_config:", "other:"}), nil},
		"routes by VHDS": {named(override("match: payments, route: pax"), []string{
			"            virtual_hosts:", "            vhds: {}\n            virtual_hosts:"}), nil},
		"routes in a matcher": {named(override("match: payments, route: pax"), []string{"            - routes:", "            - matcher: {}\n              routes:"}), nil},
		"routes by name": {named(override("match: payments, route: pax"), []string{
			"          route_config:\n", "          rds: { route_config_name: main }\n          elsewhere:\n            name: main\n"}),
			[]string{`30: clusters[0].route: "pax" counts for no`}},

		"the fallback's route": {named(fallback("cluster: spare, route: spares"), override("match: spare, per: route")), nil},
		"no such route of the fallback's": {named(fallback("cluster: spare, route: pay"), override("match: spare, per: route")), []string{
			`26: fallback.route: no route of this file that matches "x-fallback" and leads to "spare" has the name "pay"`}},
		"the fallback's route, by VHDS": {named(fallback("cluster: spare, route: pay"), override("match: spare, per: route"), []string{
			"            virtual_hosts:", "            vhds: {}\n            virtual_hosts:"}), nil},
		"the fallback's route leads elsewhere": {named(fallback("cluster: slow, route: spares"), override("match: slow, per: route")), []string{
			`26: fallback.route: no route of this file that matches "x-fallback" and leads to "slow" has the name "spares"`}},
	} {
		warns(t, name, changed(t, bootstrap, c.change...), c.want)
	}
}

// Plugins of one name share their breakers, so that a route of either is enough.
func TestRoutesOfTwo(t *testing.T) {
	const behind = "  clusters: ["
	one := changed(t, bootstrap, override("match: payments, route: pay")...)
	from := strings.Index(one, "  - filter_chains:")
	listener := changed(t, one[from:strings.Index(one, behind)], "{ match: { prefix: / }", "{ name: pay, match: { prefix: / }")
	elsewhere := []string{"route_config:", "other:"}
	for name, c := range map[string]struct {
		second string
		want   []string
	}{
		"both":                           {listener, nil},
		"one whose routes are elsewhere": {changed(t, listener, elsewhere...), nil},
		"another's": {changed(t, listener, "              config:\n", "              config:\n                name: another\n"), []string{
			`28: clusters[0].route: no route of this file`}},
	} {
		warns(t, name, changed(t, one, behind, c.second+behind), c.want)
	}
	unnamed := one[from:strings.Index(one, behind)]
	warns(t, "the first's routes are elsewhere", changed(t, one, append(elsewhere, behind, unnamed+behind)...), nil)
}

// The routes that a name stands for are found in whichever document has them.
func TestRoutesInDocuments(t *testing.T) {
	text := changed(t, bootstrap, append(override("match: payments, route: pax"), "route_config:", "rds: { route_config_name: main }\n          other:")...)
	const table = "name: main\nvirtual_hosts: [{ routes: [{ name: cart, route: { cluster: payments } }] }]\n"
	for name, text := range map[string]string{"before": table + "---\n" + text, "behind": text + "---\n" + table} {
		if f := Read("envoy.yaml", []byte(text)); !slices.ContainsFunc(f.Findings, func(finding Finding) bool {
			return strings.HasSuffix(finding.Text, `"pax" counts for no route of this file to "payments": there the names are "cart"`)
		}) {
			t.Errorf("%s: got %v", name, f.Findings)
		}
	}
}

// What is said of one line is always said in the same order.
func TestRoutesInOrder(t *testing.T) {
	const overrides = `clusters: [{ match: slow, route: a }, { match: spare, route: b }, { match: other, route: c }, { match: payments, route: d }] }`
	before, _, _ := strings.Cut(bootstrap, "value:\n")
	const router = "          - name: envoy.filters.http.router"
	text := before + "value: { " + overrides + "\n" + bootstrap[strings.Index(bootstrap, router):]
	first := ""
	for range 20 {
		var got []string
		for _, finding := range Read("envoy.yaml", []byte(text)).Findings {
			got = append(got, finding.String())
		}
		if all := strings.Join(got, "\n"); len(got) != 4 {
			t.Fatalf("got\n%s", all)
		} else if first == "" {
			first = all
		} else if all != first {
			t.Fatalf("got\n%s\nand\n%s", first, all)
		}
	}
}

func TestSome(t *testing.T) {
	if got, want := some(strings.Fields("a b c d e f g")), `"a", "b", "c", "d", "e" and 2 more`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
