//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"envoy-circuit-breaker/internal/runenvoy"
)

//go:embed envoy.yaml.tmpl
var configText string

var configTemplate = template.Must(template.New("envoy.yaml").Parse(configText))

// directPath is the path of a route that Envoy answers itself.
const directPath = "/direct"

// An envoy is a running Envoy.
type envoy struct{ *runenvoy.Envoy }

// startEnvoy starts an Envoy with so many workers and clusters on the core that is meant for it, and waits until it serves.
func (b *bench) startEnvoy(ctx context.Context, workers, clusters int, listeners ...listener) (*envoy, error) {
	return b.startEnvoyOn(ctx, b.machine.envoyCores(), workers, clusters, listeners...)
}

// startEnvoyOn starts it on other cores, as taskset(1) lists them.
func (b *bench) startEnvoyOn(ctx context.Context, cores string, workers, clusters int, listeners ...listener) (*envoy, error) {
	var config bytes.Buffer
	if err := configTemplate.Execute(&config, map[string]any{
		"Listeners": listeners, "Clusters": clusters, "UpstreamPort": b.loop.port, "DirectPath": directPath, "ClusterHeader": clusterHeader,
	}); err != nil {
		return nil, err
	}
	e, err := runenvoy.Start(ctx, runenvoy.Options{Binary: b.envoy, Config: config.Bytes(), Workers: workers, Cores: cores})
	if err != nil {
		return nil, err
	}
	return &envoy{e}, nil
}

// port is a listener's.
func (e *envoy) port(listener string) int { return int(e.Listeners[listener].Port()) }

// cpu is how much CPU time all of Envoy's threads have taken: the kernel's account of the process, in nanoseconds.
func (e *envoy) cpu() (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) makes it from its id.
	const schedulerTime = 2
	clock := int32(^e.PID)<<3 | schedulerTime
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("CPU time of envoy: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// memory is the size of what Envoy has in memory, in bytes. (The number in /proc/PID/status is a cheap estimate.)
func (e *envoy) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", e.PID))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Rss:" {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			return kilobytes * 1024, err
		}
	}
	return 0, errors.New("smaps_rollup does not tell the RSS")
}
