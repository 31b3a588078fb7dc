//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A loop is load generator and upstream in one thread, which polls all its connections and never sleeps. So it takes a small
// part of the time that Envoy takes for a request, and no waking up of its own is in what it measures.
type loop struct {
	epoll    int
	listener int
	port     int           // of the upstream
	peers    map[int]*peer // by file descriptor
	events   [128]unix.EpollEvent
	failed   bool // the last answer to halfPath was a failure

	// Of the load that runs.
	idle      []*peer // connections to Envoy, without a request
	answered  int
	statuses  [600]int
	latencies []time.Duration
	chained   bool // an answer has the next request sent
	next      int  // index of the next request
	requests  [][]byte
	began     time.Time
	resume    time.Duration // polling, after a pause
}

// A peer is one connection.
type peer struct {
	fd     int
	client bool // of Envoy; otherwise Envoy is the client, and this the upstream's end
	due    time.Duration
	buffer [1024]byte
	filled int
}

func newLoop() (*loop, error) {
	l := &loop{peers: map[int]*peer{}}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.listener, err = socket(); err != nil {
		return nil, err
	}
	if err := errors.Join(unix.Bind(l.listener, &unix.SockaddrInet4{Addr: loopback}), unix.Listen(l.listener, 4096)); err != nil {
		return nil, err
	}
	bound, err := unix.Getsockname(l.listener)
	if err != nil {
		return nil, err
	}
	l.port = bound.(*unix.SockaddrInet4).Port
	return l, l.watch(l.listener)
}

var loopback = [4]byte{127, 0, 0, 1}

