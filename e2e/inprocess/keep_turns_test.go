package inprocess_test

import (
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

// Steps of TestInvalidTurns: "+NAME" loads a configuration, "-NAME" removes the oldest plugin with it, "again NAME" is a virtual
// machine that is loaded again, and a duration passes. "=0" and "=1" say what the gauge reads then.
var turnConfigs = map[string]string{"a": forty, "b": five, "c": other, "z": wrong, "y": alsoWrong, "status": statusOnly,
	"wrong-status": `{"invalid_config": "keep", "status": {"path": "/status", "color": "red"}}`}

// The gauge tells whether the configuration that was loaded last does not hold. Whatever starts again beside it changes nothing.
func TestInvalidTurns(t *testing.T) {
	for name, test := range map[string]struct {
		steps    string
		lines    int    // critical ones in the end
		minimum  string // requests of the policy in force in the end
		newTurns int    // configurations that were loaded, in the log
	}{
		"corrected":                             {"+a =0 +z =1 30s =1 +b =0 1s =0 30s =0", 1, "5", 2},
		"corrected, while the wrong one drains": {"+a +z +b =0 again z =0 30s =0 again z again b again a =0", 1, "5", 2},
		"taken back after a while":              {"+a +z -a 10s =1 +a =0 -z 10s =0", 1, "40", 2},
		"taken back after some seconds":         {"+a +z -a 6s =1 +a =0 -z 10s =0", 1, "40", 2},
		"taken back after a while, draining":    {"+a +z -a 10s =1 +a =0 again z 10s =0 again z =0", 1, "40", 2},
		"taken back at once":                    {"+a +z -a 500ms +a =1 -z 8s =0 again a =0", 1, "40", 1},
		"taken back, both drain":                {"+a +z 10s +a =1 10s -z 8s =0 -a 10s =0", 1, "40", 1},
		"good, wrong, good, taken back":         {"+a +z -a 10s =1 +b =0 -z 10s =0 +a =0 10s =0 -b 10s =0", 1, "40", 3},
		"wrong, and wrong otherwise":            {"+a +z -a 1s +y =1 -z 10s =1 again y =1 +b =0", 2, "5", 2},
		"wrong, taken back, wrong":              {"+a +z -a 10s +a -z 10s =0 +z =1", 2, "40", 2},
		"another listener is loaded again":      {"+a +z again a =1 again z =1 10s again a again a =1", 1, "40", 1},
		"another, older listener":               {"+b +a +z again b =1 again a =1 10s =1 -b 10s =1", 1, "40", 2},
		"a status page beside it":               {"+a +z +status =1 10s =1 again status =1 -z 8s =0", 1, "40", 1},
		"the status page's is wrong":            {"+a +status -status +wrong-status =1 again a =1 10s =1 +status =1 -wrong-status 8s =0", 1, "40", 1},
		"removed beside a good one":             {"+a +z -z 8s =0 10m =0 again a =0", 1, "40", 1},
		"removed, and nothing is left":          {"+a +z -a 10s -z 90s =0", 1, "40", 1},
		"removed but for a status page":         {"+status +z -z 90s =0", 1, "", 0},
		"wrong at the start":                    {"+z =1 again z 30s =1 +b =0 1s =0", 1, "5", 1},
		"what corrected it is gone":             {"+a +z +b =0 -b 8s =1", 1, "5", 2},
		"the process stands still":              {"+a +z frozen =1 3s =1 again a =1 frozen again z again a =1 3s =1", 1, "40", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWorkers(t, wasmhost.Options{Workers: 3, Plugin: "main"}) // another plugin, for time to pass by
			live := map[string][]*wasmhost.Plugin{}
			again := false
			done := ""
			for step := range strings.FieldsSeq(test.steps) {
				done += " " + step
				config := strings.TrimLeft(step, "+-")
				switch {
				case again:
					w.remove(w.add("breaker", turnConfigs[step]))
					again = false
				case step == "again":
					again = true
				case step == "frozen":
					w.frozen(0, time.Minute)
				case step[0] == '+':
					p := w.add("breaker", turnConfigs[config])
					live[config] = append(live[config], p)
					if config == "a" || config == "b" {
						w.through(p, 0, 200)
					}
				case step[0] == '-':
					w.remove(live[config][0])
					live[config] = live[config][1:]
				case step[0] == '=':
					w.wantInvalid(done, step == "=1", nil)
				default:
					d, err := time.ParseDuration(step)
					if err != nil {
						t.Fatal(err)
					}
					w.advance(d)
				}
			}
			if w.refusals() != test.lines {
				t.Errorf("%d critical lines, want %d", w.refusals(), test.lines)
			}
			if n := w.logged("configuration loaded: ") - w.logged("min_requests=20 "); n != test.newTurns {
				t.Errorf("%d lines of good configurations, want %d", n, test.newTurns)
			}
			if n := w.logged("in force again"); n != 0 {
				t.Errorf("%d lines say that a configuration is in force again, which none has ceased to be", n)
			}
			if test.minimum != "" {
				w.wantPolicy(`"min_requests":` + test.minimum + ",")
			}
			if t.Failed() {
				t.Log(w.Logs())
			}
		})
	}
}
