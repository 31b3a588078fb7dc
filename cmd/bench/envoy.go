//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sys/unix"

	"envoy-circuit-breaker/internal/process"
)

const startTimeout = 2 * time.Minute // for Envoy to serve

//go:embed envoy.yaml.tmpl
var configText string

var configTemplate = template.Must(template.New("envoy.yaml").Parse(configText))

// directPath is the path of a route that Envoy answers itself.
const directPath = "/direct"

// An envoy is a running Envoy.
type envoy struct {
	process *process.Process
	pid     int
	dir     string // its files
	log     *bytes.Buffer
	admin   string         // address
	ports   map[string]int // of the listeners, by name
}

// startEnvoy starts an Envoy with so many workers and clusters on the core that is meant for it, and waits until it serves.
func (b *bench) startEnvoy(ctx context.Context, workers, clusters int, listeners ...listener) (*envoy, error) {
	return b.startEnvoyOn(ctx, b.machine.envoyCores(), workers, clusters, listeners...)
}

// startEnvoyOn starts it on other cores, as taskset(1) lists them.
func (b *bench) startEnvoyOn(ctx context.Context, cores string, workers, clusters int, listeners ...listener) (*envoy, error) {
	dir, err := os.MkdirTemp("", "circuit-breaker-bench-")
	if err != nil {
		return nil, err
	}
	var config bytes.Buffer
	if err := configTemplate.Execute(&config, map[string]any{
		"Listeners": listeners, "Clusters": clusters, "UpstreamPort": b.loop.port, "DirectPath": directPath, "ClusterHeader": clusterHeader,
	}); err != nil {
		return nil, err
	}
	configFile, addressFile := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	if err := os.WriteFile(configFile, config.Bytes(), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("taskset", "--cpu-list", cores,
		b.envoy, "--config-path", configFile, "--concurrency", strconv.Itoa(workers),
		"--admin-address-path", addressFile, "--log-level", "warning", "--disable-hot-restart")
	e := &envoy{dir: dir, log: &bytes.Buffer{}}
	cmd.Stdout, cmd.Stderr = e.log, e.log
	if e.process, err = process.Start(cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("starting envoy: %w", err), os.RemoveAll(dir))
	}
	e.pid = cmd.Process.Pid
	if err := e.await(ctx, addressFile); err != nil {
		e.stop() // which also completes the log
		return nil, fmt.Errorf("envoy does not serve: %w; its log:\n%s", err, e.log)
	}
	return e, nil
}

func (e *envoy) stop() {
	e.process.Stop()
	os.RemoveAll(e.dir)
}

// await polls until Envoy is ready, and learns the ports that it has chosen.
func (e *envoy) await(ctx context.Context, addressFile string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		address, err := os.ReadFile(addressFile)
		if err == nil {
			e.admin = string(address)
			err = e.findListeners(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-e.process.Done():
			return errors.Join(errors.New("it has ended"), e.process.Err())
		}
	}
}

func (e *envoy) findListeners(ctx context.Context) error {
	if _, err := e.ask(ctx, "/ready"); err != nil {
		return err
	}
	body, err := e.ask(ctx, "/listeners?format=json")
	if err != nil {
		return err
	}
	var answer struct {
		Statuses []struct {
			Name    string
			Address struct {
				Socket struct {
					Port int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	e.ports = map[string]int{}
	for _, s := range answer.Statuses {
		e.ports[s.Name] = s.Address.Socket.Port
	}
	return nil
}

// ask sends a request to the admin port.
func (e *envoy) ask(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.admin+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("admin %s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// cpu is how much CPU time all of Envoy's threads have taken: the kernel's account of the process, in nanoseconds.
func (e *envoy) cpu() (time.Duration, error) {
	// The clock of another process, as clock_getcpuclockid(3) makes it from its id.
	const schedulerTime = 2
	clock := int32(^e.pid)<<3 | schedulerTime
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("CPU time of envoy: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// memory is the size of what Envoy has in memory, in bytes. (The number in /proc/PID/status is a cheap estimate.)
func (e *envoy) memory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", e.pid))
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
