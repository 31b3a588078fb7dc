// Package envoytest runs a real Envoy and upstreams of any behaviour for end-to-end tests, on ports that are free. Envoy's
// binary comes from the environment variable ENVOY, which make sets.
package envoytest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/process"
)

// startTimeout is how long Envoy may take to be ready, or to refuse its configuration: long, for machines under load.
const startTimeout = time.Minute

// An Envoy is a running Envoy. Its methods that return no error fail the test when Envoy does not answer, and so are to be
// called from the test's goroutine; URL and Get can be used by any.
type Envoy struct {
	t         testing.TB
	process   *process.Process
	log       *buffer
	accessLog string
	admin     string            // address of the admin port
	listeners map[string]string // address of each listener, by name
	first     string            // name of the first listener
	stopped   bool
}

// Start starts an Envoy and waits until it serves. When the test ends, Envoy is stopped, and its log shown if the test has
// failed. An Envoy that ends by itself fails the test.
func Start(t testing.TB, options Options) *Envoy {
	t.Helper()
	e, addressFile := launch(t, options)
	t.Cleanup(func() {
		e.Stop()
		if t.Failed() {
			t.Logf("envoy's log:\n%s", e.Log())
		}
	})
	Eventually(t, startTimeout, func() error {
		e.checkAlive()
		return e.findPorts(addressFile)
	})
	return e
}

// StartExpectFailure starts an Envoy that is to refuse its configuration and exit, and returns its log.
func StartExpectFailure(t testing.TB, options Options) string {
	t.Helper()
	e, addressFile := launch(t, options)
	defer e.process.Stop()
	Eventually(t, startTimeout, func() error {
		select {
		case <-e.process.Done():
			return nil
		default:
		}
		if e.findPorts(addressFile) == nil {
			t.Fatalf("envoy accepted the configuration; its log:\n%s", e.Log())
		}
		return fmt.Errorf("envoy has neither exited nor become ready; its log:\n%s", e.Log())
	})
	if e.process.Err() == nil {
		t.Fatalf("envoy exited without an error; its log:\n%s", e.Log())
	}
	return e.Log()
}

// launch starts Envoy's process. Envoy writes the address of its admin port to the file that launch returns.
func launch(t testing.TB, options Options) (e *Envoy, addressFile string) {
	t.Helper()
	binary := os.Getenv("ENVOY")
	if binary == "" {
		t.Fatal("ENVOY does not name an Envoy binary: run the tests with make test, which fetches one")
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	e = &Envoy{t: t, log: new(buffer), accessLog: filepath.Join(dir, "access.log")}
	addressFile = filepath.Join(dir, "admin")
	configFile := filepath.Join(dir, "envoy.yaml")
	config := options.config(e.accessLog)
	if err := os.WriteFile(configFile, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(config, pluginFile) {
		if _, err := os.Stat(filepath.Join(root, pluginFile)); err != nil {
			t.Fatalf("%v: run the tests with make test, which builds it", err)
		}
	}

	concurrency := options.Concurrency
	if concurrency == 0 {
		concurrency = 2
	}
	cmd := exec.Command(binary, "--config-path", configFile, "--concurrency", strconv.Itoa(concurrency),
		"--admin-address-path", addressFile, "--file-flush-interval-msec", "50",
		"--component-log-level", "main:warning", // or its log starts with a hundred lines of what is built in
		"--disable-hot-restart") // which would keep Envoys from running side by side
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = e.log, e.log
	if e.process, err = process.Start(cmd); err != nil {
		t.Fatalf("starting envoy: %v", err)
	}
	return e, addressFile
}

// findPorts succeeds once Envoy is live, and learns the ports that it has chosen.
func (e *Envoy) findPorts(addressFile string) error {
	address, err := os.ReadFile(addressFile)
	if err != nil {
		return err
	}
	e.admin = string(address)
	if _, err := e.request(http.MethodGet, "/ready"); err != nil {
		return err
	}
	e.listeners, e.first, err = e.findListeners()
	return err
}

// Stop stops Envoy and waits until its process has ended. A second call does nothing.
func (e *Envoy) Stop() {
	e.t.Helper()
	if e.stopped {
		return
	}
	e.stopped = true
	select {
	case <-e.process.Done():
		e.t.Errorf("envoy has ended by itself: %v", e.process.Err())
	default:
		e.process.Stop()
	}
}

// checkAlive ends the test if Envoy has ended.
func (e *Envoy) checkAlive() {
	e.t.Helper()
	select {
	case <-e.process.Done():
		e.t.Fatalf("envoy has ended: %v", e.process.Err())
	default:
	}
}

// Log returns what Envoy has written to its log so far. The plugin's own lines are in it.
func (e *Envoy) Log() string { return e.log.String() }

// Address returns the host:port of the listener with the given name.
func (e *Envoy) Address(listener string) string {
	e.t.Helper()
	address, ok := e.listeners[listener]
	if !ok {
		e.t.Fatalf("envoy has no listener %q", listener)
	}
	return address
}

// URL returns the URL of a path on the first listener.
func (e *Envoy) URL(path string) string { return "http://" + e.listeners[e.first] + path }

// An Answer is what a client got for a request.
type Answer struct {
	Status int
	Header http.Header
	Body   string // as much of it as arrived
	Err    error  // no answer (then Status is 0), or its body broke off
}

// Get requests a path of the first listener, over a connection of its own, so that requests spread over Envoy's workers.
func (e *Envoy) Get(path string) Answer { return answer(Client.Get(e.URL(path))) }

// Post sends a request with a body.
func (e *Envoy) Post(path, contentType, body string) Answer {
	return answer(Client.Post(e.URL(path), contentType, strings.NewReader(body)))
}

func answer(response *http.Response, err error) Answer {
	if err != nil {
		return Answer{Err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(body), Err: err}
}

// Client opens a connection for each request. Its timeout makes a request that nobody answers fail its own test, not the
// whole run.
var Client = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true},
	Timeout:   time.Minute,
}

// moduleRoot returns the folder of go.mod: tests run in the folder of their package, somewhere below it.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod in the working directory or above it")
		}
		dir = parent
	}
}

// A buffer collects the output of a process and can be read while that runs.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Eventually calls check until it returns nil, and fails the test with check's last error when that takes longer than
// timeout.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("not within %v: %w", timeout, err))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
