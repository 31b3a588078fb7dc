//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
)

// coreFile is the core's test binary, as make builds it.
const coreFile = "build/core.test"

const (
	coreRounds     = 15
	coreIterations = "500000x" // of each benchmark, in each round
)

// The breakers that the core's benchmarks compare, as they name them. The first is ours.
var coreBreakers = []struct{ benchmark, module string }{
	{"Ours", ""}, {"Gobreaker", "github.com/sony/gobreaker/v2"}, {"Failsafe", "github.com/failsafe-go/failsafe-go"},
}

// A coreCase is what the core's benchmarks ask of a breaker.
type coreCase struct {
	name string // of its line
	row  string // the same, shorter, in the table of goals
	goal goal
	// The benchmarks are called BenchmarkXBreakerY.
	before, after string
	took          [][]float64 // ns a request, by breaker and round
}

// measureCore runs the core's own benchmarks, one after the other in each round, in a process that has all cores to itself.
func (b *bench) measureCore(ctx context.Context) (err error) {
	if err := b.machine.useAllCores(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.machine.leaveEnvoyAlone()) }()
	cases := []coreCase{
		{name: "closed: admitted, and success told", row: "closed", goal: most(0.45), before: "Closed"},
		{name: "closed, all cores", row: "closed, all cores", goal: most(0.45), before: "Closed", after: "Parallel"},
		{name: "open: rejected", row: "open", before: "Open"},
		{name: "open, all cores", row: "open, all cores", before: "Open", after: "Parallel"},
	}
	for i := range cases {
		cases[i].took = make([][]float64, len(coreBreakers))
	}
	for round := range coreRounds {
		b.progress.at(float64(round)/coreRounds, "core, round %d of %d", round+1, coreRounds)
		out, err := exec.CommandContext(ctx, coreFile, "-test.run", "^$", "-test.bench", ".", "-test.benchtime", coreIterations).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", coreFile, err, out)
		}
		took, err := parseBenchmarks(string(out))
		if err != nil {
			return err
		}
		for i := range cases {
			c := &cases[i]
			for j, breaker := range coreBreakers {
				name := "Benchmark" + c.before + breaker.benchmark + c.after
				ns, ok := took[name]
				if !ok {
					return fmt.Errorf("%s has not run %s", coreFile, name)
				}
				c.took[j] = append(c.took[j], ns)
			}
		}
	}
	for i := range cases {
		b.report("the core, "+cases[i].row+": ÷ the faster of gobreaker and failsafe-go", "", cases[i].goal, cases[i].ratios()...)
	}
	goMod, err := os.ReadFile("go.mod")
	b.core, b.coreNames = cases, coreNames(string(goMod))
	return err
}

// ratios are ours ÷ the faster one of the others, by round.
func (c *coreCase) ratios() []float64 {
	faster := c.took[1]
	for _, other := range c.took[2:] {
		if median(other) < median(faster) {
			faster = other
		}
	}
	return quotients(c.took[0], faster)
}

// parseBenchmarks reads what a test binary has printed: the ns of an iteration, by the benchmark's name without the number of
// processors.
func parseBenchmarks(out string) (map[string]float64, error) {
	took := map[string]float64{}
	for line := range strings.Lines(out) {
		// BenchmarkX-2  1000000  51.31 ns/op  0 B/op  0 allocs/op
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(line, "Benchmark") || fields[3] != "ns/op" {
			continue
		}
		ns, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return nil, fmt.Errorf("benchmark's line %q: %w", line, err)
		}
		name, _, _ := strings.Cut(fields[0], "-")
		took[name] = ns
	}
	return took, nil
}

// coreNames are the breakers' names for people: those of the others with their versions, as go.mod has them.
func coreNames(goMod string) []string {
	names := []string{"this"}
	for _, other := range coreBreakers[1:] {
		_, rest, _ := strings.Cut(goMod, "\t"+other.module+" v")
		version, _, _ := strings.Cut(rest, "\n")
		project := strings.TrimSuffix(other.module, "/v2")
		names = append(names, fmt.Sprintf("[%s](https://%s) %s", path.Base(project), project, version))
	}
	return names
}

func coreTable(names []string, cases []coreCase) string {
	lines := [][]string{append(append([]string{"ns a request"}, names...), "÷ the faster", "middle half")}
	for _, c := range cases {
		line := []string{c.name}
		for _, took := range c.took {
			line = append(line, number(median(took)))
		}
		lines = append(lines, append(line, number(median(c.ratios())), spread(c.ratios())))
	}
	return markdown(lines)
}
