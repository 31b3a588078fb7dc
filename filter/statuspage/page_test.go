package statuspage

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/breaker"
)

func TestPage(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	p := breaker.DefaultPolicy()
	p.SlowCallDuration = 1500 * time.Millisecond
	policy := NewPolicy(&p)
	shadow := policy
	shadow.Mode, shadow.WindowSeconds, shadow.WindowRequests, shadow.FailureRate, shadow.SlowCallSeconds = "shadow", 0, 2000, 0, 0
	clusters := []Cluster{
		{Name: "catalog", State: "closed", Policy: policy, Calls: 1200, Failures: 360, FailureRate: 30, SlowRate: 2.5, Rejected: 1234567},
		{Name: "disabled", State: "disabled", Policy: policy},
		{Name: "few", State: "closed", Policy: shadow, Calls: 3, ShadowRejected: 5, Fallback: 6},
		{Name: "forced", State: "forced_open", Policy: policy, Rejected: 30},
		{Name: "late", State: "open", Policy: policy, Trips: 1},
		{Name: `outbound|443||<script>alert("x")</script>`, State: "open", Policy: policy, NextTry: 4.25, Trips: 2, Transitions: []Transition{
			{now.Add(-75 * time.Second), `closed -> open: <b>12/20</b> failed in 1h0m0s; open for 10m0s`},
			{now.Add(-30 * time.Hour), `half_open -> closed: 3 trials succeeded`},
		}},
		{Name: "search", State: "half_open", Policy: policy, Successes: 1, Trials: 2},
	}
	kind, body := Render(`a&"b"`, now, clusters, "text/html,*/*")
	if kind != "text/html; charset=utf-8" {
		t.Errorf("content type %q", kind)
	}
	rest := body
	for _, want := range []string{ // in this order
		`http-equiv="refresh" content="2"`,
		`<title>a&amp;&#34;b&#34;: 2 open, 1 forced open, 1 half-open, 2 closed, 1 disabled</title>`, `%23d1242f`,
		`2 open</span>`, `Plugin a&amp;&#34;b&#34;, 24 Nov 2026 10:00:00 UTC`,
		`<h2>late<`, `<dt>Next try</dt><dd>now<`,
		`<section class="open">`, `<h2>outbound|<wbr>443|<wbr>|<wbr>&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;</h2>`, `>Open<`,
		`<dt>Next try</dt><dd>in 4.2 s<`, `<dt>Trips in a row</dt><dd>2<`,
		`<b>closed → open</b><time datetime="2026-11-24T09:58:45Z">09:58:45, 1 min ago</time><span>&lt;b&gt;12/20&lt;/b&gt; failed in 1h; open for 10m</span>`,
		`<b>half-open → closed</b><time datetime="2026-11-23T04:00:00Z">23 Nov 04:00, 30 h ago</time>`,
		`<h2>forced<`, `>Forced open<`, `<dt>Rejected</dt><dd>30<`,
		`<h2>search<`, `>Half-open<`, `<dt>Good trials</dt><dd>1<span class="note">of 3 to close<`, `<dt>Trials in flight</dt><dd>2<span class="note">of 3 at once<`,
		`<h2>catalog<`, `<dt>Calls</dt><dd>1,200<span class="note">in 10 s<`, `<dt>Failed</dt><dd>30.0%<span class="bar near" style="--value:30.0;--limit:50"></span><span class="note">opens at 50%<`,
		`<dt>Slow</dt><dd>2.5%<`, `over 1.5 s, opens at 100%`, `<dt>Rejected</dt><dd>1,234,567<`,
		`<h2>few<`, `>shadow<`, `<dd>3<span class="note">of the last 2,000<`, `opens no breaker`, `6 to the fallback, 5 would be`,
		`<h2>disabled<`,
	} {
		i := strings.Index(rest, want)
		if i < 0 {
			t.Fatalf("the page lacks, from there on, %s\n%s", want, rest)
		}
		rest = rest[i+len(want):]
	}
	for _, bad := range []string{"<script", "http://", "https://", "%!", "<b>12", "url("} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if in := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(body, -1); len(in) != 1 || !strings.HasPrefix(in[0][1], "data:") {
		t.Errorf("the page refers to %q", in)
	}

	kind, body = Render("breaker", now, clusters, "application/json")
	var got struct {
		Plugin   string
		Clusters []Cluster
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || kind != "application/json" {
		t.Fatalf("%s: %v", kind, err)
	}
	if got.Plugin != "breaker" || len(got.Clusters) != 7 || got.Clusters[5].Name != clusters[5].Name || got.Clusters[5].NextTry != 4.25 {
		t.Errorf("%+v", got)
	}
}

func TestEmptyPage(t *testing.T) {
	_, body := Render("breaker", time.Now(), nil, "")
	for _, want := range []string{"<title>breaker: no cluster yet</title>", "No cluster has had a request yet."} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestReadableTimes(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0 s ago": -time.Second, "59 s ago": 59 * time.Second, "1 min ago": 119 * time.Second, "1 h ago": 61 * time.Minute,
		"47 h ago": 47 * time.Hour, "2 days ago": 71 * time.Hour,
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for want, s := range map[string]float64{
		"40 ms": 0.04, "5 s": 5, "4.2 s": 4.24, "12 s": 12.3, "119 s": 119, "10 min": 600, "2 h": 7200,
	} {
		if got := strings.ReplaceAll(seconds(s), "\u00a0", " "); got != want {
			t.Errorf("%v s: %q, want %q", s, got, want)
		}
	}
}
