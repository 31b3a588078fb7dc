package main

import (
	"flag"
	"fmt"
	"slices"

	"envoy-circuit-breaker/internal/check"
)

func setUpCheck(flags *flag.FlagSet) func(*program) int {
	return func(p *program) int {
		if len(p.arguments) == 0 {
			return p.misuse("which file? - is standard input")
		}
		stdin := func(name string) bool { return name == "-" }
		if first := slices.IndexFunc(p.arguments, stdin); first >= 0 && slices.ContainsFunc(p.arguments[first+1:], stdin) {
			return p.misuse("standard input is read once")
		}
		exit := ok
		var files []*check.File
		for _, name := range p.arguments {
			file, err := p.read(name)
			if err != nil {
				exit = p.fail(err)
				continue
			}
			files = append(files, file)
		}
		check.Together(files)
		for _, file := range files {
			for _, finding := range file.Findings {
				fmt.Fprintln(p.out, finding)
			}
			if file.HasErrors() {
				exit = failed
			}
		}
		return exit
	}
}
