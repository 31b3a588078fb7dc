package reply

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// headersOf reads what SerializeHeaders has written, as lines.
func headersOf(t *testing.T, b []byte) string {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(b))
	sizes, rest := b[4:4+8*n], b[4+8*n:]
	var lines strings.Builder
	next := func() string {
		size := binary.LittleEndian.Uint32(sizes)
		s := string(rest[:size])
		if rest[size] != 0 {
			t.Fatalf("%q is not closed by a NUL", s)
		}
		sizes, rest = sizes[4:], rest[size+1:]
		return s
	}
	for range n {
		lines.WriteString(next() + ": ")
		lines.WriteString(next() + "\n")
	}
	if len(rest) != 0 {
		t.Fatalf("%d bytes are left over", len(rest))
	}
	return lines.String()
}

func TestFill(t *testing.T) {
	body, err := ParseTemplate(`{"{cluster}": {retry_after}}`)
	if err != nil {
		t.Fatal(err)
	}
	value, err := ParseTemplate("{state}")
	if err != nil {
		t.Fatal(err)
	}
	own := Reject{Status: 429, Body: body, ContentType: "application/json", Headers: []Header{{"x-a", value}}}
	empty := Reject{Status: 503}
	for _, c := range []struct {
		name                   string
		reject                 Reject
		status                 uint32
		details, body, headers string
	}{
		{"default", Default(), 503, "circuit_breaker_open", "pay is unavailable: circuit breaker open\n",
			"x-circuit-breaker: open\nretry-after: 7\nx-envoy-overloaded: true\nx-envoy-ratelimited: true\ncontent-type: text/plain\n"},
		{"own", own, 429, "circuit_breaker_open", `{"pay": 7}`, "x-circuit-breaker: open\nx-a: open\ncontent-type: application/json\n"},
		{"empty", empty, 503, "circuit_breaker_open", "", "x-circuit-breaker: open\n"},
	} {
		r := c.reject.Fill("pay", "", "open", 7, "")
		headers := headersOf(t, r.Headers)
		if r.State != "open" || r.Seconds != 7 || r.Status != c.status || r.Details != c.details || string(r.Body) != c.body || headers != c.headers {
			t.Errorf("%s: %+v\n%s", c.name, r, headers)
		}
		for line := range strings.Lines(headers) {
			if name, _, _ := strings.Cut(line, ":"); name != "x-a" && !IsOwnHeader(name) {
				t.Errorf("%s: the configuration could set %s a second time", c.name, name)
			}
		}
	}
}

func TestFillGRPCWeb(t *testing.T) {
	reject := Default()
	const trailers = "grpc-status: 14\r\ngrpc-message: pay is unavailable: circuit breaker open%0A\r\n"
	frame := append([]byte{0x80, 0, 0, 0, byte(len(trailers))}, trailers...)
	for contentType, want := range map[string][]byte{
		"application/grpc-web+proto":      frame,
		"application/grpc-web-text+proto": []byte(base64.StdEncoding.EncodeToString(frame)),
	} {
		if !IsGRPCWeb([]byte(contentType)) {
			t.Errorf("%s is not taken for gRPC-Web", contentType)
		}
		r := reject.Fill("pay", "", "open", 7, contentType)
		headers := headersOf(t, r.Headers)
		if r.Status != 200 || !bytes.Equal(r.Body, want) ||
			!strings.HasSuffix(headers, "content-type: "+contentType+"\ngrpc-status: 14\ngrpc-message: pay is unavailable: circuit breaker open%0A\n") {
			t.Errorf("%s: %d %q\n%s", contentType, r.Status, r.Body, headers)
		}
	}
	if IsGRPCWeb([]byte("application/grpc")) {
		t.Error("gRPC proper is taken for gRPC-Web")
	}
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 1, time.Millisecond: 1, time.Second: 1, time.Second + 1: 2, time.Hour: 3600} {
		if got := WholeSeconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}

// The name of a route can have anything in it, and is no way to write other headers.
func TestFillNameWithLines(t *testing.T) {
	value, err := ParseTemplate("{route} of {cluster}")
	if err != nil {
		t.Fatal(err)
	}
	r := Reject{Status: 503, Headers: []Header{{"x-breaker", value}}}
	got := headersOf(t, r.Fill("a\x00b\x7f", "é\r\nx-other: 1", "open", 5, "").Headers)
	if want := "x-circuit-breaker: open\nx-breaker: é??x-other: 1 of a?b?\n"; got != want {
		t.Errorf("headers %q, want %q", got, want)
	}
}
