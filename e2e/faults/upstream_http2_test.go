//go:build faults

package faults_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	http2NoError = http2.ErrCodeNo
	everyStream  = 1<<31 - 1 // the last stream of a graceful GOAWAY
)

// An http2Conn is the server's side of a connection of HTTP/2, of which each frame is written by hand.
type http2Conn struct {
	net.Conn
	in *http2.Framer // reads; Write* of http2Conn write

	mu    sync.Mutex
	out   *http2.Framer
	reset map[uint32]bool // streams that the client has given up
}

func newHTTP2Conn(conn net.Conn) *http2Conn {
	return &http2Conn{Conn: conn, in: http2.NewFramer(nil, conn), out: http2.NewFramer(conn, nil), reset: map[uint32]bool{}}
}

// serve greets the client, and calls begin for each request that has a body and stream for each that has come whole. Greetings that are nil
// are the usual ones.
func (h *http2Conn) serve(greet func(*http2Conn), begin, stream func(*http2Conn, uint32)) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(h, preface); err != nil {
		return
	}
	if greet == nil {
		greet = greetWell
	}
	greet(h)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer h.Close()
	for {
		frame, err := h.in.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				h.write(func(out *http2.Framer) error { return out.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				h.write(func(out *http2.Framer) error { return out.WritePing(true, frame.Data) })
			}
		case *http2.RSTStreamFrame:
			h.mu.Lock()
			h.reset[frame.StreamID] = true
			h.mu.Unlock()
		case *http2.HeadersFrame:
			id := frame.StreamID // which the next frame overwrites
			switch {
			case frame.StreamEnded() && stream != nil:
				streams.Go(func() { stream(h, id) })
			case begin != nil:
				streams.Go(func() { begin(h, id) })
			}
		case *http2.DataFrame:
			if id := frame.StreamID; frame.StreamEnded() && stream != nil {
				streams.Go(func() { stream(h, id) })
			}
		}
	}
}

func (h *http2Conn) isReset(id uint32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reset[id]
}

// write writes frames as one, and reports whether they got through.
func (h *http2Conn) write(frames ...func(*http2.Framer) error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, frame := range frames {
		if frame(h.out) != nil {
			return false
		}
	}
	return true
}

func greetWell(h *http2Conn) {
	h.write(func(out *http2.Framer) error { return out.WriteSettings() })
}

// settings greets by some.
func settings(s ...http2.Setting) func(*http2Conn) {
	return func(h *http2Conn) {
		h.write(func(out *http2.Framer) error { return out.WriteSettings(s...) })
	}
}

// opensLate leaves a request without a window, and then gives it one.
func opensLate(h *http2Conn, id uint32) {
	time.Sleep(notReading)
	h.write(
		func(out *http2.Framer) error { return out.WriteWindowUpdate(id, 1<<30) },
		func(out *http2.Framer) error { return out.WriteWindowUpdate(0, 1<<24) })
}

// greetsAnd greets, and does something at once.
func greetsAnd(do func(*http2Conn)) func(*http2Conn) {
	return func(h *http2Conn) {
		greetWell(h)
		do(h)
	}
}

func (h *http2Conn) goAway(last uint32, code http2.ErrCode) bool {
	return h.write(func(out *http2.Framer) error { return out.WriteGoAway(last, code, nil) })
}

// Frames of an answer. Fields are pairs of a name and a value.

func headers(id uint32, end bool, fields ...string) func(*http2.Framer) error {
	return func(out *http2.Framer) error {
		return out.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: headerBlock(fields...), EndHeaders: true, EndStream: end,
		})
	}
}

func data(id uint32, end bool, text string) func(*http2.Framer) error {
	return func(out *http2.Framer) error { return out.WriteData(id, end, []byte(text)) }
}

func resets(id uint32, code http2.ErrCode) func(*http2.Framer) error {
	return func(out *http2.Framer) error { return out.WriteRSTStream(id, code) }
}

