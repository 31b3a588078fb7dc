//go:build faults

package faults_test

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// A hostileConfig is a configuration that nobody should write.
type hostileConfig struct {
	name    string
	text    string
	refused string // the beginning of the error, which names the key; "" if it is loaded
}

func hostileConfigs() []hostileConfig {
	rep := strings.Repeat
	deep := func(open, close string, n int) string { return rep(open, n) + "1" + rep(close, n) }
	list := func(n int, item string) string { // of n different overrides
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(item, i))
		}
		return `{"clusters": [` + strings.Join(items, ",") + `]}`
	}
	mega := rep("m", 1_000_000)
	return []hostileConfig{
		// Nothing, and what is no object.
		{"empty", "", ""},
		{"blank", " \n\t ", ""},
		{"no-keys", "{}", ""},
		{"null", "null", "null is not allowed: must be an object of keys"},
		{"list", "[]", "[] is not allowed: must be an object of keys"},
		{"text", `"{}"`, `"{}" is not allowed: must be an object of keys`},
		{"number", "1e9", "1000000000 is not allowed: must be an object of keys"},
		{"two-objects", `{"failure_rate": 50} {"failure_rate": 60}`, "not valid JSON: line 1, column 22"},
		{"cut-off", `{"failure_rate": 5`, "not valid JSON: line 1, column 18"},
		{"nul", "\x00", "not valid JSON: line 1, column 1"},
		{"nuls", rep("\x00", 100_000), "not valid JSON: line 1, column 1"},
		{"bom", "\xef\xbb\xbf{}", "not valid JSON: line 1, column 1"},
		{"braces", rep("{", 100_000), "not valid JSON"},
		{"quotes", rep(`"`, 100_001), "not valid JSON"},
		{"yaml", "failure_rate: 50\n", "not valid JSON: line 1, column 3"},
		{"comment", `{"failure_rate": 50} // half`, "not valid JSON: line 1, column 22"},

		// Deep.
		{"deep-lists", deep("[", "]", 100_000), "[0][0]"},
		{"deep-lists-after-a-line", "\n" + deep("[", "]", 100_000), "neither a google.protobuf.Struct (a group is in it) nor JSON text ([0][0]"},
		{"deep-objects", `{"reject": ` + deep(`{"a":`, "}", 10_000) + "}", "reject.a.a"},
		{"deep-in-known-key", `{"failure_on": ` + deep("[", "]", 40) + "}", "failure_on[0][0]"},
		{"deepest-allowed", `{"failure_on": ` + deep("[", "]", 31) + "}", "failure_on"},

		// Keys.
		{"unknown", `{"failure_rates": 40}`, "failure_rates: unknown key with value 40"},
		{"empty-key", `{"": 1}`, `"": unknown key with value 1`},
		{"nul-in-key", `{"failure\u0000rate": 1}`, `"failure\u0000rate": unknown key with value 1`},
		{"not-utf-8-in-key", "{\"failure\xff\": 1}", "failure\ufffd: unknown key with value 1"},
		{"1-mb-key", `{"` + mega + `": 1}`, rep("m", 80) + "…: unknown key with value 1"},
		{"upper-case", `{"Failure_Rate": 50}`, "Failure_Rate: unknown key with value 50"},
		{"twice", `{"failure_rate": 50, "failure_rate": 60}`, "failure_rate: 60 is not allowed: the key is given twice"},
		{"twice-escaped", `{"failure_rate": 50, "failure\u005frate": 60}`, "failure_rate: 60 is not allowed: the key is given twice"},
		{"twice-inside", `{"clusters": [{"match": "a", "open": {"jitter": 0, "jitter": 1}}]}`, "clusters[0].open.jitter: 1 is not allowed: the key is given twice"},
		{"10000-keys", `{` + strings.TrimSuffix(func() (s string) {
			var b strings.Builder
			for i := range 10_000 {
				fmt.Fprintf(&b, `"key%05d": 1,`, i)
			}
			return b.String()
		}(), ",") + `}`, "key00000: unknown key with value 1"},
		{"prototype", `{"__proto__": {"mode": "disabled"}}`, "__proto__: unknown key"},

		// Numbers.
		{"not-a-number", `{"failure_rate": NaN}`, "not valid JSON: line 1, column 18"},
		{"infinity", `{"failure_rate": Infinity}`, "not valid JSON: line 1, column 18"},
		{"too-large", `{"failure_rate": 1e999}`, "failure_rate: 1e999 is not allowed"},
		{"too-small", `{"min_requests": -1e999}`, "min_requests: -1e999 is not allowed"},
		{"million-digits", `{"min_requests": ` + rep("9", 1_000_000) + `}`, "min_requests: " + rep("9", 80) + "…"},
		{"beyond-integers", `{"min_requests": 9007199254740993}`, "min_requests: 9007199254740992 is not allowed: must be from 1 to 1000000"},
		{"fraction", `{"consecutive_failures": 0.5}`, "consecutive_failures: 0.5 is not allowed: must be a whole number"},
		{"tiny", `{"failure_rate": 1e-320}`, ""},
		{"minus-zero", `{"failure_rate": -0, "consecutive_failures": 1}`, ""},
		{"negative", `{"failure_rate": -0.001}`, "failure_rate: -0.001 is not allowed: must be from 0 to 100"},
		{"hexadecimal", `{"min_requests": 0x10}`, "not valid JSON: line 1, column 19"},
		{"breakers-without-end", `{"max_breakers": 1e15}`, "max_breakers: 1000000000000000 is not allowed: must be from 1 to 1000000"},

		// Durations.
		{"duration-number", `{"open": {"duration": 5}}`, `open.duration: 5 is not allowed: must be a duration`},
		{"duration-huge", `{"open": {"duration": "9999999999h"}}`, `open.duration: "9999999999h" is not allowed: must be a duration`},
		{"duration-negative", `{"open": {"duration": "-5s"}}`, "open.duration: "},
		{"duration-no-unit", `{"ramp": "5"}`, `ramp: "5" is not allowed: must be a duration`},
		{"duration-long", `{"ramp": "` + rep("1h", 100_000) + `"}`, "ramp: "},

		// Wrong types, everywhere.
		{"nulls", `{"mode": null}`, "mode: null is not allowed: must be a string"},
		{"null-list", `{"failure_on": null}`, "failure_on: null is not allowed: must be a list"},
		{"null-window", `{"window": null}`, "window: null is not allowed: must be an object"},
		{"null-override", `{"clusters": [null]}`, "clusters[0]: null is not allowed: must be an object"},
		{"null-off", `{"probe": null, "fallback": null}`, ""},
		{"object-for-number", `{"failure_rate": {"value": 50}}`, `failure_rate: {"value":50} is not allowed: must be a number`},
		{"list-for-object", `{"half_open": [3]}`, "half_open: [3] is not allowed: must be an object"},
		{"text-for-flag", `{"reject": {"retry_after": "true"}}`, `reject.retry_after: "true" is not allowed: must be true or false`},
		{"number-in-list", `{"failure_on": ["5xx", 503]}`, "failure_on[1]: 503 is not allowed"},
		{"clusters-object", `{"clusters": {"match": "a"}}`, `clusters: {"match":"a"} is not allowed: must be a list`},

		// Texts.
		{"1-mb-string", `{"mode": "` + mega + `"}`, `mode: "` + rep("m", 79) + "…"},
		{"1-mb-body", `{"reject": {"body": "` + mega + `"}}`, ""},
		{"not-utf-8-in-value", "{\"reject\": {\"body\": \"\xff\xfe\"}}", ""},
		{"placeholders", `{"reject": {"body": "` + rep("{cluster}", 10_000) + `"}}`, ""},
		{"unknown-placeholder", `{"reject": {"body": "{password}"}}`, `reject.body: `},
		{"header-injected", `{"reject": {"headers": {"x-a": "b\r\nset-cookie: c"}}}`, "reject.headers.x-a: "},
		{"header-name", `{"reject": {"headers": {"x a:": "b"}}}`, "reject.headers.x a:"},
		{"header-nul", `{"reject": {"headers": {"x-a": "\u0000"}}}`, "reject.headers.x-a: "},
		{"probe-injected", `{"probe": {"path": "/ HTTP/1.1\r\nhost: evil"}}`, "probe.path: "},
		{"status-path", `{"status": {"path": "circuit-breakers"}}`, `status.path: "circuit-breakers" is not allowed`},

		// Overrides.
		{"overrides-10000", list(10_000, `{"match": "cluster-%d", "failure_rate": 10}`), ""},
		{"globs-2000", list(2000, `{"match": "*a*b*c*-%d-*x*"}`), ""},
		{"stars", `{"clusters": [{"match": "` + rep("*", 100_000) + `"}]}`, ""},
		{"stars-and-letters", `{"clusters": [{"match": "` + rep("*a", 50_000) + `b"}]}`, ""},
		{"no-match", `{"clusters": [{"failure_rate": 10}]}`, "clusters[0].match: is missing: must be the name of a cluster"},
		{"the-last-is-bad", strings.TrimSuffix(list(3000, `{"match": "c%d"}`), "]}") + `, {"match": "z", "failure_rate": "x"}]}`, `clusters[3000].failure_rate: "x" is not allowed`},
		{"override-in-override", `{"clusters": [{"match": "a", "clusters": []}]}`, "clusters[0].clusters: [] is not allowed: must be at the top level only"},

		// Structs, on the wire.
		{"struct-empty-field", "\n\x00", `"": unknown key with value null`},
		{"struct-not-a-number", structOf("failure_rate", protowire.AppendFixed64([]byte{2<<3 | 1}, math.Float64bits(math.NaN()))), "failure_rate: NaN is not allowed"},
		{"struct-infinite", structOf("failure_rate", protowire.AppendFixed64([]byte{2<<3 | 1}, math.Float64bits(math.Inf(1)))), "failure_rate: +Inf is not allowed"},
		{"struct-cut-off", "\n\xff\xff\xff\xff\x0f", "neither a google.protobuf.Struct"},
		{"struct-deep", structOf("reject", deepStruct(5000)), "reject.a.a"},
		{"struct-not-utf-8", structOf("mode", protowire.AppendString([]byte{3<<3 | 2}, "\xff\xfe")), `mode: "`},
		{"struct-group-without-end", "\n\x03\x0b\x10\x01", "neither a google.protobuf.Struct"},
	}
}

// structOf is a google.protobuf.Struct of one field, whose Value is on the wire already.
func structOf(key string, value []byte) string {
	entry := protowire.AppendString([]byte{1<<3 | 2}, key)
	entry = protowire.AppendBytes(append(entry, 2<<3|2), value)
	return string(protowire.AppendBytes([]byte{1<<3 | 2}, entry))
}

// deepStruct is a Value of Structs in each other.
func deepStruct(depth int) []byte {
	value := []byte{1 << 3, 0}
	for range depth {
		value = protowire.AppendString([]byte{5<<3 | 2}, structOf("a", value))
	}
	return value
}
