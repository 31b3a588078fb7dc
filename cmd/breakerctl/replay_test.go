package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// outage is a log in which payments fails for a while.
func outage() string {
	var s strings.Builder
	begin := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for i := range 600 {
		status := 200
		if i >= 200 && i < 400 {
			status = 503
		}
		fmt.Fprintf(&s, `{"time": %q, "method": "GET", "path": "/", "status": %d, "details": "via_upstream", "flags": "-", "cluster": "payments", `+
			`"duration_ms": 5, "request_ms": 0, "response_ms": 5, "grpc_status": null, "route": "all", "attempts": 1, "circuit_breaker": null}`+"\n",
			begin.Add(time.Duration(i)*100*time.Millisecond).Format("2006-01-02T15:04:05.000Z"), status)
	}
	return s.String()
}

// hangs is a log without attempts, in which all requests hang until the timeout.
func hangs() string {
	var s strings.Builder
	for i := range 5 {
		fmt.Fprintf(&s, `{"start_time": "2026-11-24T10:00:30.%d00Z", "method": "GET", "response_code": 504, "response_code_details": "response_timeout", `+
			`"response_flags": "UT", "upstream_cluster": "search", "duration": 15000, "upstream_service_time": null}`+"\n", i)
	}
	return s.String()
}

func TestReplay(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string { return writeTo(t, folder, name, text) }
	policy, second := write("policy.json", `{"min_requests": 10}`), write("second.json", `{"failure_rate": 0, "consecutive_failures": 3}`)
	log := write("access.log", outage())
	spoilt := write("spoilt.log", strings.Replace(outage(), "\n", "\nwhat is this?\n", 30))
	hangs := write("hangs.log", hangs())
	slow := write("slow.json", `{"min_requests": 5, "slow_call": {"duration": "500ms"}}`)
	nothing := write("nothing.log", "what is this?\nand this?\n")
	page := filepath.Join(folder, "report.html")
	for _, c := range []call{
		{[]string{"replay", "-config", policy, log}, "", 0, []string{"600 lines", "\npayments       600      5", "closed -> open: 51/101 failed in 10s, threshold 50%"}, nil},
		{[]string{"replay", "-config", policy, "-"}, outage(), 0, []string{"600 lines"}, nil},
		{[]string{"replay", "-config", "-", log}, `{"mode": "disabled"}`, 0, []string{"payments       600       0"}, nil},
		{[]string{"replay", log, "-config", "../../envoy.yaml"}, "", 0, []string{"600 lines", "fallback are among the rejected"}, nil},
		{[]string{"replay", "-config", policy, "-json", log}, "", 0, []string{`"lines": 600,`, `"reason": "failure_rate",`}, nil},
		{[]string{"replay", "-config", policy, "-html", page, log}, "", 0, []string{"600 lines"}, nil},
		{[]string{"replay", "-config", policy, "-instance-per-log", log}, "", 0, []string{"INSTANCE", "payments  " + log}, nil},
		{[]string{"replay", "-config", slow, log, hangs}, "", 0, []string{"2026-11-24 10:00:31.000  closed -> open: 5/5 slower than 500ms, 5 of them still waiting"}, nil},
		{[]string{"compare", "-config", policy, "-config", second, log}, "", 0, []string{"payments  policy.json", "payments  second.json"}, nil},
		{[]string{"replay", "-config", policy, spoilt}, "", 0, []string{"630 lines", "* 30 lines could not be understood"}, []string{spoilt + ":2: ", "and 10 more lines"}},
		{[]string{"replay", "-config", policy, "-strict", spoilt}, "", 1, nil, []string{"breakerctl: " + spoilt + ":2: "}},
		{[]string{"replay", "-config", policy, nothing}, "", 1, nil, []string{"breakerctl: "}},
		{[]string{"replay", "-config", policy, "-"}, "\n\n", 1, nil, []string{"there are no lines"}},
		{[]string{"replay", "-config", policy, log + ".none"}, "", 1, nil, []string{"no such file"}},
		{[]string{"replay", "-config", policy + ".none", log}, "", 1, nil, []string{"no such file"}},
		{[]string{"replay", "-config", policy, "-html", page, log}, "", 0, []string{"600 lines"}, nil}, // once more
		{[]string{"replay", "-config", policy, "-html", folder, log}, "", 2, nil, []string{"is a folder: name a file"}},
		{[]string{"replay", "-config", policy, log, spoilt, folder + "/./access.log"}, "", 2, nil, []string{"/./access.log is given twice"}},
		{[]string{"replay", "-config", policy, "-html", log, nothing}, "", 2, nil, []string{"-html would write over " + log}},
		{[]string{"replay", "-config", "-", log}, `{"failure_rat": 5}`, 1, nil, []string{"did you mean failure_rate?"}},
		{[]string{"replay", "-config", "-", log}, `{"kind": "ConfigMap", "apiVersion": "v1"}`, 1, nil, []string{"no configuration of the circuit breaker is here"}},
		{[]string{"replay", "-config", "-", log}, `{"failure_rate": 0.5}`, 0, []string{"600 lines"}, []string{"warning: failure_rate: 0.5 is less than one percent"}},
		{[]string{"replay", log}, "", 2, nil, []string{"which policy? -config FILE", "usage: breakerctl replay"}},
		{[]string{"replay", "-config", policy}, "", 2, nil, []string{"which log?"}},
		{[]string{"replay", "-config", "-", "-"}, "", 2, nil, []string{"standard input is read once"}},
		{[]string{"replay", "-config", policy, "-horizon", "2h", log}, "", 2, nil, []string{"-horizon must be from 1s to 1h"}},
		{[]string{"replay", "-config", policy, "-max-in-flight", "5", log}, "", 2, nil, []string{"-max-in-flight must be 1000 or more"}},
		{[]string{"replay", "-config", policy, "-format", "apache", log}, "", 2, nil, []string{"apache"}},
		{[]string{"compare", "-config", policy, log}, "", 2, nil, []string{"-config FILE twice or more"}},
		{[]string{"replay", "-h"}, "", 0, nil, []string{"usage: breakerctl replay -config FILE LOG"}},
	} {
		c.test(t)
	}
	if _, err := os.Stat(page); err != nil {
		t.Error(err)
	}
}

