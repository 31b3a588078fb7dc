package main

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"

	"envoy-circuit-breaker/internal/version"
)

func setUpVersion(*flag.FlagSet) func(*program) int {
	return func(p *program) int {
		if len(p.arguments) > 0 {
			return p.misuse("version takes no arguments")
		}
		revision := version.Revision
		if build, ok := debug.ReadBuildInfo(); ok && revision == "" {
			for _, setting := range build.Settings {
				if setting.Key == "vcs.revision" {
					revision = setting.Value
				}
			}
		}
		if revision == "" {
			revision = "unknown"
		}
		fmt.Fprintf(p.out, "breakerctl %s, revision %s, %s\n", version.Version, revision, runtime.Version())
		return ok
	}
}
