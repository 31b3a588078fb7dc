package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// All that is wrong is told, each thing once, and nothing that only follows from it.
func TestAllErrors(t *testing.T) {
	long := strings.Repeat("k", 300)
	for text, want := range map[string][]string{
		`{"failure_rat": 1, "min_requests": 0, "open": {"duration": 5, "jiter": 1}, "clusters": [{"match": ""}, 5]}`: {
			"open.jiter", "open.duration", "min_requests", "failure_rat", "clusters[0].match", "clusters[1]"},
		// What an override inherits is told where it is given; what it gives itself is told as well.
		`{"failure_rate": 140, "clusters": [{"match": "a"}, {"match": "b", "failure_rate": 140}, {"match": "c", "failure_rate": 5}]}`: {
			"failure_rate", "clusters[1].failure_rate"},
		`{"probe": {"path": "x"}, "fallback": {"header": ""}, "clusters": [{"match": "a", "probe": {"interval": "2s"}, "fallback": {"value": "x"}}]}`: {
			"fallback.header", "probe.path"},
		`{"failure_on": [], "clusters": [{"match": "a"}, {"match": "b", "failure_on": []}]}`:                                 {"failure_on", "clusters[1].failure_on"},
		`{"failure_on": ["x"], "clusters": [{"match": "a"}]}`:                                                                {"failure_on[0]"},
		`{"failure_on": [], "slow_call": {"duration": 5}}`:                                                                   {"slow_call.duration"},
		`{"window": {"duration": "1x"}}`:                                                                                     {"window.duration"},
		`{"window": {"duration": "5s", "requests": 50}, "clusters": [{"match": "a", "window": {"requests": 9}}]}`:            {"window", "clusters[0].window.requests"},
		`{"window": {"duration": "0s"}, "clusters": [{"match": "a"}]}`:                                                       {"window"},
		`{"open": {"duration": "3m", "max_duration": "1m"}, "clusters": [{"match": "a", "open": {"jitter": 2}}]}`:            {"open.max_duration", "clusters[0].open.jitter"},
		`{"open": {"max_duration": "1m"}, "clusters": [{"match": "a", "open": {"duration": "3m"}}]}`:                         {"clusters[0].open.max_duration"},
		`{"clusters": [{"match": "a", "max_breakers": 1}]}`:                                                                  {"clusters[0].max_breakers"},
		`{"mode": "on", "clusters": [{"match": "a"}]}`:                                                                       {"mode"},
		`{"open": {"duration": "100h"}, "clusters": [{"match": "a", "open": {"max_duration": "2s"}}]}`:                       {"open.duration"},
		`{"open": {"duration": 5, "max_duration": "2s"}, "clusters": [{"match": "a", "open": {"max_duration": "3s"}}]}`:      {"open.duration"},
		`{"open": {"duration": 5, "max_duration": "25h"}}`:                                                                   {"open.duration", "open.max_duration"},
		`{"open": {"duration": "100h", "jitter": "x", "max_duration": "2s"}}`:                                                {"open.duration", "open.jitter"},
		`{"open": {"duraton": "1s", "max_duration": "2s"}}`:                                                                  {"open.duraton"},
		`{"open": "1s", "clusters": [{"match": "a", "open": {"max_duration": "2s"}}]}`:                                       {"open"},
		`{"slow_call": {"duration": "0s", "rate": "x"}, "failure_on": []}`:                                                   {"slow_call.rate", "failure_on"},
		`{"slow_call": "2s", "failure_on": []}`:                                                                              {"slow_call"},
		`{"slow_call": {"duratoin": "2s"}, "failure_on": []}`:                                                                {"slow_call.duratoin"},
		`{"slow_call": {"duration": 5}, "clusters": [{"match": "a", "failure_on": []}]}`:                                     {"slow_call.duration"},
		`{"slow_call": {"duration": 5}, "clusters": [{"match": "a", "failure_on": [], "slow_call": {"duration": "0s"}}]}`:    {"slow_call.duration", "clusters[0].failure_on"},
		`{"slow_call": {"duration": "-1s", "rate": "x"}}`:                                                                    {"slow_call.duration", "slow_call.rate"},
		`{"window": {"requests": 15}, "clusters": [{"match": "a", "window": {}, "min_requests": 50}]}`:                       {"clusters[0].window"},
		`{"window": {"requests": 5}, "min_requests": 20}`:                                                                    {"window.requests"},
		`{"window": {"requests": -5}, "clusters": [{"match": "a", "min_requests": 20}]}`:                                     {"window.requests"},
		`{"window": {"requests": 5}, "min_requests": 0}`:                                                                     {"window.requests", "min_requests"},
		`{"window": {"requests": 15}, "clusters": [{"match": "a", "window": {"requests": "90"}, "min_requests": 50}]}`:       {"clusters[0].window.requests"},
		`{"window": {"requests": 15}, "clusters": [{"match": "a", "window": 90, "min_requests": 50}]}`:                       {"clusters[0].window"},
		`{"min_requests": 2000000, "clusters": [{"match": "a", "window": {"requests": 100}}]}`:                               {"min_requests"},
		`{"probe": 5, "fallback": 5, "clusters": [{"match": "a", "probe": {"interval": "2s"}, "fallback": {"value": "x"}}]}`: {"probe", "fallback"},
		// A key that reads as a path, or that is equal to another for long, is not taken for another.
		`{"open.duration": "5s", "open": {"duration": "1ms"}, "clusters[0]": 1, "clusters": [1]}`: {
			`"open.duration"`, "open.duration", `"clusters[0]"`, "clusters[0]"},
		`{"reject": {"headers": {"` + long + `1": "\n", "` + long + `2": "\n"}}, "` + long + `1": 1, "` + long + `2": 2, "": 0}`: {
			"reject.headers." + long + "1", "reject.headers." + long + "2", long + "1", long + "2", `""`},
		`{"ramp": "1s", "ramp": "2s", "clusters": [{"match": "a", "match": "b"}, {"match": "c", "x": {"y": 1, "y": 2}}]}`: {
			"ramp", "clusters[0].match", "clusters[1].x.y", "clusters[1].x"},
	} {
		_, err := Parse([]byte(text))
		all, ok := err.(Errors)
		if !ok {
			t.Fatalf("%s: %T %v", text, err, err)
		}
		var got []string
		for _, e := range all {
			got = append(got, e.Path)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %v\nwant %v", text, all, want)
		}
	}
}

