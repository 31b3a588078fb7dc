package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"envoy-circuit-breaker/e2e/envoy"
)

// A caller is the client of a row, and the meeting point of that client with the upstream.
type caller struct {
	row     *row
	address string
	arrived chan struct{} // closed when the upstream has a request of the row
	arrive  func()
	saw     string
}

func newCaller(r *row) *caller {
	c := &caller{row: r, arrived: make(chan struct{})}
	c.arrive = sync.OnceFunc(func() { close(c.arrived) })
	return c
}

func (c *caller) call() {
	client := c.row.client
	if client == nil {
		client = get
	}
	c.saw = client(c)
}

// serveRow is the upstream of all rows.
func serveRow(callers map[string]*caller, w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if name == "authz" { // the server that ext_authz asks
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if row := r.Header.Get("row"); row != "" {
		name = row
	}
	c := callers[name]
	if c == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	c.arrive()
	if c.row.upstream != nil {
		c.row.upstream(w, r)
	}
}

// patience is how long a client waits for anything that is to happen.
const patience = 30 * time.Second

// Clients over HTTP/1.1 and HTTP/2, with a connection for each request.
var (
	overHTTP1 = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	overHTTP2 = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Protocols: onlyHTTP2()}}
)

func onlyHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func httpClient(http2 bool) *http.Client {
	if http2 {
		return overHTTP2
	}
	return overHTTP1
}

func get(c *caller) string      { return c.fetch(overHTTP1, http.MethodGet, "", nil) }
func getHTTP2(c *caller) string { return c.fetch(overHTTP2, http.MethodGet, "", nil) }
func head(c *caller) string     { return c.fetch(overHTTP1, http.MethodHead, "", nil) }

// getTwice uses up what is there for one.
func getTwice(c *caller) string {
	c.fetch(overHTTP1, http.MethodGet, "first", nil)
	return get(c)
}

func post(size int, header ...string) func(*caller) string {
	return func(c *caller) string {
		return c.fetch(overHTTP1, http.MethodPost, "", bytes.NewReader(make([]byte, size)), header...)
	}
}

// fetch sends a request and tells what came of it: the status, and "broken" if the body broke off.
func (c *caller) fetch(client *http.Client, method, path string, body io.Reader, header ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.url()+path, body)
	if err != nil {
		return err.Error()
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	saw := fmt.Sprint(response.StatusCode)
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		saw += " broken"
	}
	return saw
}

func (c *caller) url() string { return "http://" + c.address + "/" + c.row.name + "/" }

// givesUp is a client that cancels when the upstream has had its request for a while.
func givesUp(http2 bool, after time.Duration) func(*caller) string {
	return func(c *caller) string {
		return c.cancelled(httpClient(http2), func() {
			<-c.arrived
			time.Sleep(after)
		})
	}
}

// waitsFor is a client that cancels after a while, whether or not the upstream has its request.
func waitsFor(d time.Duration) func(*caller) string {
	return func(c *caller) string { return c.cancelled(overHTTP1, func() { time.Sleep(d) }) }
}

func (c *caller) cancelled(client *http.Client, when func()) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		when()
		cancel()
	}()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, c.url(), nil)
	response, err := client.Do(request)
	switch {
	case errors.Is(err, context.Canceled):
		return "gone"
	case err != nil:
		return err.Error()
	}
	response.Body.Close()
	return fmt.Sprint(response.StatusCode)
}

// leavesBody is a client that goes away once the headers have come.
func leavesBody(http2 bool) func(*caller) string {
	return leaves(httpClient(http2), 0)
}

func leavesBodyAfter(d time.Duration) func(*caller) string { return leaves(overHTTP1, d) }

func leaves(client *http.Client, after time.Duration) func(*caller) string {
	return func(c *caller) string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, c.url(), nil)
		response, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		if _, err := response.Body.Read(make([]byte, 1)); err != nil {
			return err.Error()
		}
		time.Sleep(after)
		return fmt.Sprint(response.StatusCode, " gone")
	}
}

// raw sends text over a connection of its own and returns that.
func (c *caller) raw(text string) (net.Conn, error) {
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(conn, text)
	return conn, err
}

// rawStatus sends text and returns the status of the answer.
func (c *caller) rawStatus(text string) string {
	conn, err := c.raw(text)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(response.StatusCode)
}

