package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"envoy-circuit-breaker/internal/process"
)

// policy is the breaker's. Ten failures in a row open it, since half of all within 10 s, the default, would take seconds at
// this rate. It stays open for 0.5 s, then 1 s, then 2 s, up to a fifth less by jitter; two trials at a time find out whether
// the service is back. An outage of hours would deserve a longer maximum, at the price of noticing its end later.
const policy = `{
  "consecutive_failures": 10,
  "open": {"duration": "500ms", "multiplier": 2, "max_duration": "2s"},
  "half_open": {"max_requests": 2, "success_threshold": 3}
}`

const (
	startTimeout  = time.Minute     // for Envoy to serve
	settleTimeout = 5 * time.Second // for the last request to be counted
)

//go:embed envoy.yaml.tmpl
var configText string

// A proxy is the demo's running Envoy.
type proxy struct {
	process   *process.Process
	admin     string            // address
	listeners map[string]string // addresses by name
}

// startEnvoy starts an Envoy with the listeners "without" and "with", which keeps its files in dir, and waits until it serves.
func startEnvoy(ctx context.Context, binary, dir, withoutService, withService string) (*proxy, error) {
	config, err := envoyConfig(withoutService, withService)
	if err != nil {
		return nil, err
	}
	configFile, addressFile := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return nil, err
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "--config-path", configFile, "--concurrency", "2", "--admin-address-path", addressFile,
		"--log-level", "warning", "--disable-hot-restart")
	cmd.Stdout, cmd.Stderr = &log, &log
	p := &proxy{}
	if p.process, err = process.Start(cmd); err != nil {
		return nil, fmt.Errorf("starting envoy: %w", err)
	}
	if err := p.await(ctx, addressFile); err != nil {
		p.process.Stop() // which also completes the log
		return nil, fmt.Errorf("envoy does not serve: %w; its log:\n%s", err, log.String())
	}
	return p, nil
}

func envoyConfig(withoutService, withService string) ([]byte, error) {
	type listener struct {
		Name, Policy, Timeout string
		Host, Port            string // of the service
	}
	sides := []listener{{Name: "without"}, {Name: "with", Policy: strings.ReplaceAll(policy, "\n", " ")}}
	for i, address := range []string{withoutService, withService} {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		sides[i].Host, sides[i].Port = host, port
		sides[i].Timeout = strconv.FormatFloat(routeTimeout.Seconds(), 'f', -1, 64) + "s"
	}
	var out bytes.Buffer
	err := template.Must(template.New("envoy.yaml").Parse(configText)).Execute(&out, sides)
	return out.Bytes(), err
}

// await polls until Envoy is ready, and learns the ports that it has chosen.
func (p *proxy) await(ctx context.Context, addressFile string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		address, err := os.ReadFile(addressFile)
		if err == nil {
			p.admin = string(address)
			err = p.findListeners(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-p.process.Done():
			return errors.Join(errors.New("it has ended"), p.process.Err())
		}
	}
}

func (p *proxy) findListeners(ctx context.Context) error {
	if err := p.ask(ctx, "/ready", nil); err != nil {
		return err
	}
	var answer struct {
		Statuses []struct {
			Name    string
			Address struct {
				Socket struct {
					Address string
					Port    int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := p.ask(ctx, "/listeners?format=json", &answer); err != nil {
		return err
	}
	p.listeners = map[string]string{}
	for _, s := range answer.Statuses {
		p.listeners[s.Name] = net.JoinHostPort(s.Address.Socket.Address, strconv.Itoa(s.Address.Socket.Port))
	}
	return nil
}

// ask sends a request to the admin port, and parses the answer into result unless that is nil.
func (p *proxy) ask(ctx context.Context, path string, result any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("admin %s: %s", path, response.Status)
	}
	if result == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(result)
}

// breakerStats are those of the breaker before the payment service.
type breakerStats struct {
	Calls, Late, Neutral, Rejected, Errors int
	State                                  state
	OpenedHalfOpenFailure                  int `json:"opened_half_open_failure"`
}

// sum is the number of requests, by what became of them.
func (s breakerStats) sum() int { return s.Calls + s.Late + s.Neutral + s.Rejected }

// stats reads the breaker's stats: all 0 before the first request.
func (p *proxy) stats(ctx context.Context) (breakerStats, error) {
	const prefix = "wasmcustom.circuit_breaker.breaker.cluster.payments-with."
	var answer struct {
		Stats []struct {
			Name  string
			Value json.RawMessage
		}
	}
	if err := p.ask(ctx, "/stats?format=json&filter="+url.QueryEscape("^"+prefix), &answer); err != nil {
		return breakerStats{}, err
	}
	byName := map[string]json.RawMessage{}
	for _, s := range answer.Stats {
		byName[strings.TrimPrefix(s.Name, prefix)] = s.Value
	}
	text, err := json.Marshal(byName)
	if err != nil {
		return breakerStats{}, err
	}
	var stats breakerStats
	return stats, json.Unmarshal(text, &stats)
}

// settled waits until the breaker has counted so many requests, each once, and returns its stats. An error says that it
// has not.
func (p *proxy) settled(ctx context.Context, requests int) (breakerStats, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	poll := time.NewTicker(sampleInterval)
	defer poll.Stop()
	for {
		stats, err := p.stats(ctx)
		if err != nil {
			return stats, err
		}
		if stats.sum() == requests && stats.Errors == 0 {
			return stats, nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return stats, fmt.Errorf("the breaker's numbers do not add up: calls + late + neutral + rejected = %d, with %d requests: %+v",
				stats.sum(), requests, stats)
		}
	}
}
