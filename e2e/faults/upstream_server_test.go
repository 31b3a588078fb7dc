//go:build faults

package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/envoytest"
)

// A patient is an upstream that is well at first, has a fault when it is told to, and is well again after that.
type patient struct {
	fault   *fault
	address string // host:port

	mu       sync.Mutex
	listener net.Listener
	failing  bool
	conns    map[net.Conn]*http2Conn // open ones; nil where it is none of HTTP/2
	ends     sync.WaitGroup
}

func newPatient(t testing.TB, f *fault) *patient {
	p := &patient{fault: f, conns: map[net.Conn]*http2Conn{}, address: "127.0.0.1:0"}
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	p.address = p.listener.Addr().String()
	t.Cleanup(func() {
		p.listener.Close()
		p.closeAll()
		p.ends.Wait()
	})
	return p
}

func (p *patient) listen() error {
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		return err
	}
	p.listener = listener
	p.ends.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.ends.Go(func() { p.serve(conn) })
		}
	})
	return nil
}

// serve serves one connection. What it does is settled when that begins.
func (p *patient) serve(conn net.Conn) {
	defer conn.Close()
	p.mu.Lock()
	f, failing := p.fault, p.failing
	var h *http2Conn
	if f.http2 && !(failing && f.conn != nil) {
		h = newHTTP2Conn(conn)
	}
	p.conns[conn] = h
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
	}()
	switch {
	case failing && f.conn != nil:
		f.conn(conn)
	case failing:
		h.serve(f.greet, f.begin, f.stream)
	case f.http2:
		h.serve(nil, nil, answerWell)
	default:
		answers("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")(conn)
	}
}

// fall begins the fault, while no requests are in flight.
func (p *patient) fall(t testing.TB) {
	t.Helper()
	p.leave(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = true
	if p.fault.killed {
		p.listener.Close()
	}
}

// rise ends the fault, while no requests are in flight.
func (p *patient) rise(t testing.TB) {
	t.Helper()
	if p.fault.opens {
		p.closeAll()
	}
	p.leave(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = false
	if p.fault.killed {
		envoytest.Eventually(t, patience, p.listen)
	}
}

// leave waits until there are no connections. Those of HTTP/2 are told to end; those of HTTP/1 have one request each.
func (p *patient) leave(t testing.TB) {
	t.Helper()
	envoytest.Eventually(t, patience, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, h := range p.conns {
			if h != nil {
				h.goAway(everyStream, http2NoError)
			}
		}
		if n := len(p.conns); n > 0 {
			return fmt.Errorf("%s: %d connections are left", p.fault.name, n)
		}
		return nil
	})
}

func (p *patient) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// readRequest reads one request of HTTP/1, and reports whether there was one.
func readRequest(conn net.Conn) bool {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, err = io.Copy(io.Discard, request.Body)
	}
	return err == nil
}

// answers sends some bytes in the place of an answer, and closes the connection.
func answers(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if readRequest(conn) {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// answersAndResets ends the connection by RST.
func answersAndResets(text string) func(net.Conn) {
	return func(conn net.Conn) {
		answers(text)(conn)
		time.Sleep(10 * time.Millisecond) // or the RST would overtake the text
		reset(conn)
	}
}

func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// drips sends first at once, and drop again and again: so many times, without end if that is 0. It closes the connection then.
func drips(first, drop string, times int, every time.Duration, last string) func(net.Conn) {
	return func(conn net.Conn) {
		if !readRequest(conn) {
			return
		}
		_, err := io.WriteString(conn, first)
		for i := 0; err == nil && (times == 0 || i < times); i++ {
			time.Sleep(every)
			_, err = io.WriteString(conn, drop)
		}
		_, _ = io.WriteString(conn, last)
	}
}

// dripsBytes sends a text byte by byte.
func dripsBytes(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if !readRequest(conn) {
			return
		}
		for i := range len(text) {
			if _, err := conn.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// stops accepts connections and takes what comes, but says nothing.
func stops(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// notReading is for how long one stops that stops reading: longer than its clients wait.
const notReading = 2 * time.Second

// readsLate leaves in the kernel what comes, until there is no more room for it, and then takes it. A client that has left in between is
// not heard of before.
func readsLate(conn net.Conn) {
	time.Sleep(notReading)
	stops(conn)
}