func (c *caller) halfUpload() string {
	return "POST /" + c.row.name + "/ HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf"
}

// stallsUpload is a client that does not send the rest of its body.
func stallsUpload(c *caller) string { return c.rawStatus(c.halfUpload()) }

// leavesUpload is a client that goes away in the middle of its body.
func leavesUpload(c *caller) string {
	conn, err := c.raw(c.halfUpload())
	if err != nil {
		return err.Error()
	}
	<-c.arrived
	conn.Close()
	return "gone"
}

// noHost is a client whose request no filter gets to see.
func noHost(c *caller) string {
	return c.rawStatus("GET /" + c.row.name + "/ HTTP/1.1\r\n\r\n")
}

// Upstreams.

func readAll(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// chunks answers with so many chunks of that size.
func chunks(n, size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for range n {
			_, _ = w.Write(make([]byte, size))
			flush(w)
		}
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("trailer", "x-end")
	_, _ = io.WriteString(w, "body")
	w.Header().Set("x-end", "now")
}

func earlyHints(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(code)
	}
}

// redirects to another path of the row.
func redirects(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/") {
		w.Header().Set("location", "http://"+r.Host+r.URL.Path+"target")
		w.WriteHeader(http.StatusFound)
	}
}

// failsFirst answers 503 so many times, then 200.
func failsFirst(n int32) http.HandlerFunc {
	var requests atomic.Int32
	return func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) <= n {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

// says sends some bytes in the place of an answer, and closes the connection.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
	}
}

func breaksChunks(w http.ResponseWriter, _ *http.Request) {
	chunks(3, 10)(w, nil)
	panic(http.ErrAbortHandler)
}

// breaksDownload promises 100 MB and sends half of them.
func breaksDownload(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-length", "100000000")
	chunks(50, 1_000_000)(w, nil)
	panic(http.ErrAbortHandler)
}

// stalls sends headers and the beginning of a body, and no more.
func stalls(w http.ResponseWriter, r *http.Request) { lasts(time.Hour)(w, r) }

// lasts sends headers and the beginning of a body at once, and the rest later.
func lasts(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		chunks(1, 10)(w, r)
		sleep(r.Context(), d)
	}
}

// waits answers late: with a status, or by closing the connection if that is 0.
func waits(d time.Duration, code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sleep(r.Context(), d)
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
	}
}

func waitsAndStalls(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sleep(r.Context(), d)
		stalls(w, r)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// beginsGRPC begins a gRPC answer.
func beginsGRPC(w http.ResponseWriter) {
	w.Header().Set("content-type", "application/grpc")
	w.WriteHeader(http.StatusOK)
	flush(w)
}

func resetsGRPC(w http.ResponseWriter, _ *http.Request) {
	beginsGRPC(w)
	panic(http.ErrAbortHandler)
}

func stallsGRPC(w http.ResponseWriter, r *http.Request) {
	beginsGRPC(w)
	<-r.Context().Done()
}

// failsGRPC ends by a status in the trailers.
func failsGRPC(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("trailer", "grpc-status")
	beginsGRPC(w)
	w.Header().Set("grpc-status", "14")
}

func grpcWebUnavailable(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-type", "application/grpc-web+proto")
	w.Header().Set("grpc-status", "14")
}

func echo(conn io.ReadWriteCloser) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

// WebSockets and tunnels.

// echoWebSocket sends back every message.
func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	websocket.Server{Handler: func(ws *websocket.Conn) { echo(ws) }}.ServeHTTP(hijackable{w}, r)
}

// dropsWebSocket closes the connection after the first message, without a word.
func dropsWebSocket(w http.ResponseWriter, r *http.Request) {
	websocket.Server{Handler: func(ws *websocket.Conn) {
		_, _ = io.CopyN(ws, ws, int64(len(greeting)))
		ws.Close()
	}}.ServeHTTP(hijackable{w}, r)
}

// hijackable is for what does not know http.ResponseController.
type hijackable struct{ http.ResponseWriter }

