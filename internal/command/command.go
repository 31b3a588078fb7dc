// Package command is what the programs of this module have in common.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Envoy is the flag that names Envoy's binary.
func Envoy() *string { return flag.String("envoy", "envoy", "Envoy's binary") }

// Main parses the flags and runs a program whose context ends at Ctrl-C and at the signals that ask a process to end. It returns when run has
// returned nil; an error ends the process with status 1, after run has cleaned up.
func Main(name string, run func(context.Context) error) {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}
