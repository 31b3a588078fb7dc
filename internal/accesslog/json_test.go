package accesslog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func parseJSON(t *testing.T, f *Format, line string) (*parser, error) {
	t.Helper()
	p := &parser{options: &Options{}}
	return p, f.parse(p, f, []byte(line))
}

func TestMappedKeys(t *testing.T) {
	f, err := ParseFormat("", []string{"status=response.code", "duration=took,us", "instance=kubernetes.pod.name", "cluster=envoy.cluster", "route=envoy.cluster"})
	if err != nil {
		t.Fatal(err)
	}
	var e Entry
	p := &parser{options: &Options{}}
	line := `{"time": 1700000000.25, "response": {"flags": "x", "code": 503}, "status": 200, "took": 1500, "kubernetes": {"pod": {"name": "a-1"}},
		"envoy.cluster": "payments", "code": 1, "list": [{"status": 7}, [null, true, -1.5e+3]], "request_ms": "12", "note": "\u00e9\ud83d\ude00\n"}`
	if err := p.entry(f, []byte(line), &e); err != nil {
		t.Fatal(err)
	}
	want := Entry{Start: 1700000000.25e9, Duration: 1.5e6, Request: 12e6, Response: -1, Status: 503, GRPC: -1, Attempts: -1, Details: "via_upstream",
		Cluster: "payments", Route: "payments", Instance: "a-1"}
	if e != want {
		t.Errorf("%+v\nwant %+v", e, want)
	}
	// The order of the keys is known now, and is not that of the objects within.
	line = `{"time": 1700000000.25, "response": {"time": 5, "code": 503}, "status": 200, "took": 1500, "kubernetes": {"time": 1, "pod": {"time": 2, "name": "a-1"}},
		"envoy.cluster": "payments", "request_ms": 12}`
	if err := p.entry(f, []byte(line), &e); err != nil || e != want {
		t.Errorf("%+v, %v\nwant %+v", e, err, want)
	}
}

func TestFirstKeyCounts(t *testing.T) {
	for _, line := range []string{`{"time": 1, "start_time": 2, "status": 3, "response_code": 4}`, `{"response_code": 4, "start_time": 2, "status": 3, "time": 1}`} {
		p, err := parseJSON(t, defaultJSON, line)
		if err != nil || string(p.values[fieldTime].text) != "1" || string(p.values[fieldStatus].text) != "3" {
			t.Errorf("%s: %v, %v", line, p.values, err)
		}
	}
}

// TestKeysOutOfOrder reads lines whose keys differ after the order of the first one is known.
func TestKeysOutOfOrder(t *testing.T) {
	p := &parser{options: &Options{}}
	for _, line := range []string{
		`{"status":200,"method":"GET","time":1}`, `{"time":1,"method":"GET","status":200}`, `{"status":200,"methods":"PUT","method":"GET","time":1}`,
		`{"x":{"status":1,"method":"PUT"},"status":200,"method":"GET","time":1}`, `{ "method" :"GET", "time":1, "stat\u0075s" :200}`,
	} {
		var e Entry
		if err := p.entry(defaultJSON, []byte(line), &e); err != nil || e.Status != 200 || e.Method != "GET" || e.Start != 1e9 {
			t.Errorf("%s: %+v, %v", line, e, err)
		}
	}
}

func TestBrokenJSON(t *testing.T) {
	for line, says := range map[string]string{
		`{"status":200,"time":1`:                       "was it cut off?",
		`{"status":200,"ti`:                            "was it cut off?",
		`{"status":200,"time":"2026\`:                  "was it cut off?",
		`{"status":tru,"time":1}`:                      `'t' at byte 11 in place of a value`,
		`{"status":200 "time":1}`:                      `'"' at byte 15 after a value`,
		`{status:200}`:                                 `'s' at byte 2 in place of a key`,
		`{"status":0200}`:                              "in a number",
		`{"status":200} x`:                             `'x' at byte 16 after its JSON`,
		`[2]`:                                          "does not begin with {",
		`{"a":"\x"}`:                                   "begins no escape",
		`{"a":` + strings.Repeat("[", 20000):           "nested too deep",
		`{"status":200}`:                               "time=KEY",
		`{"time":1}`:                                   "status=KEY",
		`{"time":"yesterday","status":200}`:            `time "yesterday" is none`,
		`{"time":1,"status":"ok"}`:                     `status "ok" is no HTTP status`,
		`{"time":1,"status":65739}`:                    `status "65739" is no HTTP status`,
		`{"time":1,"status":200,"grpc_status":"fine"}`: `grpc "fine" is no gRPC status`,
		`{"time":1,"status":200,"duration_ms":-5}`:     `duration "-5" is no duration`,
		`{"time":1,"status":200,"attempts":"many"}`:    `attempts "many" is no number`,
	} {
		var e Entry
		p := &parser{options: &Options{}}
		if err := p.entry(defaultJSON, []byte(line), &e); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40s: %v, which does not say %q", line, err, says)
		}
	}
}

// FuzzJSON compares the scanner with encoding/json: it takes what that takes, with the same values, and but for control characters
// nothing else.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"status":200,"a":{"b":"x\u0041\n"},"time":"t","x":[1,{"status":3}],"flags":-1.5e3}`))
	f.Add([]byte(` { "a" : { } , "status" : null } `))
	f.Add([]byte(`{"status":"\ud83d\ude00\ud83d\"","a":{"b":true}}`))
	f.Add([]byte(`{"status":"\ud83dxude00"}`))
	f.Add([]byte(`{"status":"12345678\\","flags":"1234567\"890","a.b":"1"}`))
	format, err := newJSON([]string{"route=a.b"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		p := &parser{options: &Options{}}
		for range 2 { // the second time in the order that is known
			p.values, p.scratch = [fields]value{}, nil
			err = p.json(format, line)
		}
		var all map[string]json.RawMessage
		valid := json.Unmarshal(line, &all) == nil && all != nil
		strange := bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == utf8.RuneError })
		switch {
		case valid && err != nil:
			t.Fatalf("refused: %v", err)
		case !valid && err == nil && !strange:
			t.Fatal("taken")
		case !valid || strange:
			return
		}
		for of, key := range map[field]string{fieldStatus: "status", fieldFlags: "flags"} {
			compare(t, &p.values[of], all[key])
		}
		var inner map[string]json.RawMessage
		if _, both := all["a.b"]; !both && json.Unmarshal(all["a"], &inner) == nil && bytes.Count(line, []byte(`a`)) == 1 {
			compare(t, &p.values[fieldRoute], inner["b"])
		}
	})
}

func compare(t *testing.T, got *value, want json.RawMessage) {
	t.Helper()
	var s string
	switch {
	case len(want) == 0 || want[0] == '{' || want[0] == '[':
		return // an earlier one of the same name may have been a value
	case want[0] == '"':
		if err := json.Unmarshal(want, &s); err != nil {
			t.Fatal(err)
		}
	default:
		s = string(want)
	}
	if string(got.text) != s {
		t.Errorf("%q, not %q", got.text, s)
	}
}
