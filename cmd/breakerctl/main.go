// Command breakerctl is the operator's tool: it checks and explains configurations of the circuit breaker, replays logs, and shows which
// breakers are open.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"envoy-circuit-breaker/internal/check"
)

// What breakerctl exits with.
const (
	ok = iota
	failed
	misused
)

// A command is one that the first argument names.
type command struct {
	name, arguments, does string
	more                  string // of the usage, whole lines
	// setUp adds the command's flags and returns what runs it once they are parsed. It returns what breakerctl exits with.
	setUp func(*flag.FlagSet) func(*program) int
}

var commands = []command{
	{"check", "FILE…", "Tell all that is wrong with configurations, and what is surely not meant", "", setUpCheck},
	{"explain", "-config FILE [-clusters FILE] [-route ROUTE] NAME…",
		"Show which policy a cluster has, or a route to it, and where each key is from", "", setUpExplain},
	{"replay", "-config FILE LOG…", "Tell from access logs what a policy would have done", logUsage, setUpReplay},
	{"compare", "-config FILE -config FILE… LOG…", "Tell what several policies would have done, side by side", logUsage, setUpCompare},
	{"merge", "REPORT…", "Make one report of those that replay or compare wrote of parts of a log", mergeUsage, setUpMerge},
	{"suggest", "[-max-lost PERCENT] [-config FILE] LOG…", "Search for the policies that would have served best by access logs", logUsage, setUpSuggest},
	{"simulate", "SCENARIO", "Tell what one or many Envoys with a policy would do, without a log", simulateUsage, setUpSimulate},
	{"status", "URL…", "Show which breakers are open in some Envoys, since when and why", statusUsage, setUpStatus},
	{"version", "", "Tell which version this is", "", setUpVersion},
}

// A program is one run of breakerctl.
type program struct {
	arguments   []string // but the flags
	in          io.Reader
	out, errors io.Writer
	usage       func()
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(arguments []string, in io.Reader, out, errs io.Writer) int {
	if len(arguments) > 0 {
		for _, c := range commands {
			if c.name == arguments[0] {
				return c.run(arguments[1:], in, out, errs)
			}
		}
		if help := arguments[0]; help == "help" || help == "-h" || help == "-help" || help == "--help" {
			usage(out)
			return ok
		}
		fmt.Fprintf(errs, "breakerctl: %q is no command\n", arguments[0])
	}
	usage(errs)
	return misused
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: breakerctl COMMAND …")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.does)
	}
	fmt.Fprintln(w, "breakerctl COMMAND -h tells more")
}

func (c *command) run(arguments []string, in io.Reader, out, errs io.Writer) int {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: breakerctl %s %s\n%s.\n%s", c.name, c.arguments, c.does, c.more)
		flags.PrintDefaults()
	}
	start := c.setUp(flags)
	names, err := parse(flags, arguments)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ok
	case err != nil:
		return misused
	}
	return start(&program{names, in, out, errs, flags.Usage})
}

// parse takes flags wherever they stand, and returns the other arguments. What is behind -- is no flag.
func parse(flags *flag.FlagSet, arguments []string) (names []string, err error) {
	for {
		if err := flags.Parse(arguments); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if taken := len(arguments) - len(rest); len(rest) == 0 || taken > 0 && arguments[taken-1] == "--" {
			return append(names, rest...), nil
		}
		names, arguments = append(names, rest[0]), rest[1:]
	}
}

func (p *program) misuse(text string) int {
	fmt.Fprintln(p.errors, "breakerctl:", text)
	p.usage()
	return misused
}

func (p *program) fail(err error) int {
	fmt.Fprintln(p.errors, "breakerctl:", err)
	return failed
}

// open reads a file, or standard input if its name is -.
func (p *program) open(name string) (shown string, text []byte, err error) {
	if name == "-" {
		text, err = io.ReadAll(p.in)
		return "stdin", text, err
	}
	text, err = os.ReadFile(name)
	return name, text, err
}

// read reads a file with configurations.
func (p *program) read(name string) (*check.File, error) {
	shown, text, err := p.open(name)
	if err != nil {
		return nil, err
	}
	return check.Read(shown, text), nil
}
