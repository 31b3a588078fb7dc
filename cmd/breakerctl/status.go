package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"envoy-circuit-breaker/internal/status"
	"envoy-circuit-breaker/internal/text"
)

// statusUsage is what the usage of status says beside the flags.
const statusUsage = `URL is that of an Envoy's status page, such as http://127.0.0.1:9902/circuit-breakers; - reads URLs from standard input, one on each line.
Exits with 0 if all were read, whatever is open; 1 if one could not be read; 2 if called in a wrong way. With -watch, as the last reading.
`

// A statusFlagSet has the flags of status.
type statusFlagSet struct {
	all, json, watch  bool
	interval, timeout time.Duration
}

func setUpStatus(flags *flag.FlagSet) func(*program) int {
	o := &statusFlagSet{}
	flags.BoolVar(&o.all, "all", false, "show each breaker of each Envoy in a row of its own, the closed and disabled ones too")
	flags.BoolVar(&o.json, "json", false, "write JSON")
	flags.BoolVar(&o.watch, "watch", false, "read again and again, until Ctrl-C")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "with -watch: read every so often, a `DURATION`")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "give an Envoy up that could not be read after so long, a `DURATION`")
	return o.run
}

func (o *statusFlagSet) run(p *program) int {
	if o.interval < 100*time.Millisecond {
		return p.misuse("-interval must be 100ms or more")
	}
	if o.timeout <= 0 {
		return p.misuse("-timeout must be more than 0")
	}
	urls, err := p.urls()
	if err != nil {
		return p.misuse(err.Error())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return o.report(ctx, p, status.NewReader(urls, o.timeout, o.all))
}

// urls are those of the arguments, each once.
func (p *program) urls() (urls []*url.URL, err error) {
	var texts []string
	for i, argument := range p.arguments {
		if argument != "-" {
			texts = append(texts, argument)
			continue
		}
		for _, before := range p.arguments[:i] {
			if before == "-" {
				return nil, errors.New("standard input is read once")
			}
		}
		lines, err := io.ReadAll(p.in)
		if err != nil {
			return nil, err
		}
		texts = append(texts, strings.Fields(string(lines))...)
	}
	known := map[string]bool{}
	for _, text := range texts {
		u, err := status.ParseURL(text)
		if err != nil {
			return nil, err
		}
		if !known[u.String()] {
			known[u.String()] = true
			urls = append(urls, u)
		}
	}
	if len(urls) == 0 {
		return nil, errors.New("which status page? a URL such as http://127.0.0.1:9902/circuit-breakers; - is standard input")
	}
	return urls, nil
}

// report shows what the pages say, and with -watch does so until the context ends.
func (o *statusFlagSet) report(ctx context.Context, p *program, pages *status.Reader) int {
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	exit := failed
	for shown := 0; ; shown++ {
		report := pages.Read(ctx)
		switch {
		case ctx.Err() == nil:
		case shown == 0:
			return p.fail(errors.New("interrupted"))
		default:
			return exit // the report is not whole
		}
		if err := o.write(p, report, shown); err != nil {
			return p.fail(err)
		}
		if exit = ok; !report.Complete() {
			exit = failed
		}
		if !o.watch {
			return exit
		}
		select {
		case <-ctx.Done():
			return exit
		case <-tick.C:
		}
	}
}

// write shows a report. In a terminal, one that is watched takes the place of the one before.
func (o *statusFlagSet) write(p *program, report *status.Report, shown int) error {
	if o.json {
		return report.WriteJSON(p.out)
	}
	if o.watch {
		if file, is := p.out.(*os.File); is && term.IsTerminal(int(file.Fd())) {
			width, height, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return err
			}
			var b strings.Builder
			if err := report.WriteText(&b); err != nil {
				return err
			}
			_, err = io.WriteString(p.out, screen(b.String(), width, height))
			return err
		}
		if shown > 0 {
			fmt.Fprintln(p.out)
		}
	}
	return report.WriteText(p.out)
}

// screen returns what makes a terminal show a text, as far as there is room, and nothing else. One that was never told its size says 0 by 0,
// as serial lines and some containers' terminals do: it is taken for one of the usual size.
func screen(shown string, width, height int) string {
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K", "\x1b[J"
	if width == 0 || height == 0 {
		width, height = 80, 24
	}
	lines := strings.Split(strings.TrimRight(shown, "\n"), "\n")
	if most := max(height-1, 1); len(lines) > most { // the last line is the cursor's
		lines = append(lines[:most-1], fmt.Sprintf("… and %s", text.Count(int64(len(lines)-most+1), "more line")))
	}
	b := home
	for _, line := range lines {
		b += text.Cut(line, width) + clearLine + "\n"
	}
	return b + clearBelow
}
