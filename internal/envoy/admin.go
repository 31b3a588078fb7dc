package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// admin opens a connection for each request, so that none is left open. Its timeout is long, for machines under load.
var admin = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// AdminAddress is where Envoy's admin interface is.
func (e *Envoy) AdminAddress() string { return e.admin }

// Ask sends a request to Envoy's admin interface and returns the body of its answer. Any status but 200 is an error.
func (e *Envoy) Ask(ctx context.Context, method, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+e.admin+path, nil)
	if err != nil {
		return "", err
	}
	response, err := admin.Do(request)
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

// findListeners learns the listeners' addresses once Envoy is ready.
func (e *Envoy) findListeners(ctx context.Context) error {
	if _, err := e.Ask(ctx, http.MethodGet, "/ready"); err != nil {
		return err
	}
	body, err := e.Ask(ctx, http.MethodGet, "/listeners?format=json")
	if err != nil {
		return err
	}
	var answer struct {
		Statuses []struct {
			Name    string
			Address struct {
				Socket struct {
					Address string
					Port    uint16 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err
	}
	if len(answer.Statuses) == 0 {
		return errors.New("envoy has no listener yet")
	}
	e.Listeners, e.First = map[string]netip.AddrPort{}, answer.Statuses[0].Name
	for _, s := range answer.Statuses {
		ip, err := netip.ParseAddr(s.Address.Socket.Address)
		if err != nil {
			return err
		}
		e.Listeners[s.Name] = netip.AddrPortFrom(ip, s.Address.Socket.Port)
	}
	return nil
}

// Stats returns the counters and gauges whose names start with prefix, by name. Envoy puts "wasmcustom." before the names
// that a plugin gives.
func (e *Envoy) Stats(ctx context.Context, prefix string) (map[string]uint64, error) {
	body, err := e.Ask(ctx, http.MethodGet, "/stats?filter="+url.QueryEscape("^"+regexp.QuoteMeta(prefix)))
	if err != nil {
		return nil, err
	}
	stats := map[string]uint64{}
	for line := range strings.Lines(body) {
		// The rest are histograms and texts.
		separator := strings.LastIndex(line, ": ")
		if value, err := strconv.ParseUint(strings.TrimSpace(line[separator+1:]), 10, 64); err == nil {
			stats[line[:separator]] = value
		}
	}
	return stats, nil
}
