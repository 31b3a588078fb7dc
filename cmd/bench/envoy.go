//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"envoy-circuit-breaker/internal/envoy"
)

// directPath is the path of a route that Envoy answers itself.
const directPath = "/direct"

// A server is a running Envoy.
type server struct{ *envoy.Envoy }

// A setup is what Envoys differ in, but for their listeners.
type setup struct {
	cores             string // as taskset(1) lists them
	workers, clusters int
	bootstrap         string // raw: more fields of it
}

// startEnvoy starts an Envoy with so many workers and clusters on the core that is meant for it, and waits until it serves.
func (b *bench) startEnvoy(ctx context.Context, workers, clusters int, listeners ...envoy.Listener) (*server, error) {
	return b.startEnvoyAs(ctx, setup{cores: b.machine.envoyCores(), workers: workers, clusters: clusters}, listeners...)
}

// startEnvoyAs does so with another setup. The listeners differ only in the filter that each is there to measure.
func (b *bench) startEnvoyAs(ctx context.Context, s setup, listeners ...envoy.Listener) (*server, error) {
	bootstrap := envoy.Bootstrap{Listeners: listeners, Extra: s.bootstrap}
	for c := range s.clusters {
		bootstrap.Clusters = append(bootstrap.Clusters, envoy.Cluster{Name: clusterName(c), Address: fmt.Sprintf("127.0.0.1:%d", b.loop.port)})
	}
	toCluster := envoy.Route{Prefix: "/", Cluster: clusterName(0)}
	if s.clusters > 1 {
		toCluster = envoy.Route{Prefix: "/", Action: "cluster_header: " + clusterHeader}
	}
	for i := range listeners {
		bootstrap.Listeners[i].Routes = []envoy.Route{{Match: "path: " + directPath, Extra: "direct_response: { status: 503 }"}, toCluster}
	}
	e, err := envoy.Start(ctx, envoy.Options{
		Binary: b.envoy, Bootstrap: bootstrap, Workers: s.workers, Cores: s.cores, Flags: []string{"--log-level", "warning"},
	})
	if err != nil {
		return nil, err
	}
	return &server{e}, nil
}

func clusterName(n int) string { return fmt.Sprintf("c%d", n) }

// port is a listener's.
func (e *server) port(listener string) int { return int(e.Listeners[listener].Port()) }

// cpu is how much CPU time all of Envoy's threads have taken: the kernel's account of the process, in nanoseconds.
func (e *server) cpu() (time.Duration, error) {
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
func (e *server) memory() (float64, error) {
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
