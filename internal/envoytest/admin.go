package envoytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Admin sends a request to Envoy's admin port and returns the body of its answer. Any status but 200 fails the test.
func (e *Envoy) Admin(method, path string) string {
	e.t.Helper()
	body, err := e.request(method, path)
	if err != nil {
		e.checkAlive()
		e.t.Fatal(err)
	}
	return body
}

func (e *Envoy) request(method, path string) (string, error) {
	request, err := http.NewRequest(method, "http://"+e.admin+path, nil)
	if err != nil {
		return "", err
	}
	response, err := Client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("admin %s %s: %s: %s", method, path, response.Status, body)
	}
	return string(body), nil
}

// findListeners returns the address of each listener, by name, and the name of the first one.
func (e *Envoy) findListeners() (addresses map[string]string, first string, err error) {
	body, err := e.request(http.MethodGet, "/listeners?format=json")
	if err != nil {
		return nil, "", err
	}
	var answer struct {
		Statuses []struct {
			Name         string `json:"name"`
			LocalAddress struct {
				SocketAddress struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, "", err
	}
	if len(answer.Statuses) == 0 {
		return nil, "", errors.New("envoy has no listener yet")
	}
	addresses = make(map[string]string)
	for _, s := range answer.Statuses {
		socket := s.LocalAddress.SocketAddress
		addresses[s.Name] = net.JoinHostPort(socket.Address, strconv.Itoa(socket.Port))
	}
	return addresses, answer.Statuses[0].Name, nil
}

// Stats returns the counters and gauges whose names start with prefix, by name. Envoy puts "wasmcustom." before the names
// that a plugin gives.
func (e *Envoy) Stats(prefix string) map[string]uint64 {
	e.t.Helper()
	filter := url.QueryEscape("^" + regexp.QuoteMeta(prefix))
	stats := make(map[string]uint64)
	for line := range strings.Lines(e.Admin(http.MethodGet, "/stats?filter="+filter)) {
		// The rest are histograms and texts.
		separator := strings.LastIndex(line, ": ")
		if value, err := strconv.ParseUint(strings.TrimSpace(line[separator+1:]), 10, 64); err == nil {
			stats[line[:separator]] = value
		}
	}
	return stats
}

// Stat returns one counter or gauge: 0 if Envoy has none of that name, as plugins make theirs on first use.
func (e *Envoy) Stat(name string) uint64 {
	e.t.Helper()
	return e.Stats(name)[name]
}

// Breaker holds the stats of one circuit breaker.
type Breaker struct {
	State                 uint64 // 0 closed, 1 open, 2 half-open
	Calls                 uint64
	Failures              uint64
	SlowCalls             uint64 `json:"slow_calls"`
	Late                  uint64
	Neutral               uint64
	Rejected              uint64
	ShadowRejected        uint64 `json:"shadow_rejected"`
	Fallback              uint64
	Transitions           uint64
	Opened                uint64
	OpenedFailureRate     uint64 `json:"opened_failure_rate"`
	OpenedSlowRate        uint64 `json:"opened_slow_rate"`
	OpenedConsecutive     uint64 `json:"opened_consecutive"`
	OpenedHalfOpenFailure uint64 `json:"opened_half_open_failure"`
	OpenedRamp            uint64 `json:"opened_ramp"`
	PermitsExpired        uint64 `json:"permits_expired"`
	Probes                uint64
	ProbeFailures         uint64 `json:"probe_failures"`
	Errors                uint64
	Changes               uint64
	ConsecutiveFailures   uint64 `json:"consecutive_failures"`
}

// Breaker returns the stats of a cluster's breaker in the plugin of the default name.
func (e *Envoy) Breaker(cluster string) Breaker {
	e.t.Helper()
	return e.BreakerOf("breaker", cluster)
}

// BreakerOf returns the stats of a cluster's breaker in the plugin of the given name: zero before its first request.
func (e *Envoy) BreakerOf(plugin, cluster string) Breaker {
	e.t.Helper()
	prefix := "wasmcustom.circuit_breaker." + plugin + ".cluster." + cluster + "."
	byName := make(map[string]uint64)
	for name, value := range e.Stats(prefix) {
		byName[strings.TrimPrefix(name, prefix)] = value
	}
	text, err := json.Marshal(byName)
	if err != nil {
		e.t.Fatal(err)
	}
	var b Breaker
	if err := json.Unmarshal(text, &b); err != nil {
		e.t.Fatal(err)
	}
	return b
}
