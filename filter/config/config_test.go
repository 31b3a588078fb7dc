package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/reply"
)

func TestParseDefaults(t *testing.T) {
	for _, text := range []string{"", " \n", "{}"} {
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if c.Rules.Policy != breaker.DefaultPolicy() {
			t.Errorf("%q: policy %+v", text, c.Rules.Policy)
		}
		if c.Rules.Reject.Status != 503 || c.MaxBreakers != 4096 || len(c.Overrides) != 0 {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func TestParseEveryKey(t *testing.T) {
	c, err := Parse([]byte(`{
		"mode": "shadow", "per": "route",
		"failure_on": ["gateway-error", "429", "520-530", "timeout", "resource-exhausted"],
		"window": {"duration": "30s"},
		"min_requests": 50,
		"failure_rate": 12.5,
		"consecutive_failures": 7,
		"slow_call": {"duration": "2s", "rate": 80},
		"open": {"duration": "1s", "multiplier": 1.5, "max_duration": "2m", "jitter": 0.5, "honor_retry_after": true},
		"half_open": {"max_requests": 5, "success_threshold": 6, "permit_timeout": "10s"},
		"ramp": "20s",
		"reject": {"status": 429, "body": "{\"error\": \"{cluster} is {state}, { try } in {retry_after} s\", \"{}\": {}, \"route\": \"{route}\"}",
			"content_type": "application/json", "headers": {"X-State": "is {state}", "x-a": "b"}, "retry_after": false, "overloaded": false},
		"fallback": {"header": "X-Fallback", "value": "yes", "cluster": "spare", "route": "spare-route"},
		"probe": {"path": "/healthz", "method": "HEAD", "host": "pay.example", "headers": {"X-Probe": "1"}, "interval": "2s", "timeout": "250ms", "status": "204", "on_success": "close"},
		"max_breakers": 10,
		"status": {"path": "/circuit-breakers"},
		"invalid_config": "keep",
		"clusters": [
			{"match": "payments", "failure_rate": 25, "open": {"duration": "3s"}},
			{"match": "outbound|*|search.*", "mode": "disabled", "window": {"requests": 15}, "min_requests": 10}
		]
	}`))
	if err != nil {
		t.Fatal(err)
	}
	want := breaker.Policy{
		Mode: breaker.Shadow, WindowDuration: 30 * time.Second, MinRequests: 50, FailureRate: 12.5, ConsecutiveFailures: 7,
		SlowCallDuration: 2 * time.Second, SlowCallRate: 80,
		OpenDuration: time.Second, OpenMultiplier: 1.5, OpenMaxDuration: 2 * time.Minute, OpenJitter: 0.5,
		HalfOpenMaxRequests: 5, HalfOpenSuccessThreshold: 6, HalfOpenPermitTimeout: 10 * time.Second, Ramp: 20 * time.Second,
		ProbeInterval: 2 * time.Second, ProbeTimeout: 250 * time.Millisecond, ProbeCloses: true,
	}
	if c.Rules.Policy != want {
		t.Errorf("policy\n%+v, want\n%+v", c.Rules.Policy, want)
	}
	r := c.Rules.Reject
	if r.Status != 429 || r.ContentType != "application/json" || r.RetryAfter || r.Overloaded {
		t.Errorf("reject %+v", r)
	}
	if got := r.Body.Expand(reply.Values{Cluster: "payments", Route: "checkout", RetryAfter: "5", State: "open"}); got != `{"error": "payments is open, { try } in 5 s", "{}": {}, "route": "checkout"}` {
		t.Errorf("reject.body %s", got)
	}
	if len(r.Headers) != 2 || r.Headers[1].Name != "x-a" || r.Headers[0].Value.Expand(reply.Values{State: "half_open"}) != "is half_open" {
		t.Errorf("reject.headers %+v", r.Headers)
	}
	if (c.Rules.Fallback != Fallback{"x-fallback", "yes", "spare", "spare-route"}) || !c.Rules.HonorRetryAfter || !c.Rules.PerRoute || c.MaxBreakers != 10 || c.StatusPath != "/circuit-breakers" {
		t.Errorf("fallback %+v, honor_retry_after %v, max_breakers %d", c.Rules.Fallback, c.Rules.HonorRetryAfter, c.MaxBreakers)
	}
	probe := c.Rules.Probe
	if probe.Method != "HEAD" || probe.Path != "/healthz" || probe.Host != "pay.example" || !probe.Good.Has(204) || probe.Good.Has(200) ||
		len(probe.Headers) != 1 || probe.Headers[0] != [2]string{"x-probe", "1"} {
		t.Errorf("probe %+v", probe)
	}
	payments := want
	payments.FailureRate, payments.OpenDuration = 25, 3*time.Second
	if got := c.For("payments", "").Policy; got != payments {
		t.Errorf("payments\n%+v, want\n%+v", got, payments)
	}
}

// An override that measures its window in requests lowers the default of min_requests, but not a given one.
func TestMinRequestsGivesWay(t *testing.T) {
	c, err := Parse([]byte(`{"clusters": [{"match": "a", "window": {"requests": 15}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.For("a", "").Policy.MinRequests; got != 15 {
		t.Errorf("min_requests = %d, want 15", got)
	}
	_, err = Parse([]byte(`{"min_requests": 20, "window": {"requests": 15}}`))
	if err == nil || !strings.Contains(err.Error(), "min_requests: 20 is not allowed: must be at most window.requests (15)") {
		t.Errorf("a contradiction: %v", err)
	}
}

func TestMaxDurationGivesWay(t *testing.T) {
	c, err := Parse([]byte(`{"open": {"duration": "2m"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Rules.Policy.OpenMaxDuration; got != 2*time.Minute {
		t.Errorf("open.max_duration = %v, want 2m", got)
	}
}

// Every refusal names the key, the value and what is allowed.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"failure_rate": 140}`:                               `failure_rate: 140 is not allowed: must be from 0 to 100`,
		`{"failure_rate": "high"}`:                            `failure_rate: "high" is not allowed: must be a number without quotes`,
		`{"failure_rate": null}`:                              `failure_rate: null is not allowed: must be a number`,
		`{"failure_rat": 14}`:                                 `failure_rat: unknown key with value 14: did you mean failure_rate?`,
		`{"open": {"duratoin": "5s"}}`:                        `open.duratoin: unknown key with value "5s": did you mean duration?`,
		`{"open": 5}`:                                         `open: 5 is not allowed: must be an object`,
		`{"open": {"duration": 5}}`:                           `open.duration: 5 is not allowed: must be a duration such as`,
		`{"open": {"duration": "1ms"}}`:                       `open.duration: "1ms" is not allowed: must be from 10ms to 1h0m0s`,
		`{"open": {"duration": "9s", "max_duration": "1s"}}`:  `open.max_duration: "1s" is not allowed: must be from 9s to 24h0m0s`,
		`{"min_requests": 1.5}`:                               `min_requests: 1.5 is not allowed: must be a whole number`,
		`{"min_requests": 1e300}`:                             `min_requests: 1e+300 is not allowed: must be from 1 to 1000000`,
		`{"min_requests": -99999999999999999999}`:             `min_requests: -100000000000000000000 is not allowed: must be from 1 to 1000000`,
		`{"window": {"requests": 99999999999999999999}}`:      `window.requests: 100000000000000000000 is not allowed: must be from 10 to 100000`,
		`{"max_breakers": 1e300}`:                             `max_breakers: 1e+300 is not allowed: must be from 1 to 1000000`,
		`{"reject": {"status": -1e300}}`:                      `reject.status: -1e+300 is not allowed: must be from 400 to 599`,
		`{"open.duration": "5s"}`:                             `"open.duration": unknown key with value "5s": did you mean {"open": {"duration": …}}?`,
		`{"clusters": [{"match": "a", "slowCallRate": 5}]}`:   `clusters[0].slowCallRate: unknown key with value 5: did you mean {"slow_call": {"rate": …}}?`,
		`{"open": {"open.duration": "5s"}}`:                   `open."open.duration": unknown key with value "5s": did you mean duration?`,
		`{"open": {"half_open_max_requests": 5}}`:             `open.half_open_max_requests: unknown key with value 5: did you mean half_open.max_requests?`,
		`{"window": {}}`:                                      `window: {} is not allowed: must be either`,
		`{"window": {"duration": "5s", "requests": 50}}`:      `window: {"duration":"5s","requests":50} is not allowed: must be either`,
		`{"window": {"duration": "1ms"}}`:                     `window.duration: "1ms" is not allowed: must be from 1s to 1h0m0s`,
		`{"mode": "on"}`:                                      `mode: "on" is not allowed: must be one of "enforce", "shadow"`,
		`{"failure_on": ["5xx", "4xx"]}`:                      `failure_on[1]: "4xx" is not allowed: must be "5xx", "gateway-error"`,
		`{"failure_on": ["504-500"]}`:                         `failure_on[0]: "504-500" is not allowed`,
		`{"failure_on": [500]}`:                               `failure_on[0]: 500 is not allowed: must be in quotes: "500"`,
		`{"failure_on": "5xx"}`:                               `failure_on: "5xx" is not allowed: must be a list`,
		`{"reject": {"status": 200}}`:                         `reject.status: 200 is not allowed: must be from 400 to 599`,
		`{"reject": {"body": "{nobody}"}}`:                    `reject.body: "{nobody}" is not allowed: must be text with no placeholder but {cluster}`,
		`{"reject": {"headers": {"a b": "c"}}}`:               `reject.headers.a b: "c" is not allowed: must be under the name of a header`,
		`{"reject": {"headers": {"Retry-After": "9"}}}`:       `reject.headers.Retry-After: "9" is not allowed: must be left out`,
		`{"reject": {"headers": {"x": "a\r\nb"}}}`:            `reject.headers.x: "a\r\nb" is not allowed: must be text without control characters`,
		`{"fallback": {}}`:                                    `fallback.header: is missing: must be the name of a request header`,
		`{"fallback": {"header": ":path"}}`:                   `fallback.header: ":path" is not allowed`,
		`{"max_breakers": 0}`:                                 `max_breakers: 0 is not allowed: must be from 1 to 1000000`,
		`{"clusters": [{"failure_rate": 5}]}`:                 `clusters[0].match: is missing: must be the name of a cluster`,
		`{"clusters": ["payments"]}`:                          `clusters[0]: "payments" is not allowed: must be an object`,
		`{"clusters": [{"match": "a", "failure_rate": 101}]}`: `clusters[0].failure_rate: 101 is not allowed`,
		`{"clusters": [{"match": "a", "max_breakers": 1}]}`:   `clusters[0].max_breakers: 1 is not allowed: must be at the top level only`,
		`{"failure_rate": 5`:                                  `not valid JSON: line 1, column 18: unexpected end of JSON input`,
		"{\n  \"failure_rate\": x}":                           `not valid JSON: line 2, column 19: invalid character 'x'`,
		`{"failure_rate": 5, "failure_rate": 6}`:              `failure_rate: 6 is not allowed: the key is given twice`,
		`{} {}`:                                               `line 1, column 4: invalid character '{' after top-level value`,
		`{"reject": {"headers": {"X-A": "1", "x-a": "2"}}}`:   `reject.headers.x-a: "2" is not allowed: must be left out: "X-A" is the same header`,
		`{"clusters": [{"match": "a", "probe": {"path": "/", "headers": {"X-a": "1", "x-A": "2"}}}]}`: `clusters[0].probe.headers.x-A: "2" is not allowed: must be left out: "X-a" is the same header`,
		`{"failure_on": []}`:                     `failure_on: [] is not allowed: must be at least one name, in any mode, unless slow_call.duration is on`,
		`{"failure_on": [], "mode": "disabled"}`: `failure_on: [] is not allowed: must be at least one name, in any mode`,
		`{"clusters": [{"match": "a", "failure_on": [], "slow_call": {"rate": 50}}]}`:                                        `clusters[0].failure_on: [] is not allowed: must be at least one name`,
		`{"failure_on": [], "slow_call": {"duration": "1s"}, "clusters": [{"match": "a", "slow_call": {"duration": "0s"}}]}`: `clusters[0].failure_on: [] is not allowed`,
		`{"open": null}`:                `open: null is not allowed: must be an object`,
		`{"clusters": null}`:            `clusters: null is not allowed: must be a list`,
		`{"reject": null}`:              `reject: null is not allowed: must be an object`,
		`{"probe": {"path": null}}`:     `probe.path: null is not allowed: must be a path`,
		`{"probe": {"interval": "1s"}}`: `probe.path: is missing: must be a path such as "/healthz"`,
		`{"probe": false}`:              `probe: false is not allowed: must be an object, or null for off`,
		`{"fallback": {"value": "x"}}`:  `fallback.header: is missing: must be the name of a request header`,
		`{"fallback": []}`:              `fallback: [] is not allowed: must be an object, or null for off`,
		`{"probe": {"path": "/"}, "clusters": [{"match": "a", "probe": {"path": "x"}}]}`:                                              `clusters[0].probe.path: "x" is not allowed`,
		`{"fallback": {"header": "x-a"}, "clusters": [{"match": "a", "fallback": null}, {"match": "b", "fallback": {"header": ""}}]}`: `clusters[1].fallback.header: "" is not allowed`,
		`{"` + strings.Repeat("k", 300) + `": 1}`:                                                                                     strings.Repeat("k", 80) + `…: unknown key with value 1: must be one of`,
		`{"": 1}`:           `"": unknown key with value 1: must be one of`,
		`{"open": {"": 1}}`: `open."": unknown key with value 1: must be one of`,
		`{"prob": null}`:    `prob: unknown key with value null: did you mean probe?`,
		`{"per": "host"}`:   `per: "host" is not allowed: must be "cluster" or "route"`,
		`{"route": "a"}`:    `route: unknown key with value "a": did you mean`,
		`{"clusters": [{"match": "a", "route": ""}]}`:                    `clusters[0].route: "" is not allowed: must be the name of a route`,
		`{"clusters": [{"match": "a", "route": 5}]}`:                     `clusters[0].route: 5 is not allowed: must be a string`,
		`{"clusters": [{"match": "a", "route": "b", "per": "cluster"}]}`: `clusters[0].per: "cluster" is not allowed: must be "route", or left out, beside "route"`,
		`{"fallback": {"header": "x", "route": "r"}}`:                    `fallback.route: "r" is not allowed: must be given together with cluster`,
		`{"probe": null, "fallback": null, "x": 1}`:                      `x: unknown key with value 1: must be one of clusters, consecutive_failures, failure_on, failure_rate, fallback, half_open, invalid_config, max_breakers, min_requests, mode, open, per, probe, ramp`,
		`[1]`: `[1] is not allowed: must be an object of keys`,
	} {
		_, err := Parse([]byte(text))
		if err == nil {
			t.Errorf("%s was accepted", text)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v, want\n%s", text, err, want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"payments", "payments", true},
		{"payments", "payments2", false},
		{"payments*", "payments", true},
		{"*", "", true},
		{"outbound|*|payments.*", "outbound|443||payments.prod.svc", true},
		{"outbound|*|payments.*", "inbound|443||payments.prod.svc", false},
		{"*a*b", "xaxxb", true},
		{"*a*b", "xbxxa", false},
		{"a*a", "a", false},
		{"*ab", "abab", true},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestConfigString(t *testing.T) {
	c, err := Parse([]byte(`{"failure_rate": 40, "clusters": [{"match": "pay*", "mode": "shadow", "window": {"requests": 100}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `"pay*": mode=shadow window=100 requests min_requests=20 failure_rate=40% consecutive_failures=off slow_call=off ` +
		`open=5s x2 up to 1m0s jitter=0.2 half_open=3 in flight, 3 to close, permit 30s ramp=off probe=off; ` +
		`other clusters: mode=enforce window=10s min_requests=20 failure_rate=40% consecutive_failures=off slow_call=off ` +
		`open=5s x2 up to 1m0s jitter=0.2 half_open=3 in flight, 3 to close, permit 30s ramp=off probe=off failure_on=5xx,connect-failure,reset,` +
		`timeout,no-healthy-upstream,deadline-exceeded,internal,unavailable,data-loss reject=503 ` +
		`"{cluster} is unavailable: circuit breaker {state}\n" fallback=off`
	if got := c.String(); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	long := strings.Repeat("k", 90)
	c, err = Parse(fmt.Appendf(nil, `{"fallback": {"header": "%[1]s", "cluster": "%[1]s"}, "probe": {"path": "/%[1]s", "method": "%[2]s"}, "clusters": [{"match": "%[1]s"}]}`,
		long, strings.ToUpper(long)))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.String(); strings.Contains(strings.ToLower(got), long) || strings.Count(got, long[:79]+"…: mode=enforce") != 1 {
		t.Errorf("what is long is not cut: %s", got)
	}
}

// Rules that judge in the same way have the same hash, however they are written, and no others.
func TestVerdicts(t *testing.T) {
	seen := map[uint64]string{}
	for _, text := range []string{`{}`, `{"failure_on": ["5xx"]}`, `{"failure_on": ["5xx", "429"]}`, `{"failure_on": ["5xx", "reset"]}`,
		`{"failure_on": ["unavailable"]}`, `{"failure_on": ["internal"]}`} {
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		v := c.Rules.Verdicts()
		if other, known := seen[v]; known {
			t.Errorf("%s has the hash of %s", text, other)
		}
		seen[v] = text
	}
	a, _ := Parse([]byte(`{"failure_on": ["429", "5xx"], "min_requests": 7}`))
	if v := a.Rules.Verdicts(); seen[v] != `{"failure_on": ["5xx", "429"]}` {
		t.Errorf("another order: the hash of %q", seen[v])
	}
}

// An error shows a value as it is in the configuration: JSON in one line, with keys in order, and cut where it is long.
func TestShow(t *testing.T) {
	long := strings.Repeat("é", 60)
	for text, want := range map[string]string{
		`null`: `null`, `true`: `true`, `12.50`: `12.5`, `1e6`: `1000000`, `1e21`: `1e+21`, `-0.0000001`: `-1e-07`, `0`: `0`,
		`"a\"b\\\n\u0001"`: `"a\"b\\\n\u0001"`, `"</a>&"`: `"</a>&"`, `[]`: `[]`, `{}`: `{}`, `[1, [2, {}], "x"]`: `[1,[2,{}],"x"]`,
		`{"b": 1, "a": {"d": null, "c": [false]}}`: `{"a":{"c":[false],"d":null},"b":1}`,
		`"` + long + `"`: `"` + long[:78] + "…",
		`[` + strings.Repeat(`[1], `, 1000) + `2]`:                      "[" + strings.Repeat("[1],", 20)[:79] + "…",
		`{"` + long + `": {"` + long + `": 1}}`:                         `{"` + long[:78] + "…",
		`{"k": "` + strings.Repeat("x", 70) + `", "l": "` + long + `"}`: `{"k":"` + strings.Repeat("x", 70) + `","l…`,
	} {
		_, err := Parse([]byte(`{"?": ` + text + `}`))
		const before = "?: unknown key with value "
		got, _, ok := strings.Cut(strings.TrimPrefix(err.Error(), before), ": must be one of ")
		if !ok || !strings.HasPrefix(err.Error(), before) || got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

// What the plugin has to know of all breakers together.
func TestOfAllBreakers(t *testing.T) {
	for text, want := range map[string]struct {
		forced bool
		slow   time.Duration
	}{
		``:                       {false, 0},
		`{"mode": "force_open"}`: {true, 0},
		`{"slow_call": {"duration": "2s"}, "clusters": [{"match": "a", "mode": "shadow"}]}`:                                                                 {false, 2 * time.Second},
		`{"clusters": [{"match": "a", "mode": "force_open"}, {"match": "b", "slow_call": {"duration": "3s"}}]}`:                                             {true, 3 * time.Second},
		`{"slow_call": {"duration": "2s"}, "clusters": [{"match": "a", "slow_call": {"duration": "1s"}}, {"match": "b", "slow_call": {"duration": "0s"}}]}`: {false, time.Second},
	} {
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if c.ForcesOpen() != want.forced || c.LeastSlow() != want.slow {
			t.Errorf("%s: force_open anywhere: %v, the least slow call %v, want %+v", text, c.ForcesOpen(), c.LeastSlow(), want)
		}
	}
}
