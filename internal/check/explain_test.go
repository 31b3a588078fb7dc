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
		f.Plugins[0].Explain(&s, cluster)
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

func TestUnmatched(t *testing.T) {
	f := Read("policy.json", []byte(`{"clusters": [{"match": "pay*"},
{"match": "serach"},
{"match": "payments"}]}`))
	var s strings.Builder
	f.Plugins[0].Unmatched(&s, []string{"web", "payments", "api"})
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

func TestClusters(t *testing.T) {
	want := []string{"a::b", "outbound|80||web.shop.svc.cluster.local"}
	for name, text := range map[string]string{
		"text": "outbound|80||web.shop.svc.cluster.local::observability_name::x\noutbound|80||web.shop.svc.cluster.local::default_priority::max_connections::1024\n" +
			"outbound|80||web.shop.svc.cluster.local::10.0.0.1:80::cx_active::0\na::b::default_priority::max_connections::1024\na::b::added_via_api::true\n",
		"JSON": `{"cluster_statuses": [{"name": "outbound|80||web.shop.svc.cluster.local"}, {"name": "a::b"}]}`,
		"dump": `{"configs": [{"bootstrap": {}}, {"static_clusters": [{"cluster": {"name": "a::b"}}],
			"dynamic_active_clusters": [{"cluster": {"name": "outbound|80||web.shop.svc.cluster.local"}}, {"cluster": {"name": "a::b"}}]}]}`,
	} {
		if got, err := Clusters([]byte(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, text := range []string{"", "{", "{}", "something else"} {
		if got, err := Clusters([]byte(text)); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}
