package check

import (
	"slices"
	"strings"
	"testing"

	"envoy-circuit-breaker/filter/config"
)

func TestExplain(t *testing.T) {
	f := Read("policy.json", []byte(`{
  "failure_rate": 40, "open": {"duration": "2m"},
  "probe": {"path": "/healthz", "headers": {"x-a": "1"}},
  "clusters": [
    {"match": "pay*", "failure_rate": 25,
     "window": {"requests": 15}, "probe": {"timeout": "2s"}, "fallback": {"header": "x-fallback"}},
    {"match": "search", "probe": null, "reject": {"status": 429, "headers": {"x-b": "{state}"}}}
  ]
}`))
	if len(f.Plugins) != 1 || len(f.Findings) != 0 {
		t.Fatal(f.Findings)
	}
	explain := func(cluster string) map[string]string {
		var s strings.Builder
		f.Plugins[0].Explain(&s, cluster, "")
		rows := map[string]string{}
		for i, line := range strings.Split(strings.TrimSpace(s.String()), "\n") {
			if i == 0 {
				rows[""] = line
				continue
			}
			key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			rows[key] = strings.Join(strings.Fields(rest), " ")
		}
		return rows
	}
	for cluster, want := range map[string]map[string]string{
		"payments": {
			"": `payments: clusters[0], match "pay*" (policy.json:5)`, "failure_rate": "25 clusters[0], policy.json:5",
			"window.requests": "15 clusters[0], policy.json:6", "window.duration": "", "min_requests": "15 default, lowered to window.requests",
			"open.duration": "2m0s top level, policy.json:2", "open.max_duration": "2m0s default, raised to open.duration",
			"probe": "", "probe.path": "/healthz top level, policy.json:3", "probe.timeout": "2s clusters[0], policy.json:6",
			"probe.method": "GET default", "probe.headers": "x-a: 1 top level, policy.json:3", "probe.status": "200-299 default",
			"fallback.header": "x-fallback clusters[0], policy.json:6", "fallback": "", "mode": "enforce default",
		},
		"search": {
			"": `search: clusters[1], match "search" (policy.json:7)`, "failure_rate": "40 top level, policy.json:2",
			"probe": "off clusters[1], policy.json:7", "probe.path": "", "reject.status": "429 clusters[1], policy.json:7",
			"reject.headers": "x-b: {state} clusters[1], policy.json:7", "fallback": "off default", "min_requests": "20 default",
		},
		"other": {"": "other: no override matches", "failure_rate": "40 top level, policy.json:2", "window.duration": "10s default"},
	} {
		got := explain(cluster)
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s: %s: got %q, want %q", cluster, key, got[key], value)
			}
		}
	}
}

// Whatever a cluster can have of its own is explained.
func TestRowsHaveAllKeys(t *testing.T) {
	shown := map[string]bool{}
	for _, row := range rows {
		shown[row.key] = true
	}
	for _, key := range config.Keys("") {
		within := config.Keys(key)
		for _, name := range within {
			if key != "status" && !shown[key+"."+name] {
				t.Errorf("%s.%s is not explained", key, name)
			}
			delete(shown, key+"."+name)
		}
		if topLevel := key == "max_breakers" || key == "invalid_config" || key == "clusters"; within == nil && !topLevel && !shown[key] {
			t.Errorf("%s is not explained", key)
		}
		delete(shown, key)
	}
	if len(shown) > 0 {
		t.Errorf("no keys: %v", shown)
	}
}

const byRoute = `{"failure_rate": 40, "clusters": [
{"match": "shop", "route": "reports*", "failure_rate": 60, "probe": {"path": "/r"}},
{"match": "shop", "route": "reports-old", "failure_rate": 70},
{"match": "sh*", "route": "cart"},
{"match": "shop", "min_requests": 5},
{"match": "shop", "route": "behind"},
{"match": "all", "per": "route"}]}`

