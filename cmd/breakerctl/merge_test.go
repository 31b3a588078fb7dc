package main

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A logLine is a line of a log, and what it is split by.
type logLine struct{ text, cluster, pod string }

// busyLog is a minute of three Envoys' requests, in the order of their ends, as envoy.yaml's format has them and the pod beside. Some
// clusters' lines have fields that others' lack.
func busyLog(seed uint64) []logLine {
	random := rand.New(rand.NewPCG(seed, 0))
	begin := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	type request struct {
		logLine
		end time.Duration
	}
	var requests []request
	add := func(cluster, pod string, every time.Duration, line func(at time.Duration) (status, took int, more string)) {
		for at := time.Duration(random.IntN(100)) * time.Millisecond; at < time.Minute; at += every + time.Duration(random.IntN(20))*time.Millisecond {
			status, took, more := line(at)
			details, name := "via_upstream", fmt.Sprintf("%q", cluster)
			switch random.IntN(200) {
			case 0:
				status, details = 503, "circuit_breaker_open"
			case 1:
				status, details, name = 301, "direct_response", "null"
			}
			text := fmt.Sprintf(`{"attempts":%d,"cluster":%s,"details":%q,"duration_ms":%d,"flags":"-","method":"GET","pod":%q,"request_ms":0,"response_ms":%d,`+
				`"status":%d,"time":%q%s}`, 1+random.IntN(2), name, details, took, pod, took, status, begin.Add(at).Format("2006-01-02T15:04:05.000Z"), more)
			requests = append(requests, request{logLine{text, cluster, pod}, at + time.Duration(took)*time.Millisecond})
		}
	}
	status := func(bad bool) int {
		if bad {
			return 503
		}
		return 200
	}
	for _, pod := range []string{"envoy-a", "envoy-b", "envoy-c"} {
		add("steady", pod, 150*time.Millisecond, func(time.Duration) (int, int, string) {
			return status(random.IntN(50) == 0), random.IntN(20), `,"grpc_status":null`
		})
		add("dies", pod, 60*time.Millisecond, func(at time.Duration) (int, int, string) { return status(at > 40*time.Second), random.IntN(9), "" })
		add("slow", pod, 80*time.Millisecond, func(at time.Duration) (int, int, string) {
			return 200, random.IntN(200) + int(at%(20*time.Second)/(10*time.Second))*400, ""
		})
		add("flaps", pod, map[string]time.Duration{"envoy-a": 12 * time.Millisecond}[pod]+5*time.Millisecond, func(time.Duration) (int, int, string) {
			return status(random.IntN(2) == 0), random.IntN(3), ""
		})
		add("shop", pod, 50*time.Millisecond, func(at time.Duration) (int, int, string) {
			return status(at%(30*time.Second) < 8*time.Second && random.IntN(4) > 0), random.IntN(50), fmt.Sprintf(`,"route":%q`, []string{"cart", "reports-daily", ""}[random.IntN(3)])
		})
	}
	slices.SortStableFunc(requests, func(a, b request) int { return int(a.end - b.end) })
	lines := make([]logLine, len(requests))
	for i, r := range requests {
		lines[i] = r.logLine
	}
	return lines
}

// meshLog is a log of one cluster in Istio's text, which lacks other fields.
func meshLog(cluster string) (text string) {
	begin := time.Date(2026, 11, 24, 9, 59, 50, 0, time.UTC)
	for i := range 300 {
		text += fmt.Sprintf(`[%s] "GET / HTTP/1.1" %d - via_upstream - "-" 0 2 %d 1 "-" "curl" "id" "mesh" "10.0.0.1:80" %s 10.0.0.2:5 10.0.0.1:80 10.0.0.2:5 - default`+"\n",
			begin.Add(time.Duration(i)*100*time.Millisecond).Format("2006-01-02T15:04:05.000Z"), 200+300*(i/100%2), i%7, cluster)
	}
	return text
}

const perRoute = `{"min_requests": 5, "clusters": [
	{"match": "none"},
	{"match": "flaps", "consecutive_failures": 1, "open": {"duration": "10ms", "multiplier": 1, "max_duration": "10ms"}, "half_open": {"max_requests": 1, "success_threshold": 1}},
	{"match": "shop", "route": "reports*", "failure_rate": 30},
	{"match": "shop", "per": "route"},
	{"match": "stead?"}
]}`

