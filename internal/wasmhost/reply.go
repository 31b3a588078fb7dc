package wasmhost

import (
	"strconv"
	"strings"
)

// A Reply is what a plugin has given to proxy_send_local_response. Stream.ResponseHeaders has what Envoy makes of it.
type Reply struct {
	Status     int
	Details    string
	Headers    Headers
	Body       string
	GRPCStatus int // -1 if none was given
}

// sendLocalResponse takes a stream's first reply, to be sent after the callback, and ignores any other, as Envoy does.
func (vm *VM) sendLocalResponse(args []uint64) Status {
	details, ok1 := vm.read(args[1], args[2])
	body, ok2 := vm.read(args[3], args[4])
	headers, ok3 := vm.read(args[5], args[6])
	if !ok1 || !ok2 || !ok3 {
		return InvalidMemoryAccess
	}
	s := vm.target().stream
	if s == nil || s.reply != nil {
		return OK
	}
	s.reply = &Reply{
		Status:     int(args[0]),
		Details:    strings.ReplaceAll(string(details), " ", "_"),
		Headers:    unmarshalHeaders(headers),
		Body:       string(body),
		GRPCStatus: int(int32(args[7])),
	}
	vm.after = append(vm.after, s.sendReply)
	return OK
}

// sendReply plays the response headers of the plugin's reply, unless there have been response headers: then it replaces
// them.
func (s *Stream) sendReply() error {
	if s.ended {
		return nil
	}
	s.response = s.replyHeaders()
	s.status, _ = strconv.Atoi(s.response.Get(":status"))
	s.details, s.hasDetails = s.reply.Details, true
	if s.answered {
		return nil
	}
	s.state = replied
	return s.playResponse()
}

// replyHeaders are what Envoy answers: to a gRPC request, trailers-only.
func (s *Stream) replyHeaders() Headers {
	r := s.reply
	if !isGRPC(s.request) {
		h := append(Headers{{":status", strconv.Itoa(r.Status)}}, r.Headers...)
		if r.Body == "" {
			return h.without("content-length").without("content-type")
		}
		if h.Get("content-type") == "" {
			h = h.With("content-type", "text/plain")
		}
		return h.replaced("content-length", strconv.Itoa(len(r.Body)))
	}
	h := append(Headers{{":status", "200"}}, r.Headers.without("content-length")...)
	h = h.replaced("content-type", "application/grpc")
	if h.Get("grpc-status") == "" {
		status := r.GRPCStatus
		if status < 0 {
			status = grpcFromHTTP(r.Status)
		}
		h = h.With("grpc-status", strconv.Itoa(status))
	}
	if r.Body != "" {
		h = h.replaced("grpc-message", r.Body)
	}
	return h
}

func isGRPC(request Headers) bool {
	rest, found := strings.CutPrefix(request.Get("content-type"), "application/grpc")
	return found && (rest == "" || rest[0] == '+')
}

// grpcFromHTTP is the gRPC status that stands for an HTTP status.
func grpcFromHTTP(status int) int {
	switch status {
	case 400:
		return 13 // internal
	case 401:
		return 16 // unauthenticated
	case 403:
		return 7 // permission denied
	case 404:
		return 12 // unimplemented
	case 429, 502, 503, 504:
		return 14 // unavailable
	}
	return 2 // unknown
}
