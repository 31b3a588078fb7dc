// Command run is a circuit breaker to play with: an Envoy with the plugin in front of two demo upstreams, which can be made
// to fail, to hang and to recover. It runs until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"envoy-circuit-breaker/internal/command"
	"envoy-circuit-breaker/internal/process"
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
	envoy := flag.String("envoy", "envoy", "Envoy's binary")
	config := flag.String("config", "envoy.yaml", "Envoy's configuration, which has to use the same ports as envoy.yaml")
	flag.Parse()

	command.Main("run", func(ctx context.Context) error { return run(ctx, *envoy, *config) })
}

// run returns nil when ctx ends, and an error when anything else ends it. Envoy is gone when it returns.
func run(ctx context.Context, envoy, config string) error {
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

	cmd := exec.Command(envoy, "--config-path", config, "--concurrency", "2", "--disable-hot-restart",
		"--file-flush-interval-msec", "50", // or the access log would lag by up to 10 s
		"--log-level", "warning", "--component-log-level", "wasm:info") // warnings, and what the plugin says
	cmd.Stdout, cmd.Stderr = relay{os.Stdout}, relay{os.Stderr}
	p, err := process.Start(cmd)
	if err != nil {
		return fmt.Errorf("starting envoy: %w", err)
	}
	defer p.Stop()

	for _, path := range []string{"/payments", "/catalog"} {
		if err := await(ctx, p, "http://"+listener+path); err != nil {
			return err
		}
	}
	if ctx.Err() == nil {
		fmt.Print(guide)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-p.Done():
		return envoyEnded(p)
	}
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

// A relay hides that a writer is a file, which makes exec pass on output through a pipe. A file would be handed to Envoy, which
// opens its standard output a second time for the access log: when that is a file, the two of us would overwrite each other.
type relay struct{ io.Writer }

// await polls url until it is answered with 200, or ctx ends.
func await(ctx context.Context, p *process.Process, url string) error {
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
			return nil
		case <-p.Done():
			return envoyEnded(p)
		case <-timeout:
			return fmt.Errorf("%s was not answered within %v: %w", url, startTimeout, err)
		}
	}
}

func envoyEnded(p *process.Process) error {
	how := "exit status 0"
	if err := p.Err(); err != nil {
		how = err.Error()
	}
	return fmt.Errorf("envoy ended by itself: %s; its log is above", how)
}
