//go:build !linux

// Command bench measures what the filter costs. It needs Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: it needs Linux, which can pin processes to cores and tells their CPU time")
	os.Exit(1)
}
