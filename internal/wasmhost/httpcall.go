package wasmhost

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// An HTTPCall is a request of the plugin's own, which waits for the test to answer it.
type HTTPCall struct {
	VM       int // the worker
	Cluster  string
	Headers  Headers
	Body     string
	Trailers Headers
	Timeout  time.Duration // 0 is none; the host does not enforce it
	Sent     time.Duration // by the monotonic clock

	vm    *VM
	root  *root
	token uint32
}

type httpAnswer struct {
	headers Headers
	body    string
}

// SetClusters says which clusters proxy_http_call can reach from now on.
func (h *Host) SetClusters(names ...string) {
	h.httpMu.Lock()
	defer h.httpMu.Unlock()
	h.clusters = map[string]bool{}
	for _, name := range names {
		h.clusters[name] = true
	}
}

// HTTPCalls lists the calls that wait for an answer, oldest first.
func (h *Host) HTTPCalls() []*HTTPCall {
	h.httpMu.Lock()
	defer h.httpMu.Unlock()
	return slices.Clone(h.pending)
}

func (h *Host) cancelHTTPCalls(of *root) {
	h.httpMu.Lock()
	defer h.httpMu.Unlock()
	h.pending = slices.DeleteFunc(h.pending, func(c *HTTPCall) bool { return c.root == of })
}

// httpCall refuses a cluster that does not exist, and a request that lacks one of the headers that it must have.
func (vm *VM) httpCall(args []uint64) Status {
	cluster, ok1 := vm.read(args[0], args[1])
	headers, ok2 := vm.read(args[2], args[3])
	body, ok3 := vm.read(args[4], args[5])
	trailers, ok4 := vm.read(args[6], args[7])
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return InvalidMemoryAccess
	}
	c := &HTTPCall{
		VM:       vm.index,
		Cluster:  string(cluster),
		Headers:  unmarshalHeaders(headers),
		Body:     string(body),
		Trailers: unmarshalHeaders(trailers),
		Timeout:  time.Duration(int32(args[8])) * time.Millisecond,
		Sent:     vm.host.Now(),
		vm:       vm,
		root:     vm.target().root,
	}
	h := vm.host
	h.httpMu.Lock()
	defer h.httpMu.Unlock()
	if !h.clusters[c.Cluster] || c.Timeout < 0 {
		return BadArgument
	}
	for _, required := range []string{":method", ":path", ":authority"} {
		if _, found := c.Headers.lookup(required); !found {
			return BadArgument
		}
	}
	vm.lastCall++
	c.token = vm.lastCall
	h.pending = append(h.pending, c)
	return vm.write32(args[9], c.token)
}

// Answer plays a response. That is what the plugin gets for a timeout (504) and for a connection that fails (503) too:
// Envoy's router makes these.
func (c *HTTPCall) Answer(status int, headers Headers, body string) error {
	return c.play(&httpAnswer{append(Headers{{":status", strconv.Itoa(status)}}, headers...), body})
}

// Fail plays a stream that was reset: no headers at all.
func (c *HTTPCall) Fail() error { return c.play(nil) }

func (c *HTTPCall) play(a *httpAnswer) error {
	c.take()
	vm := c.vm
	vm.mu.Lock()
	defer vm.mu.Unlock()
	headers, size := 0, 0
	if a != nil {
		headers, size = len(a.headers), len(a.body)
	}
	c.root.answer = a
	defer func() { c.root.answer = nil }()
	_, err := vm.call(onHTTPCallResponse, target{root: c.root},
		uint64(c.root.id), uint64(c.token), uint64(headers), uint64(size), 0)
	return err
}

// take removes the call from those that wait.
func (c *HTTPCall) take() {
	h := c.vm.host
	h.httpMu.Lock()
	defer h.httpMu.Unlock()
	i := slices.Index(h.pending, c)
	if i < 0 {
		panic(fmt.Sprintf("wasmhost: the call to %q was answered already, or its plugin was removed", c.Cluster))
	}
	h.pending = slices.Delete(h.pending, i, i+1)
}