// frame is one of any kind, well-formed or not.
func frame(kind http2.FrameType, flags http2.Flags, id uint32, payload string) func(*http2.Framer) error {
	return func(out *http2.Framer) error { return out.WriteRawFrame(kind, flags, id, []byte(payload)) }
}

// headerBlock encodes fields as literals that no table remembers, so that it needs no state.
// https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2
func headerBlock(fields ...string) []byte {
	var b bytes.Buffer
	for i, text := range fields {
		if i%2 == 0 {
			b.WriteByte(0)
		}
		if len(text) < 127 {
			b.WriteByte(byte(len(text)))
		} else {
			b.WriteByte(127)
			rest := len(text) - 127
			for ; rest >= 128; rest /= 128 {
				b.WriteByte(byte(rest%128 | 128))
			}
			b.WriteByte(byte(rest))
		}
		b.WriteString(text)
	}
	return b.Bytes()
}

func answerWell(h *http2Conn, id uint32) {
	h.write(headers(id, false, ":status", "200", "content-length", "2"), data(id, true, "ok"))
}

// sends answers each request by some frames.
func sends(frames ...func(id uint32) func(*http2.Framer) error) func(*http2Conn, uint32) {
	return func(h *http2Conn, id uint32) {
		for _, frame := range frames {
			if !h.write(frame(id)) {
				return
			}
		}
	}
}

func head(end bool, fields ...string) func(uint32) func(*http2.Framer) error {
	return func(id uint32) func(*http2.Framer) error { return headers(id, end, fields...) }
}

func body(end bool, text string) func(uint32) func(*http2.Framer) error {
	return func(id uint32) func(*http2.Framer) error { return data(id, end, text) }
}

func rst(code http2.ErrCode) func(uint32) func(*http2.Framer) error {
	return func(id uint32) func(*http2.Framer) error { return resets(id, code) }
}

// rawFrame is a frame of any kind on the request's stream.
func rawFrame(kind http2.FrameType, flags http2.Flags, payload string) func(uint32) func(*http2.Framer) error {
	return func(id uint32) func(*http2.Framer) error { return frame(kind, flags, id, payload) }
}

// connFrame is a frame of the whole connection.
func connFrame(kind http2.FrameType, flags http2.Flags, payload string) func(uint32) func(*http2.Framer) error {
	return func(uint32) func(*http2.Framer) error { return frame(kind, flags, 0, payload) }
}

// dripsHeaders sends its headers byte by byte, each in a frame.
func dripsHeaders(h *http2Conn, id uint32) {
	block := headerBlock(":status", "200", "x-slowly", strings.Repeat("z", 20))
	h.mu.Lock() // nothing may come between the frames of a block
	defer h.mu.Unlock()
	_ = h.out.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:1], EndStream: true})
	for i := 1; i < len(block); i++ {
		time.Sleep(time.Millisecond)
		if h.out.WriteContinuation(id, i == len(block)-1, block[i:i+1]) != nil {
			return
		}
	}
}

// dripsData sends its body byte by byte, each in a frame.
func dripsData(h *http2Conn, id uint32) {
	h.write(headers(id, false, ":status", "200"))
	for range 50 {
		time.Sleep(2 * time.Millisecond)
		if !h.write(data(id, false, "x")) {
			return
		}
	}
	h.write(data(id, true, ""))
}

// repeats sends a frame again and again, without end if times is 0.
func repeats(times int, every time.Duration, frames ...func(uint32) func(*http2.Framer) error) func(*http2Conn, uint32) {
	return func(h *http2Conn, id uint32) {
		for i := 0; (times == 0 || i < times) && !h.isReset(id); i++ {
			for _, frame := range frames {
				if !h.write(frame(id)) {
					return
				}
			}
			time.Sleep(every)
		}
	}
}

// then does one after the other.
func then(first, second func(*http2Conn, uint32)) func(*http2Conn, uint32) {
	return func(h *http2Conn, id uint32) {
		first(h, id)
		second(h, id)
	}
}
