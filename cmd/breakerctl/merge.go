package main

import (
	"flag"
	"slices"

	"envoy-circuit-breaker/internal/report"
)

// mergeUsage is what the usage of merge says beside the flags.
const mergeUsage = `REPORT is what replay or compare wrote with -json about a part of a log; - is standard input. All have the same policies and flags,
and are by this breakerctl.
All requests of a breaker, that is of a cluster of an Envoy, are in one part.
Exits with 0 if all is well, 1 if there is no exact report of the whole, 2 if called in a wrong way.
`

func setUpMerge(flags *flag.FlagSet) func(*program) int {
	asJSON := flags.Bool("json", false, "write the report as JSON")
	return func(p *program) int {
		parts := p.arguments
		stdin := slices.Index(parts, "-")
		switch {
		case len(parts) == 0:
			return p.misuse("which reports? - is standard input")
		case stdin >= 0 && slices.Contains(parts[stdin+1:], "-"):
			return p.misuse("standard input is read once")
		case again(parts) != "":
			return p.misuse(again(parts) + " is given twice: its requests would count twice")
		}
		merger := report.Merger{Version: versionText()}
		for _, part := range parts {
			name, text, err := p.open(part)
			if err == nil {
				err = merger.Add(name, text)
			}
			if err != nil {
				return p.fail(err)
			}
		}
		return p.write(merger.Report(), *asJSON, "")
	}
}
