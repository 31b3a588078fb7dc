//go:build faults

package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// A hostile is one kind of client that means harm.
type hostile struct {
	name     string
	rules    string           // of its cluster's breaker: JSON members
	listener string           // that it comes by; "" is the one for strangers
	action   string           // raw: more fields of its route
	upstream http.HandlerFunc // nil answers 200
	rounds   int              // of each of its clients
	round    func(*intruder) error
	reaches  bool // the upstream gets what it sends
	forced   bool // its breaker is forced open
	timed    bool // it has deadlines, which a busy machine may make last for a second; then they are failures
}

// An intruder is such a client: where it goes, and what it sends.
type intruder struct {
	address string // of the listener
	path    string // of its cluster
	random  *rand.Rand
}

// Requests that are none that a client would send, by what is in them.
var (
	// imitations are what the breaker, Envoy and upstreams send.
	imitations = []string{
		"x-circuit-breaker: open", "x-circuit-breaker: half_open", "x-envoy-overloaded: true", "x-envoy-ratelimited: true", "retry-after: 86400",
		"grpc-status: 14", "grpc-retry-pushback-ms: 3600000", "x-envoy-attempt-count: 99", "x-envoy-expected-rq-timeout-ms: 1",
		"x-envoy-upstream-service-time: 999999", "x-envoy-internal: true", "x-envoy-force-trace: true", "x-forwarded-for: 127.0.0.1", "x-envoy-external-address: 10.0.0.1",
	}
	// deadlines are what a caller may not wait for, or nobody can read.
	deadlines = []string{"0", "1", "00000000000000000001", "99999999999999999999999", "-1", "+1", "1.5", "NaN", "0x10", "1 2", "\xff", strings.Repeat("9", 5000)}
	// notUTF8 are texts of header values and paths.
	notUTF8 = []string{"\xff\xfe", "\xc3\x28", "\xed\xa0\x80", "\xf0\x28\x8c\xbc", "\x80", strings.Repeat("\xff", 2000)}
	// queries are what the status page is asked.
	queries = []string{"after=%zz", "after=%", "after=%ff%00", "limit=999999999999999999999999", "limit=-1", "limit=NaN", "after=" + strings.Repeat("a", 50_000),
		strings.Repeat("&", 20_000), "\xff=\xff", "after=%0d%0ax:%20y"}
)

// calmRules are for clients with deadlines.
const calmRules = `"failure_rate": 50, "min_requests": 20, "consecutive_failures": 0`