func (w hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

const greeting = "hello"

// webSocket is a client that gets a message echoed, waits, and gets another one echoed.
func webSocket(wait time.Duration) func(*caller) string {
	return func(c *caller) string {
		ws, conn, saw := c.dialWebSocket()
		if conn != nil {
			defer conn.Close()
		}
		if ws == nil {
			return saw
		}
		return saw + converse(ws, wait)
	}
}

// dialWebSocket returns a WebSocket and the connection below it, or none of the former and the status of the refusal.
// To close the connection leaves at once; to close the WebSocket would let either side be the first.
func (c *caller) dialWebSocket() (ws *websocket.Conn, conn net.Conn, saw string) {
	config, err := websocket.NewConfig("ws://"+c.address+"/"+c.row.name+"/", "http://test")
	if err != nil {
		return nil, nil, err.Error()
	}
	if conn, err = c.raw(""); err != nil {
		return nil, conn, err.Error()
	}
	var answer bytes.Buffer // as the library keeps the status to itself
	ws, err = websocket.NewClient(config, readWriteCloser{io.TeeReader(conn, &answer), conn, conn})
	if fields := strings.Fields(answer.String()); len(fields) > 1 {
		return ws, conn, fields[1]
	}
	return ws, conn, fmt.Sprint(err)
}

type readWriteCloser struct {
	io.Reader
	io.Writer
	io.Closer
}

// converse returns " broken" if something was not echoed. An hour is for what will not last.
func converse(conn io.ReadWriter, wait time.Duration) string {
	for i := range 2 {
		if i == 1 && wait == time.Hour {
			_, _ = conn.Read(make([]byte, 1))
		} else if i == 1 {
			time.Sleep(wait)
		}
		reply := make([]byte, len(greeting))
		if _, err := io.WriteString(conn, greeting); err != nil {
			return " broken"
		}
		if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != greeting {
			return " broken"
		}
	}
	return ""
}

// tunnel is a client that connects through Envoy to a TCP server that echoes.
func tunnel(wait time.Duration) func(*caller) string {
	return func(c *caller) string {
		conn, err := c.raw("CONNECT test:80 HTTP/1.1\r\nhost: test:80\r\n\r\n")
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(response.StatusCode) + converse(readWriteCloser{reader, conn, conn}, wait)
	}
}

// gRPC.

// A testService does what the request asks for: a status, and by its metadata "do" to send its headers first, to hang, or
// to wait.
type testService struct {
	testpb.UnimplementedTestServiceServer
	callers map[string]*caller
}

// serveGRPC starts a gRPC server and returns its address.
func serveGRPC(t *testing.T, callers map[string]*caller) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, testService{callers: callers})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func (s testService) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	value := func(key string) string { return strings.Join(metadata.ValueFromIncomingContext(ctx, key), "") }
	if c := s.callers[value("row")]; c != nil {
		c.arrive()
	}
	switch value("do") {
	case "headers":
		if err := grpc.SendHeader(ctx, nil); err != nil {
			return nil, err
		}
	case "hang":
		<-ctx.Done()
	case "wait":
		sleep(ctx, 500*time.Millisecond)
	}
	return &testpb.SimpleResponse{}, asked(in.GetResponseStatus())
}

func asked(s *testpb.EchoStatus) error {
	return status.Error(codes.Code(s.GetCode()), s.GetMessage())
}

func (testService) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	for _, p := range in.GetResponseParameters() {
		sleep(stream.Context(), time.Duration(p.GetIntervalUs())*time.Microsecond)
		if err := stream.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	if in.GetResponseStatus().GetCode() < 0 {
		<-stream.Context().Done()
	}
	return asked(in.GetResponseStatus())
}

func (testService) FullDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		in, err := stream.Recv()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case in.GetResponseStatus() != nil:
			return asked(in.GetResponseStatus())
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

// withGRPC calls over a connection of its own, with the row's name and more in the metadata.
func (c *caller) withGRPC(call func(context.Context, testpb.TestServiceClient) string, pairs ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.callGRPC(ctx, call, pairs...)
}

// withGRPCNoDeadline is the same, but sends no grpc-timeout.
func (c *caller) withGRPCNoDeadline(call func(context.Context, testpb.TestServiceClient) string, pairs ...string) string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer time.AfterFunc(patience, cancel).Stop()
	return c.callGRPC(ctx, call, pairs...)
}

func (c *caller) callGRPC(ctx context.Context, call func(context.Context, testpb.TestServiceClient) string, pairs ...string) string {
	conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return call(metadata.AppendToOutgoingContext(ctx, append(pairs, "row", c.row.name)...), testpb.NewTestServiceClient(conn))
}

