package statuspage

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/version"
)

// The JSON is what any reader of JSON reads, with every field, whatever is in names.
func TestPage(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 250e6, time.UTC)
	p := breaker.DefaultPolicy()
	p.SlowCallDuration = 1500 * time.Millisecond
	policy, ok := ParsePolicy(EncodePolicy(&p, Override{Match: `pay*"`}, 7))
	if !ok || policy.Generation != 7 || policy.Mode != breaker.Enforce || policy.Probes {
		t.Fatalf("%+v, %v", policy, ok)
	}
	p.ProbeInterval, p.WindowRequests, p.Mode = time.Second, 2000, breaker.Shadow
	probes, _ := ParsePolicy(EncodePolicy(&p, Override{}, 7))
	p.Mode = breaker.ForceOpen
	forced, _ := ParsePolicy(EncodePolicy(&p, Override{}, 7))
	p.Mode = breaker.Disabled
	disabled, _ := ParsePolicy(EncodePolicy(&p, Override{}, 7))
	routed, _ := ParsePolicy(EncodePolicy(&p, Override{"disabled", "*"}, 7))

	w := BeginPage(nil, &Head{Plugin: `a&"b"`, At: now, ConfigInvalid: true, Total: 8192, Overrides: 7, Unmatched: 3,
		Some: []Override{{Match: `"<"`}, {Match: "shop", Route: "re*"}}})
	history := AddTransition(nil, 5, now.Add(-time.Minute), `closed -> open: <b>12/20</b> failed`)
	for _, c := range []Cluster{
		{Name: "a\"b\\c\n\x00\xff\u2028😀</script>", Policy: policy, Status: breaker.Status{Window: breaker.Totals{Calls: 1200, Failures: 400, SlowCalls: 30}}, Rejected: 1234567, Fallback: 6},
		{Name: "open", Policy: policy, Status: breaker.Status{State: breaker.Open, OpenFor: 4250 * time.Millisecond, Trips: 2}, History: history},
		{Name: "probed", Policy: probes, Status: breaker.Status{State: breaker.Open, OpenFor: time.Second, OpenedFor: 20 * time.Second, ProbeIn: 400 * time.Millisecond}, ShadowRejected: 5},
		{Name: "trying", Policy: policy, Status: breaker.Status{State: breaker.HalfOpen, Successes: 1, Trials: 2}},
		{Name: "forced", Policy: forced}, {Name: "disabled", Policy: disabled}, {Name: "disabled", Route: "a/\"b\"", Policy: routed},
	} {
		w.Add(&c)
	}
	body := w.End("?after=disabled&limit=7")

	type object = map[string]any
	var got struct {
		Plugin    string
		Version   string
		At        time.Time
		Invalid   bool `json:"config_invalid"`
		Overrides object
		Total     int
		Next      string
		Clusters  []object
	}
	if err := json.Unmarshal(body, &got); err != nil || !utf8.Valid(body) {
		t.Fatalf("%v in %s", err, body)
	}
	if got.Plugin != `a&"b"` || !got.At.Equal(now) || !got.Invalid || got.Total != 8192 || got.Version != version.Version || got.Next != "?after=disabled&limit=7" || len(got.Clusters) != 7 {
		t.Errorf("%+v", got)
	}
	common := object{"match": `pay*"`, "route": nil,
		"mode": "enforce", "window_seconds": 10.0, "min_requests": 20.0, "failure_rate": 50.0, "consecutive_failures": 0.0,
		"slow_call_seconds": 1.5, "slow_call_rate": 100.0, "half_open_max_requests": 3.0, "half_open_success_threshold": 3.0,
	}
	want := object{
		"cluster": "a\"b\\c\n\x00\ufffd\u2028😀</script>", "route": nil, "state": "closed", "next_try_seconds": 0.0, "probing": false, "next_probe_seconds": 0.0,
		"trips": 0.0, "successes": 0.0, "trials_in_flight": 0.0, "calls": 1200.0, "failures": 400.0, "slow_calls": 30.0,
		"failure_rate": 100 * 400 / 1200.0, "slow_rate": 2.5, "rejected": 1234567.0, "shadow_rejected": 0.0, "fallback": 6.0,
		"policy": common, "transitions": []any{},
	}
	if !reflect.DeepEqual(got.Clusters[0], want) {
		t.Errorf("got %v\nwant %v", got.Clusters[0], want)
	}
	for i, want := range []object{
		1: {"state": "open", "next_try_seconds": 4.25, "trips": 2.0, "probing": false,
			"transitions": []any{object{"at": "2026-11-24T09:59:00.250Z", "text": "closed -> open: <b>12/20</b> failed"}}},
		2: {"state": "open", "next_try_seconds": 40.0, "probing": true, "next_probe_seconds": 0.4, "shadow_rejected": 5.0},
		3: {"state": "half_open", "successes": 1.0, "trials_in_flight": 2.0, "probing": false},
		4: {"state": "forced_open"},
		5: {"state": "disabled"},
		6: {"cluster": "disabled", "route": `a/"b"`},
	} {
		for key, value := range want {
			if !reflect.DeepEqual(got.Clusters[i][key], value) {
				t.Errorf("%s of %v is %v, want %v", key, got.Clusters[i]["cluster"], got.Clusters[i][key], value)
			}
		}
	}
	if requests := got.Clusters[2]["policy"].(object); requests["window_requests"] != 2000.0 || requests["window_seconds"] != nil || requests["mode"] != "shadow" || requests["match"] != nil {
		t.Errorf("%v", requests)
	}

	if from := got.Clusters[6]["policy"].(object); from["match"] != "disabled" || from["route"] != "*" {
		t.Errorf("%v", from)
	}
	overrides := object{"total": 7.0, "unmatched": 3.0, "first_unmatched": []any{object{"match": `"<"`, "route": nil}, object{"match": "shop", "route": "re*"}}}
	if !reflect.DeepEqual(got.Overrides, overrides) {
		t.Errorf("overrides %v, want %v", got.Overrides, overrides)
	}

	if err := json.Unmarshal(BeginPage(body, &Head{}).End(""), &struct{ Next *string }{}); err != nil {
		t.Errorf("an empty page: %v", err)
	}
}

