package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSuggest(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string { return writeTo(t, folder, name, text) }
	log := write("access.log", outage())
	calm := write("calm.log", strings.ReplaceAll(outage(), "503", "200"))
	spoilt := write("spoilt.log", strings.Replace(outage(), "\n", "\nwhat is this?\n", 30))
	nothing := write("nothing.log", "what is this?\nand this?\n")
	policy := write("policy.json", `{"ramp": "5s", "clusters": [{"match": "pay*", "half_open": {"max_requests": 1}}]}`)
	without := write("without.log", strings.ReplaceAll(outage(), `"grpc_status": null, `, ""))
	for _, c := range []call{
		{[]string{"-max-lost", "50%", log}, "", 0, []string{"600 lines", "outage at 2026-11-24 10:00:20, 19.9s long: 200 of 200 requests bad", "\n1       1 of 1", `{"match": "payments"`}, nil},
		{[]string{"-"}, outage(), 0, []string{"600 lines", "1 of 1"}, nil},
		{[]string{"-max-lost", "50", "-config", policy, log}, "", 0, []string{`"half_open": {"max_requests": 1}}`, `"ramp": "5s",`, `{"match": "pay*", "half_open"`}, nil},
		{[]string{"-config", "../../envoy.yaml", log}, "", 0, []string{"1 of 1"}, nil},
		{[]string{"-max-lost", "0", log}, "", 0, []string{"600 lines"}, nil},
		{[]string{"-max-lost", "0.1%", "-json", log}, "", 0, []string{`"max_lost_percent": 0.1,`, `"outages_caught": 1,`, `"override": {`}, nil},
		{[]string{"-outage", "30s", log}, "", 0, []string{"no outage to learn from. One would be 30s or more (-outage)", "Shorter ones: 1."}, nil},
		{[]string{"-slow", "2s", calm}, "", 0, []string{"no outage to learn from", "takes more than 2s (-slow)"}, nil},
		{[]string{"-instance-per-log", log, calm}, "", 0, []string{"1,200 lines", "payments: 1,200 requests to 2 Envoys"}, nil},
		{[]string{"-max-requests", "1000", log, "-instance-per-log", calm, without}, "", 0, []string{"learnt from the first 1,000, until 2026-11-24 10:00:"}, nil},
		{[]string{without}, "", 0, []string{"* No line tells the gRPC status"}, nil},
		{[]string{spoilt}, "", 0, []string{"* 30 lines could not be understood"}, []string{spoilt + ":2: ", "and 10 more lines"}},
		{[]string{"-strict", spoilt}, "", 1, nil, []string{"breakerctl: " + spoilt + ":2: "}},
		{[]string{nothing}, "", 1, nil, []string{"none of the first 2 lines is of a format that is known"}},
		{[]string{"-format", "json", nothing}, "", 1, nil, []string{"no line could be understood"}},
		{[]string{"-"}, "\n", 1, nil, []string{"there are no lines"}},
		{[]string{log + ".none"}, "", 1, nil, []string{"no such file"}},
		{[]string{"-config", policy + ".none", log}, "", 1, nil, []string{"no such file"}},
		{[]string{"-config", "-", log}, `{"failure_rat": 5}`, 1, nil, []string{"did you mean failure_rate?"}},
		{nil, "", 2, nil, []string{"which log?", "usage: breakerctl suggest"}},
		{[]string{"-config", "-", "-"}, "", 2, nil, []string{"standard input is read once"}},
		{[]string{log, log}, "", 2, nil, []string{"is given twice"}},
		{[]string{"-max-lost", "101%", log}, "", 2, nil, []string{"must be from 0% to 100%"}},
		{[]string{"-max-lost", "NaN", log}, "", 2, nil, []string{"must be from 0% to 100%"}},
		{[]string{"-max-lost", "few", log}, "", 2, nil, []string{"must be from 0% to 100%"}},
		{[]string{"-outage", "500ms", log}, "", 2, nil, []string{"-outage must be from 1s to 24h"}},
		{[]string{"-slow", "-1s", log}, "", 2, nil, []string{"-slow must be from 1ms to 1h"}},
		{[]string{"-max-requests", "5", log}, "", 2, nil, []string{"-max-requests must be from 1,000"}},
		{[]string{"-format", "apache", log}, "", 2, nil, []string{"apache"}},
	} {
		c.arguments = append([]string{"suggest"}, c.arguments...)
		c.test(t)
	}
}

// What is suggested can be pasted, and replayed.
func TestSuggestThenCheckAndReplay(t *testing.T) {
	var out, errs strings.Builder
	if exit := run([]string{"suggest", "-max-lost", "50%", "-json", "-"}, strings.NewReader(outage()), &out, &errs); exit != ok {
		t.Fatal(exit, errs.String())
	}
	var report struct{ Configuration string }
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if exit := run([]string{"check", "-"}, strings.NewReader(report.Configuration), &out, &errs); exit != ok || out.String()+errs.String() != "" {
		t.Errorf("check exits with %d: %s%s", exit, &out, &errs)
	}
	log := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(log, []byte(outage()), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit := run([]string{"replay", "-config", "-", log}, strings.NewReader(report.Configuration), &out, &errs); exit != ok || !strings.Contains(out.String(), "closed -> open") {
		t.Errorf("replay exits with %d: %s%s", exit, &out, &errs)
	}
}

// A bar shows what is left, not too often, and leaves nothing behind.
func TestBar(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	width := 80
	b := &bar{out: &out, now: func() time.Time { return now }, width: func() int { return width }}
	shown := func(want string) {
		t.Helper()
		if got := strings.ReplaceAll(out.String(), "\r\x1b[K", "|"); got != want {
			t.Errorf("it shows %q, want %q", got, want)
		}
		out.Reset()
	}
	b.clear()
	shown("")
	b.read(999)
	b.read(1000)
	shown("|1,000 lines read")
	b.read(2500)
	shown("")
	now = now.Add(time.Second)
	b.read(2600)
	b.read(3600)
	shown("|3,600 lines read")
	now = now.Add(time.Second)
	b.search(0)
	shown("|  0%  [                              ]")
	now = now.Add(10 * time.Second)
	b.search(0.25)
	shown("| 25%  30s left  [=======                       ]")
	now = now.Add(50 * time.Millisecond)
	b.search(0.3)
	shown("")
	now = now.Add(20 * time.Second)
	b.search(1)
	shown("|100%  0s left  [==============================]")
	now, width = now.Add(time.Second), 30
	b.search(1)
	shown("|100%  0s left  [============…")
	b.clear()
	b.clear()
	shown("|")
	newBar(&out).search(0.5)
	newBar(&out).clear()
	shown("")
}
