package reply

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// GRPCUnavailable is the status of every reject to a gRPC request, whatever its HTTP status is.
// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
const GRPCUnavailable = 14

// IsGRPCWeb reports whether a request of that content type is one of gRPC-Web.
func IsGRPCWeb(contentType []byte) bool {
	return bytes.HasPrefix(contentType, []byte("application/grpc-web"))
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
	b := make([]byte, 0, len(text))
	for _, c := range text {
		if c >= ' ' && c <= '~' && c != '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
