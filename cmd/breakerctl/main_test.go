package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	write := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("good.json", `{"clusters": [{"match": "pay*"}, {"match": "web"}]}`)
	bad := write("bad.json", "{\n\"failure_rat\": 5,\n\"min_requests\": 0}")
	odd := write("odd.json", `{"failure_rate": 0.5}`)
	clusters := write("clusters", "payments::default_priority::max_connections::1024\nother::default_priority::max_connections::1024\n")
	for _, c := range []struct {
		arguments []string
		in        string
		exit      int
		out, errs string
	}{
		{[]string{"check", good}, "", 0, "", ""},
		{[]string{"check", bad}, "", 1, bad + ":2: failure_rat: unknown key with value 5: did you mean failure_rate?\n" +
			bad + ":3: min_requests: 0 is not allowed: must be from 1 to 1000000\n", ""},
		{[]string{"check", odd}, "", 0, odd + ":1: warning: failure_rate: 0.5 is less than one percent: did you mean 50?\n", ""},
		{[]string{"check", bad, good, "-"}, `{"ramp": 5}`, 1, "stdin:1: ramp: 5 is not allowed", ""},
		{[]string{"check", "-"}, `{}`, 0, "", ""},
		{[]string{"check", "-", good}, `{"kind": "ConfigMap", "apiVersion": "v1"}`, 0, "stdin: warning: no configuration of the circuit breaker is here\n", ""},
		{[]string{"check", "-"}, `{"kind": "ConfigMap", "apiVersion": "v1"}`, 1, "stdin: no configuration of the circuit breaker is here\n", ""},
		{[]string{"check", good + ".none"}, "", 1, "", "breakerctl: open " + good + ".none: no such file"},
		{[]string{"check"}, "", 2, "", "breakerctl: which file?"},
		{[]string{"check", "-x"}, "", 2, "", "flag provided but not defined: -x"},
		{[]string{"check", "-h"}, "", 0, "", "usage: breakerctl check FILE"},
		{[]string{"explain", "-config", good, "payments"}, "", 0, "failure_rate                 50                    default\n", ""},
		{[]string{"explain", "--config", good, "--clusters", clusters}, "", 0, "clusters[1], match \"web\"", ""},
		{[]string{"explain", "-config", good, "-clusters", clusters, "web"}, "", 0, "clusters without an override:\n  other\n", ""},
		{[]string{"explain", "-config", "-", "x"}, `{"failure_rate": 0.5}`, 0, "failure_rate                 0.5                   top level, stdin:1\n", ""},
		{[]string{"explain", "-config", "../../envoy.yaml", "catalog"}, "", 0, "envoy.yaml:91, plugin breaker\ncatalog: clusters[0], match \"catalog\"", ""},
		{[]string{"explain", "-config", bad, "x"}, "", 1, "min_requests: 0 is not allowed", ""},
		{[]string{"explain", "-config", good, "-clusters", bad}, "", 1, "", "no clusters are in it"},
		{[]string{"explain", "web", "-config", good, "payments"}, "", 0, "payments: clusters[0], match \"pay*\"", ""},
		{[]string{"explain", "-config", good, "--", "-x"}, "", 0, "-x: ", ""},
		{[]string{"explain", "web", "-config", good, "-x"}, "", 2, "", "flag provided but not defined: -x"},
		{[]string{"explain", "-config", "-", "-clusters", "-"}, "{}", 2, "", "breakerctl: standard input is read once"},
		{[]string{"check", "-", "-"}, "{}", 2, "", "breakerctl: standard input is read once"},
		{[]string{"explain", "-config", good}, "", 2, "", "which cluster?"},
		{[]string{"explain", "x"}, "", 2, "", "which configuration?"},
		{[]string{"version"}, "", 0, "breakerctl dev, revision ", ""},
		{[]string{"version", "x"}, "", 2, "", "version takes no arguments"},
		{nil, "", 2, "", "usage: breakerctl COMMAND"},
		{[]string{"help"}, "", 0, "explain  Show which policy", ""},
		{[]string{"chek"}, "", 2, "", `breakerctl: "chek" is no command`},
	} {
		var out, errs strings.Builder
		exit := run(c.arguments, strings.NewReader(c.in), &out, &errs)
		if exit != c.exit || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) ||
			c.out == "" && out.Len() > 0 || c.errs == "" && errs.Len() > 0 {
			t.Errorf("%q: exits with %d\n%s%s", c.arguments, exit, &out, &errs)
		}
	}
}

// A filter that only shows the status page has no breakers to explain.
func TestExplainLeavesOutTheStatusPage(t *testing.T) {
	var out, errs strings.Builder
	if exit := run([]string{"explain", "-config", "../../envoy.yaml", "catalog"}, nil, &out, &errs); exit != 0 || strings.Count(out.String(), ", plugin ") != 1 {
		t.Errorf("exits with %d\n%s%s", exit, &out, &errs)
	}
}
