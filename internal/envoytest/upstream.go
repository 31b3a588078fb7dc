package envoytest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An Upstream is a server for Envoy to send requests to. It speaks HTTP/1.1 and HTTP/2 without TLS, answers 200 at first, and
// behaves as the test tells it to, from one request to the next.
type Upstream struct {
	Address string // host:port

	mu          sync.Mutex
	handler     http.HandlerFunc
	requests    int
	inFlight    int
	maxInFlight int
}

// NewUpstream starts an upstream on a free port. It ends with the test, which breaks off requests that still hang.
func NewUpstream(t testing.TB) *Upstream {
	u := &Upstream{handler: Status(http.StatusOK)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(u.serve))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	// Close waits for handlers to return, so those that hang are told that they may.
	ctx, cancel := context.WithCancel(context.Background())
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	t.Cleanup(func() {
		cancel()
		server.CloseClientConnections()
		server.Close()
	})
	u.Address = server.Listener.Addr().String()
	return u
}

// Handle sets how requests are answered from now on; requests in flight keep the handler that they have. A handler reaches
// features such as Flush and Hijack through http.ResponseController.
func (u *Upstream) Handle(handler http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handler = handler
}

// Requests returns how many requests have arrived.
func (u *Upstream) Requests() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.requests
}

// InFlight returns how many requests have arrived and not been answered: a request is answered when the headers of its
// response are about to be sent, or when it is broken off.
func (u *Upstream) InFlight() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.inFlight
}

// MaxInFlight returns the greatest number of requests in flight since the start or the last Reset.
func (u *Upstream) MaxInFlight() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.maxInFlight
}

// Reset makes Requests count from 0 again, and MaxInFlight from what is in flight now.
func (u *Upstream) Reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests, u.maxInFlight = 0, u.inFlight
}

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	handler := u.handler
	u.requests++
	u.inFlight++
	u.maxInFlight = max(u.maxInFlight, u.inFlight)
	u.mu.Unlock()

	answer := &answerWriter{ResponseWriter: w, answered: sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.inFlight--
	})}
	defer answer.answered()
	handler(answer, r)
}

// An answerWriter reports the moment before the first byte of a response can leave. Were it after, Envoy could send the next
// request before the last one is counted as answered.
type answerWriter struct {
	http.ResponseWriter
	answered func()
}

func (w *answerWriter) WriteHeader(status int) {
	w.answered()
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	w.answered()
	return w.ResponseWriter.Write(p)
}

// FlushError is how http.ResponseController flushes.
func (w *answerWriter) FlushError() error {
	w.answered()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach everything else.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Status answers with a status and no body.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// Hang answers with 200 once release is closed; a nil channel never is. It gives up when the client does.
func Hang(release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			w.WriteHeader(http.StatusOK)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// Abort closes the connection (HTTP/2: resets the stream) instead of answering.
func Abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// BreakOff answers with 200 and half of the promised body, then closes the connection (HTTP/2: resets the stream).
func BreakOff(w http.ResponseWriter, _ *http.Request) {
	const half = "half of the body"
	w.Header().Set("content-length", fmt.Sprint(2*len(half)))
	// Without the flush nothing would be sent. That the client is gone by now is no concern of the upstream's.
	_, _ = w.Write([]byte(half))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// RefusingAddress returns the address of a port that refuses connections until the test ends: it is taken, but nobody
// listens there.
func RefusingAddress(t testing.TB) string {
	t.Helper()
	_, address := bind(t)
	return address
}

// SilentAddress returns the address of a port where connections are neither accepted nor refused until the test ends: the
// queue of those that wait to be accepted is full.
func SilentAddress(t testing.TB) string {
	t.Helper()
	socket, address := bind(t)
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatalf("the queue of %s does not fill", address)
	return ""
}

// bind takes a free port.
func bind(t testing.TB) (socket int, address string) {
	t.Helper()
	syscall.ForkLock.RLock()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(socket)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })

	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return socket, fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}