func hostiles() []hostile {
	late := func(d time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			}
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 100_000)); err != nil {
				return
			}
		}
	}
	return []hostile{
		{name: "headers-60-kb", rounds: 30, reaches: true, round: requests("x-huge: " + strings.Repeat("h", 58_000))},
		{name: "headers-too-large", rounds: 30, round: requests("x-huge: " + strings.Repeat("h", 70_000))},
		{name: "headers-many", rounds: 30, round: requests(strings.Repeat("x-many: 1\r\n", 2000) + "x-last: 1")},
		{name: "not-utf-8", rounds: 10, round: each(notUTF8, func(i *intruder, text string) error {
			return errorOf(i.send("GET "+i.path+" HTTP/1.1", "host: test", "x-odd: "+text, "user-agent: "+text), i.send("GET "+i.path+text+"?"+text+" HTTP/1.1", "host: test"))
		})},
		{name: "imitations", rounds: 30, reaches: true, round: requests(imitations...)},
		{name: "odd-deadlines", rounds: 5, reaches: true, upstream: late(20 * time.Millisecond), round: each(deadlines, func(i *intruder, text string) error {
			return i.send("GET "+i.path+" HTTP/1.1", "host: test", "x-envoy-upstream-rq-timeout-ms: "+text, "x-envoy-upstream-rq-per-try-timeout-ms: "+text)
		})},
		{name: "odd-deadlines-inside", timed: true, rules: calmRules, rounds: 3, listener: "inside", upstream: late(50 * time.Millisecond), round: each(deadlines, func(i *intruder, text string) error {
			return i.send("GET "+i.path+" HTTP/1.1", "host: test", "x-envoy-upstream-rq-timeout-ms: "+text, "x-envoy-upstream-rq-per-try-timeout-ms: "+text)
		})},
		{name: "odd-grpc-timeouts", timed: true, rules: calmRules, rounds: 1, upstream: late(50 * time.Millisecond), action: "max_stream_duration: { grpc_timeout_header_max: 0s }",
			round: each(deadlines, func(i *intruder, text string) error {
				for _, unit := range []string{"n", "u", "m", "M", "H", "x", ""} {
					if err := i.send("POST "+i.path+" HTTP/1.1", "host: test", "content-length: 0", "content-type: application/grpc", "grpc-timeout: "+text+unit); err != nil {
						return err
					}
				}
				return nil
			})},
		{name: "fallback-header", rounds: 30, reaches: true, rules: `"fallback": {"header": "x-fallback", "cluster": "fallback"}`, round: requests("x-fallback: true")},
		{name: "half-headers", rounds: 30, round: func(i *intruder) error { return i.leave("GET " + i.path + " HTTP/1.1\r\nhost: te") }},
		{name: "half-uploads", rounds: 30, round: func(i *intruder) error {
			return i.leave("POST " + i.path + " HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf")
		}},
		{name: "slowloris", rounds: 2, round: slowloris},
		{name: "slow-upload", rounds: 2, reaches: true, round: slowUpload},
		{name: "slow-reader", rounds: 5, upstream: endless, round: slowReader},
		{name: "smuggling", rounds: 30, round: func(i *intruder) error {
			return i.send("POST "+i.path+" HTTP/1.1", "host: test", "content-length: 4", "transfer-encoding: chunked", "", "0", "", "GET /x")
		}},
		// Over HTTP/1, as all of these: Envoy passes resets on, and an upstream of HTTP/2 may end the whole connection for that, with
		// others' requests.
		{name: "rapid-reset", rounds: 8, round: rapidReset},
		{name: "odd-frames", rounds: 10, round: oddFrames},
		{name: "grpc-web-type", rules: `"mode": "force_open"`, rounds: 30, forced: true, round: func(i *intruder) error {
			return i.send("POST "+i.path+" HTTP/1.1", "host: test", "content-length: 0", "content-type: application/grpc-web-text"+strings.Repeat("\xff", 40_000))
		}},
		{name: "status-page", rounds: 5, round: each(queries, func(i *intruder, query string) error {
			return i.send("GET /circuit-breakers?"+query+" HTTP/1.1", "host: test", "accept: application/json")
		})},
		{name: "chosen-cluster", rounds: 100, round: func(i *intruder) error {
			return i.send("GET /choose HTTP/1.1", "host: test", fmt.Sprint("x-cluster: nobody-", i.random.Uint64()))
		}},
	}
}

// requests sends one with more headers.
func requests(header ...string) func(*intruder) error {
	return func(i *intruder) error {
		return i.send(append([]string{"GET " + i.path + " HTTP/1.1", "host: test"}, header...)...)
	}
}

// each does the same with every text.
func each(texts []string, round func(*intruder, string) error) func(*intruder) error {
	return func(i *intruder) error {
		for _, text := range texts {
			if err := round(i, text); err != nil {
				return err
			}
		}
		return nil
	}
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// dial opens a connection, on which everything has to be done in time.
func (i *intruder) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", i.address, patience)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(patience))
	}
	return conn, err
}

// send sends lines as a request, and waits for an answer or for the end of the connection: Envoy may refuse what it likes, but never
// says nothing.
func (i *intruder) send(lines ...string) error {
	conn, err := i.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, strings.Join(append(lines, "connection: close", "", ""), "\r\n")) // Envoy may not take all of it
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return fmt.Errorf("no answer to %.60q", lines)
	}
	return nil
}