// unary is a client that asks for a status.
func unary(code int32, pairs ...string) func(*caller) string {
	return func(c *caller) string {
		return c.withGRPC(func(ctx context.Context, client testpb.TestServiceClient) string {
			_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: code}})
			return status.Code(err).String()
		}, pairs...)
	}
}

func unimplemented(c *caller) string {
	return c.withGRPC(func(ctx context.Context, client testpb.TestServiceClient) string {
		_, err := client.UnimplementedCall(ctx, &testpb.Empty{})
		return status.Code(err).String()
	})
}

// cancelsUnary is a client that gives up when the server has had its call for a while.
func cancelsUnary(after time.Duration) func(*caller) string {
	return func(c *caller) string {
		return c.withGRPC(func(ctx context.Context, client testpb.TestServiceClient) string {
			ctx, cancel := context.WithCancel(ctx)
			go func() {
				<-c.arrived
				time.Sleep(after)
				cancel()
			}()
			_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
			return status.Code(err).String()
		}, "do", "hang")
	}
}

// serverStream is a client that receives so many messages and a status; it goes away instead if that is -1.
func serverStream(messages int, code int32) func(*caller) string {
	request := &testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: code}}
	for range messages {
		request.ResponseParameters = append(request.ResponseParameters, &testpb.ResponseParameters{})
	}
	return serverStreams(request)
}

// longServerStream receives one message at once and one later.
func longServerStream(d time.Duration) func(*caller) string {
	return serverStreams(&testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{{}, {IntervalUs: int32(d.Microseconds())}},
	})
}

func serverStreams(request *testpb.StreamingOutputCallRequest) func(*caller) string {
	return func(c *caller) string {
		return c.withGRPC(func(ctx context.Context, client testpb.TestServiceClient) string {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := client.StreamingOutputCall(ctx, request)
			if err != nil {
				return err.Error()
			}
			for n := 0; ; n++ {
				if request.ResponseStatus.GetCode() < 0 && n == len(request.ResponseParameters) {
					cancel()
				}
				if _, err := stream.Recv(); err != nil {
					return fmt.Sprint(n, " ", streamEnd(err))
				}
			}
		})
	}
}

func streamEnd(err error) string {
	if err == io.EOF {
		return "OK"
	}
	return status.Code(err).String()
}

// bidi is a client that has so many messages echoed and asks for a status. -1 makes it go away instead, -2 wait for the
// end of a stream that does not last.
func bidi(messages int, code int32) func(*caller) string {
	return func(c *caller) string {
		return c.withGRPC(func(ctx context.Context, client testpb.TestServiceClient) string {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := client.FullDuplexCall(ctx)
			if err != nil {
				return err.Error()
			}
			for n := range messages {
				_ = stream.Send(&testpb.StreamingOutputCallRequest{})
				if _, err := stream.Recv(); err != nil {
					return fmt.Sprint(n, " ", streamEnd(err))
				}
			}
			if end := endStream(stream, code, cancel); code != -2 {
				return fmt.Sprint(messages, " ", end)
			} else if end == "OK" {
				return fmt.Sprint(messages, " OK")
			}
			return fmt.Sprint(messages, " broken")
		})
	}
}

// endStream ends a stream by a status that it asks for, by going away if that is -1, or by waiting if it is -2.
func endStream(stream testpb.TestService_FullDuplexCallClient, code int32, cancel func()) string {
	switch code {
	case 0:
		_ = stream.CloseSend()
	case -1:
		cancel()
	case -2:
	default:
		_ = stream.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: code}})
	}
	_, err := stream.Recv()
	return streamEnd(err)
}

// Envoy's configuration.

// maxUpstream is a cluster that limits how long requests may take.
func maxUpstream(duration string) envoy.Cluster {
	return envoy.Cluster{Extra: `
		typed_extension_protocol_options:
		  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
		    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
		    common_http_protocol_options: { max_stream_duration: ` + duration + ` }
		    explicit_http_config: { http_protocol_options: {} }`}
}

