package wasmhost

// Status is what a host call answers.
type Status uint32

const (
	OK                  Status = 0
	NotFound            Status = 1
	BadArgument         Status = 2
	InvalidMemoryAccess Status = 6
	CASMismatch         Status = 8
	InternalFailure     Status = 10
	Unimplemented       Status = 12
)

// A hostCall is a function that the host offers to the guest.
type hostCall struct {
	module string
	name   string
	params string // a letter for each: i for 32 bits, I for 64

	// key tells what the call is about, for hooks and traces. It is nil where there is nothing to tell.
	key func(vm *VM, args []uint64) string
	run func(vm *VM, args []uint64) Status

	// also tells where else than in a callback it may be made. Made elsewhere, it kills the guest, as in Envoy.
	also place
}

// A place is where guest code runs for its own sake.
type place uint8

const (
	inInit  place = 1 << iota // _initialize
	inAlloc                   // the allocator, in the middle of another host call
)

const (
	env  = "env"
	wasi = "wasi_snapshot_preview1"
)

// hostCalls are all functions that a guest may import. (Envoy has a few more of WASI, for files and sockets that there
// are none of.)
var hostCalls = []hostCall{
	{env, "proxy_log", "iii", nil, (*VM).proxyLog, inInit | inAlloc},
	{env, "proxy_get_property", "iiii", pathKey, (*VM).getProperty, 0},
	{env, "proxy_set_property", "iiii", pathKey, (*VM).setProperty, 0},
	{env, "proxy_send_local_response", "iiiiiiii", nil, (*VM).sendLocalResponse, 0},
	{env, "proxy_continue_stream", "i", nil, (*VM).continueStream, 0},
	{env, "proxy_close_stream", "i", nil, (*VM).closeStream, 0},
	{env, "proxy_get_header_map_value", "iiiii", secondKey, (*VM).getHeader, 0},
	{env, "proxy_add_header_map_value", "iiiii", secondKey, (*VM).addHeader, 0},
	{env, "proxy_replace_header_map_value", "iiiii", secondKey, (*VM).replaceHeader, 0},
	{env, "proxy_remove_header_map_value", "iii", secondKey, (*VM).removeHeader, 0},
	{env, "proxy_get_header_map_pairs", "iii", nil, (*VM).getHeaders, 0},
	{env, "proxy_set_header_map_pairs", "iii", nil, (*VM).setHeaders, 0},
	{env, "proxy_get_buffer_bytes", "iiiii", nil, (*VM).getBuffer, 0},
	{env, "proxy_set_buffer_bytes", "iiiii", nil, unimplemented, 0},
	{env, "proxy_get_shared_data", "iiiii", firstKey, (*VM).getSharedData, 0},
	{env, "proxy_set_shared_data", "iiiii", firstKey, (*VM).setSharedData, 0},
	{env, "proxy_register_shared_queue", "iii", firstKey, unimplemented, 0},
	{env, "proxy_resolve_shared_queue", "iiiii", nil, unimplemented, 0},
	{env, "proxy_dequeue_shared_queue", "iii", nil, unimplemented, 0},
	{env, "proxy_enqueue_shared_queue", "iii", nil, unimplemented, 0},
	{env, "proxy_define_metric", "iiii", secondKey, (*VM).defineMetric, 0},
	{env, "proxy_increment_metric", "iI", metricKey, (*VM).incrementMetric, 0},
	{env, "proxy_record_metric", "iI", metricKey, (*VM).recordMetric, 0},
	{env, "proxy_get_metric", "ii", metricKey, (*VM).getMetric, 0},
	{env, "proxy_http_call", "iiiiiiiiii", firstKey, (*VM).httpCall, 0},
	{env, "proxy_call_foreign_function", "iiiiii", firstKey, (*VM).callForeignFunction, 0},
	{env, "proxy_set_tick_period_milliseconds", "i", nil, (*VM).setTickPeriod, 0},
	{env, "proxy_set_effective_context", "i", nil, (*VM).setEffectiveContext, 0},
	{env, "proxy_done", "", nil, (*VM).proxyDone, 0},
	{env, "proxy_get_current_time_nanoseconds", "i", nil, (*VM).currentTime, 0},

	{wasi, "args_get", "ii", nil, success, inInit},
	{wasi, "args_sizes_get", "ii", nil, (*VM).noStrings, inInit},
	{wasi, "clock_time_get", "iIi", nil, (*VM).clockTimeGet, inInit | inAlloc},
	{wasi, "environ_get", "ii", nil, success, inInit},
	{wasi, "environ_sizes_get", "ii", nil, (*VM).noStrings, inInit},
	{wasi, "fd_close", "i", nil, success, 0},
	{wasi, "fd_fdstat_get", "ii", nil, (*VM).fdStat, inInit},
	{wasi, "fd_fdstat_set_flags", "ii", nil, noSystem, inInit},
	{wasi, "fd_prestat_dir_name", "iii", nil, noSystem, inInit},
	{wasi, "fd_prestat_get", "ii", nil, badFile, inInit},
	{wasi, "fd_read", "iiii", nil, noSystem, 0},
	{wasi, "fd_write", "iiii", nil, (*VM).fdWrite, inInit | inAlloc},
	{wasi, "poll_oneoff", "iiii", nil, (*VM).pollOneoff, inInit | inAlloc},
	{wasi, "proc_exit", "i", nil, success, 0}, // returns in Envoy too; what the guest does next kills it
	{wasi, "random_get", "ii", nil, (*VM).randomGet, inInit},
	{wasi, "sched_yield", "", nil, success, 0},
}

func unimplemented(*VM, []uint64) Status { return Unimplemented }

// firstKey is the text given by the first two parameters.
func firstKey(vm *VM, args []uint64) string {
	key, _ := vm.read(args[0], args[1])
	return string(key)
}

// secondKey is the text given by the second and third parameter.
func secondKey(vm *VM, args []uint64) string { return firstKey(vm, args[1:]) }

// A callback is a function that the guest may export for the host to call.
type callback int

const (
	onContextCreate callback = iota
	onVMStart
	onConfigure
	onTick
	onHTTPCallResponse
	onRequestHeaders
	onRequestBody
	onResponseHeaders
	onResponseBody
	onResponseTrailers
	onLog
	onDone
	onDelete
	numCallbacks
)

// callbacks has the exports' names, and what the host takes for the result where a guest does not export one.
var callbacks = [numCallbacks]struct {
	name   string
	absent uint64
}{
	onContextCreate:    {"proxy_on_context_create", 0},
	onVMStart:          {"proxy_on_vm_start", 1},
	onConfigure:        {"proxy_on_configure", 1},
	onTick:             {"proxy_on_tick", 0},
	onHTTPCallResponse: {"proxy_on_http_call_response", 0},
	onRequestHeaders:   {"proxy_on_request_headers", actionContinue},
	onRequestBody:      {"proxy_on_request_body", actionContinue},
	onResponseHeaders:  {"proxy_on_response_headers", actionContinue},
	onResponseBody:     {"proxy_on_response_body", actionContinue},
	onResponseTrailers: {"proxy_on_response_trailers", actionContinue},
	onLog:              {"proxy_on_log", 0},
	onDone:             {"proxy_on_done", 1},
	onDelete:           {"proxy_on_delete", 0},
}

const actionContinue = 0