// It is told whose breaker is explained, and which routes have others.
func TestExplainRoutes(t *testing.T) {
	f := Read("policy.json", []byte(byRoute))
	const own = "the route has a breaker of its own"
	for _, c := range []struct {
		cluster, route string
		first, whose   string
		values         []string // besides
		below          []string // what is told at the end
	}{
		{"other", "", "other: no override matches", "", []string{"per cluster default", "failure_rate 40"}, nil},
		{"other", "cart", `other route "cart": no override matches`, "the breaker is the cluster's: all routes share it", []string{"per cluster default"}, nil},
		{"shop", "reports-old", `shop route "reports-old": clusters[0], match "shop", route "reports*" (policy.json:2)`, own,
			[]string{"per route clusters[0], policy.json:2", "failure_rate 60 clusters[0], policy.json:2"}, nil},
		{"shop", "cart", `shop route "cart": clusters[2], match "sh*", route "cart" (policy.json:4)`, own, []string{"per route clusters[2], policy.json:4"}, nil},
		{"shop", "behind", `shop route "behind": clusters[3], match "shop" (policy.json:5)`,
			"the breaker is the cluster's: all routes share it, but those that an override is for", []string{"per cluster default", "min_requests 5"}, nil},
		{"shop", "", `shop: clusters[3], match "shop" (policy.json:5)`,
			"the breaker is the cluster's: all routes share it, but those below, each of which has its own", []string{"per cluster default", "min_requests 5"},
			[]string{"routes with rules of their own (-route ROUTE shows all of them):", `clusters[0], match "shop", route "reports*" (policy.json:2)`,
				"failure_rate 60", "probe.path /r", `clusters[2], match "sh*", route "cart" (policy.json:4)`}},
		{"all", "", `all: clusters[5], match "all" (policy.json:7)`,
			"each route with a name has a breaker of its own; routes without a name share the cluster's", []string{"per route clusters[5], policy.json:7"}, nil},
		{"all", "x", `all route "x": clusters[5], match "all" (policy.json:7)`, own, []string{"per route clusters[5], policy.json:7"}, nil},
	} {
		var s strings.Builder
		f.Plugins[0].Explain(&s, c.cluster, c.route)
		var lines []string
		for line := range strings.Lines(s.String()) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "mode enforce ") })
		if want := strings.Trim(c.first+"\n"+c.whose, "\n"); strings.Join(lines[:at], "\n") != want {
			t.Errorf("%s, %q: got %q, want %q", c.cluster, c.route, lines[:at], want)
		}
		end := 1 + slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "fallback ") })
		if !slices.Equal(lines[end:], c.below) {
			t.Errorf("%s, %q: below is %q, want %q", c.cluster, c.route, lines[end:], c.below)
		}
		for _, value := range c.values {
			if !slices.ContainsFunc(lines[at:end], func(line string) bool { return strings.HasPrefix(line, value) }) {
				t.Errorf("%s, %q: no %q in %q", c.cluster, c.route, value, lines[at:end])
			}
		}
	}
}

// dump is what /config_dump of Envoy 1.40 says, as far as it is read. The first table is static, the others come by RDS.
func dump(tables ...string) string {
	for i, table := range tables {
		tables[i] = `{"route_config": {"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", ` + table + `}}`
	}
	static := min(1, len(tables))
	return `{"configs": [{"static_clusters": [{"cluster": {"name": "shop"}}, {"cluster": {"name": "web"}}]},
		{"@type": "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump"},
		{"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
			"static_route_configs": [` + strings.Join(tables[:static], "") + `], "dynamic_route_configs": [` + strings.Join(tables[static:], ", ") + `]}]}`
}

