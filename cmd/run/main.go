// Command run is a circuit breaker to play with: an Envoy with the plugin in front of two demo upstreams, which can be made
// to fail, to hang and to recover. It runs until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"envoy-circuit-breaker/internal/command"
	"envoy-circuit-breaker/internal/envoy"
)

// The ports of envoy.yaml.
const (
	listener = "127.0.0.1:10000"
	admin    = "127.0.0.1:9901"
	status   = "127.0.0.1:9902"
	payments = "127.0.0.1:8081"
	catalog  = "127.0.0.1:8082"
)

// startTimeout is how long both upstreams may take to answer through Envoy.
const startTimeout = time.Minute

func main() {
	binary := command.Envoy()
	config := flag.String("config", "envoy.yaml", "Envoy's configuration, which has to use the same ports as envoy.yaml")
	command.Main("run", func(ctx context.Context) error { return run(ctx, *binary, *config) })
}

// run returns nil when ctx ends, and an error when anything else ends it. Envoy is gone when it returns.
func run(ctx context.Context, binary, config string) error {
	for _, address := range []string{listener, admin, status} {
		// Envoy would share the listener's port with another Envoy, and requests would reach either of them.
		l, err := listen(address)
		if err != nil {
			return err
		}
		l.Close()
	}
	for name, address := range map[string]string{"payments": payments, "catalog": catalog} {
		l, err := listen(address)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: newUpstream(name)}
		defer server.Close()
		go server.Serve(l)
	}

	e, err := envoy.Start(ctx, envoy.Options{
		Binary: binary, ConfigFile: config, Workers: 2,
		Flags:  []string{"--log-level", "warning", "--component-log-level", "wasm:info"}, // warnings, and what the plugin says
		Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		return ignoreInterrupt(ctx, err)
	}
	defer e.Stop()
	for _, path := range []string{"/payments", "/catalog"} {
		if err := await(ctx, e, "http://"+listener+path); err != nil {
			return ignoreInterrupt(ctx, err)
		}
	}
	fmt.Print(guide)
	select {
	case <-ctx.Done():
		return nil
	case <-e.Done():
		return e.Err()
	}
}

// ignoreInterrupt returns an error unless it is for Ctrl-C that something has not come about.
func ignoreInterrupt(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// listen is net.Listen with an error that says what to do about a port that is taken.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(address)
		return nil, fmt.Errorf("port %s is in use: stop the program that listens on %s (lsof -i :%s shows it), then try again",
			port, address, port)
	}
	return l, err
}

// await polls url until it is answered with 200.
func await(ctx context.Context, e *envoy.Envoy, url string) error {
	client := http.Client{Timeout: time.Second}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(startTimeout)
	for {
		response, err := client.Get(url)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.Done():
			return e.Err()
		case <-timeout:
			return fmt.Errorf("%s was not answered within %v: %w", url, startTimeout, err)
		}
	}
}
