package main

import (
	"flag"
	"fmt"

	"envoy-circuit-breaker/internal/check"
)

func setUpExplain(flags *flag.FlagSet) func(*program) int {
	configuration := flags.String("config", "", "the `FILE` with the configuration, - for standard input")
	route := flags.String("route", "", "the name of a `ROUTE`: show which policy requests on it have")
	clusters := flags.String("clusters", "", "a `FILE` with what Envoy's /clusters or /config_dump says: "+
		"also list overrides in force for no cluster, and clusters without one; /config_dump tells of routes too")
	return func(p *program) int {
		if *configuration == "" {
			return p.misuse("which configuration? -config FILE")
		}
		if len(p.arguments) == 0 && (*clusters == "" || *route != "") {
			return p.misuse("which cluster?")
		}
		if *configuration == "-" && *clusters == "-" {
			return p.misuse("standard input is read once: give -config or -clusters another FILE")
		}
		var envoy *check.Running
		if *clusters != "" {
			shown, text, err := p.open(*clusters)
			if err == nil {
				envoy, err = check.ReadRunning(text)
			}
			if err != nil {
				return p.fail(fmt.Errorf("%s: %w", shown, err))
			}
		}
		file, err := p.read(*configuration)
		if err != nil {
			return p.fail(err)
		}
		for _, finding := range file.Findings {
			if !finding.Warning {
				fmt.Fprintln(p.out, finding)
			}
		}
		if file.HasErrors() {
			return failed
		}
		for _, plugin := range file.Plugins {
			if plugin.IsStatusPage() && len(file.Plugins) > 1 {
				continue
			}
			if len(file.Plugins) > 1 {
				fmt.Fprintln(p.out, plugin.Place())
			}
			for _, name := range p.arguments {
				plugin.Explain(p.out, name, *route)
			}
			if *clusters != "" {
				plugin.Unmatched(p.out, envoy)
			}
		}
		return ok
	}
}