// Overrides for routes that an Envoy does not have are told, where it says which it has.
func TestUnmatchedRoutes(t *testing.T) {
	const unknown = "routes are not known, as only a whole /config_dump tells them"
	const partial = "not all routes are known, as VHDS or matchers have more"
	hosts := func(routes string) string { return `"virtual_hosts": [{"name": "v", "routes": [` + routes + `]}]` }
	const cart, plain = `{"name": "cart", "route": {"cluster": "shop"}}`, `{"route": {"cluster": "shop"}}`
	for name, c := range map[string]struct {
		envoy, unknown string
		want           []int
		without        []string
	}{
		"no routes":      {dump(), "", []int{0, 1, 2, 4, 5}, []string{"web"}},
		"without a name": {dump(hosts(plain)), "", []int{0, 1, 2, 4, 5}, []string{"web"}},
		"a name":         {dump(hosts(plain + ", " + cart)), "", []int{0, 1, 4, 5}, []string{"web"}},
		"of another":     {dump(hosts(`{"name": "cart", "route": {"cluster": "web"}}`)), "", []int{0, 1, 2, 4, 5}, []string{"web"}},
		"two tables":     {dump(hosts(cart), hosts(`{"name": "reports-old", "route": {"cluster": "shop"}}`)), "", []int{1, 4, 5}, []string{"web"}},
		"weighted": {dump(hosts(`{"name": "reports", "route": {"weighted_clusters": {"clusters": [{"name": "web"}, {"name": "shop"}]}}}`)), "",
			[]int{1, 2, 4, 5}, []string{"web"}},
		"by a header":          {dump(hosts(`{"name": "cart", "route": {"cluster_header": "x"}}`)), "", []int{0, 1, 4, 5}, []string{"web"}},
		"weighted by a header": {dump(hosts(`{"name": "cart", "route": {"weighted_clusters": {"clusters": [{"cluster_header": "x"}]}}}`)), "", []int{0, 1, 4, 5}, []string{"web"}},
		"no cluster":           {dump(hosts(`{"name": "cart", "redirect": {}}`)), "", []int{0, 1, 2, 4, 5}, []string{"web"}},
		"VHDS":                 {dump(hosts(cart) + `, "vhds": {}`), partial, []int{1, 4, 5}, []string{"web"}},
		"a matcher":            {dump(`"virtual_hosts": [{"matcher": {}}]`), partial, []int{1, 4, 5}, []string{"web"}},
		"the clusters alone":   {"shop::default_priority::x\nweb::default_priority::x\n", unknown, []int{1, 4, 5}, []string{"web"}},
		"a dump without routes": {`{"configs": [{"static_clusters": [{"cluster": {"name": "shed"}}]}, {"@type": "envoy.admin.v3.ScopedRoutesConfigDump"}]}`, unknown,
			[]int{0, 1, 3, 4, 5}, []string{"shed (routes to it may have one)"}},
		"a cluster without rule": {strings.ReplaceAll(dump(hosts(cart)), `"shop"`, `"shed"`), "", []int{0, 1, 3, 4, 5}, []string{"shed (routes to it have one)", "web"}},
	} {
		p, want := Read("policy.json", []byte(byRoute)).Plugins[0], ""
		if c.unknown != "" {
			want = c.unknown + ": an override for routes counts as in force where its match is\n"
		}
		want += "overrides that are in force for no cluster or route:\n"
		for _, i := range c.want {
			want += "  " + p.where(i) + "\n"
		}
		want += "clusters without an override:\n  " + strings.Join(c.without, "\n  ") + "\n"
		var s strings.Builder
		if p.Unmatched(&s, running(t, c.envoy)); s.String() != want {
			t.Errorf("%s\ngot\n%swant\n%s", name, &s, want)
		}
	}
}

func TestUnmatched(t *testing.T) {
	f := Read("policy.json", []byte(`{"clusters": [{"match": "pay*"},
{"match": "serach"},
{"match": "payments"}]}`))
	var s strings.Builder
	f.Plugins[0].Unmatched(&s, running(t, `{"cluster_statuses": [{"name": "web"}, {"name": "payments"}, {"name": "api"}]}`))
	const want = `overrides that are in force for no cluster:
  clusters[1], match "serach" (policy.json:2)
  clusters[2], match "payments" (policy.json:3)
clusters without an override:
  api
  web
`
	if s.String() != want {
		t.Errorf("got\n%s", &s)
	}
}

func running(t *testing.T, text string) *Running {
	t.Helper()
	envoy, err := ReadRunning([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return envoy
}

func TestClusters(t *testing.T) {
	want := []string{"a::b", "outbound|80||web.shop.svc.cluster.local"}
	for name, text := range map[string]string{
		"text": "outbound|80||web.shop.svc.cluster.local::observability_name::x\noutbound|80||web.shop.svc.cluster.local::default_priority::max_connections::1024\n" +
			"outbound|80||web.shop.svc.cluster.local::10.0.0.1:80::cx_active::0\na::b::default_priority::max_connections::1024\na::b::added_via_api::true\n",
		"JSON": `{"cluster_statuses": [{"name": "outbound|80||web.shop.svc.cluster.local"}, {"name": "a::b"}]}`,
		"dump": `{"configs": [{"bootstrap": {}}, {"static_clusters": [{"cluster": {"name": "a::b"}}],
			"dynamic_active_clusters": [{"cluster": {"name": "outbound|80||web.shop.svc.cluster.local"}}, {"cluster": {"name": "a::b"}}]}]}`,
	} {
		if got := running(t, text).clusters; !slices.Equal(got, want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for _, text := range []string{"", "{", "{}", "something else"} {
		if got, err := ReadRunning([]byte(text)); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
