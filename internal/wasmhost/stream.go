package wasmhost

import (
	"fmt"
	"strconv"
	"time"
)

// A Req is a request that reaches the plugin.
type Req struct {
	Plugin *Plugin // nil is the one that New started

	// Cluster is where the route leads; "" is a route without a cluster (direct response, redirect).
	Cluster string

	// RouteName is what the route is called; "" is one without a name.
	RouteName string

	// Route, given in place of Cluster and RouteName, tells them from the request's headers. It is asked at the start, and again
	// after the request-headers callback where the plugin has changed them.
	Route func(Headers) (cluster, name string)

	Headers Headers // nil is a GET of http://example.com/
	Body    bool    // the headers are not all of it: it comes to its end with Stream.EndRequest, or before an upstream's answer

	// HoldEnd leaves a request that the plugin answers itself unfinished until Stream.End.
	HoldEnd bool
}

var plainGet = Headers{{":method", "GET"}, {":scheme", "http"}, {":authority", "example.com"}, {":path", "/"}}

// A Stream is a request that the plugin has seen, and its response.
type Stream struct {
	vm    *VM
	root  *root
	id    uint32
	route func(Headers) (cluster, name string)
	began time.Duration

	state    streamState
	phase    phase
	reroute  bool // request headers have changed
	sent     bool // the end of the request has been played
	answered bool // response headers have been played
	ended    bool

	request, response, trailers Headers

	cluster    string
	routeName  string
	status     int
	details    string
	hasDetails bool
	flags      Flags
	upstream   string
	attempts   int
	duration   time.Duration
	properties map[string]string // set by the plugin
	reply      *Reply
}

// A streamState tells what the plugin has made of the request.
type streamState int

const (
	paused streamState = iota
	continued
	replied
)

// A phase is the callback that a stream is in.
type phase int

const (
	between phase = iota
	requesting
	responding
	trailing
	logging
)

// Request plays a request's headers. If the plugin answers the request itself, its response headers and, unless held, its
// end are played too, with the callbacks that Envoy makes for them. The error is that of a dead worker.
func (vm *VM) Request(r Req) (*Stream, error) {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.dead != nil {
		return nil, vm.dead
	}
	s := vm.newStream(r)
	if _, err := vm.call(onContextCreate, s.target(), uint64(s.id), uint64(s.root.id)); err != nil {
		return nil, err
	}
	s.phase = requesting
	endOfStream := uint64(1)
	if r.Body {
		endOfStream = 0
	}
	action, err := vm.call(onRequestHeaders, s.target(), uint64(s.id), uint64(len(s.request)), endOfStream)
	if err != nil {
		return nil, err
	}
	s.phase, s.sent = between, !r.Body
	if s.state == paused && action == actionContinue {
		s.state = continued
	}
	if s.reroute && s.route != nil {
		s.cluster, s.routeName = s.route(s.request)
	}
	if s.state == replied && !r.HoldEnd {
		return s, s.end(End{})
	}
	return s, nil
}

func (vm *VM) newStream(r Req) *Stream {
	if r.Plugin == nil {
		r.Plugin = vm.host.main
	}
	if r.Headers == nil {
		r.Headers = plainGet
	}
	if r.Route != nil {
		if r.Cluster != "" {
			panic("wasmhost: a request has either a Cluster or a Route")
		}
		r.Cluster, r.RouteName = r.Route(r.Headers)
	}
	root := vm.root(r.Plugin)
	if root.removed {
		panic(fmt.Sprintf("wasmhost: request to plugin %q, which has been removed", r.Plugin.Name))
	}
	vm.lastID++
	s := &Stream{
		vm:      vm,
		root:    root,
		id:      vm.lastID,
		route:   r.Route,
		began:   vm.host.Now(),
		request: r.Headers,
		cluster: r.Cluster, routeName: r.RouteName,
	}
	vm.contexts[s.id] = s.target()
	root.streams++
	return s
}

func (s *Stream) target() target { return target{s.root, s} }

// EndRequest plays the last piece of the request's body. A second call does nothing.
func (s *Stream) EndRequest() error {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	s.mustBeOpen("EndRequest")
	return s.endRequest()
}

func (s *Stream) endRequest() error {
	if s.sent {
		return s.vm.dead
	}
	s.sent = true
	_, err := s.vm.call(onRequestBody, s.target(), uint64(s.id), 0, 1)
	return err
}

// Respond plays response headers from the upstream. headers come after ":status".
func (s *Stream) Respond(status int, headers Headers) error {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	s.mustBeOpen("Respond")
	return s.respond(End{Status: status, Headers: headers, Upstream: Upstream})
}

// End plays how the stream ends: response headers where there are any and Respond has not played them, trailers, and the
// log.
func (s *Stream) End(e End) error {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	s.mustBeOpen("End")
	if e.Status != 0 {
		if err := s.respond(e); err != nil {
			return err
		}
	}
	return s.end(e)
}

