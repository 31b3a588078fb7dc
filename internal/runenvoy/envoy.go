// Package runenvoy runs an Envoy for a program that measures or shows something with it.
package runenvoy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"envoy-circuit-breaker/internal/process"
)

// startTimeout is for Envoy to serve, with several plugins to compile on a slow machine.
const startTimeout = 2 * time.Minute

// Options are what an Envoy is started with.
type Options struct {
	Binary  string
	Config  []byte // in YAML. Ports may be 0: Envoy chooses.
	Workers int
	Cores   string // that it may run on, as taskset(1) lists them; "" is all
}

// An Envoy is a running one.
type Envoy struct {
	PID       int
	Listeners map[string]netip.AddrPort // addresses by name

	process *process.Process
	dir     string // its files
	log     bytes.Buffer
	admin   string // address
}

// Start starts an Envoy and waits until it serves. The error has its log if it does not.
func Start(ctx context.Context, o Options) (*Envoy, error) {
	dir, err := os.MkdirTemp("", "circuit-breaker-")
	if err != nil {
		return nil, err
	}
	e := &Envoy{dir: dir}
	addressFile := filepath.Join(dir, "admin")
	if err := e.launch(o, addressFile); err != nil {
		return nil, errors.Join(fmt.Errorf("starting envoy: %w", err), os.RemoveAll(dir))
	}
	if err := e.await(ctx, addressFile); err != nil {
		e.Stop() // which also completes the log
		return nil, fmt.Errorf("envoy does not serve: %w; its log:\n%s", err, &e.log)
	}
	return e, nil
}

// launch starts Envoy's process, which writes the address of its admin port to a file.
func (e *Envoy) launch(o Options, addressFile string) error {
	configFile := filepath.Join(e.dir, "envoy.yaml")
	if err := os.WriteFile(configFile, o.Config, 0o600); err != nil {
		return err
	}
	command := []string{o.Binary, "--config-path", configFile, "--concurrency", strconv.Itoa(o.Workers),
		"--admin-address-path", addressFile, "--log-level", "warning", "--disable-hot-restart"}
	if o.Cores != "" {
		command = append([]string{"taskset", "--cpu-list", o.Cores}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &e.log, &e.log
	var err error
	if e.process, err = process.Start(cmd); err != nil {
		return err
	}
	e.PID = cmd.Process.Pid
	return nil
}

// Stop stops Envoy, waits until its process has ended, and removes its files.
func (e *Envoy) Stop() {
	e.process.Stop()
	os.RemoveAll(e.dir)
}

// await polls until Envoy is ready, and learns the ports that it has chosen.
func (e *Envoy) await(ctx context.Context, addressFile string) error {
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

func (e *Envoy) findListeners(ctx context.Context) error {
	if _, err := e.Ask(ctx, "/ready"); err != nil {
		return err
	}
	body, err := e.Ask(ctx, "/listeners?format=json")
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
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	e.Listeners = map[string]netip.AddrPort{}
	for _, s := range answer.Statuses {
		ip, err := netip.ParseAddr(s.Address.Socket.Address)
		if err != nil {
			return err
		}
		e.Listeners[s.Name] = netip.AddrPortFrom(ip, s.Address.Socket.Port)
	}
	return nil
}

// Ask sends a request to the admin port, and returns the answer's body.
func (e *Envoy) Ask(ctx context.Context, path string) ([]byte, error) {
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
