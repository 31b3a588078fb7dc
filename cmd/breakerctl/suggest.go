package main

import (
	"encoding/json"
	"errors"
	"flag"
	"slices"
	"strconv"
	"strings"
	"time"

	"envoy-circuit-breaker/internal/accesslog"
	"envoy-circuit-breaker/internal/suggest"
)

// A suggestFlagSet has the flags of suggest.
type suggestFlagSet struct {
	logFlagSet
	configuration string
	maxLost       percent
	slow, outage  time.Duration
	maxRequests   int
	json          bool
}

func setUpSuggest(flags *flag.FlagSet) func(*program) int {
	o := &suggestFlagSet{maxLost: 5}
	o.add(flags)
	flags.StringVar(&o.configuration, "config", "", "the `FILE` with the policy to start from, - for standard input: keys that are not searched stay; without it the defaults")
	flags.Var(&o.maxLost, "max-lost", "how many of the requests that were answered well may be rejected, a `PERCENT`")
	flags.DurationVar(&o.slow, "slow", 0, "what waits for longer than a `DURATION` is as bad as what fails; without it three times the usual 99th percentile")
	flags.DurationVar(&o.outage, "outage", 10*time.Second, "an outage lasts for a `DURATION` at least: for what is shorter no breaker shall open")
	flags.IntVar(&o.maxRequests, "max-requests", 20_000_000, "hold at most `N` requests in memory, about 200 bytes each; what comes later is not read")
	flags.BoolVar(&o.json, "json", false, "write the report as JSON")
	return o.run
}

// A percent is a flag such as 5% or 0.1.
type percent float64

func (f *percent) String() string { return strconv.FormatFloat(float64(*f), 'g', -1, 64) + "%" }

func (f *percent) Set(value string) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return errors.New("must be from 0% to 100%")
	}
	*f = percent(v)
	return nil
}

func (o *suggestFlagSet) run(p *program) int {
	logs := p.arguments
	switch {
	case len(logs) == 0:
		return p.misuse("which log? - is standard input")
	case stdins([]string{o.configuration}, logs) > 1:
		return p.misuse("standard input is read once")
	case o.slow != 0 && (o.slow < time.Millisecond || o.slow > time.Hour):
		return p.misuse("-slow must be from 1ms to 1h")
	case o.outage < time.Second || o.outage > 24*time.Hour:
		return p.misuse("-outage must be from 1s to 24h")
	case o.maxRequests < 1000 || o.maxRequests > 1_000_000_000:
		return p.misuse("-max-requests must be from 1,000 to 1,000,000,000")
	case again(logs) != "":
		return p.misuse(again(logs) + " is given twice: its requests would count twice")
	}
	if err := o.parse(); err != nil {
		return p.misuse(err.Error())
	}
	base, err := o.base(p)
	if err != nil {
		return p.fail(err)
	}
	bar := newBar(p.errors)
	defer bar.clear()
	log := suggest.NewLog(o.maxRequests)
	sources, err := o.read(p, logs, func(e *accesslog.Entry) error {
		bar.read(log.Lines())
		return log.Add(e)
	}, func(*accesslog.Broken) { log.Broken() })
	isFull := errors.Is(err, suggest.ErrFull)
	if err == nil || isFull {
		err = wasRead(log.Lines(), log.BrokenLines())
	}
	if err != nil {
		bar.clear()
		return p.fail(err)
	}
	report := log.Search(suggest.Options{
		Base: base, MaxLost: float64(o.maxLost), TooSlow: o.slow, LeastOutage: o.outage, Truncated: isFull, Progress: bar.search,
	})
	bar.clear()
	for i := range sources {
		for _, text := range accesslog.Consequences(sources[i].Lacks()) { // mostly the same of all logs
			if !slices.Contains(report.Notes, text) {
				report.Notes = append(report.Notes, text)
			}
		}
	}
	if err := o.write(p, report); err != nil {
		return p.fail(err)
	}
	return ok
}

// base is the configuration to start from.
func (o *suggestFlagSet) base(p *program) (*suggest.Base, error) {
	if o.configuration == "" {
		return suggest.NewBase(nil)
	}
	plugin, err := p.plugin(o.configuration)
	if err != nil {
		return nil, err
	}
	return suggest.NewBase(plugin.Tree)
}

func (o *suggestFlagSet) write(p *program, report *suggest.Report) error {
	if !o.json {
		return report.WriteText(p.out)
	}
	encoder := json.NewEncoder(p.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(report)
}
