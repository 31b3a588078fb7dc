// Package envoytest runs a real Envoy and upstreams of any behaviour for tests, on ports that are free. What does not work
// fails the test.
package envoytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoy"
)

// An Envoy is a running Envoy. Its methods that return no error fail the test when Envoy does not answer, and so are to be
// called from the test's goroutine; URL, Get and Post can be used by any.
type Envoy struct {
	*envoy.Envoy
	t         testing.TB
	accessLog string
	stopped   bool
}

// Start starts an Envoy with two workers and an access log, and waits until it serves. When the test ends, Envoy is stopped,
// and its log shown if the test has failed. An Envoy that ends by itself fails the test.
func Start(t testing.TB, bootstrap envoy.Bootstrap) *Envoy {
	t.Helper()
	return StartWorkers(t, 2, bootstrap)
}

// StartWorkers is Start with so many workers.
func StartWorkers(t testing.TB, workers int, bootstrap envoy.Bootstrap) *Envoy {
	t.Helper()
	return StartWith(t, envoy.Options{Workers: workers, Bootstrap: bootstrap})
}

// StartWith is Start with more options. Binary and Folder need not be given.
func StartWith(t testing.TB, options envoy.Options) *Envoy {
	t.Helper()
	e, err := start(t, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Stop()
		if t.Failed() {
			t.Logf("envoy's log:\n%s", e.Log())
		}
	})
	return e
}

// StartExpectFailure starts an Envoy that is to refuse its configuration and exit, and returns its log.
func StartExpectFailure(t testing.TB, bootstrap envoy.Bootstrap) string {
	t.Helper()
	e, err := start(t, envoy.Options{Workers: 2, Bootstrap: bootstrap})
	if err == nil {
		e.Stop()
		t.Fatalf("envoy accepted the configuration; its log:\n%s", e.Log())
	}
	var failure *envoy.StartError
	if !errors.As(err, &failure) || !failure.Refused {
		t.Fatal(err)
	}
	return failure.Log
}

// start starts the Envoy that make names.
func start(t testing.TB, options envoy.Options) (*Envoy, error) {
	t.Helper()
	binary := os.Getenv("ENVOY")
	if binary == "" {
		t.Fatal("ENVOY does not name an Envoy binary: run the tests with make test, which fetches one")
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, envoy.PluginFile)); err != nil {
		t.Fatalf("%v: run the tests with make test, which builds it", err)
	}
	options.Binary, options.Folder = binary, root
	options.Bootstrap.AccessLog = filepath.Join(t.TempDir(), "access.log")
	options.Flags = append(options.Flags, "--component-log-level", "main:warning") // or its log starts with a hundred lines of what is built in
	e, err := envoy.Start(t.Context(), options)
	return &Envoy{Envoy: e, t: t, accessLog: options.Bootstrap.AccessLog}, err
}

// Stop stops Envoy and waits until its process has ended. A second call does nothing.
func (e *Envoy) Stop() {
	e.t.Helper()
	if e.stopped {
		return
	}
	e.stopped = true
	if err := e.Envoy.Stop(); err != nil {
		e.t.Error(err)
	}
}

// AwaitEnd waits until Envoy has ended by itself, as the parent of a hot restart does.
func (e *Envoy) AwaitEnd(timeout time.Duration) {
	e.t.Helper()
	select {
	case <-e.Done():
		e.stopped = true
	case <-time.After(timeout):
		e.t.Fatalf("envoy has not ended within %v", timeout)
	}
}

// Address returns the host:port of the listener with the given name.
func (e *Envoy) Address(listener string) string {
	e.t.Helper()
	address, ok := e.Listeners[listener]
	if !ok {
		e.t.Fatalf("envoy has no listener %q", listener)
	}
	return address.String()
}

// URL returns the URL of a path on the first listener.
func (e *Envoy) URL(path string) string { return "http://" + e.Listeners[e.First].String() + path }

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

// Do sends any request.
func Do(request *http.Request) Answer { return answer(Client.Do(request)) }

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

// Admin sends a request to Envoy's admin port and returns the body of its answer. Any status but 200 fails the test.
func (e *Envoy) Admin(method, path string) string {
	e.t.Helper()
	return asked(e, func(ctx context.Context) (string, error) { return e.Ask(ctx, method, path) })
}

// Stats returns the counters and gauges whose names start with prefix, by name. Envoy puts "wasmcustom." before the names
// that a plugin gives.
func (e *Envoy) Stats(prefix string) map[string]uint64 {
	e.t.Helper()
	return asked(e, func(ctx context.Context) (map[string]uint64, error) { return e.Envoy.Stats(ctx, prefix) })
}

// Stat returns one counter or gauge: 0 if Envoy has none of that name, as plugins make theirs on first use.
func (e *Envoy) Stat(name string) uint64 {
	e.t.Helper()
	return e.Stats(name)[name]
}

// Breakers returns the stats of all breakers of the plugin with the default name, by cluster.
func (e *Envoy) Breakers() map[string]envoy.BreakerStats {
	e.t.Helper()
	return e.breakers("breaker")
}

// Breaker returns the stats of a cluster's breaker in the plugin of the default name.
func (e *Envoy) Breaker(cluster string) envoy.BreakerStats {
	e.t.Helper()
	return e.BreakerOf("breaker", cluster)
}

// BreakerOf returns the stats of a cluster's breaker in the plugin of the given name: zero before its first request.
func (e *Envoy) BreakerOf(plugin, cluster string) envoy.BreakerStats {
	e.t.Helper()
	return e.breakers(plugin)[cluster]
}

func (e *Envoy) breakers(plugin string) map[string]envoy.BreakerStats {
	e.t.Helper()
	return asked(e, func(ctx context.Context) (map[string]envoy.BreakerStats, error) { return e.Envoy.Breakers(ctx, plugin) })
}

// asked asks Envoy. If there is no answer, the test ends, and says so where that is because Envoy has ended.
func asked[T any](e *Envoy, ask func(context.Context) (T, error)) T {
	e.t.Helper()
	answer, err := ask(context.Background()) // a test's own context ends before its cleanup
	switch {
	case err != nil && e.Ended():
		e.t.Fatal(e.Err())
	case err != nil:
		e.t.Fatal(err)
	}
	return answer
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