// thresholds is a cluster whose Envoy thresholds nothing passes.
func thresholds(http2 bool) envoy.Cluster {
	return envoy.Cluster{HTTP2: http2, Extra: "circuit_breakers: { thresholds: [{ max_pending_requests: 0, max_requests: 0 }] }"}
}

// otherwise is a route that a request with that header does not take.
func otherwise(header string) envoy.Route {
	return envoy.Route{Cluster: theOther, Match: "headers: [{ name: " + header + ", present_match: true }]"}
}

var (
	upgrade = envoy.Route{Action: "upgrade_configs: [{ upgrade_type: websocket }]"}
	connect = envoy.Route{Match: "connect_matcher: {}", Action: "upgrade_configs: [{ upgrade_type: CONNECT, connect_config: {} }]"}
)

// reroutedAfter is a route that a filter after the breaker leaves for the other cluster.
var reroutedAfter = func() envoy.Route {
	r := otherwise("x-rerouted")
	r.Extra = filter("lua-after", `
		"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
		source_code:
		  inline_string: |
		    function envoy_on_request(handle)
		      handle:headers():add("x-rerouted", "1")
		      handle:clearRouteCache()
		    end`).Extra
	return r
}()

const abort403 = `
	"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
	abort: { http_status: 403, percentage: { numerator: 100 } }`

// filters reply in the upstream's place, each on the routes that enable it.
var filters = []struct {
	name, filter string // what is in the chain, where it lets everything pass
	enable       string // per route
	client       func(*caller) string

	sees, details, flags string
}{
	{
		name:   "fault",
		filter: `"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault`,
		enable: abort403,
		sees:   "403", details: "fault_filter_abort", flags: "FI",
	},
	{
		name:   "rbac",
		filter: `"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute
			rbac:
			  rules:
			    action: DENY
			    policies: { nobody: { permissions: [{ any: true }], principals: [{ any: true }] } }`,
		sees: "403", details: "rbac_access_denied_matched_policy[nobody]",
	},
	{
		name: "jwt",
		filter: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
			providers:
			  issuer: { local_jwks: { inline_string: '{"keys": [{"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}]}' } }
			requirement_map:
			  needed: { provider_name: issuer }`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig
			requirement_name: needed`,
		sees: "401", details: "jwt_authn_access_denied{Jwt_is_missing}",
	},
	{
		name: "ratelimit",
		filter: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
			stat_prefix: none`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
			stat_prefix: one
			token_bucket: { max_tokens: 1, fill_interval: 3600s }
			filter_enabled: { default_value: { numerator: 100 } }
			filter_enforced: { default_value: { numerator: 100 } }`,
		client: getTwice, sees: "429", details: "local_rate_limited", flags: "RL",
	},
	{
		name:   "lua",
		filter: `"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
			source_code:
			  inline_string: |
			    function envoy_on_request(handle)
			      handle:respond({[":status"] = "503"}, "no")
			    end`,
		sees: "503", details: "lua_response",
	},
	{
		name: "ext-authz",
		filter: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
			http_service:
			  server_uri: { uri: "http://authz", cluster: authz, timeout: 10s }
			  path_prefix: /authz`,
		enable: `
			"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
			check_settings: {}`,
		sees: "403", details: "ext_authz_denied", flags: "UAEX",
	},
}

// filterChain returns the filters with their names ended by the place.
func filterChain(place string) string {
	var b strings.Builder
	for _, f := range filters {
		fmt.Fprintf(&b, "- name: %s-%s\n", f.name, place)
		if f.name == "ext-authz" { // which lets nothing pass by itself
			b.WriteString("  disabled: true\n")
		}
		b.WriteString("  typed_config:\n" + shift("    ", f.filter))
	}
	return b.String()
}

// filter is a route on which a filter has a configuration of its own.
func filter(name, config string) envoy.Route {
	return envoy.Route{Extra: "typed_per_filter_config:\n  " + name + ":\n" + shift("    ", config)}
}

// shift indents raw YAML as a whole.
func shift(by, raw string) string {
	raw = strings.Trim(raw, "\n")
	text := strings.TrimLeft(raw, "\t")
	margin := raw[:len(raw)-len(text)]
	var b strings.Builder
	for line := range strings.Lines(raw) {
		b.WriteString(by + strings.TrimSuffix(strings.TrimPrefix(line, margin), "\n") + "\n")
	}
	return b.String()
}
