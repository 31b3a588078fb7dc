// Command demo shows an outage from beginning to end on a real Envoy: a payment service hangs, then fails, then comes back,
// under a steady load. The same requests go to two such services at the same time, to one of them through the circuit
// breaker. It says in a table and in a picture what their users got.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/command"
)

func main() {
	binary := command.Envoy()
	picture := flag.String("picture", "build/demo.svg", "where to write the picture")
	command.Main("demo", func(ctx context.Context) error { return run(ctx, *binary, *picture) })
}

// run returns nil when the demo has been shown to its end and its numbers add up. Nothing is left running when it returns.
func run(ctx context.Context, binary, picture string) error {
	without, err := newSide()
	if err != nil {
		return err
	}
	defer without.service.close()
	with, err := newSide()
	if err != nil {
		return err
	}
	defer with.service.close()

	fmt.Printf("Two payment services get the same %d requests a second. One has a breaker before it:\n%s\nStarting Envoy.\n", rate, policy)
	envoy, err := startEnvoy(ctx, binary, without.service.address, with.service.address)
	if err != nil {
		return err
	}
	defer envoy.Stop()
	without.url = "http://" + envoy.Listeners["without"].String() + "/"
	with.url = "http://" + envoy.Listeners["with"].String() + "/"

	samples, lag, err := outage(ctx, envoy, without, with)
	if err != nil {
		return err
	}
	stats, err := envoy.settled(ctx, len(with.requests()))
	if err != nil {
		return err
	}

	r, err := newReport(without.requests(), with.requests())
	if err != nil {
		return err
	}
	r.without.sickCalls, r.with.sickCalls = without.service.sick(), with.service.sick()
	if err := drawPicture(picture, without.requests(), with.requests(), spans(samples)); err != nil {
		return err
	}
	fmt.Print(r)
	if lag > bearableLag {
		fmt.Printf("This machine was too busy for exact latencies: requests left up to %.0f ms late,\nwhich counts.\n", lag.Seconds()*1000)
	}
	fmt.Printf("\nThe breaker counted %d calls + %d late + %d neutral + %d rejected\n= %d requests: all of them, each once.\n",
		stats[breaker.Calls], stats[breaker.Late], stats[breaker.Neutrals], stats[breaker.Rejected], stats.Sum())
	fmt.Printf("The picture is in %s.\n", picture)
	return nil
}

// outage loads both sides through all the phases, shows how it goes, and returns what the breaker's state was meanwhile and how
// far behind its time a request was sent.
func outage(ctx context.Context, envoy *proxy, without, with *side) ([]sample, time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	loaded := make(chan time.Duration, 1)
	go func() { loaded <- load(ctx, start, without, with) }()

	var samples []sample
	view := newView(os.Stdout)
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		at := time.Since(start)
		stats, err := envoy.stats(ctx)
		if err != nil {
			cancel()
			<-loaded
			return nil, 0, fmt.Errorf("asking envoy: %w", err)
		}
		samples = append(samples, sample{at, stats.State(), stats[breaker.OpenedHalfOpenFailure]})
		view.show(frame{at: at, state: stats.State(), without: without.lastSecond(at), with: with.lastSecond(at)})
		select {
		case <-tick.C:
		case lag := <-loaded:
			return samples, lag, ctx.Err()
		}
	}
}
