package main

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Reject is the reply to a request that is not admitted.
type Reject struct {
	Status      int
	Body        template
	ContentType string
	Headers     []header // beside the usual ones, by name
	RetryAfter  bool     // send retry-after
	Overloaded  bool     // send x-envoy-overloaded and what keeps an Envoy in front from retrying
}

type header struct {
	name  string
	value template
}

// grpcUnavailable is the status of every reject to a gRPC request, whatever its HTTP status is.
// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
const grpcUnavailable = 14

// A reply is a Reject filled in, ready for the host.
type reply struct {
	state   string
	seconds int64 // of retry-after
	status  uint32
	details string
	body    []byte
	headers []byte // serialized
}

// fill makes the reply of a cluster in that state. A gRPC-Web client gets what a trailers-only reply is in its protocol;
// to gRPC proper Envoy turns any reply into one by itself.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
func (r *Reject) fill(cluster, state string, seconds int64, grpcWeb string) *reply {
	after := strconv.FormatInt(seconds, 10)
	out := &reply{
		state: state, seconds: seconds, status: uint32(r.Status),
		details: "circuit_breaker_" + state,
		body:    []byte(r.Body.expand(cluster, after, state)),
	}
	pairs := [][2]string{{"x-circuit-breaker", state}}
	if r.RetryAfter {
		pairs = append(pairs, [2]string{"retry-after", after})
	}
	if r.Overloaded {
		// The first says what it is. Envoy's router has long stopped to look at it when it decides on a retry; it does not
		// retry a response that has the second (unless retry_on lists envoy-ratelimited).
		pairs = append(pairs, [2]string{"x-envoy-overloaded", "true"}, [2]string{"x-envoy-ratelimited", "true"})
	}
	for _, h := range r.Headers {
		pairs = append(pairs, [2]string{h.name, h.value.expand(cluster, after, state)})
	}
	switch {
	case grpcWeb != "":
		status, message := strconv.Itoa(grpcUnavailable), percentEncode(out.body)
		pairs = append(pairs, [2]string{"content-type", grpcWeb}, [2]string{"grpc-status", status}, [2]string{"grpc-message", message})
		out.status, out.body = 200, grpcWebTrailers(grpcWeb, "grpc-status: "+status+"\r\ngrpc-message: "+message+"\r\n")
	case len(out.body) > 0:
		pairs = append(pairs, [2]string{"content-type", r.ContentType})
	}
	out.headers = appendHeaders(nil, pairs)
	return out
}

// grpcWebTrailers frames trailers as the only part of a body, where clients look that do not read them from the headers.
func grpcWebTrailers(contentType, trailers string) []byte {
	const isTrailers = 0x80
	frame := binary.BigEndian.AppendUint32([]byte{isTrailers}, uint32(len(trailers)))
	frame = append(frame, trailers...)
	if strings.HasPrefix(contentType, "application/grpc-web-text") {
		return base64.StdEncoding.AppendEncode(nil, frame)
	}
	return frame
}

// percentEncode writes a grpc-message.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
func percentEncode(text []byte) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range text {
		if c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// wholeSeconds rounds up, to one at least: a retry-after of 0 would invite everybody back at once.
func wholeSeconds(d time.Duration) int64 {
	return max(1, int64(math.Ceil(d.Seconds())))
}

// appendHeaders serializes a header map for proxy-wasm: the number of pairs, the sizes of each key and value, then the
// keys and values themselves, each closed by a NUL.
// https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1#serialized-map
func appendHeaders(b []byte, pairs [][2]string) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(pairs)))
	for _, p := range pairs {
		b = le.AppendUint32(b, uint32(len(p[0])))
		b = le.AppendUint32(b, uint32(len(p[1])))
	}
	for _, p := range pairs {
		b = append(b, p[0]...)
		b = append(b, 0)
		b = append(b, p[1]...)
		b = append(b, 0)
	}
	return b
}
