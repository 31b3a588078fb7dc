package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"

	"envoy-circuit-breaker/internal/runenvoy"
)

// policy is the breaker's. Ten failures in a row open it, since half of all within 10 s, the default, would take seconds at
// this rate. It stays open for 0.5 s, then 1 s, then 2 s, up to a fifth less by jitter; two trials at a time find out whether
// the service is back. An outage of hours would deserve a longer maximum, at the price of noticing its end later.
const policy = `{
  "consecutive_failures": 10,
  "open": {"duration": "500ms", "multiplier": 2, "max_duration": "2s"},
  "half_open": {"max_requests": 2, "success_threshold": 3}
}`

const settleTimeout = 5 * time.Second // for the last request to be counted

//go:embed envoy.yaml.tmpl
var configText string

// A proxy is the demo's running Envoy.
type proxy struct{ *runenvoy.Envoy }

// startEnvoy starts an Envoy with the listeners "without" and "with", and waits until it serves.
func startEnvoy(ctx context.Context, binary, withoutService, withService string) (*proxy, error) {
	config, err := envoyConfig(withoutService, withService)
	if err != nil {
		return nil, err
	}
	e, err := runenvoy.Start(ctx, runenvoy.Options{Binary: binary, Config: config, Workers: 2})
	if err != nil {
		return nil, err
	}
	return &proxy{e}, nil
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
	body, err := p.Ask(ctx, "/stats?format=json&filter="+url.QueryEscape("^"+prefix))
	if err != nil {
		return breakerStats{}, err
	}
	if err := json.Unmarshal(body, &answer); err != nil {
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
