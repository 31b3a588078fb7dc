package main

import (
	"flag"

	"envoy-circuit-breaker/internal/check"
)

func setUpCheck(flags *flag.FlagSet) func(*program) int {
	return func(p *program) int {
		if len(p.arguments) == 0 {
			return p.misuse("which file? - is standard input")
		}
		exit := ok
		for _, name := range p.arguments {
			file, err := p.read(name, func(check.Finding) bool { return true })
			if err != nil {
				exit = p.fail(err)
			} else if file.HasErrors() {
				exit = failed
			}
		}
		return exit
	}
}