func socket() (int, error) {
	return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

func (l *loop) watch(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// adopt has the loop serve a new connection.
func (l *loop) adopt(fd int, client bool) (*peer, error) {
	p := &peer{fd: fd, client: client}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	l.peers[fd] = p
	return p, l.watch(fd)
}

func (l *loop) drop(p *peer) {
	delete(l.peers, p.fd)
	unix.Close(p.fd)
}

// A load is what is sent to one of Envoy's listeners.
type load struct {
	port        int
	requests    [][]byte // in turn
	connections int

	// rate is how many requests a second are sent, at random times, as by many users who know nothing of each other. 0 sends
	// the next one on a connection as soon as the last one has been answered.
	rate float64
	seed uint64 // of the random times

	warmUp time.Duration // before what is measured
	length time.Duration // of what is measured; or
	count  int           // requests to measure
}

// A loaded is what came of a load.
type loaded struct {
	answered  int
	took      time.Duration
	statuses  [600]int
	latencies []time.Duration // from when each request was due, in order of size; at a given rate only
}

// stalled is how long a load may go without an answer.
const stalled = 20 * time.Second

// run loads Envoy. It calls atStart and atEnd where what is measured starts and ends; either may be nil.
func (l *loop) run(w load, atStart, atEnd func() error) (loaded, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := l.begin(w); err != nil {
		return loaded{}, err
	}
	defer l.end()

	random := rand.New(rand.NewPCG(w.seed, 0))
	var due time.Duration
	for l.chained && len(l.idle) > 0 {
		if err := l.send(0); err != nil {
			return loaded{}, err
		}
	}
	measuring := false
	var start, lastAnswer time.Duration
	lastAnswered := 0
	for {
		now := time.Since(l.began)
		for !l.chained && due <= now && len(l.idle) > 0 {
			if err := l.send(due); err != nil {
				return loaded{}, err
			}
			due += time.Duration(random.ExpFloat64() / w.rate * float64(time.Second))
		}
		switch {
		case !measuring && now >= w.warmUp:
			measuring = true
			if err := call(atStart); err != nil {
				return loaded{}, err
			}
			start = time.Since(l.began)
			l.answered, l.statuses, l.latencies = 0, [600]int{}, l.latencies[:0]
			lastAnswered = 0
		case measuring && (w.length > 0 && now-start >= w.length || w.count > 0 && l.answered >= w.count):
			took := now - start
			if err := call(atEnd); err != nil {
				return loaded{}, err
			}
			slices.Sort(l.latencies)
			return loaded{l.answered, took, l.statuses, slices.Clone(l.latencies)}, nil
		}
		if l.answered != lastAnswered {
			lastAnswered, lastAnswer = l.answered, now
		} else if now-lastAnswer > stalled {
			return loaded{}, fmt.Errorf("no answer from Envoy for %v", stalled)
		}
		if err := l.poll(); err != nil {
			return loaded{}, err
		}
	}
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

// begin connects to Envoy.
func (l *loop) begin(w load) error {
	l.requests, l.next, l.chained = w.requests, 0, w.rate == 0
	l.answered, l.resume = 0, 0
	l.began = time.Now()
	if expected := int(w.rate * (w.length + w.warmUp).Seconds() * 1.1); cap(l.latencies) < expected {
		l.latencies = make([]time.Duration, 0, expected) // so that nothing is allocated on the way
	}
	for range w.connections {
		fd, err := socket()
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: w.port, Addr: loopback}); err != nil {
			unix.Close(fd)
			return fmt.Errorf("connecting to Envoy: %w", err)
		}
		p, err := l.adopt(fd, true)
		if err != nil {
			return err
		}
		l.idle = append(l.idle, p)
	}
	return nil
}

// end waits for the answers that are still to come, so that Envoy has no requests to break off, and closes the connections to
// Envoy. Those to the upstream stay for the next load.
func (l *loop) end() {
	clients := 0
	for _, p := range l.peers {
		if p.client {
			clients++
		}
	}
	l.chained = false
	for until := time.Now().Add(time.Second); len(l.idle) < clients && time.Now().Before(until); {
		if l.poll() != nil {
			break
		}
	}
	l.idle = l.idle[:0]
	for _, p := range l.peers {
		if p.client {
			l.drop(p)
		}
	}
}

// send sends the next request on the connection that has been idle for longest.
func (l *loop) send(due time.Duration) error {
	p := l.idle[0]
	l.idle = append(l.idle[:0], l.idle[1:]...)
	return l.ask(p, due)
}

func (l *loop) ask(p *peer, due time.Duration) error {
	p.due = due
	r := l.requests[l.next]
	if l.next++; l.next == len(l.requests) {
		l.next = 0
	}
	return write(p, r)
}

func write(p *peer, data []byte) error {
	n, err := unix.Write(p.fd, data)
	if err == nil && n < len(data) {
		err = errors.New("the connection is full")
	}
	return err
}

// pause is how long nothing is polled after there was nothing to read: polling takes a lock that Envoy's writes take too.
const pause = 5 * time.Microsecond

// poll serves the connections that have something to read.
func (l *loop) poll() error {
	now := time.Since(l.began)
	if now < l.resume {
		return nil
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], 0)
	if err != nil && err != unix.EINTR {
		return err
	}
	if n <= 0 {
		l.resume = now + pause
	}
	for _, e := range l.events[:max(n, 0)] {
		if int(e.Fd) == l.listener {
			if err := l.accept(); err != nil {
				return err
			}
			continue
		}
		p := l.peers[int(e.Fd)]
		if p == nil {
			continue // dropped meanwhile
		}
		n, err := unix.Read(p.fd, p.buffer[p.filled:])
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			continue
		case p.client && err != nil:
			return fmt.Errorf("connection to Envoy: %w", err)
		case p.client && n == 0:
			return fmt.Errorf("Envoy closed a connection, or sent more than %d bytes", len(p.buffer))
		case err != nil || n == 0:
			l.drop(p)
			continue
		}
		p.filled += n
		if p.client {
			err = l.onAnswer(p)
		} else {
			err = l.onRequest(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) accept() error {
	fd, _, err := unix.Accept4(l.listener, unix.SOCK_CLOEXEC)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil {
		return fmt.Errorf("accepting a connection from Envoy: %w", err)
	}
	_, err = l.adopt(fd, false)
	return err
}

// onRequest answers for the upstream.
func (l *loop) onRequest(p *peer) error {
	r := p.buffer[:p.filled]
	if !wholeRequest(r) {
		return nil // the rest is to come
	}
	p.filled = 0
	return write(p, l.answerTo(r))
}

// answerTo returns the upstream's answer to a request.
func (l *loop) answerTo(r []byte) []byte {
	switch {
	case bytes.HasPrefix(r, []byte("GET "+failPath+" ")):
		return failAnswer
	case bytes.HasPrefix(r, []byte("GET "+halfPath+" ")):
		if l.failed = !l.failed; l.failed {
			return failAnswer
		}
	}
	return okAnswer
}

// onAnswer notes an answer of Envoy's, and sends the next request where that waits for it.
func (l *loop) onAnswer(p *peer) error {
	status, whole, err := parseAnswer(p.buffer[:p.filled])
	if err != nil || !whole {
		return err
	}
	p.filled = 0
	l.answered++
	l.statuses[status]++
	if l.chained {
		return l.ask(p, 0)
	}
	l.latencies = append(l.latencies, time.Since(l.began)-p.due)
	l.idle = append(l.idle, p)
	return nil
}
