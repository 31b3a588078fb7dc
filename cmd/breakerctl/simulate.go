package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/scenario"
	"envoy-circuit-breaker/internal/simulate"
	"envoy-circuit-breaker/internal/text"
)

const simulateUsage = `SCENARIO is a file that says what load a service gets and how it fails, phase by phase; - is standard input.
Exits with 0 if all is well, 1 if a policy or the scenario is bad, 2 if called in a wrong way.
`

// A simulateFlagSet has the flags of simulate.
type simulateFlagSet struct {
	configurations list
	instances      int
	seed           uint64
	json           bool
	html, log      string
}

func setUpSimulate(flags *flag.FlagSet) func(*program) int {
	o := &simulateFlagSet{}
	flags.Var(&o.configurations, "config", "a `FILE` with a policy, - for standard input; several are put side by side; without it the defaults")
	flags.IntVar(&o.instances, "instances", 0, "how many Envoys there are, each with a breaker of its own; without it what the scenario says")
	flags.Uint64Var(&o.seed, "seed", 0, "another `N` has other luck: requests, jitter")
	flags.BoolVar(&o.json, "json", false, "write the report as JSON")
	flags.StringVar(&o.html, "html", "", "also write a page with a timeline to a `FILE`")
	flags.StringVar(&o.log, "log", "", "also write the requests, as without a breaker, to a `FILE`: an access log for replay and suggest")
	return o.run
}

func (o *simulateFlagSet) run(p *program) int {
	switch {
	case len(p.arguments) != 1:
		return p.misuse("which scenario? One file, - for standard input")
	case stdins(o.configurations, p.arguments) > 1:
		return p.misuse("standard input is read once")
	case o.instances < 0 || o.instances > scenario.MostInstances:
		return p.misuse("-instances must be from 1 to " + text.Grouped(scenario.MostInstances))
	case spoils(o.html):
		return p.misuse("-html would write over " + o.html + ", which is no page: name another file")
	case isThere(o.log):
		return p.misuse("-log would write over " + o.log + ": remove it, or name another file")
	}
	shown, content, err := p.open(p.arguments[0])
	if err != nil {
		return p.fail(err)
	}
	s, err := scenario.Read(shown, content)
	if err != nil {
		return p.fail(err)
	}
	if o.instances > 0 {
		s.Instances = o.instances
	}
	policies, err := o.policies(p)
	if err != nil {
		return p.fail(err)
	}
	if o.log != "" {
		if err := o.writeLog(s); err != nil {
			return p.fail(err)
		}
	}
	r := simulate.Run(s, simulate.Options{Name: filepath.Base(shown), Policies: policies, Seed: o.seed, Timeline: o.html != ""})
	return p.write(r, o.json, o.html)
}

func (o *simulateFlagSet) policies(p *program) ([]replay.Policy, error) {
	if len(o.configurations) > 0 {
		return p.policies(o.configurations)
	}
	defaults, err := config.Parse(nil)
	return []replay.Policy{{Name: "defaults", Config: defaults}}, err
}

func (o *simulateFlagSet) writeLog(s *scenario.Scenario) error {
	file, err := os.Create(o.log)
	if err != nil {
		return err
	}
	return errors.Join(s.WriteLog(file, o.seed, s.Instances), file.Close())
}

// isThere reports whether a file has something in it.
func isThere(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}
