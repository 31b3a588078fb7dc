package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"envoy-circuit-breaker/internal/text"
)

// A bar shows in one line of a terminal how far something is that takes a while. Where there is no terminal it shows nothing.
type bar struct {
	out   io.Writer  // nil where there is none
	width func() int // of the terminal, in cells
	now   func() time.Time
	shown time.Time // when it was changed; zero while there is nothing
	began time.Time // the search
	lines int64     // that were read when the clock was looked at
}

func newBar(out io.Writer) *bar {
	b := &bar{now: time.Now}
	if file, is := out.(*os.File); is && term.IsTerminal(int(file.Fd())) {
		b.out = out
		b.width = func() int {
			if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
				return width
			}
			return 80
		}
	}
	return b
}

// read shows how many lines were read. The clock is only looked at now and then.
func (b *bar) read(lines int64) {
	if b.out != nil && lines-b.lines >= 1000 {
		b.lines = lines
		b.show(func() string { return text.Count(lines, "line") + " read" })
	}
}

// search shows which part of a search is done, 0 to 1, and how long the rest will take.
func (b *bar) search(part float64) {
	if b.out == nil {
		return
	}
	if b.began.IsZero() {
		b.began = b.now()
	}
	b.show(func() string {
		const width = 30
		line := fmt.Sprintf("%3.0f%%  ", part*100)
		if took := b.now().Sub(b.began); part > 0.02 {
			line += fmt.Sprintf("%v left  ", time.Duration(float64(took)*(1-part)/part).Round(time.Second))
		}
		done := int(part * width)
		line += "[" + strings.Repeat("=", done) + strings.Repeat(" ", width-done) + "]" // behind, where there may be no room for it
		return line
	})
}

// show writes a line in place of the one before, ten times a second at most.
func (b *bar) show(line func() string) {
	if now := b.now(); now.Sub(b.shown) >= 100*time.Millisecond {
		b.shown = now
		fmt.Fprint(b.out, "\r\x1b[K"+text.Cut(line(), b.width()-1)) // a longer one would go on in the next line, and stay there
	}
}

// clear leaves nothing behind.
func (b *bar) clear() {
	if !b.shown.IsZero() {
		b.shown = time.Time{}
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
