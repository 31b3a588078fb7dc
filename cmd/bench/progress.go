//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// A progress shows how far the benchmark is: on a terminal as a bar, elsewhere as a line for each thing that it does.
type progress struct {
	out      *os.File
	terminal bool
	total    float64 // seconds, about
	before   float64 // the parts that are done
	current  part
	said     string
}

func newProgress(out *os.File, parts []part) *progress {
	p := &progress{out: out, terminal: term.IsTerminal(int(out.Fd()))}
	for _, part := range parts {
		p.total += part.seconds
	}
	return p
}

// begin starts a part.
func (p *progress) begin(next part) {
	p.before += p.current.seconds
	p.current = next
}

// at says what is being done, at so much of the current part.
func (p *progress) at(share float64, format string, args ...any) {
	const width = 30
	whole := (p.before + min(share, 1)*p.current.seconds) / p.total
	text := fmt.Sprintf(format, args...)
	switch full := int(whole * width); {
	case p.terminal:
		fmt.Fprintf(p.out, "\r%s%s %3.0f %%  %s\x1b[K", strings.Repeat("█", full), strings.Repeat("░", width-full), 100*whole, text)
	case text != p.said:
		fmt.Fprintf(p.out, "%3.0f %%  %s\n", 100*whole, text)
	}
	p.said = text
}

// end makes room for the figures.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	} else {
		fmt.Fprintln(p.out)
	}
}