// A policy that was written by something else, or broken, is found out.
func TestBrokenPolicy(t *testing.T) {
	p := breaker.DefaultPolicy()
	whole := EncodePolicy(&p, Override{}, 1)
	for i := range whole {
		broken := append([]byte{}, whole...)
		broken[i] ^= 1
		if _, ok := ParsePolicy(broken); ok {
			t.Errorf("byte %d is another, and it passes", i)
		}
		if _, ok := ParsePolicy(whole[:i]); ok {
			t.Errorf("the first %d bytes pass", i)
		}
	}
}

// The page allows its own style and script, and there is nothing else in it.
func TestHTML(t *testing.T) {
	for _, tag := range []string{"style", "script"} {
		found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(HTML, -1)
		if len(found) != 1 {
			t.Fatalf("the page has %d of %s", len(found), tag)
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		if want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"; !strings.Contains(SecurityPolicy, want) {
			t.Errorf("the page has another %s now: its policy must have %s", tag, want)
		}
	}
	for _, bad := range []string{"http://", "https://", "url(", "innerHTML", "style=\"", " on", "eval"} {
		if regexp.MustCompile(regexp.QuoteMeta(bad)+`\w*=?"`).MatchString(HTML) || bad != " on" && strings.Contains(HTML, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if !strings.Contains(HTML, "<noscript>") || !strings.Contains(HTML, "accept: application/json") {
		t.Error("the page does not say without a script where the JSON is")
	}
}

// A query is read as it was written, whatever is in the name.
func TestQuery(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, name := range []string{"", "payments", "outbound|443||api.example.com", "a&limit=1#%?=+ é", string(all)} {
		want := Query{name, "route of " + name, 7}
		text := want.String()
		if q, err := ParseQuery(text[1:]); err != nil || q != want {
			t.Errorf("%q: %+v, %v", text, q, err)
		}
		if regexp.MustCompile(`[^\x21-\x7e]|["<>#]`).MatchString(text) {
			t.Errorf("%q is no query", text)
		}
	}
	for text, want := range map[string]Query{"": {Limit: MaxLimit}, "at=now&limit=1": {Limit: 1},
		"after=a+b%2b": {After: "a b+", Limit: MaxLimit}, "limit=50&after_route=%2F": {AfterRoute: "/", Limit: 50}} {
		if q, err := ParseQuery(text); err != nil || q != want {
			t.Errorf("%q: %+v, %v", text, q, err)
		}
	}
	for text, want := range map[string]string{
		"limit=0": `limit: "0" is not allowed: must be from 1 to 50`, "limit=51": `limit: "51" is not`, "limit=": `limit: "" is not`,
		"limit=-1": "is not allowed", "limit=1e1": "is not allowed", "limit=99999999999999999999": "is not allowed",
		"after=%": `after: "%" is not allowed: must be a name in URL encoding`, "after=%4": "is not", "after=%zz": "is not", "after=%+1": "is not",
	} {
		if q, err := ParseQuery(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", text, q, err)
		}
	}
}
