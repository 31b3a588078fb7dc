package wasmhost_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envoy-circuit-breaker/internal/wasmhost"
)

var program *wasmhost.Program

// TestMain compiles the guest of these tests, testdata/guest.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "guest")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		wasm := filepath.Join(dir, "guest.wasm")
		build := exec.Command("go", "build", "-buildmode=c-shared", "-o", wasm, "./testdata/guest")
		build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("building the guest: %v\n%s", err, output))
		}
		if program, err = wasmhost.Compile(context.Background(), wasm); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

func newHost(t testing.TB, o wasmhost.Options) *wasmhost.Host {
	t.Helper()
	h, err := wasmhost.New(program, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// do has a worker's guest run a script at a request.
func do(t testing.TB, vm *wasmhost.VM, script string) *wasmhost.Stream {
	t.Helper()
	return request(t, vm, wasmhost.Req{Cluster: "payments"}, script)
}

func request(t testing.TB, vm *wasmhost.VM, r wasmhost.Req, script string) *wasmhost.Stream {
	t.Helper()
	r.Headers = append(r.Headers, wasmhost.Header{Name: "x-do", Value: script})
	s, err := vm.Request(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// said is what the guests have logged during do.
func said(h *wasmhost.Host, do func()) []string {
	before := len(h.Logs())
	do()
	var lines []string
	for _, l := range h.Logs()[before:] {
		lines = append(lines, l.Message)
	}
	return lines
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t testing.TB, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

// check runs a script and compares what the guest says.
func check(t *testing.T, h *wasmhost.Host, vm int, script string, want ...string) {
	t.Helper()
	got := said(h, func() { must(t, do(t, h.VM(vm), script).OK()) })
	if !slices.Equal(got, want) {
		t.Errorf("%s\ngot  %q\nwant %q", script, got, want)
	}
}

func TestCompileMissingFile(t *testing.T) {
	_, err := wasmhost.Compile(context.Background(), "nowhere/plugin.wasm")
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("got %v", err)
	}
}

func TestStart(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2, Config: "tick 0"})
	var vms []int
	for _, l := range h.Logs() {
		equal(t, l.Message, `configure 0 "tick 0"`)
		vms = append(vms, l.VM)
	}
	equal(t, vms, []int{wasmhost.MainThread, 0, 1})
}

func TestEmptyConfigurationHasNoAddress(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	equal(t, h.Logs()[0].Message, `configure 0 ""`)
	equal(t, h.Counts().Buffers, map[string]uint64{})
	check(t, h, 0, "buffer 7;buffer 6;buffer 4;buffer 9", `buffer 1 ""`, `buffer 0 ""`, `buffer 1 ""`, `buffer 2 ""`)
}

func TestRefusedConfiguration(t *testing.T) {
	_, err := wasmhost.New(program, wasmhost.Options{Plugin: "edge", Config: "refuse"})
	want := `plugin "edge" failed in proxy_on_configure on main thread` + "\n" + `main thread: info: configure 0 "refuse"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	h := newHost(t, wasmhost.Options{})
	if _, err := h.AddPlugin("second", "refuse"); err == nil {
		t.Error("added")
	}
	equal(t, h.VM(0).Err(), nil)
	equal(t, h.Counts().Callbacks["proxy_on_configure"], 1)
}

func TestSharedData(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2})
	check(t, h, 0, "get k;set k a 5;get k;set k b 5;set k c 0", `get 1 "" 0`, "set 0", `get 0 "a" 1`, "set 8", "set 0")
	check(t, h, 1, "get k;set k d 2;set k e 2", `get 0 "c" 2`, "set 0", "set 8")
	h.SharedData().Set("other", []byte("x"))
	check(t, h, 1, "get other", `get 0 "x" 4`)
	equal(t, h.SharedData().Keys(), []string{"k", "other"})
	value, cas, found := h.SharedData().Get("k")
	equal(t, fmt.Sprintf("%s %d %v", value, cas, found), "d 3 true")
	equal(t, h.Counts().CASMismatches, 2)
	equal(t, h.VM(1).Counts().CASMismatches, 1)
}

func TestStats(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2, Stats: func(name string) bool { return name != "hidden" }})
	check(t, h, 0, "define 0 n;define 1 g;inc 4 3;inc 4 -1;inc 4 0;record 4 2;metric 4;inc 5 -1;record 5 9;inc 5 -2;metric 5",
		"define 0 4", "define 0 5", "inc 0", "inc 2", "inc 2", "record 0", "metric 0 5", "inc 0", "record 0", "inc 0", "metric 0 7")
	check(t, h, 1, "define 0 other;define 0 n;inc 8 1;metric 8;metric 12;metric 0;inc 9 1;define 2 h;define 3 h",
		"define 0 4", "define 0 8", "inc 0", "metric 0 6", "metric 1 0", "metric 1 0", "inc 1", "define 12 0", "define 2 0")
	check(t, h, 1, "define 0 hidden;inc 12 5;metric 12", "define 0 12", "inc 0", "metric 0 0")
	equal(t, h.Stats(), map[string]uint64{"n": 6, "g": 7, "other": 0})
	h.ResetCounters()
	equal(t, h.Stats(), map[string]uint64{"n": 0, "g": 7, "other": 0})
	equal(t, h.Stat("g"), 7)
	h.AddToStat("n", 2)
	equal(t, h.Stat("n"), 2)
	equal(t, panics(func() { h.Stat("gg") }), "wasmhost: no stat \"gg\"; there are:\ng\nhidden\nn\nother")
}

// Hosts beside each other are one process: they have one set of stats, and each its shared data.
func TestBeside(t *testing.T) {
	a := newHost(t, wasmhost.Options{VMID: "a"})
	b := newHost(t, wasmhost.Options{VMID: "b", Beside: a})
	check(t, a, 0, "define 0 n;inc 4 1", "define 0 4", "inc 0")
	check(t, b, 0, "define 0 n;inc 4 1;metric 4", "define 0 4", "inc 0", "metric 0 2")
	equal(t, a.Stat("n"), 2)
	a.SharedData().Set("key", nil)
	equal(t, len(b.SharedData().Keys()), 0)
}

func panics(do func()) (message any) {
	defer func() { message = recover() }()
	do()
	return nil
}

func TestClocks(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2})
	check(t, h, 0, "now;wall", "now 1000000000000", "wall 0 2026-01-01T00:16:40Z")
	must(t, h.Advance(1500*time.Millisecond))
	check(t, h, 1, "now;wall", "now 1001500000000", "wall 0 2026-01-01T00:16:41Z")
}

func TestTicks(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2})
	check(t, h, 0, "tick 100")
	check(t, h, 1, "tick 150")
	lines := said(h, func() { must(t, h.Advance(320*time.Millisecond)) })
	equal(t, lines, []string{"tick 1000100000000", "tick 1000150000000", "tick 1000200000000", "tick 1000300000000", "tick 1000300000000"})
	check(t, h, 0, "tick 0")
	equal(t, said(h, func() { must(t, h.Advance(time.Second)) })[0], "tick 1000450000000")
	equal(t, h.VM(0).Counts().Callbacks["proxy_on_tick"], 3)
}

func TestTicksOfAStalledWorkerAreLate(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2, Config: "tick 100"})
	var during []string
	h.SetHook(func(vm int, call, key string) wasmhost.Status {
		if key == "stall" {
			during = said(h, func() { must(t, h.Advance(250*time.Millisecond)) })
		}
		return wasmhost.OK
	})
	check(t, h, 0, "get stall;now", "tick 1000100000000", "tick 1000200000000", `get 1 "" 0`, "now 1000250000000")
	equal(t, during, []string{"tick 1000100000000", "tick 1000200000000"})
	equal(t, said(h, func() { must(t, h.Advance(0)) }), []string{"tick 1000250000000"})
}

func TestProperties(t *testing.T) {
	h := newHost(t, wasmhost.Options{Plugin: "edge", VMID: "one"})
	const script = "property xds.cluster_name;property response.code;property response.code_details;property response.flags;" +
		"property response.grpc_status;property request.duration;property request.headers.x-a;property response.headers.x-b;" +
		"property response.trailers.x-c;property upstream.address;property upstream.request_attempt_count;property request.path"
	for _, test := range []struct {
		name string
		end  wasmhost.End
		want []string
	}{
		{"answer", wasmhost.End{Status: 201, Headers: wasmhost.Headers{{Name: "x-b", Value: "2"}}, Upstream: wasmhost.Upstream,
			Trailers: wasmhost.Headers{{Name: "x-c", Value: "3"}, {Name: "grpc-status", Value: "4"}}, Duration: 77}, []string{
			`xds.cluster_name 0 "payments"`,
			`response.code 0 "\xc9\x00\x00\x00\x00\x00\x00\x00"`,
			`response.code_details 0 "via_upstream"`,
			`response.flags 0 "\x00\x00\x00\x00\x00\x00\x00\x00"`,
			`response.grpc_status 0 "\x04\x00\x00\x00\x00\x00\x00\x00"`,
			`request.duration 0 "M\x00\x00\x00\x00\x00\x00\x00"`,
			`request.headers.x-a 0 "1"`,
			`response.headers.x-b 0 "2"`,
			`response.trailers.x-c 0 "3"`,
			`upstream.address 0 "10.0.0.1:8080"`,
			`upstream.request_attempt_count 0 "\x01\x00\x00\x00\x00\x00\x00\x00"`,
			`request.path 1 ""`,
		}},
		{"client gone", wasmhost.ClientGone, []string{
			`xds.cluster_name 0 "payments"`,
			`response.code 1 ""`,
			`response.code_details 0 "downstream_remote_disconnect"`,
			`response.flags 0 "\x00@\x00\x00\x00\x00\x00\x00"`,
			`response.grpc_status 1 ""`,
			`request.duration 0 "\x00\xf2\x05*\x01\x00\x00\x00"`,
			`request.headers.x-a 0 "1"`,
			`response.headers.x-b 1 ""`,
			`response.trailers.x-c 1 ""`,
			`upstream.address 0 "10.0.0.1:8080"`,
			`upstream.request_attempt_count 0 "\x01\x00\x00\x00\x00\x00\x00\x00"`,
			`request.path 1 ""`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := wasmhost.Req{Cluster: "payments", Headers: wasmhost.Headers{{Name: "x-a", Value: "1"}}}
			s := request(t, h.VM(0), r, "on-log "+strings.ReplaceAll(script, ";", "&"))
			must(t, h.Advance(5*time.Second))
			equal(t, said(h, func() { must(t, s.End(test.end)) }), test.want)
		})
	}
	check(t, h, 0, "property plugin_name;property plugin_root_id;property plugin_vm_id;property cluster_name;property response.code_details",
		`plugin_name 0 "edge"`, `plugin_root_id 0 ""`, `plugin_vm_id 0 "one"`, `cluster_name 1 ""`, `response.code_details 1 ""`)

	s := do(t, h.VM(0), "set-property breaker open;property breaker")
	value, found := s.Property("breaker")
	equal(t, value, "open")
	equal(t, found, true)
	equal(t, h.Logs()[len(h.Logs())-1].Message, `breaker 0 "open"`)
}

func TestHeaders(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	r := wasmhost.Req{Cluster: "a", Headers: wasmhost.Headers{{Name: "x-a", Value: "1"}, {Name: "x-b", Value: "2"}, {Name: "x-a", Value: "3"}}}
	var s *wasmhost.Stream
	lines := said(h, func() {
		s = request(t, h.VM(0), r, "replace 0 X-A 9;add 0 x-c 4;remove 0 x-b;header 0 X-C;header 0 x-b;header 2 :status;add 2 x 1;header 7 x;pairs 2;"+
			"on-response header 0 x-a&header 2 :status&replace 2 server me&pairs 2;on-log header 1 x&header 2 server&header 3 x&add 2 a b")
	})
	equal(t, lines, []string{"replace 0", "add 0", "remove 0", `X-C 0 "4"`, `x-b 1 ""`, `:status 2 ""`, "add 2", `x 2 ""`, `pairs 0 ""`})
	equal(t, slices.DeleteFunc(s.RequestHeaders(), func(f wasmhost.Header) bool { return f.Name == "x-do" }),
		wasmhost.Headers{{Name: "x-a", Value: "9"}, {Name: "x-c", Value: "4"}})
	equal(t, said(h, func() { must(t, s.OK()) }), []string{
		`x-a 2 ""`, `:status 0 "200"`, "replace 0", `pairs 0 "\x02\x00\x00\x00\a\x00\x00\x00\x03\x00\x00\x00\x06\x00\x00\x00\x02\x00\x00\x00:status\x00200\x00server\x00me\x00"`,
		`x 1 ""`, `server 0 "me"`, `x 1 ""`, "add 2"})
	equal(t, r.Headers[0].Value, "1")

	s = do(t, h.VM(0), "set-pairs 0 x y")
	equal(t, s.RequestHeaders(), wasmhost.Headers{{Name: "x", Value: "y"}})
}

func TestRouteFollowsHeaders(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	route := func(r wasmhost.Headers) (cluster, name string) {
		if r.Get("x-fallback") != "" {
			return "fallback", "second"
		}
		return "payments", "first"
	}
	lines := said(h, func() {
		s := request(t, h.VM(0), wasmhost.Req{Route: route}, "add 0 x-fallback true;property xds.cluster_name;property xds.route_name;on-log property xds.cluster_name&property xds.route_name")
		equal(t, s.Cluster(), "fallback")
		must(t, s.OK())
	})
	equal(t, lines, []string{"add 0", `xds.cluster_name 0 "payments"`, `xds.route_name 0 "first"`, `xds.cluster_name 0 "fallback"`, `xds.route_name 0 "second"`})
}

func TestLocalReply(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	const later = ";on-response header 2 :status&property response.code_details&header 0 :method&reply 500 again;on-log property upstream.address&property response.flags"
	s := do(t, h.VM(0), "reply 503 circuit+breaker resting"+later)
	equal(t, s.Continued(), false)
	equal(t, *s.Reply(), wasmhost.Reply{Status: 503, Details: "circuit_breaker", Headers: wasmhost.Headers{{Name: "retry-after", Value: "7"}}, Body: "resting", GRPCStatus: -1})
	equal(t, s.ResponseHeaders(), wasmhost.Headers{{Name: ":status", Value: "503"}, {Name: "retry-after", Value: "7"},
		{Name: "content-type", Value: "text/plain"}, {Name: "content-length", Value: "7"}})
	equal(t, h.Counts().Callbacks, map[string]uint64{
		"proxy_on_context_create": 2, "proxy_on_vm_start": 1, "proxy_on_configure": 1, "proxy_on_request_headers": 1,
		"proxy_on_response_headers": 1, "proxy_on_log": 1, "proxy_on_done": 1, "proxy_on_delete": 1})
	equal(t, h.VM(0).Streams(), 0)
	if message := panics(func() { s.OK() }); message == nil || !strings.Contains(message.(string), "has ended") {
		t.Errorf("got %v", message)
	}
}

func TestLocalReplyToGRPC(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	r := wasmhost.Req{Cluster: "payments", Headers: wasmhost.Headers{{Name: "content-type", Value: "application/grpc+proto"}}}
	s := request(t, h.VM(0), r, "reply 503 details resting")
	equal(t, s.ResponseHeaders(), wasmhost.Headers{{Name: ":status", Value: "200"}, {Name: "retry-after", Value: "7"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "grpc-status", Value: "14"}, {Name: "grpc-message", Value: "resting"}})
}

func TestLocalReplyHeld(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	s := request(t, h.VM(0), wasmhost.Req{HoldEnd: true}, "reply 503 details")
	equal(t, h.Counts().Callbacks["proxy_on_response_headers"], 1)
	equal(t, h.Counts().Callbacks["proxy_on_log"], 0)
	if message := panics(func() { s.OK() }); message == nil || !strings.Contains(message.(string), "response headers already") {
		t.Errorf("got %v", message)
	}
	must(t, s.End(wasmhost.End{}))
	equal(t, h.Counts().Callbacks["proxy_on_log"], 1)
}

func TestCloseStream(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	lines := said(h, func() { do(t, h.VM(0), "close 0;pause;on-log property response.code_details") })
	equal(t, lines[:2], []string{"close 0", `response.code_details 0 "wasm_close_stream"`})
	equal(t, h.VM(0).Streams(), 0)
}

func TestHTTPCall(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2, Clusters: []string{"payments"}})
	check(t, h, 1, "call search full 0;call payments bare 0;call payments full -1", "call 2 0", "call 2 0", "call 2 0")
	s := do(t, h.VM(1), "call payments full 250;pause")
	equal(t, s.Continued(), false)
	calls := h.HTTPCalls()
	equal(t, len(calls), 1)
	c := calls[0]
	equal(t, fmt.Sprintf("%d %s %s %s %s", c.VM, c.Cluster, c.Headers.Get(":path"), c.Body, c.Timeout), "1 payments /healthz ping 250ms")
	lines := said(h, func() { must(t, c.Answer(204, wasmhost.Headers{{Name: "x", Value: "y"}}, "pong")) })
	equal(t, lines[:2], []string{"answer 1 headers 2 size 4", `:status 0 "204"`})
	equal(t, lines[3], `buffer 0 "pong"`)
	equal(t, s.Continued(), true)
	must(t, s.OK())
	equal(t, len(h.HTTPCalls()), 0)

	s = do(t, h.VM(1), "call payments full 250;pause")
	lines = said(h, func() { must(t, h.HTTPCalls()[0].Fail()) })
	equal(t, lines[:4], []string{"answer 2 headers 0 size 0", `:status 2 ""`, `pairs 0 ""`, `buffer 1 ""`})
	must(t, s.OK())
	if panics(func() { c.Fail() }) == nil {
		t.Error("answered twice")
	}
}

func TestUnimplemented(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	check(t, h, 0, "queue q;foreign f;finish;effective 99;continue 4;continue 2",
		"queue 12", "foreign 1", "finish 1", "effective 2", "continue 2", "continue 12")
}

func TestPlugins(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2, Plugin: "first"})
	second, err := h.AddPlugin("second", "later;tick 100")
	must(t, err)
	s := request(t, h.VM(0), wasmhost.Req{Plugin: second}, "property plugin_name")
	equal(t, h.Logs()[len(h.Logs())-1].Message, `plugin_name 0 "second"`)

	// It leaves worker 1 at once, and worker 0 after its stream. It has asked to wait for proxy_done.
	equal(t, said(h, func() { must(t, second.Remove()) }), []string{"done 2"})
	equal(t, said(h, func() { must(t, s.OK()) }), []string{"done 2"})
	equal(t, said(h, func() { must(t, h.Advance(100*time.Millisecond)) }), []string{"tick 1000100000000", "tick 1000100000000"})
	check(t, h, 0, "effective 2;finish;effective 0", "effective 0", "finish 0", "effective 0", "delete 2")
	must(t, h.Advance(100*time.Millisecond))
	equal(t, h.VM(0).Counts().Callbacks["proxy_on_tick"], 1)
	if message := panics(func() { h.VM(0).Request(wasmhost.Req{Plugin: second}) }); message == nil {
		t.Error("a removed plugin gets requests")
	}
}

func TestPanicKillsTheWorker(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2})
	s := do(t, h.VM(0), "")
	_, err := h.VM(0).Request(wasmhost.Req{Headers: wasmhost.Headers{{Name: "x-do", Value: "panic"}}})
	if err == nil || !strings.Contains(err.Error(), "worker 0 died in proxy_on_request_headers") || !strings.Contains(err.Error(), "panic: as told") {
		t.Errorf("got %v", err)
	}
	equal(t, h.VM(0).Err(), err)
	equal(t, s.OK(), err)
	_, again := h.VM(0).Request(wasmhost.Req{})
	equal(t, again, err)
	check(t, h, 1, "now", "now 1000000000000")
}

// Envoy allows few host calls in the middle of another one: here, in the allocator.
func TestHostCallInAllocator(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	_, err := h.VM(0).Request(wasmhost.Req{Cluster: "a", Headers: wasmhost.Headers{{Name: "x-do", Value: "alloc;property xds.cluster_name"}}})
	if err == nil || !strings.Contains(err.Error(), "proxy_set_tick_period_milliseconds called in the allocator") {
		t.Errorf("got %v", err)
	}
}

func TestHook(t *testing.T) {
	h := newHost(t, wasmhost.Options{Workers: 2})
	check(t, h, 0, "set k v 0", "set 0")

	// Another worker comes in between reading and writing.
	h.SetHook(func(vm int, call, key string) wasmhost.Status {
		if vm == 0 && call == "proxy_set_shared_data" && key == "k" {
			must(t, do(t, h.VM(1), "swap k").OK())
		}
		return wasmhost.OK
	})
	check(t, h, 0, "swap k", "swap 0", "swap 8")

	h.SetHook(func(vm int, call, key string) wasmhost.Status {
		switch key {
		case "xds.cluster_name":
			return wasmhost.NotFound
		case "x-a":
			return wasmhost.InternalFailure
		}
		return wasmhost.OK
	})
	check(t, h, 1, "property xds.cluster_name;header 0 x-a", `xds.cluster_name 1 ""`, `x-a 10 ""`)
	h.SetHook(nil)
	check(t, h, 1, "property xds.cluster_name", `xds.cluster_name 0 "payments"`)
}

func TestCountsAndTrace(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	before := h.Counts()
	trace := h.VM(0).Trace(func() { do(t, h.VM(0), "define 0 n;quiet-inc 4;get missing") })
	equal(t, h.Counts().Sub(before), wasmhost.Counts{
		Calls: map[string]uint64{"proxy_get_header_map_value": 1, "proxy_define_metric": 1, "proxy_increment_metric": 1,
			"proxy_get_shared_data": 1, "proxy_log": 2},
		Buffers:   map[string]uint64{"proxy_get_header_map_value": 1},
		Callbacks: map[string]uint64{"proxy_on_context_create": 1, "proxy_on_request_headers": 1},
	})
	equal(t, trace, []string{
		"proxy_on_context_create 2",
		"proxy_on_request_headers 2",
		"  proxy_get_header_map_value x-do = 0",
		"  proxy_define_metric n = 0",
		"  proxy_log = 0",
		"  proxy_increment_metric n = 0",
		"  proxy_get_shared_data missing = 1",
		"  proxy_log = 0",
	})
	equal(t, h.Counts().Sub(before).Total(), 6)
	equal(t, h.Counts().Sub(before).TotalBuffers(), 1)
}

// Workers on goroutines of their own lose no increment, and one of two swaps at once is refused.
func TestConcurrentWorkers(t *testing.T) {
	const workers, requests = 4, 300
	h := newHost(t, wasmhost.Options{Workers: workers, Config: "define 0 n;set k v 0;tick 10"})
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for range requests {
				s, err := h.VM(i).Request(wasmhost.Req{Headers: wasmhost.Headers{{Name: "x-do", Value: "quiet-inc 4;swap k"}}})
				if err == nil {
					err = s.OK()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for range requests {
			if err := h.Advance(time.Millisecond); err != nil {
				t.Error(err)
			}
			h.Counts()
		}
	})
	all.Wait()
	equal(t, h.Stat("n"), workers*requests)
	value, _, _ := h.SharedData().Get("k")
	equal(t, len(value)-1, int(workers*requests-h.Counts().CASMismatches))
}

func TestMemorySize(t *testing.T) {
	h := newHost(t, wasmhost.Options{})
	do(t, h.VM(0), "gc")
	if size := h.VM(0).MemorySize(); size < 1<<20 || size > 64<<20 {
		t.Errorf("got %d bytes", size)
	}
}

// BenchmarkRequest is what a request costs that a guest does next to nothing for.
func BenchmarkRequest(b *testing.B) {
	h := newHost(b, wasmhost.Options{})
	vm := h.VM(0)
	b.ReportAllocs()
	for b.Loop() {
		s, err := vm.Request(wasmhost.Req{Cluster: "payments"})
		must(b, err)
		must(b, s.OK())
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		h, err := wasmhost.New(program, wasmhost.Options{Workers: 2})
		must(b, err)
		must(b, h.Close())
	}
}