// Whatever a key has in it, its error is one line of text, also where it is a key on the way to another.
func TestErrorsAreLines(t *testing.T) {
	entry := "\n\x09\n\x03a\xffb\x12\x02\x08\x00" // of a Struct: a null under a key that is no UTF-8
	for text, want := range map[string]string{
		`{"a\u001b[2J": 1}`:                `"a\u001b[2J": unknown key`,
		`{"a\u0000\u2028": 1}`:             `"a\u0000\u2028": unknown key`,
		`{"\u0085": {"a\r": 1, "a\r": 1}}`: `"\u0085"."a\r": 1 is not allowed: the key is given twice`,
		`{"\u001b": 1e400}`:                `"\u001b": 1e400 is not allowed`,
		`{"é€": 1}`:                        `é€: unknown key`,
		entry:                              "\"a\ufffdb\": unknown key",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A log has no room for thousands of errors.
func TestManyErrors(t *testing.T) {
	_, err := Parse([]byte(`{"clusters": [` + strings.Repeat(`{"match": ""}, `, 5000) + `{}]}`))
	all := err.(Errors)
	if last := all[len(all)-1]; len(all) != mostErrors+1 || last.Path != "" || !strings.HasSuffix(err.Error(), "; and 981 more") {
		t.Errorf("%d errors, the last is %v: %s", len(all), last, err)
	}
}

// Suggestions know the keys that there are, all of them and no others.
func TestKeys(t *testing.T) {
	listed := func(text string) []string {
		t.Helper()
		_, err := Parse([]byte(text))
		_, list, ok := strings.Cut(err.Error(), `?: unknown key with value 1: must be one of `)
		if !ok {
			t.Fatalf("%s: %v", text, err)
		}
		list, _, _ = strings.Cut(list, ";")
		return strings.Split(list, ", ")
	}
	check := func(object string, got []string) {
		t.Helper()
		want := Keys(object)
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%q has %v, and Keys %v", object, got, want)
		}
	}
	check("", listed(`{"?": 1}`))
	for object, besides := range map[string]string{
		"window": "", "slow_call": "", "open": "", "half_open": "", "reject": "", "probe": `, "path": "/"`, "status": `, "path": "/"`,
		"fallback": `, "header": "x"`,
	} {
		check(object, listed(fmt.Sprintf(`{%q: {"?": 1%s}}`, object, besides)))
	}
	topLevel := append(Keys(""), "match", "route")
	over := listed(`{"clusters": [{"?": 1, "match": "a"}]}`)
	for _, key := range over {
		if !slices.Contains(topLevel, key) {
			t.Errorf("an override has %s", key)
		}
	}
	if len(over) != len(topLevel)-4 { // max_breakers, status, invalid_config, clusters
		t.Errorf("an override has %v", over)
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"failure_rat", "failure_rate"}, {"falure_rate", "failure_rate"}, {"failuer_rate", "failure_rate"}, {"Failure-Rate", "failure_rate"},
		{"faliureRate", "failure_rate"}, {"rampp", "ramp"}, {"prob", "probe"}, {"x", ""}, {"", ""}, {"retries", ""}, {strings.Repeat("mode", 20), ""},
	} {
		if got := nearest(c.word, Keys(""), slips(c.word)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.word, got, c.want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "abxc", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// A warning is about what is surely not meant. What can well be meant has none.
func TestWarnings(t *testing.T) {
	for text, want := range map[string][]string{
		`{"clusters": [{"match": "*"}, {"match": "a"}, {"match": "b*"}]}`: {
			`clusters[1].match: "a" never counts: clusters[0] ("*") matches it before`,
			`clusters[2].match: "b*" never counts: clusters[0] ("*") matches it before`},
		`{"clusters": [{"match": "a"}, {"match": "b"}, {"match": "a"}]}`:                    {`clusters[2].match: "a" never counts: clusters[0] ("a")`},
		`{"clusters": [{"match": "pay*"}, {"match": "pay*s"}, {"match": "payments"}]}`:      {"clusters[1].match", "clusters[2].match"},
		`{"clusters": [{"match": "pay*s"}, {"match": "pay*"}, {"match": "*"}]}`:             nil,
		`{"clusters": [{"match": "a"}, {"match": "a*"}, {"match": "*a*"}, {"match": "*"}]}`: nil,

		`{"slow_call": {"rate": 80}}`: {"slow_call.rate: 80 has no effect without slow_call.duration"},
		`{"slow_call": {"rate": 80}, "clusters": [{"match": "a", "slow_call": {"duration": "1s"}}]}`: nil,
		`{"slow_call": {"duration": "1s"}, "clusters": [{"match": "a", "slow_call": {"rate": 50}}]}`: nil,
		`{"clusters": [{"match": "a", "slow_call": {"rate": 50}}]}`:                                  {"clusters[0].slow_call.rate: 50 has no effect"},

		`{"failure_rate": 0}`:                                  {"failure_rate: this breaker never opens"},
		`{"failure_rate": 0, "consecutive_failures": 5}`:       nil,
		`{"failure_rate": 0, "slow_call": {"duration": "1s"}}`: nil,
		`{"failure_rate": 0, "mode": "disabled", "clusters": [{"match": "a", "mode": "enforce"}, {"match": "b"}]}`: {"clusters[0].mode: this breaker never opens"},
		`{"failure_rate": 0, "mode": "disabled"}`:                                                                         nil,
		`{"failure_rate": 0, "clusters": [{"match": "a", "failure_rate": 50}]}`:                                           nil,
		`{"clusters": [{"match": "a", "failure_rate": 0}, {"match": "b", "failure_rate": 0, "consecutive_failures": 3}]}`: {"clusters[0].failure_rate: this breaker never opens"},

		`{"failure_rate": 0.5, "clusters": [{"match": "a", "failure_rate": 0.25}, {"match": "b"}, {"match": "c", "failure_rate": 1}]}`: {
			"failure_rate: 0.5 is less than one percent: did you mean 50?", "clusters[0].failure_rate: 0.25 is less than one percent: did you mean 25?"},

		`{"clusters": [{"match": "^payments"}, {"match": "search.+"}, {"match": "a\\.b"}, {"match": "(a|b)"}, {"match": "c$"}, {"match": "[a-z]*x"}, {"match": ".*d"}, {"match": "[fd00::1]:[0-9:]*"}, {"match": "[:abc"}, {"match": "[0-9]+"}]}`: {
			"clusters[0].match", "clusters[1].match", "clusters[2].match", "clusters[3].match", "clusters[4].match", "clusters[5].match", "clusters[6].match", "clusters[7].match", "clusters[9].match"},
		`{"clusters": [{"match": "outbound|*|payments.*"}, {"match": "[::1]:80"}, {"match": "inbound|80||[fd00::1]*"}, {"match": "[fe80::1%eth0]*"}, {"match": "[fe80::*]*"}, {"match": "outbound|80|v1|a.b"}, {"match": "a.*"}]}`: nil,

		`{"min_requests": 1000000}`: {"min_requests: 1000000 requests in 10s are more than a window ever has"},
		`{"min_requests": 100000, "clusters": [{"match": "a", "window": {"duration": "1s"}}]}`: {"clusters[0].window: 100000 requests in 1s"},
		`{"min_requests": 100000}`:                                nil,
		`{"min_requests": 50000, "window": {"requests": 100000}}`: nil,

		`{"half_open": {"permit_timeout": "1s"}, "slow_call": {"duration": "2s"}}`: {"half_open.permit_timeout: a trial has 1s, and a call is slow after 2s"},
		`{"slow_call": {"duration": "1m"}}`:                                        {"slow_call.duration: a trial has 30s, and a call is slow after 1m0s"},
		`{"half_open": {"permit_timeout": "500ms"}}`:                               {"half_open.permit_timeout: 500ms may be less than an answer takes"},
		`{"half_open": {"permit_timeout": "5s"}}`:                                  nil,

		`{"clusters": [{"match": "a", "route": "b*"}, {"match": "a", "route": "bc"}, {"match": "a"}, {"match": "a", "route": "d"}]}`: {
			`clusters[1].match: "a" route "bc" never counts: clusters[0] ("a" route "b*")`, `clusters[3].match: "a" route "d" never counts: clusters[2] ("a")`},
		`{"clusters": [{"match": "a", "route": "*"}, {"match": "a"}]}`:                                         nil, // routes without a name
		`{"clusters": [{"match": "a", "route": "^b"}]}`:                                                        {`clusters[0].route: "^b" looks like a regular expression`},
		`{"per": "route", "probe": {"path": "/x"}}`:                                                            {`probe: the breakers of several routes are probed at one path, "/x"`},
		`{"probe": {"path": "/x"}, "clusters": [{"match": "a", "route": "b*"}, {"match": "a", "route": "c"}]}`: {`clusters[0].route: the breakers of several`},
		`{"fallback": {"header": "x", "cluster": "spare"}, "clusters": [{"match": "spare", "per": "route"}, {"match": "b"}]}`: {
			`fallback.cluster: "spare" has breakers of its routes, and none is asked without fallback.route`},
		`{"clusters": [{"match": "b", "fallback": {"header": "x", "cluster": "spare", "route": "r"}}]}`: {
			`clusters[0].fallback.route: "r" has no effect, since "spare" has one breaker for all routes`},
		`{"per": "route", "fallback": {"header": "x", "cluster": "spare", "route": "r"}}`:  nil,
		`{"per": "route", "fallback": {"header": "x", "cluster": "spare", "route": "r*"}}`: {`fallback.route: "r*" is a route's name, in which * has no meaning`},
	} {
		c, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := c.Warnings()
		same := len(got) == len(want)
		for _, w := range want {
			same = same && slices.ContainsFunc(got, func(e *Error) bool { return strings.HasPrefix(e.Error(), w) })
		}
		if !same {
			t.Errorf("%s\ngot  %v\nwant %q", text, got, want)
		}
	}
}
