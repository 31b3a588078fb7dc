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
		fmt.Fprintf(p.out, "breakerctl %s, %s\n", versionText(), runtime.Version())
		return ok
	}
}

// versionText tells which version this is, and of which commit.
func versionText() string {
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
	return version.Version + ", revision " + revision
}
