package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"envoy-circuit-breaker/breaker"

	"golang.org/x/term"
)

const (
	redrawInterval = 100 * time.Millisecond // on a terminal
	lineInterval   = 2 * time.Second        // elsewhere
	leastWidth     = 80                     // of a terminal to be drawn on: a line that wraps could not be drawn over
)

// A frame is what there is to see at a time.
type frame struct {
	at            time.Duration
	state         breaker.State
	without, with second
}

// A view shows how the demo goes: on a terminal as a picture that is drawn over and over, elsewhere line by line.
type view struct {
	out      io.Writer
	terminal bool
	drawn    bool
	next     time.Duration
	last     frame
}

func newView(out *os.File) *view {
	width, _, err := term.GetSize(int(out.Fd()))
	return &view{out: out, terminal: err == nil && width >= leastWidth}
}

// show shows the frame if it is time to.
func (v *view) show(f frame) {
	phase, _ := phaseAt(f.at)
	lastPhase, _ := phaseAt(v.last.at)
	news := phase != lastPhase || f.state != v.last.state
	v.last = f
	if f.at < v.next && !news {
		return
	}
	if !v.terminal {
		v.next = f.at.Truncate(lineInterval) + lineInterval
		fmt.Fprintln(v.out, line(f))
		return
	}
	v.next = f.at + redrawInterval
	text := screen(f)
	if v.drawn {
		fmt.Fprintf(v.out, "\x1b[%dA", strings.Count(text, "\n"))
	}
	v.drawn = true
	// Erasing each line's rest, not the screen, keeps it from flickering.
	fmt.Fprint(v.out, strings.ReplaceAll(text, "\n", "\x1b[K\n"))
}

// line returns a frame as one line.
func line(f frame) string {
	phase, _ := phaseAt(f.at)
	side := func(s second) string {
		return fmt.Sprintf("%3d answered, %3d errors, %3d rejected, %5.1f ms", s.outcomes[answered],
			s.outcomes[timedOut]+s.outcomes[failed], s.outcomes[rejected], float64(s.median)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%4.1f s  %-7s | without: %s | with: %s, %s", f.at.Seconds(), phase.name, side(f.without), side(f.with),
		stateNames[f.state])
}

const (
	bold  = "\x1b[1m"
	plain = "\x1b[0m"
)

// stateEscapes colour the states' names on a terminal.
var stateEscapes = [...]string{breaker.Closed: "\x1b[32m", breaker.Open: "\x1b[31m", breaker.HalfOpen: "\x1b[33m"}

// screen returns a frame as a few lines for a terminal.
func screen(f frame) string {
	var out strings.Builder
	phase, _ := phaseAt(f.at)
	fmt.Fprintf(&out, "\n  %sThe payment service: %-8s%s %34.0f of %.0f s\n\n", bold, phase.name, plain,
		min(f.at, wholeLength()).Seconds(), wholeLength().Seconds())
	var since time.Duration
	out.WriteString(" ")
	for _, p := range phases {
		width := int(p.length / time.Second)
		full := min(max(int((f.at-since)/time.Second), 0), width)
		fmt.Fprintf(&out, " %s %s%s ", p.name, strings.Repeat("█", full), strings.Repeat("░", width-full))
		since += p.length
	}
	fmt.Fprintf(&out, "\n\n  %-10s %-10s %11s %11s %11s %14s\n", "breaker", "state", "answered/s", "errors/s", "rejected/s", "median latency")
	row := func(name, color, state string, s second) {
		fmt.Fprintf(&out, "  %-10s %s%-10s%s %11d %11d %11d %14s\n", name, color, state, plain, s.outcomes[answered],
			s.outcomes[timedOut]+s.outcomes[failed], s.outcomes[rejected], milliseconds(s.median))
	}
	row("without", "", "-", f.without)
	row("with", stateEscapes[f.state], stateNames[f.state], f.with)
	out.WriteString("\n")
	return out.String()
}
