package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/check"
	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
)

// logUsage is what the usage of replay and compare says beside the flags.
const logUsage = `LOG is an access log of Envoy's, plain, gzip or zstd; - is standard input. Of several, the order does not matter.
Exits with 0 if all is well, 1 if a policy or a log is bad, 2 if called in a wrong way.
`

func setUpReplay(flags *flag.FlagSet) func(*program) int {
	configuration := flags.String("config", "", "the `FILE` with the policy, - for standard input")
	o := replayFlags(flags)
	return func(p *program) int {
		if *configuration == "" {
			return p.misuse("which policy? -config FILE")
		}
		return o.run(p, []string{*configuration})
	}
}

func setUpCompare(flags *flag.FlagSet) func(*program) int {
	var configurations list
	flags.Var(&configurations, "config", "a `FILE` with a policy, - for standard input; give it twice or more")
	o := replayFlags(flags)
	return func(p *program) int {
		if len(configurations) < 2 {
			return p.misuse("which policies? -config FILE twice or more")
		}
		return o.run(p, configurations)
	}
}

// A list is a flag that can be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// A replayFlagSet has the flags of replay and compare but -config.
type replayFlagSet struct {
	logFlagSet
	html           string
	recovery, json bool
	horizon        time.Duration
	maxInFlight    int
}

func replayFlags(flags *flag.FlagSet) *replayFlagSet {
	o := &replayFlagSet{}
	o.add(flags)
	flags.DurationVar(&o.horizon, "horizon", time.Minute, "a `DURATION`: how long requests last, plus what lines are out of order by; later lines are counted and left out")
	flags.IntVar(&o.maxInFlight, "max-in-flight", 500_000, "hold at most `N` requests to put them in order, about 120 bytes each; where there are more, the horizon shrinks")
	flags.BoolVar(&o.recovery, "recovery", false, "let trials end as any request of their breaker did in the second before, and not as they did themselves")
	flags.BoolVar(&o.json, "json", false, "write the report as JSON")
	flags.StringVar(&o.html, "html", "", "also write a page with a timeline of each breaker to a `FILE`")
	return o
}

func (o *replayFlagSet) run(p *program, configurations []string) int {
	logs := p.arguments
	switch {
	case len(logs) == 0:
		return p.misuse("which log? - is standard input")
	case stdins(configurations, logs) > 1:
		return p.misuse("standard input is read once")
	case o.horizon < time.Second || o.horizon > report.MostHorizon:
		return p.misuse("-horizon must be from 1s to 1h")
	case o.maxInFlight < 1000:
		return p.misuse("-max-in-flight must be 1000 or more")
	case again(logs) != "":
		return p.misuse(again(logs) + " is given twice: its requests would count twice")
	}
	if err := errors.Join(o.parse(), pageMisuse(o.html)); err != nil {
		return p.misuse(err.Error())
	}
	policies, err := p.policies(configurations)
	if err != nil {
		return p.fail(err)
	}
	r := replay.New(replay.Options{Policies: policies, Horizon: o.horizon, MaxInFlight: o.maxInFlight, Recovery: o.recovery, Timeline: o.html != ""})
	sources, err := o.read(p, logs, func(e *accesslog.Entry) error { r.Add(e); return nil }, r.Broken)
	if err != nil {
		return p.fail(err)
	}
	r.Logs(sources)
	report := r.Finish()
	report.Version, report.MadeWith = versionText(), o.madeWith()
	if err := wasRead(report.Lines, report.Broken); err != nil {
		return p.fail(err)
	}
	return p.write(report, o.json, o.html)
}

// madeWith is how the flags would be given that the report of a log depends on, each of them once and in one order.
func (o *replayFlagSet) madeWith() string {
	s := fmt.Sprintf("-horizon %v -max-in-flight %d", o.horizon, o.maxInFlight)
	if o.recovery {
		s += " -recovery"
	}
	s += " -format " + o.format
	fields := slices.Clone(o.fields)
	slices.SortStableFunc(fields, func(a, b string) int { // of a field that is given twice the last counts
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	for _, field := range fields {
		s += fmt.Sprintf(" -field %q", field)
	}
	if o.cluster != "" {
		s += fmt.Sprintf(" -cluster %q", o.cluster)
	}
	if o.instances {
		s += " -instance-per-log"
	}
	return s
}

// stdins is how many of the names are standard input.
func stdins(names ...[]string) (n int) {
	for _, name := range slices.Concat(names...) {
		if name == "-" {
			n++
		}
	}
	return n
}

// again returns the first log that is the same file as one before it; "" if there is none.
func again(logs []string) string {
	var files []os.FileInfo
	for _, name := range logs {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if slices.ContainsFunc(files, func(f os.FileInfo) bool { return os.SameFile(f, info) }) {
			return name
		}
		files = append(files, info)
	}
	return ""
}

// policies reads configurations, each with a name that tells it from the others.
func (p *program) policies(files []string) (policies []replay.Policy, err error) {
	for _, file := range files {
		c, err := p.policy(file)
		if err != nil {
			return nil, err
		}
		policies = append(policies, replay.Policy{Name: file, Config: c})
	}
	short := map[string]int{}
	for _, file := range files {
		short[filepath.Base(file)]++
	}
	for i, file := range files {
		if base := filepath.Base(file); short[base] == 1 {
			policies[i].Name = base
		}
	}
	return policies, nil
}

// policy reads the one configuration that a file has, and says what is wrong with it.
func (p *program) policy(name string) (*config.Config, error) {
	plugin, err := p.plugin(name)
	if err != nil {
		return nil, err
	}
	return plugin.Config, nil
}

// plugin finds the one configuration that a file has, and says what is wrong with it.
func (p *program) plugin(name string) (*check.Plugin, error) {
	file, err := p.read(name)
	if err != nil {
		return nil, err
	}
	for _, finding := range file.Findings {
		fmt.Fprintln(p.errors, finding)
	}
	if file.HasErrors() {
		return nil, fmt.Errorf("%s: not a configuration to replay with", file.Name)
	}
	var found *check.Plugin
	for _, plugin := range file.Plugins {
		switch {
		case plugin.IsStatusPage() && len(file.Plugins) > 1:
		case found != nil:
			return nil, fmt.Errorf("%s has several configurations, the second at %s: put the one to replay with in a file of its own", file.Name, plugin.Place())
		default:
			found = plugin
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s has no configuration of a breaker", file.Name)
	}
	return found, nil
}