const slowCalls = `{"min_requests": 10, "slow_call": {"duration": "300ms", "rate": 40}, "open": {"duration": "2s"}, "clusters": [{"match": "steady"}, {"match": "dies"}, {"match": "other"}]}`

// files writes files into a directory of the test's.
func files(t *testing.T, texts map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// breakerctl runs a command that must succeed.
func breakerctl(t *testing.T, arguments ...string) string {
	t.Helper()
	var out, errs strings.Builder
	if exit := run(arguments, strings.NewReader(""), &out, &errs); exit != ok {
		t.Fatalf("%q: exits with %d: %s", arguments, exit, &errs)
	}
	return out.String()
}

// However a log is split, by cluster, by Envoy or by both, the reports of its parts make the report of the whole, byte for byte, in
// whatever order, and after whatever merges.
func TestMergeIsExact(t *testing.T) {
	const parts = 8
	splits := map[string]func(logLine) string{
		"by cluster": func(l logLine) string { return l.cluster },
		"by Envoy":   func(l logLine) string { return l.pod },
		"by both":    func(l logLine) string { return l.cluster + l.pod },
	}
	for seed := range uint64(3) {
		lines := busyLog(seed)
		texts := map[string]string{"per-route.json": perRoute, "slow-calls.json": slowCalls, "mesh.txt": meshLog("mesh-0") + meshLog("mesh-1")}
		var whole strings.Builder
		for _, l := range lines {
			whole.WriteString(l.text + "\n")
		}
		texts["whole.log"] = whole.String()
		folder := files(t, texts)
		file := func(name string) string { return filepath.Join(folder, name) }
		command := []string{"compare", "-config", file("per-route.json"), "-config", file("slow-calls.json"), "-field", "instance=pod"}
		if seed == 1 {
			command = []string{"replay", "-config", file("per-route.json"), "-field", "instance=pod", "-recovery"}
		}
		replay := func(more ...string) string { return breakerctl(t, append(slices.Clone(command), more...)...) }
		if seed == 2 { // text is no JSON whose fields have names
			command = command[:len(command)-2]
		}
		logs := []string{file("whole.log")}
		if seed == 2 {
			logs = append(logs, file("mesh.txt"))
		}
		want, wantText := replay(append([]string{"-json"}, logs...)...), replay(logs...)
		for _, has := range []string{`"transitions_left_out": `, `"state": "open"`, `"already_rejected": [1-9]`, `"without_cluster": [1-9]`, `"route": "reports-daily"`, `"unmatched_overrides": `} {
			if !regexp.MustCompile(has).MatchString(want) {
				t.Fatalf("seed %d: the whole log's report has no %s, so that this test is not about it", seed, has)
			}
		}
		for name, key := range splits {
			if seed == 2 && name != "by cluster" { // its lines are all of one Envoy
				continue
			}
			split := make([]strings.Builder, parts)
			for _, l := range lines {
				h := fnv.New32a()
				h.Write([]byte(key(l)))
				split[h.Sum32()%parts].WriteString(l.text + "\n")
			}
			var reports []string
			put := func(name, text string) string {
				if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return file(name)
			}
			for i := range split {
				var logs []string
				if split[i].Len() > 0 {
					logs = append(logs, put(fmt.Sprintf("%d.log", i), split[i].String()))
				}
				if seed == 2 && i < 2 {
					logs = append(logs, put(fmt.Sprintf("mesh-%d.txt", i), meshLog(fmt.Sprintf("mesh-%d", i))))
				}
				if len(logs) > 0 {
					reports = append(reports, put(fmt.Sprintf("%d.json", i), replay(append([]string{"-json"}, logs...)...)))
				}
			}
			same := func(how, got, want string) {
				t.Helper()
				if got != want {
					t.Errorf("seed %d, split %s in %d: %s is not the report of the whole\n%.2000s\nwant\n%.2000s", seed, name, len(reports), how, got, want)
				}
			}
			merge := func(more ...string) string { return breakerctl(t, append([]string{"merge", "-json"}, more...)...) }
			same("what is merged", merge(reports...), want)
			same("its text", breakerctl(t, append([]string{"merge"}, reports...)...), wantText)
			random := rand.New(rand.NewPCG(seed, 7))
			random.Shuffle(len(reports), func(i, j int) { reports[i], reports[j] = reports[j], reports[i] })
			same("what is merged in another order", merge(reports...), want)
			first, rest := put("first.json", merge(reports[:2]...)), put("rest.json", merge(reports[2:]...))
			same("what is merged of what was merged", merge(rest, first), want)
			same("the merge of one", merge(put("whole.json", want)), want)
		}
	}
}

// What cannot be merged exactly is not merged, and the error says what to do.
func TestMergeErrors(t *testing.T) {
	line := func(cluster string) string { return strings.ReplaceAll(outage(), "payments", cluster) }
	folder := files(t, map[string]string{
		"policy.json": `{"min_requests": 10}`, "few.json": `{"max_breakers": 1}`, "other.json": `{"min_requests": 11}`,
		"pay.log": line("payments"), "shop.log": line("shop"), "broken.log": "what is this?\n" + line("search"),
		"nowhere.log": strings.ReplaceAll(outage(), `"payments"`, "null"), "empty.json": "\n", "some.txt": "no JSON", "status.json": `{"at": "2026-11-24T10:00:00Z", "envoys": []}`,
	})
	file := func(name string) string { return filepath.Join(folder, name) }
	put := func(name, text string) string {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	replay := func(name, policy, log string, more ...string) string {
		return put(name, breakerctl(t, append([]string{"replay", "-json", "-config", file(policy), file(log)}, more...)...))
	}
	pay, shop := replay("pay.json", "policy.json", "pay.log"), replay("shop.json", "policy.json", "shop.log")
	text, err := os.ReadFile(shop)
	if err != nil {
		t.Fatal(err)
	}
	change := func(name, old, by string) string {
		if !strings.Contains(string(text), old) {
			t.Fatalf("there is no %s in %s", old, text)
		}
		return put(name, strings.Replace(string(text), old, by, 1))
	}
	renamed := files(t, map[string]string{"policy.json": `{"min_requests": 12}`})
	const again = "make it again, by this breakerctl with -json"
	for _, c := range []struct {
		arguments []string
		in        string
		exit      int
		errs      string
	}{
		{nil, "", 2, "which reports?"},
		{[]string{pay, "-", shop, "-"}, "", 2, "standard input is read once"},
		{[]string{pay, shop, folder + "/./pay.json"}, "", 2, "/./pay.json is given twice: its requests would count twice"},
		{[]string{pay, folder + "/none.json"}, "", 1, "no such file"},
		{[]string{pay, file("empty.json")}, "", 1, "empty.json is empty: the command that was to write it has failed"},
		{[]string{pay, file("some.txt")}, "", 1, "some.txt is no report: invalid character"},
		{[]string{pay, file("status.json")}, "", 1, "status.json is no report of replay or compare"},
		{[]string{pay, put("simulated.json", breakerctl(t, "simulate", "-json", "-config", file("policy.json"), "../../examples/scenarios/outage.yaml"))}, "", 1,
			"simulated.json is the report of a simulation, which has no parts"},
		{[]string{pay, "-"}, string(text) + string(text), 1, "stdin is no report: invalid character '{' after top-level value: " + again},
		{[]string{pay, change("unknown.json", `"recovery": false,`, `"recovery": false,`+"\n"+`  "surprise": 5,`)}, "", 1,
			"unknown.json is not as it was written, or by another version: " + again},
		{[]string{pay, change("missing.json", `  "recovery": false,`+"\n", "")}, "", 1, again},
		{[]string{pay, change("changed.json", `"requests": 600`, `"requests": 601`)}, "", 1, "changed.json is not as it was written"},
		{[]string{pay, change("state.json", `"state": "closed"`, `"state": "open"`)}, "", 1, "state.json is not as it was written"},
		{[]string{pay, change("digest.json", `"digest": "`, `"digest": "0`)}, "", 1, "digest.json is not as it was written"},
		{[]string{pay, change("noted.json", "are assumed to have ended", "ended")}, "", 1, "noted.json is not as it was written"},
		{[]string{pay, replay("again.json", "policy.json", "pay.log")}, "", 1,
			file("again.json") + " is the same report as " + pay + ", whose lines would count twice: leave one out"},
		{[]string{pay, replay("more.json", "policy.json", "pay.log", file("shop.log"))}, "", 1,
			"pay.json and " + file("more.json") + " both have the breaker of payments. If they are of the same lines, or one is left over from an earlier run, " +
				"leave it out; else each had only some of its requests: split the log by cluster or by Envoy"},
		{[]string{pay, replay("named.json", "other.json", "shop.log")}, "", 1, "pay.json and " + file("named.json") + " cannot be merged: policy 1 is policy.json in one, other.json in the other"},
		{[]string{pay, put("renamed.json", breakerctl(t, "replay", "-json", "-config", renamed+"/policy.json", file("shop.log")))}, "", 1,
			"cannot be merged: policy.json is another configuration in one than in the other: make both with the same policies and flags"},
		{[]string{pay, replay("recovery.json", "policy.json", "shop.log", "-recovery")}, "", 1,
			"cannot be merged: one was made with -horizon 1m0s -max-in-flight 500000 -format auto, " +
				"the other with -horizon 1m0s -max-in-flight 500000 -recovery -format auto: make both with the same policies and flags"},
		{[]string{pay, put("two.json", breakerctl(t, "compare", "-json", "-config", file("policy.json"), "-config", file("few.json"), file("shop.log")))}, "", 1,
			"one has 1 of the policies, the other 2"},
		{[]string{replay("few-a.json", "few.json", "pay.log"), replay("few-b.json", "few.json", "shop.log")}, "", 1,
			"with shop there are more breakers than max_breakers (1) of few.json, and parts do not tell which would have been the first. Split the log by Envoy"},
		{[]string{replay("inst-a.json", "few.json", "pay.log", "-field", "instance=route"), replay("inst-b.json", "few.json", "shop.log", "-field", "instance=route")}, "", 1,
			"inst-b.json: with shop on all there are more breakers of all than max_breakers (1) of few.json"},
		{[]string{"-h"}, "", 0, "usage: breakerctl merge REPORT…"},
		{[]string{pay, "-"}, string(text), 0, ""},
		{[]string{pay, replay("broken.json", "policy.json", "broken.log"), replay("nowhere.json", "policy.json", "nowhere.log")}, "", 0, ""},
	} {
		var out, errs strings.Builder
		exit := run(append([]string{"merge"}, c.arguments...), strings.NewReader(c.in), &out, &errs)
		if exit != c.exit || !strings.Contains(errs.String(), c.errs) || (c.errs == "") != (errs.Len() == 0) || (out.Len() > 0) != (c.errs == "") {
			t.Errorf("%q: exits with %d, want %d and %s\n%s%s", c.arguments, exit, c.exit, c.errs, &out, &errs)
		}
	}
}

// The commands of the documentation split a log, and make the report of the whole. They have more clusters than parts, lines without a
// cluster and one that is Envoy's own log.
func TestMergeInTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n## Beyond one machine\n.*?```sh\n(.*?)```\n").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/replay.md does not say how to split a log")
	}
	var log strings.Builder
	for i, l := range busyLog(5) {
		if i == 1 { // among the first, so that it would have a part of its own
			log.WriteString("[2026-11-24 10:00:00.000][1][info][main] starting main dispatch loop\n")
		}
		log.WriteString(l.text + "\n" + strings.Replace(l.text, `"cluster":"`, `"cluster":"other-`, 1) + "\n")
	}
	folder := files(t, map[string]string{"access.log": log.String(), "policy.json": slowCalls})
	program := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(program, "breakerctl"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	shell := exec.Command("sh", "-eu", "-c", string(block[1]))
	shell.Dir, shell.Env = folder, append(os.Environ(), "PATH="+program+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := shell.CombinedOutput(); err != nil || !regexp.MustCompile(`^breakerctl: parts/1\.log:\d+: is no JSON.*\n$`).Match(out) {
		t.Fatalf("%s%v: %s", block[1], err, out)
	}
	if parts, _ := filepath.Glob(filepath.Join(folder, "parts/*.log")); len(parts) != 8 {
		t.Errorf("the parts are %q", parts)
	}
	// This test's own version is another.
	replay := exec.Command(filepath.Join(program, "breakerctl"), "replay", "-json", "-format", "json", "-config", "policy.json", "access.log")
	replay.Dir = folder
	want, err := replay.Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	body := func(report []byte) string { // but for what tells the broken line's place
		text, _, _ := strings.Cut(string(report), `"digest"`)
		return regexp.MustCompile(`"file": ".*",\n *"line": \d+`).ReplaceAllString(text, "somewhere")
	}
	if body(got) != body(want) || strings.Count(body(got), "somewhere") != 1 {
		t.Errorf("got\n%.2000s\nwant\n%.2000s", got, want)
	}
	if out, err := exec.Command("sh", "-c", "cd \"$1\" && "+string(block[1]), "sh", folder).CombinedOutput(); err == nil || !strings.Contains(string(out), "parts") {
		t.Errorf("once more, over what is there: %v: %s", err, out)
	}
}
