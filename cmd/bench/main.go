//go:build linux

// Command bench measures what the filter costs, on a real Envoy that has one core to itself, with the load generator and the
// upstream on another. It prints the figures with the goals that they are held to, and draws them.
//
// What is compared is measured in turns: each round has a slice of every variant, in random order, on the same Envoy where
// that can be. So what drifts on the machine, and how the parts of an Envoy happen to lie in memory, is in all of them alike.
// Differences are taken within a round; the table has the median of all rounds, and the quartiles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"envoy-circuit-breaker/internal/command"
	"envoy-circuit-breaker/internal/wasmcode"
)

func main() {
	var b bench
	binary := command.Envoy()
	flag.IntVar(&b.rounds, "rounds", 60, "how many times to measure each variant, at least 5")
	flag.IntVar(&b.growth, "growth", 1_000_000, "how many requests memory is watched over")
	flag.StringVar(&b.peer, "peer", "", "the file of another circuit breaker as a plugin, in Rust, to measure beside ours; left out if empty")
	picture := flag.String("picture", "build/bench.svg", "where to draw the figures")
	only := flag.String("only", "", "the parts to measure, separated by commas, of "+strings.Join(partNames(), ", ")+"; all if empty")
	command.Main("bench", func(ctx context.Context) error {
		b.envoy = *binary
		return b.run(ctx, *only, *picture)
	})
}

// A bench is one run.
type bench struct {
	envoy  string
	rounds int
	growth int
	peer   string

	machine  *machine
	loop     *loop
	progress *progress

	shares    []float64 // of its core that Envoy had in each slice
	disturbed []string  // parts, and the share of the cores that others had meanwhile

	variants  []*variant // as measured
	rows      []row
	core      []coreCase
	coreNames []string // of the breakers in core
}

// undisturbed is the share of its core that a loaded Envoy has where nothing else runs there, and the load is enough.
const undisturbed = 0.95

// A part of the benchmark, and about how many seconds it takes.
type part struct {
	name    string
	seconds float64
	measure func(*bench, context.Context) error
}

// parts are in the order in which they run.
var parts = []part{
	{"requests", 150, (*bench).measureRequests},
	{"host", 15, (*bench).measureInProcess},
	{"clusters", 70, (*bench).measureClusters},
	{"memory", 240, (*bench).measureMemory},
	{"resident", 55, (*bench).measureResident},
	{"start", 45, (*bench).measureStart},
	{"core", 25, (*bench).measureCore},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func (b *bench) run(ctx context.Context, only, picture string) error {
	chosen := parts
	if only != "" {
		chosen = nil
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
			if i < 0 {
				return fmt.Errorf("-only: there is no part %q", name)
			}
			chosen = append(chosen, parts[i])
		}
	}
	if b.rounds < 5 {
		return errors.New("-rounds: at least 5 are needed for a median that means something")
	}
	if err := checkPeer(b.peer); err != nil {
		return fmt.Errorf("-peer, which is RUST_PEER: %w", err)
	}
	var err error
	if b.machine, err = inspect(b.envoy); err != nil {
		return err
	}
	if b.loop, err = newLoop(); err != nil {
		return err
	}
	if err := b.machine.leaveEnvoyAlone(); err != nil {
		return err
	}
	fmt.Println(b.machine)
	fmt.Println()
	if err := b.watchOthers("before", func() error { time.Sleep(time.Second); return nil }); err != nil {
		return err
	}
	if len(b.disturbed) > 0 {
		fmt.Print("This machine is not quiet. Stop what else runs, or do not rely on the figures.\n\n")
	}
	b.progress = newProgress(os.Stdout, chosen)
	for _, p := range chosen {
		b.progress.begin(p)
		if err := b.watchOthers(p.name, func() error { return p.measure(b, ctx) }); err != nil {
			b.progress.end()
			if len(b.rows) > 0 {
				fmt.Println(goalsTable(b.rows)) // what there is
			}
			return err
		}
	}
	b.progress.end()

	if len(b.variants) > 0 {
		fmt.Println(variantsTable(b.variants))
	}
	fmt.Print(goalsTable(b.rows))
	if len(b.core) > 0 {
		fmt.Printf("\n%s", coreTable(b.coreNames, b.core))
	}
	if share := median(b.shares); share < undisturbed {
		fmt.Printf("\nEnvoy had only %.0f %% of its core while it was loaded: something else ran on this machine, and the figures of CPU,\n"+
			"latency and requests/s are not to be relied on.\n", 100*share)
	}
	if len(b.disturbed) > 0 {
		fmt.Printf("\nSomething else ran on this machine, and had this share of its cores: %s. The figures\n"+
			"of these parts are not to be relied on.\n", strings.Join(b.disturbed, ", "))
	}
	if len(chosen) == len(parts) {
		if err := drawPicture(picture, b); err != nil {
			return err
		}
		fmt.Printf("\nThe picture is in %s.\n", picture)
	}
	return nil
}

// checkPeer tells at once what Envoy would refuse after a while.
func checkPeer(file string) error {
	if file == "" {
		return nil
	}
	module, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := wasmcode.Size(module); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// report adds a figure to the table. Several values are those of the rounds.
func (b *bench) report(what, unit string, g goal, values ...float64) {
	b.rows = append(b.rows, row{what, unit, g, values})
}
