// Command codesize tells how much code of a WebAssembly module each package has, or each function whose name has a text in it. The module
// must have names: Go links them in without -s.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"envoy-circuit-breaker/internal/wasmcode"
)

func main() {
	only := flag.String("functions", "", "tell of each function whose name has this in it, rather than of packages")
	flag.Parse()
	if err := run(flag.Arg(0), *only); err != nil {
		fmt.Fprintln(os.Stderr, "codesize:", err)
		os.Exit(1)
	}
}

func run(file, only string) error {
	module, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	functions, err := wasmcode.Functions(module)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	sizes, total := map[string]int{}, 0
	for _, f := range functions {
		total += f.Size
		switch {
		case only == "":
			sizes[packageOf(f.Name)] += f.Size
		case strings.Contains(f.Name, only):
			sizes[f.Name] += f.Size
		}
	}
	type row struct {
		name string
		size int
	}
	var rows []row
	for name, size := range sizes {
		rows = append(rows, row{name, size})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(b.size-a.size, strings.Compare(a.name, b.name)) })
	for _, r := range rows {
		fmt.Printf("%9d  %s\n", r.size, r.name)
	}
	fmt.Printf("%9d  in %d functions\n", total, len(functions))
	return nil
}

// packageOf returns the package in a function's name, in which the linker writes _ for a slash.
func packageOf(name string) string {
	name, _, _ = strings.Cut(strings.Replace(name, "github.com", "github", 1), ".")
	return name
}