// leave sends a text and hangs up.
func (i *intruder) leave(text string) error {
	conn, err := i.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, text)
	time.Sleep(time.Duration(i.random.IntN(20)) * time.Millisecond)
	if i.random.IntN(2) == 0 {
		reset(conn)
	}
	return err
}

// slowloris holds many connections by sending headers without end.
func slowloris(i *intruder) error {
	for range 20 {
		conn, err := i.dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET "+i.path+" HTTP/1.1\r\nhost: test\r\nx-a: ")
		defer time.AfterFunc(time.Second, func() { conn.Close() }).Stop()
		go func() {
			for {
				if _, err := io.WriteString(conn, "z"); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	time.Sleep(time.Second)
	return nil
}

// slowUpload sends a body byte by byte.
func slowUpload(i *intruder) error {
	conn, err := i.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST "+i.path+" HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\nconnection: close\r\n\r\n")
	for range 100 {
		if _, err := io.WriteString(conn, "z"); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return answeredBy(conn)
}

// slowReader takes the beginning of a large answer, and nothing more of it, until it leaves.
func slowReader(i *intruder) error {
	conn, err := i.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET "+i.path+" HTTP/1.1\r\nhost: test\r\n\r\n")
	if err := answeredBy(conn); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	return nil
}

// answeredBy reads the headers of an answer.
func answeredBy(conn net.Conn) error {
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the answer is %s", response.Status)
	}
	return err
}

// greet begins a connection of HTTP/2.
func (i *intruder) greet() (net.Conn, *http2.Framer, error) {
	conn, err := i.dial()
	if err != nil {
		return nil, nil, err
	}
	out := http2.NewFramer(conn, nil)
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = out.WriteSettings()
	go func() { _, _ = io.Copy(io.Discard, conn) }() // which the other side must be able to get rid of
	return conn, out, nil
}

func (i *intruder) get(id uint32, end bool, fields ...string) func(*http2.Framer) error {
	return headers(id, end, append([]string{":method", "GET", ":scheme", "http", ":authority", "test", ":path", i.path}, fields...)...)
}

// rapidReset cancels each request as soon as it is sent, until Envoy hangs up.
func rapidReset(i *intruder) error {
	conn, out, err := i.greet()
	if err != nil {
		return err
	}
	defer conn.Close()
	for id := uint32(1); id < 3000; id += 2 {
		if i.get(id, true)(out) != nil || resets(id, http2.ErrCodeCancel)(out) != nil {
			return nil
		}
	}
	return nil
}

// oddFrames sends what no client sends, each on a connection of its own.
func oddFrames(i *intruder) error {
	for _, frames := range [][]func(*http2.Framer) error{
		{i.get(1, true, ":status", "200")},
		{i.get(1, true, "X-Upper", "case")},
		{i.get(1, true, "x-odd", "\x00\r\n\xff")},
		{i.get(1, true, "content-length", "99999999999999999999")},
		{i.get(1, false), resets(1, http2.ErrCodeProtocol)},
		{i.get(1, false), data(1, false, strings.Repeat("x", 10_000))},
		{i.get(1, false), frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 1, string(headerBlock("x-trailer", "\xff")))},
		{frame(http2.FrameHeaders, 0, 1, "\xff\xff\xff\xff\xff"), frame(http2.FrameContinuation, 0, 1, "\xff")},
		{i.get(1, true), frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x00")},
		{i.get(1, true), frame(http2.FramePing, 0, 0, "abc")},
		{i.get(1, true), frame(http2.FrameSettings, 0, 0, "\x00\x04\xff\xff\xff\xff")},
	} {
		conn, out, err := i.greet()
		if err != nil {
			return err
		}
		for _, frame := range frames {
			_ = frame(out)
		}
		time.Sleep(10 * time.Millisecond)
		conn.Close()
	}
	return nil
}
