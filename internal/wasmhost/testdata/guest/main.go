//go:build wasip1

// Command guest is a plugin without an SDK. A request says in its header "x-do" what host calls to make; their results
// are logged. Several commands are separated by ";", a command's arguments by blanks.
package main

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

func main() {}

//go:wasmimport env proxy_log
func proxyLog(level uint32, data unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_property
func getProperty(path unsafe.Pointer, n uint32, data, size unsafe.Pointer) uint32

//go:wasmimport env proxy_set_property
func setProperty(path unsafe.Pointer, n uint32, value unsafe.Pointer, m uint32) uint32

//go:wasmimport env proxy_send_local_response
func sendLocalResponse(code uint32, details unsafe.Pointer, n uint32, body unsafe.Pointer, m uint32, headers unsafe.Pointer, k uint32, grpc int32) uint32

//go:wasmimport env proxy_continue_stream
func continueStream(kind uint32) uint32

//go:wasmimport env proxy_close_stream
func closeStream(kind uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func getHeader(kind uint32, name unsafe.Pointer, n uint32, data, size unsafe.Pointer) uint32

//go:wasmimport env proxy_add_header_map_value
func addHeader(kind uint32, name unsafe.Pointer, n uint32, value unsafe.Pointer, m uint32) uint32

//go:wasmimport env proxy_replace_header_map_value
func replaceHeader(kind uint32, name unsafe.Pointer, n uint32, value unsafe.Pointer, m uint32) uint32

//go:wasmimport env proxy_remove_header_map_value
func removeHeader(kind uint32, name unsafe.Pointer, n uint32) uint32

//go:wasmimport env proxy_get_header_map_pairs
func getPairs(kind uint32, data, size unsafe.Pointer) uint32

//go:wasmimport env proxy_set_header_map_pairs
func setPairs(kind uint32, data unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func getBuffer(kind, start, n uint32, data, size unsafe.Pointer) uint32

//go:wasmimport env proxy_get_shared_data
func getSharedData(key unsafe.Pointer, n uint32, data, size, cas unsafe.Pointer) uint32

//go:wasmimport env proxy_set_shared_data
func setSharedData(key unsafe.Pointer, n uint32, value unsafe.Pointer, m uint32, cas uint32) uint32

//go:wasmimport env proxy_define_metric
func defineMetric(kind uint32, name unsafe.Pointer, n uint32, id unsafe.Pointer) uint32

//go:wasmimport env proxy_increment_metric
func incrementMetric(id uint32, n int64) uint32

//go:wasmimport env proxy_record_metric
func recordMetric(id uint32, n uint64) uint32

//go:wasmimport env proxy_get_metric
func getMetric(id uint32, value unsafe.Pointer) uint32

//go:wasmimport env proxy_http_call
func httpCall(cluster unsafe.Pointer, n uint32, headers unsafe.Pointer, m uint32, body unsafe.Pointer, k uint32, trailers unsafe.Pointer, l uint32, timeout uint32, token unsafe.Pointer) uint32

//go:wasmimport env proxy_call_foreign_function
func callForeign(name unsafe.Pointer, n uint32, args unsafe.Pointer, m uint32, data, size unsafe.Pointer) uint32

//go:wasmimport env proxy_register_shared_queue
func registerQueue(name unsafe.Pointer, n uint32, id unsafe.Pointer) uint32

//go:wasmimport env proxy_set_tick_period_milliseconds
func setTickPeriod(period uint32) uint32

//go:wasmimport env proxy_set_effective_context
func setEffectiveContext(id uint32) uint32

//go:wasmimport env proxy_done
func proxyDone() uint32

//go:wasmimport env proxy_get_current_time_nanoseconds
func currentTime(now unsafe.Pointer) uint32

var (
	lent       [][]byte // keeps what the host was lent during this callback
	data, size uint32
	word       uint64
	inAlloc    bool // the allocator makes a forbidden host call
)

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(n uint32) unsafe.Pointer {
	if inAlloc {
		setTickPeriod(0)
	}
	lent = append(lent, make([]byte, n))
	return unsafe.Pointer(unsafe.SliceData(lent[len(lent)-1]))
}

//go:wasmexport proxy_on_context_create
func onContextCreate(id, root uint32) {
	lent = nil
	isPlugin[id] = root == 0
}

//go:wasmexport proxy_on_vm_start
func onVMStart(id, size uint32) bool { return true }

//go:wasmexport proxy_on_configure
func onConfigure(id, n uint32) bool {
	status := getBuffer(7, 0, n, out(&data), out(&size))
	config := text()
	say("configure %d %q", status, config)
	do(id, config)
	return config != "refuse"
}

//go:wasmexport proxy_on_tick
func onTick(id uint32) { say("tick %d", time.Duration(monotonic())) }

//go:wasmexport proxy_on_http_call_response
func onHTTPCallResponse(id, token, headers, size, trailers uint32) {
	say("answer %d headers %d size %d", token, headers, size)
	do(id, "header 6 :status;pairs 6;buffer 4;effective "+strconv.Itoa(int(waiting))+";continue 0")
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(id, n, end uint32) uint32 {
	command := "x-do"
	if getHeader(0, str(command), uint32(len(command)), out(&data), out(&size)) != 0 {
		return 0
	}
	return do(id, text())
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(id, n, end uint32) uint32 {
	onPhase(id, "on-response")
	return 0
}

//go:wasmexport proxy_on_response_trailers
func onResponseTrailers(id, n uint32) uint32 {
	onPhase(id, "on-trailers")
	return 0
}

//go:wasmexport proxy_on_log
func onLog(id uint32) { onPhase(id, "on-log") }

//go:wasmexport proxy_on_done
func onDone(id uint32) bool {
	if isPlugin[id] {
		say("done %d", id)
	}
	return !later[id]
}

//go:wasmexport proxy_on_delete
func onDelete(id uint32) {
	if isPlugin[id] {
		say("delete %d", id)
	}
	delete(isPlugin, id)
}

var (
	isPlugin = map[uint32]bool{}   // of contexts
	later    = map[uint32]bool{}   // plugins that are done only when they say so
	phases   = map[string]string{} // scripts for later callbacks, by callback and context
	waiting  uint32                // the request that was paused last
)

func onPhase(id uint32, name string) {
	if command, ok := phases[name+strconv.Itoa(int(id))]; ok {
		do(id, command)
	}
}

// do makes the host calls of a script and returns what to do with the request.
func do(id uint32, script string) (action uint32) {
	for _, command := range strings.Split(script, ";") {
		arg := strings.Fields(command)
		if len(arg) == 0 {
			continue
		}
		at := func(i int) string { return arg[min(i, len(arg)-1)] }
		n := func(i int) uint32 { v, _ := strconv.ParseInt(at(i), 0, 64); return uint32(v) }
		switch at(0) {
		case "on-response", "on-trailers", "on-log":
			phases[at(0)+strconv.Itoa(int(id))] = strings.ReplaceAll(strings.Join(arg[1:], " "), "&", ";")
		case "pause":
			waiting, action = id, 1
		case "panic":
			panic("as told")
		case "alloc":
			inAlloc = true
		case "gc":
			runtime.GC()
		case "later":
			later[id] = true
		case "now":
			say("now %d", time.Duration(monotonic()))
		case "wall":
			status := currentTime(unsafe.Pointer(&word))
			say("wall %d %s", status, time.Unix(0, int64(word)).UTC().Format(time.RFC3339))
		case "property":
			path := strings.ReplaceAll(at(1), ".", "\x00")
			status := getProperty(str(path), uint32(len(path)), out(&data), out(&size))
			say("%s %d %q", at(1), status, text())
		case "set-property":
			say("set %d", setProperty(str(at(1)), uint32(len(at(1))), str(at(2)), uint32(len(at(2)))))
		case "reply":
			headers := pairs("retry-after", "7")
			body := ""
			if len(arg) > 3 {
				body = at(3)
			}
			details := strings.ReplaceAll(at(2), "+", " ")
			sendLocalResponse(n(1), str(details), uint32(len(details)), str(body), uint32(len(body)), bytes(headers), uint32(len(headers)), -1)
		case "continue":
			say("continue %d", continueStream(n(1)))
		case "close":
			say("close %d", closeStream(n(1)))
		case "header":
			status := getHeader(n(1), str(at(2)), uint32(len(at(2))), out(&data), out(&size))
			say("%s %d %q", at(2), status, text())
		case "add":
			say("add %d", addHeader(n(1), str(at(2)), uint32(len(at(2))), str(at(3)), uint32(len(at(3)))))
		case "replace":
			say("replace %d", replaceHeader(n(1), str(at(2)), uint32(len(at(2))), str(at(3)), uint32(len(at(3)))))
		case "remove":
			say("remove %d", removeHeader(n(1), str(at(2)), uint32(len(at(2)))))
		case "pairs":
			status := getPairs(n(1), out(&data), out(&size))
			say("pairs %d %q", status, text())
		case "set-pairs":
			p := pairs(at(2), at(3))
			say("set-pairs %d", setPairs(n(1), bytes(p), uint32(len(p))))
		case "buffer":
			status := getBuffer(n(1), 0, 100, out(&data), out(&size))
			say("buffer %d %q", status, text())
		case "get":
			var cas uint32
			status := getSharedData(str(at(1)), uint32(len(at(1))), out(&data), out(&size), out(&cas))
			say("get %d %q %d", status, text(), cas)
		case "set":
			say("set %d", setSharedData(str(at(1)), uint32(len(at(1))), str(at(2)), uint32(len(at(2))), n(3)))
		case "swap":
			var cas uint32
			getSharedData(str(at(1)), uint32(len(at(1))), out(&data), out(&size), out(&cas))
			next := text() + "+"
			say("swap %d", setSharedData(str(at(1)), uint32(len(at(1))), str(next), uint32(len(next)), cas))
		case "define":
			var metric uint32
			status := defineMetric(n(1), str(at(2)), uint32(len(at(2))), out(&metric))
			say("define %d %d", status, metric)
		case "inc":
			v, _ := strconv.ParseInt(at(2), 0, 64)
			say("inc %d", incrementMetric(n(1), v))
		case "quiet-inc":
			incrementMetric(n(1), 1)
		case "record":
			say("record %d", recordMetric(n(1), uint64(n(2))))
		case "metric":
			word = 0
			status := getMetric(n(1), unsafe.Pointer(&word))
			say("metric %d %d", status, word)
		case "call":
			headers, body := pairs(":method", "GET", ":path", "/healthz", ":authority", at(1)), "ping"
			if at(2) == "bare" {
				headers = nil
			}
			var token uint32
			status := httpCall(str(at(1)), uint32(len(at(1))), bytes(headers), uint32(len(headers)), str(body), uint32(len(body)), nil, 0, n(3), out(&token))
			say("call %d %d", status, token)
		case "foreign":
			say("foreign %d", callForeign(str(at(1)), uint32(len(at(1))), nil, 0, nil, nil))
		case "queue":
			say("queue %d", registerQueue(str(at(1)), uint32(len(at(1))), out(&data)))
		case "tick":
			setTickPeriod(n(1))
		case "effective":
			say("effective %d", setEffectiveContext(n(1)))
		case "finish":
			say("finish %d", proxyDone())
		default:
			if script != "refuse" {
				panic("no command " + at(0))
			}
		}
	}
	return action
}

// monotonic is WASI's monotonic clock.
func monotonic() int64 {
	clockTimeGet(1, 1, unsafe.Pointer(&word))
	return int64(word)
}

//go:wasmimport wasi_snapshot_preview1 clock_time_get
func clockTimeGet(id uint32, precision uint64, time unsafe.Pointer) uint32

func say(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	proxyLog(2, str(message), uint32(len(message)))
}

func str(s string) unsafe.Pointer   { return unsafe.Pointer(unsafe.StringData(s)) }
func bytes(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
func out(v *uint32) unsafe.Pointer  { *v = 0; return unsafe.Pointer(v) }

// text is what the host has returned.
func text() string {
	if size == 0 {
		return ""
	}
	return string(lent[len(lent)-1][:size])
}

func pairs(nameValue ...string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(nameValue)/2))
	for _, s := range nameValue {
		b = le.AppendUint32(b, uint32(len(s)))
	}
	for _, s := range nameValue {
		b = append(append(b, s...), 0)
	}
	return b
}