// A report tells with which flags it was made, as far as it depends on them: else it could be merged with one that is another's.
func TestMadeWith(t *testing.T) {
	folder := files(t, map[string]string{"policy.json": "{}", "access.log": outage()})
	madeWith := func(flags ...string) string {
		var report struct {
			MadeWith string `json:"made_with"`
			Version  string
		}
		text := breakerctl(t, append([]string{"replay", "-json", "-config", folder + "/policy.json", folder + "/access.log"}, flags...)...)
		if err := json.Unmarshal([]byte(text), &report); err != nil || report.Version != versionText() {
			t.Fatalf("%v in %s", err, text)
		}
		return report.MadeWith
	}
	others := map[string][]string{
		"horizon": {"59s"}, "max-in-flight": {"1000"}, "recovery": nil, "format": {"json"}, "field": {"route=x"}, "cluster": {"some one"}, "instance-per-log": nil,
	}
	without := []string{"config", "html", "json", "strict"} // policies have fingerprints, and with -strict there is a report or none
	usual := madeWith()
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	setUpReplay(flags)
	flags.VisitAll(func(f *flag.Flag) {
		value, matters := others[f.Name]
		switch {
		case slices.Contains(without, f.Name):
		case !matters:
			t.Errorf("is a report another one with another -%s?", f.Name)
		case madeWith(append([]string{"-" + f.Name}, value...)...) == usual:
			t.Errorf("a report does not tell of -%s", f.Name)
		}
	})
	for want, flags := range map[string][]string{
		usual: {"-horizon", "60s", "-strict", "-html", folder + "/page.html"},
		`-horizon 1m0s -max-in-flight 500000 -format auto -field "grpc=x" -field "route=b" -field "route=a" -cluster "a \"b\""`: {"-field", "route=b", "-cluster", `a "b"`,
			"-field", "route=a", "-field", "grpc=x"},
	} {
		if got := madeWith(flags...); got != want {
			t.Errorf("%q are %q, want %q", flags, got, want)
		}
	}
}
