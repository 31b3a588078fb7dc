package main

import (
	"errors"
	"flag"
	"io"
	"path/filepath"
	"strconv"

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
	flags.Func("instances", "`N` Envoys, each with a breaker of its own; without it as many as the scenario says", o.setInstances)
	flags.Uint64Var(&o.seed, "seed", 0, "another `N` has other luck: requests, jitter")
	flags.BoolVar(&o.json, "json", false, "write the report as JSON")
	flags.StringVar(&o.html, "html", "", "also write a page with a timeline to a `FILE`")
	flags.StringVar(&o.log, "log", "", "also write the requests, as without a breaker, to a `FILE`: an access log for replay and suggest")
	return o.run
}

func (o *simulateFlagSet) setInstances(value string) (err error) {
	if o.instances, err = strconv.Atoi(value); err != nil || o.instances < 1 || o.instances > scenario.MostInstances {
		return errors.New("must be from 1 to " + text.Grouped(scenario.MostInstances))
	}
	return nil
}

func (o *simulateFlagSet) run(p *program) int {
	switch {
	case len(p.arguments) != 1:
		return p.misuse("which scenario? One file, - for standard input")
	case stdins(o.configurations, p.arguments) > 1:
		return p.misuse("standard input is read once")
	case isThere(o.log):
		return p.misuse("-log would write over " + o.log + ": remove it, or name another file")
	case o.log != "" && o.log == o.html:
		return p.misuse("-log and -html are the same file")
	}
	if err := errors.Join(pageMisuse(o.html), outputMisuse("-log", o.log)); err != nil {
		return p.misuse(err.Error())
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
		if err := writeFile(o.log, func(w io.Writer) error { return s.WriteLog(w, o.seed) }); err != nil {
			return p.fail(err)
		}
	}
	bar := newBar(p.errors)
	r := simulate.Run(s, simulate.Options{
		Name: filepath.Base(shown), Policies: policies, Seed: o.seed, Timeline: o.html != "",
		Progress: bar.search,
	})
	bar.clear()
	return p.write(r, o.json, o.html)
}

func (o *simulateFlagSet) policies(p *program) ([]replay.Policy, error) {
	if len(o.configurations) > 0 {
		return p.policies(o.configurations)
	}
	defaults, err := config.Parse(nil)
	return []replay.Policy{{Name: "defaults", Config: defaults}}, err
}
