package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/report"
)

const short = `
cluster: payments
phases:
- { name: healthy, duration: 30s, rate: 20, latency: { p50: 20ms, p99: 80ms } }
- { name: outage, duration: 60s, failures: 100 }
- { name: recovered, duration: 60s }
`

func TestSimulate(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string { return writeTo(t, folder, name, text) }
	scenario, policy := write("short.yaml", short), write("policy.json", `{"consecutive_failures": 5, "slow_call": {"duration": "1s"}}`)
	wrong, bad := write("wrong.yaml", "phases:\n- {name: a, duration: 10s}\n"), write("bad.json", `{"failure_rate": 140}`)
	log, page, kept := filepath.Join(folder, "access.log"), filepath.Join(folder, "report.html"), write("kept.log", "somebody's\n")
	for _, c := range []call{
		{[]string{"simulate", scenario}, "", 0, []string{"short.yaml: 2,924 requests in 2m30s to 1 Envoy, seed 0.", "\nPHASE ", "closed -> open: "}, nil},
		{[]string{"simulate", "-"}, short, 0, []string{"stdin: 2,924 requests"}, nil},
		{[]string{"simulate", "-seed", "1", scenario}, "", 0, []string{"seed 1.", "payments     2,9"}, nil},
		{[]string{"simulate", "-instances", "3", scenario, "-config", policy, "-html", page, "-log", log}, "", 0, []string{"to 3 Envoys", "payments     8,"}, nil},
		{[]string{"simulate", "-config", policy, "-config", "-", scenario}, "{}", 0, []string{"\npayments  policy.json     2,924", "\noutage     policy.json", "\n           -  "}, nil},

		{[]string{"simulate"}, "", 2, nil, []string{"which scenario? One file, - for standard input"}},
		{[]string{"simulate", scenario, scenario}, "", 2, nil, []string{"which scenario? One file"}},
		{[]string{"simulate", "-config", "-", "-"}, "", 2, nil, []string{"standard input is read once"}},
		{[]string{"simulate", "-instances", "0", scenario}, "", 2, nil, []string{`invalid value "0" for flag -instances: must be from 1 to 100,000`}},
		{[]string{"simulate", "-instances", "100001", scenario}, "", 2, nil, []string{"must be from 1 to 100,000"}},
		{[]string{"simulate", "-instances", "many", scenario}, "", 2, nil, []string{"must be from 1 to 100,000"}},
		{[]string{"simulate", "-html", "-", scenario}, "", 2, nil, []string{"-html needs a file, and - is none"}},
		{[]string{"simulate", "-html", folder, scenario}, "", 2, nil, []string{"is a folder: name a file"}},
		{[]string{"simulate", "-log", log + "2", "-html", log + "2", scenario}, "", 2, nil, []string{"-log and -html are the same file"}},
		{[]string{"simulate", "-html", policy, scenario}, "", 2, nil, []string{"-html would write over " + policy}},
		{[]string{"simulate", "-log", kept, scenario}, "", 2, nil, []string{"-log would write over " + kept + ": remove it, or name another file"}},
		{[]string{"simulate", filepath.Join(folder, "none.yaml")}, "", 1, nil, []string{"none.yaml: no such file"}},
		{[]string{"simulate", wrong}, "", 1, nil, []string{wrong + ":2: phases[0].rate: is missing: must be given in the first phase, such as 20"}},
		{[]string{"simulate", "-config", bad, scenario}, "", 1, nil, []string{"failure_rate: 140 is not allowed"}},
		{[]string{"simulate", "-log", filepath.Join(folder, "none", "x"), scenario}, "", 2, nil, []string{"there is no folder "}},
	} {
		c.test(t)
	}
	if _, err := os.Stat(log + "2"); err == nil {
		t.Error("what was called in a wrong way has written a file")
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "Share of the 3 breakers") {
		t.Error("the page: ", err)
	}

	// The log that was written tells replay the same.
	both := func(arguments ...string) (r report.Report) {
		var out, errs strings.Builder
		if exit := run(arguments, strings.NewReader(""), &out, &errs); exit != 0 {
			t.Fatalf("%q: %s", arguments, errs.String())
		}
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	simulated := both("simulate", "-instances", "3", "-config", policy, "-json", scenario)
	replayed := both("replay", "-field", "instance=instance", "-config", policy, "-json", log)
	got, want := simulated.Policies[0].Total, replayed.Policies[0].Total
	if got.Requests != want.Requests || got.Rejected != want.Rejected || got.Trips != want.Trips || want.Trips < 3 || len(simulated.Policies[0].Fleet) != 3 {
		t.Errorf("simulated %+v\nreplayed  %+v", got, want)
	}
}

// A pipe that nobody reads any more ends it.
func TestSimulateIntoAClosedPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if reader, err := os.Open(pipe); err == nil {
			reader.Read(make([]byte, 1))
			reader.Close()
		}
	}()
	ended := make(chan int, 1)
	var out, errs strings.Builder
	go func() {
		ended <- run([]string{"simulate", "-log", pipe, "-instances", "100", "-"}, strings.NewReader(short), &out, &errs)
	}()
	select {
	case exit := <-ended:
		if exit != failed || !strings.Contains(errs.String(), "broken pipe") {
			t.Errorf("exits with %d: %s", exit, errs.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
	}
}
