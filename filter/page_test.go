package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestPage(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	clusters := []clusterStatus{
		{Cluster: `<script>alert("x")</script>`, State: "open", NextTry: 4.25, Trips: 2,
			Transitions: []transitionLog{{now, `closed -> open: <b>12/20</b> failed`}}},
		{Cluster: "catalog", State: "closed", Calls: 200, FailureRate: 12.5},
		{Cluster: "search", State: "half_open", Successes: 1, Trials: 2},
	}
	kind, body := page(`a&"b"`, now, clusters, "text/html,*/*")
	if kind != "text/html; charset=utf-8" {
		t.Errorf("content type %q", kind)
	}
	for _, want := range []string{
		"&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;", "a&amp;&#34;b&#34;", "&lt;b&gt;12/20&lt;/b&gt; failed",
		"open: next try in 4.2 s, trip 2 in a row", "12.5 %", "half-open: 1 trials good, 2 in flight", `http-equiv="refresh"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "%!", "<b>"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %s", bad)
		}
	}

	kind, body = page("breaker", now, clusters, "application/json")
	var got struct {
		Plugin   string
		Clusters []clusterStatus
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || kind != "application/json" {
		t.Fatalf("%s: %v", kind, err)
	}
	if got.Plugin != "breaker" || len(got.Clusters) != 3 || got.Clusters[0].Cluster != clusters[0].Cluster || got.Clusters[0].NextTry != 4.25 {
		t.Errorf("%+v", got)
	}
}