// OK ends the stream with a plain 200 from the upstream.
func (s *Stream) OK() error { return s.Status(200) }

// Status ends the stream with a status from the upstream.
func (s *Stream) Status(status int) error { return s.End(End{Status: status, Upstream: Upstream}) }

// GRPC ends the stream with a gRPC response from the upstream, its status in the trailers.
func (s *Stream) GRPC(status int) error {
	return s.End(End{
		Status:   200,
		Headers:  Headers{{"content-type", "application/grpc"}},
		Trailers: Headers{{"grpc-status", strconv.Itoa(status)}},
		Upstream: Upstream,
	})
}

func (s *Stream) mustBeOpen(played string) {
	if s.ended {
		panic(fmt.Sprintf("wasmhost: %s of a stream that has ended with response headers %v", played, s.response))
	}
}

func (s *Stream) respond(e End) error {
	if s.vm.dead != nil {
		return s.vm.dead
	}
	if s.answered {
		panic(fmt.Sprintf("wasmhost: status %d for a stream that has response headers already: %v", e.Status, s.response))
	}
	if s.state == paused {
		panic(fmt.Sprintf("wasmhost: status %d for a stream that the plugin has paused", e.Status))
	}
	if e.Upstream != "" {
		if err := s.endRequest(); err != nil {
			return err
		}
	}
	s.response = make(Headers, 0, 1+len(e.Headers))
	s.response = append(s.response, Header{":status", strconv.Itoa(e.Status)})
	s.response = append(s.response, e.Headers...)
	if e.Details == "" {
		e.Details = "via_upstream"
	}
	s.details, s.hasDetails = e.Details, true
	s.status, s.flags, s.upstream, s.attempts = e.Status, e.Flags, e.Upstream, e.Attempts
	return s.playResponse()
}

// playResponse plays the response's headers as they are set.
func (s *Stream) playResponse() error {
	s.answered = true
	s.phase = responding
	_, err := s.vm.call(onResponseHeaders, s.target(), uint64(s.id), uint64(len(s.response)), 0)
	s.phase = between
	return err
}

// end plays the end and forgets the stream.
func (s *Stream) end(e End) error {
	vm := s.vm
	if vm.dead != nil {
		return vm.dead
	}
	s.ended = true
	s.flags |= e.Flags
	if s.answered && len(e.Trailers) == 0 && (e.Details == "" || e.Status != 0) { // not broken off
		if _, err := vm.call(onResponseBody, s.target(), uint64(s.id), 0, 1); err != nil {
			return err
		}
	}
	if e.Details != "" {
		s.details, s.hasDetails = e.Details, true
	}
	if e.Upstream != "" {
		s.upstream, s.attempts = e.Upstream, e.Attempts
	}
	if s.duration = e.Duration; s.duration == 0 {
		s.duration = vm.host.Now() - s.began
	}
	if s.trailers = e.Trailers; len(e.Trailers) > 0 {
		s.phase = trailing
		if _, err := vm.call(onResponseTrailers, s.target(), uint64(s.id), uint64(len(e.Trailers))); err != nil {
			return err
		}
	}
	s.phase = logging
	if _, err := vm.call(onLog, s.target(), uint64(s.id)); err != nil {
		return err
	}
	s.phase = between
	for _, cb := range []callback{onDone, onDelete} {
		if _, err := vm.call(cb, s.target(), uint64(s.id)); err != nil {
			return err
		}
	}
	delete(vm.contexts, s.id)
	if s.root.streams--; s.root.streams == 0 && s.root.removed {
		return vm.shutDown(s.root)
	}
	return nil
}

// mutable finds a header map that the plugin may change in the callback that the stream is in; nil if there is none.
func (s *Stream) mutable(kind uint64) *Headers {
	switch {
	case kind == requestHeaders && (s.phase == requesting || s.phase != logging && s.state != continued):
		return &s.request
	case kind == responseHeaders && s.phase == responding:
		return &s.response
	case kind == responseTrailers && s.phase == trailing:
		return &s.trailers
	}
	return nil
}

// Continued reports whether the request has gone on to the upstream.
func (s *Stream) Continued() bool {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	return s.state == continued
}

// Reply is what the plugin has answered in the upstream's place, nil if it has not.
func (s *Stream) Reply() *Reply {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	return s.reply
}

// Cluster is where the request was routed to in the end.
func (s *Stream) Cluster() string {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	return s.cluster
}

// Reroute has a filter after the plugin send the request to another cluster.
func (s *Stream) Reroute(cluster string) {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	s.cluster = cluster
}

// RequestHeaders are what the upstream gets, after the plugin.
func (s *Stream) RequestHeaders() Headers {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	return s.request
}

// ResponseHeaders are what the client gets, after the plugin; nil while there are none.
func (s *Stream) ResponseHeaders() Headers {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	return s.response
}
