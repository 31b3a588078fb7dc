package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// millisecondLine is a line of a request of no length.
func millisecondLine(ms int, cluster string, status int) string {
	return fmt.Sprintf(`{"time":"2026-11-24T10:00:%02d.%03dZ","duration_ms":0,"cluster":%q,"details":"via_upstream","status":%d}`+"\n", ms/1000, ms%1000, cluster, status)
}

// What ended in the same millisecond in several logs has one order: neither other clusters' lines nor the order of arguments change it.
func TestMergeSeveralLogs(t *testing.T) {
	logs := []string{"w1.log", "w2.log", "w3.log"}
	type split map[string]map[string]string // a log's text by cluster, by log
	cases := map[string]split{
		"another cluster's line between": {
			"w1.log": {"a": millisecondLine(1, "a", 503) + millisecondLine(5, "a", 503)},
			"w2.log": {"x": millisecondLine(2, "x", 200), "a": millisecondLine(5, "a", 200)},
		},
		"another cluster's line out of order": { // it keeps back the one after it
			"w1.log": {"x": millisecondLine(8, "x", 200), "a": millisecondLine(5, "a", 503)},
			"w2.log": {"a": millisecondLine(4, "a", 503) + millisecondLine(5, "a", 200)},
		},
	}
	whole := func(s map[string]string) string { return s["x"] + s["a"] }
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 11))
		s := split{}
		for _, log := range logs {
			s[log] = map[string]string{}
			for range 60 {
				cluster := []string{"a", "x"}[random.IntN(2)]
				s[log][cluster] += millisecondLine(random.IntN(4), cluster, []int{200, 503}[random.IntN(2)])
			}
		}
		cases[fmt.Sprint("seed ", seed)] = s
	}
	for name, s := range cases {
		texts := map[string]string{"policy.json": `{"consecutive_failures": 2, "open": {"duration": "10ms"}}`}
		for _, log := range logs {
			for cluster, text := range s[log] {
				texts[cluster+"-"+log] = text
			}
			texts["whole-"+log] = whole(s[log])
		}
		folder := files(t, texts)
		file := func(name string) string { return filepath.Join(folder, name) }
		replay := func(part string, logs []string) string {
			arguments := []string{"replay", "-json", "-config", file("policy.json")}
			for _, log := range logs {
				if _, is := texts[part+"-"+log]; is {
					arguments = append(arguments, file(part+"-"+log))
				}
			}
			return breakerctl(t, arguments...)
		}
		want := replay("whole", logs)
		backwards := slices.Clone(logs)
		slices.Reverse(backwards)
		if got := replay("whole", backwards); got != want {
			t.Errorf("%s: the order of arguments matters: %s\nand\n%s", name, got, want)
		}
		parts := files(t, map[string]string{"a.json": replay("a", logs), "x.json": replay("x", logs)})
		if got := breakerctl(t, "merge", "-json", filepath.Join(parts, "x.json"), filepath.Join(parts, "a.json")); got != want {
			t.Errorf("%s: merged\n%s\nwant\n%s", name, got, want)
		}
		if !strings.Contains(want, `"to": "open"`) && strings.HasPrefix(name, "seed") {
			t.Errorf("%s: nothing opens, so that this test is not about it", name)
		}
	}
}
