package wasmhost

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

// The separator of a property's path.
const nul = "\x00"

// pathKey is a property's path, joined by dots.
func pathKey(vm *VM, args []uint64) string {
	return strings.ReplaceAll(strings.TrimSuffix(firstKey(vm, args), nul), nul, ".")
}

func (vm *VM) getProperty(args []uint64) Status {
	path, ok := vm.read(args[0], args[1])
	if !ok {
		return InvalidMemoryAccess
	}
	value, found := vm.property(bytes.TrimSuffix(path, []byte(nul)))
	if !found {
		return NotFound
	}
	vm.scratch = value
	return lend(vm, value, args[2], args[3])
}

// property finds a property's bytes, in vm.scratch.
func (vm *VM) property(path []byte) (value []byte, found bool) {
	t, b := vm.target(), vm.scratch[:0]
	switch string(path) {
	case "plugin_name":
		return append(b, t.root.plugin.Name...), true
	case "plugin_root_id":
		return b, true
	case "plugin_vm_id":
		return append(b, vm.host.options.VMID...), true
	}
	if t.stream == nil {
		return nil, false
	}
	return t.stream.property(path, b)
}

// property appends a property of the stream to b: one that can be read in the callback that it is in.
func (s *Stream) property(path, b []byte) (value []byte, found bool) {
	text := func(v string) ([]byte, bool) { return append(b, v...), v != "" }
	number := func(v int64, found bool) ([]byte, bool) {
		return binary.LittleEndian.AppendUint64(b, uint64(v)), found
	}
	switch string(path) {
	case "xds\x00cluster_name":
		return text(s.cluster)
	case "xds\x00route_name":
		return text(s.routeName)
	case "upstream\x00address":
		return text(s.upstream)
	case "upstream\x00request_attempt_count":
		// Between callbacks a tick may ask: by then the router has the request.
		return number(int64(max(s.attempts, 1)), s.upstream != "" || s.phase == between && s.state == continued)
	case "response\x00code":
		return number(int64(s.status), s.status != 0)
	case "response\x00code_details":
		return append(b, s.details...), s.hasDetails
	case "response\x00flags":
		return number(int64(s.flags), true)
	case "response\x00grpc_status":
		status, found := s.grpcStatus()
		return number(int64(status), found)
	case "request\x00duration":
		return number(int64(s.duration), s.phase == logging)
	case "request\x00method":
		return text(s.visible(requestHeaders).Get(":method"))
	case "request\x00scheme":
		return text(s.visible(requestHeaders).Get(":scheme"))
	case "request\x00host":
		return text(s.visible(requestHeaders).Get(":authority"))
	case "request\x00path":
		return text(s.visible(requestHeaders).Get(":path"))
	}
	for prefix, kind := range headerProperties {
		if name, ok := bytes.CutPrefix(path, []byte(prefix)); ok {
			v, found := s.visible(kind).lookup(string(name))
			return append(b, v...), found
		}
	}
	v, found := s.properties[string(path)]
	return append(b, v...), found
}

var headerProperties = map[string]uint64{
	"request\x00headers\x00":   requestHeaders,
	"response\x00headers\x00":  responseHeaders,
	"response\x00trailers\x00": responseTrailers,
}

// visible is a header map as properties show it.
func (s *Stream) visible(kind uint64) Headers {
	if s.phase == logging {
		return [...]Headers{requestHeaders: s.request, responseHeaders: s.response, responseTrailers: s.trailers}[kind]
	}
	if m := s.mutable(kind); m != nil {
		return *m
	}
	return nil
}

// grpcStatus is that of trailers or headers; failing these, Envoy makes one up from the HTTP status.
func (s *Stream) grpcStatus() (status int, found bool) {
	for _, kind := range []uint64{responseTrailers, responseHeaders} {
		if v, ok := s.visible(kind).lookup("grpc-status"); ok {
			status, err := strconv.Atoi(v)
			return status, err == nil
		}
	}
	return grpcFromHTTP(s.status), s.status != 0
}

// setProperty keeps a property of the stream's. Other than streams have none to set.
func (vm *VM) setProperty(args []uint64) Status {
	path, ok1 := vm.read(args[0], args[1])
	value, ok2 := vm.read(args[2], args[3])
	if !ok1 || !ok2 {
		return InvalidMemoryAccess
	}
	s := vm.target().stream
	if s == nil {
		return NotFound
	}
	if s.properties == nil {
		s.properties = map[string]string{}
	}
	s.properties[string(path)] = string(value)
	return OK
}

// Property is a property that the plugin has set, as an access log would show it by %FILTER_STATE(wasm.NAME)%. Where the
// plugin gave a path of several parts, they are joined by NUL.
func (s *Stream) Property(name string) (value string, found bool) {
	s.vm.mu.Lock()
	defer s.vm.mu.Unlock()
	value, found = s.properties[name]
	return value, found
}
