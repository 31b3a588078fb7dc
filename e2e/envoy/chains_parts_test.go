package envoy_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/internal/envoy"
	"envoy-circuit-breaker/internal/envoytest"
)

// A chainRun is an Envoy with the rows' clusters and chains, and what was counted there by the steps of the test.
type chainRun struct {
	t       *testing.T
	e       *envoytest.Envoy
	rows    []chainRow
	callers map[string]*caller // by cluster

	before, after, last map[string]envoy.BreakerStats // the trials; and what came after those
}

// startChains starts an Envoy with a listener for each chain. Each row has two clusters: its own, and one for its trial.
func startChains(t *testing.T, rows []chainRow) *chainRun {
	t.Helper()
	c := &chainRun{t: t, rows: rows, callers: make(map[string]*caller)}
	upstream := envoytest.NewUpstream(t)
	upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/fail"):
			w.WriteHeader(http.StatusInternalServerError)
		case !strings.HasSuffix(r.URL.Path, "/succeed"):
			serveRow(c.callers, w, r)
		}
	})
	options := envoy.Bootstrap{Clusters: []envoy.Cluster{
		{Name: "processor", Address: serveProcessor(t)}, {Name: "authz", Address: upstream.Address},
	}}
	routes := make(map[string][]envoy.Route) // by listener
	var rules []json.RawMessage
	for _, r := range rows {
		for _, name := range []string{r.name, r.name + trial} {
			if c.callers[name] != nil {
				t.Fatalf("two rows are called %s", name)
			}
			own := r.row
			own.name = name
			c.callers[name] = newCaller(&own)
			cluster := r.cluster
			switch cluster.Name = name; cluster.Address {
			case "":
				cluster.Address = upstream.Address
			case "none":
				cluster.Address = ""
			}
			options.Clusters = append(options.Clusters, cluster)
			routes[r.through] = append(routes[r.through], own.routes()...)
			routes["aside"] = append(routes["aside"], envoy.Route{Prefix: "/" + name + "/", Cluster: name})
		}
		if r.rules != "" {
			rules = append(rules, json.RawMessage(fmt.Sprintf(`{"match": %q, %s}`, r.name, r.rules)),
				json.RawMessage(fmt.Sprintf(`{"match": %q, %s, %s}`, r.name+trial, r.rules, trialRules)))
		}
	}
	rules = append(rules, json.RawMessage(`{"match": "*`+trial+`", `+trialRules+`}`))
	config, err := json.Marshal(map[string]any{"clusters": rules})
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range append(chains(t), chain{name: "aside"}) {
		options.Listeners = append(options.Listeners, envoy.Listener{Name: chain.name, Plugin: &envoy.Plugin{Config: string(config)},
			Routes: routes[chain.name], FiltersBefore: chain.before, FiltersAfter: chain.after, ConnectionManager: chain.manager})
	}
	c.e = envoytest.Start(t, options)
	for _, r := range rows {
		c.callers[r.name].address, c.callers[r.name+trial].address = c.e.Address(r.through), c.e.Address(r.through)
	}
	return c
}

// inCrowd does something for all rows at once, but not so many that a busy machine would be slow.
func inCrowd(rows []chainRow, do func(*chainRow)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range rows {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			do(&rows[i])
		})
	}
	wg.Wait()
}

// aside sends a request to a row's cluster for trials past all filters but the breaker.
func (c *chainRun) aside(r *chainRow, path string) {
	aside := &caller{row: &row{name: r.name + trial}, address: c.e.Address("aside")}
	aside.fetch(overHTTP1, http.MethodGet, path, nil)
}

// awaitOpen waits until the breakers of all clusters for trials are open.
func (c *chainRun) awaitOpen() {
	c.t.Helper()
	envoytest.Eventually(c.t, patience, func() error {
		stats := breakers(c.e)
		for _, r := range c.rows {
			if b := stats[r.name+trial]; b.State() != breaker.Open {
				return fmt.Errorf("%s is not open: %+v", r.name+trial, b)
			}
		}
		return nil
	})
}

// trials calls the clients of rows whose breakers are open, once more where that was too early.
func (c *chainRun) trials() {
	c.t.Helper()
	rows := c.rows
	envoytest.Eventually(c.t, patience, func() error {
		before := breakers(c.e)
		inCrowd(rows, func(r *chainRow) { c.callers[r.name+trial].call() })
		after := breakers(c.e)
		rows = slices.DeleteFunc(slices.Clone(rows), func(r chainRow) bool {
			return after[r.name+trial][breaker.Rejected] == before[r.name+trial][breaker.Rejected]
		})
		if len(rows) > 0 {
			return fmt.Errorf("%d trials are rejected, the first of them %s", len(rows), rows[0].name)
		}
		return nil
	})
}

// logged returns the entries of each cluster, without rejects and what was sent past the filters.
func (c *chainRun) logged() map[string][]envoytest.Entry {
	entries := make(map[string][]envoytest.Entry)
	for _, entry := range c.e.AccessLog() {
		aside := strings.HasSuffix(entry.Path, "/fail") || strings.HasSuffix(entry.Path, "/succeed")
		if !aside && !strings.HasPrefix(entry.Details, "circuit_breaker_") {
			entries[entry.Cluster] = append(entries[entry.Cluster], entry)
		}
	}
	return entries
}

// awaitLog waits until the requests of all rows have ended.
func (c *chainRun) awaitLog() {
	c.t.Helper()
	envoytest.Eventually(c.t, patience, func() error {
		logged := c.logged()
		for cluster := range c.callers {
			if len(logged[cluster]) == 0 {
				return fmt.Errorf("no request to %s has ended", cluster)
			}
		}
		return nil
	})
}

// Clients.

// getMapped is a client whose local replies Envoy gives another status.
func getMapped(to string) func(*caller) string {
	return func(c *caller) string { return c.fetch(overHTTP1, http.MethodGet, "", nil, "map", to) }
}

// stallsMappedUpload is such a client, which does not send the rest of its body.
func stallsMappedUpload(to string) func(*caller) string {
	return func(c *caller) string {
		return c.rawStatus(strings.Replace(c.halfUpload(), "\r\n\r\n", "\r\nmap: "+to+"\r\n\r\n", 1))
	}
}

// A grpcMessage is an empty message of gRPC.
var grpcMessage = make([]byte, 5)

// postGRPC is a client that speaks gRPC in HTTP/1's clothes. It sees the status of HTTP and that of gRPC, wherever the latter has
// ended up.
func postGRPC(contentType string) func(*caller) string {
	return func(c *caller) string {
		body := grpcMessage
		if strings.Contains(contentType, "text") {
			body = []byte(base64.StdEncoding.EncodeToString(body))
		}
		response, answer := c.answer(http.MethodPost, c.url(), body, "content-type", contentType)
		if response == nil {
			return answer
		}
		grpc := response.Header.Get("grpc-status")
		if text, err := base64.StdEncoding.DecodeString(answer); err == nil {
			answer = string(text)
		}
		if inBody := grpcStatusInBody.FindStringSubmatch(answer); inBody != nil {
			grpc = inBody[1]
		}
		return fmt.Sprint(response.StatusCode, " ", grpc)
	}
}

var grpcStatusInBody = regexp.MustCompile(`grpc-status: ?(\d+)`)

// postJSON is a client of the transcoder: it knows nothing of gRPC.
func postJSON(method string) func(*caller) string {
	return func(c *caller) string {
		url := "http://" + c.address + "/grpc.testing.TestService/" + method
		response, answer := c.answer(http.MethodPost, url, []byte("{}"), "content-type", "application/json", "row", c.row.name)
		if response == nil {
			return answer
		}
		return fmt.Sprint(response.StatusCode)
	}
}

// getGzip is a client that sees how the body is encoded, too.
func getGzip(c *caller) string {
	response, answer := c.answer(http.MethodGet, c.url(), nil, "accept-encoding", "gzip")
	if response == nil {
		return answer
	}
	return fmt.Sprint(response.StatusCode, " ", response.Header.Get("content-encoding"))
}

// answer sends a request and reads its answer; there is none if the error is in the place of the body.
func (c *caller) answer(method, url string, body []byte, header ...string) (*http.Response, string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err.Error()
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := overHTTP1.Do(request)
	if err != nil {
		return nil, err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Sprint(response.StatusCode, " ", err)
	}
	return response, string(answer)
}

// unaryNoDeadline is a client of gRPC that leaves the deadline to the server's side.
func unaryNoDeadline(pairs ...string) func(*caller) string {
	return func(c *caller) string {
		return c.withGRPCNoDeadline(func(ctx context.Context, client testpb.TestServiceClient) string {
			_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
			return status.Code(err).String()
		}, pairs...)
	}
}

// stallsMappedStream is a client of gRPC that does not say that it is done.
func stallsMappedStream(to string) func(*caller) string {
	return func(c *caller) string {
		return c.withGRPCNoDeadline(func(ctx context.Context, client testpb.TestServiceClient) string {
			stream, err := client.FullDuplexCall(ctx)
			if err != nil {
				return err.Error()
			}
			_ = stream.Send(&testpb.StreamingOutputCallRequest{})
			_, err = stream.Recv()
			return streamEnd(err)
		}, "map", to)
	}
}

// Upstreams.

// answersGRPC sends headers, a message, and a status in the trailers.
func answersGRPC(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		readAll(w, r)
		w.Header().Set("trailer", "grpc-status")
		beginsGRPC(w)
		_, _ = w.Write(grpcMessage)
		w.Header().Set("grpc-status", strconv.Itoa(code))
	}
}

// trailersOnly sends a status of gRPC in headers that are the whole answer.
func trailersOnly(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		readAll(w, r)
		w.Header().Set("content-type", "application/grpc")
		w.Header().Set("grpc-status", strconv.Itoa(code))
	}
}

// texts answers with a body that is worth compressing.
func texts(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "text/plain")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, strings.Repeat("text ", 1000))
	}
}

// begins sends headers and the beginning of a body, and no more.
func begins(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		stalls(w, r)
	}
}

// endless sends body for as long as somebody takes it.
func endless(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				return
			}
		}
	}
}

// endlessGRPC is the same of gRPC's.
func endlessGRPC(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("content-type", "application/grpc")
	endless(http.StatusOK)(w, r)
}

// asksFor is an upstream whose answer tells the processor what to make of it.
func asksFor(code int, rewritten string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-rewrite", rewritten)
		w.WriteHeader(code)
	}
}

// serveProcessor starts a server for ext_proc: it changes the status of an answer to what the header x-rewrite says, and fails
// where that says so.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/filters/http/ext_proc/v3/ext_proc.proto
func serveProcessor(t *testing.T) (address string) {
	t.Helper()
	type header struct {
		Key      string `json:"key"`
		RawValue []byte `json:"raw_value"`
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			ResponseHeaders struct {
				Headers struct {
					Headers []header `json:"headers"`
				} `json:"headers"`
			} `json:"response_headers"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Errorf("ext_proc sends what is no request: %v", err)
		}
		headers := request.ResponseHeaders.Headers.Headers
		i := slices.IndexFunc(headers, func(h header) bool { return h.Key == "x-rewrite" })
		if i < 0 || string(headers[i].RawValue) == "fail" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"response_headers": map[string]any{"response": map[string]any{
			"header_mutation": map[string]any{"set_headers": []any{map[string]any{
				"header": header{":status", headers[i].RawValue}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
			}}},
		}}})
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// Envoy's configuration.

// onResponse is a route on which Lua has its hands on what comes back.
func onResponse(statements string) envoy.Route {
	return filter("lua-before", `
		"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
		source_code:
		  inline_string: 'function envoy_on_response(handle) `+statements+` end'`)
}

// becomes is a route on which Lua changes the status.
func becomes(status int) envoy.Route {
	return onResponse(fmt.Sprintf(`handle:headers():replace(":status", "%d")`, status))
}

// becomesBetween is a route on which Lua does so before the breaker sees it.
func becomesBetween(status int) envoy.Route {
	return filter("lua-after", `
		"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute
		source_code:
		  inline_string: 'function envoy_on_response(handle) handle:headers():replace(":status", "`+strconv.Itoa(status)+`") end'`)
}

// mutated is a route on which header_mutation changes what comes back.
func mutated(mutations string) envoy.Route {
	return filter("header-mutation", `
		"@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute
		mutations: `+mutations)
}

// maxUpstreamHTTP2 is a cluster over HTTP/2 that limits how long requests may take.
func maxUpstreamHTTP2(duration string) envoy.Cluster {
	cluster := maxUpstream(duration)
	cluster.Extra = strings.Replace(cluster.Extra, "http_protocol_options: {}", "http2_protocol_options: {}", 1)
	return cluster
}

// setHeader is a mutation.
func setHeader(name, value string) string {
	return fmt.Sprintf(`[{ append: { header: { key: %q, value: %q }, append_action: OVERWRITE_IF_EXISTS_OR_ADD } }]`, name, value)
}

// timeoutOn is a route with a timeout and something else.
func timeoutOn(r envoy.Route) envoy.Route {
	r.Action = "timeout: 0.3s"
	return r
}

// sorry is a filter that puts a body of its own in the place of every answer of 5xx.
const sorry = `
	- name: custom-response
	  typed_config:
	    "@type": type.googleapis.com/envoy.extensions.filters.http.custom_response.v3.CustomResponse
	    custom_response_matcher:
	      matcher_list:
	        matchers:
	        - predicate:
	            single_predicate:
	              input:
	                name: class
	                typed_config: { "@type": type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput }
	              value_match: { exact: 5xx }
	          on_match:
	            action:
	              name: body
	              typed_config:
	                "@type": type.googleapis.com/envoy.extensions.http.custom_response.local_response_policy.v3.LocalResponsePolicy
	                body: { inline_string: sorry }`

// A chain is a listener with its filters.
type chain struct {
	name, before, after, manager string
}

// chains returns the listeners of the test. Those filters that act on one route only have the rest of their configuration there.
func chains(t *testing.T) []chain {
	between := filterChain("after")
	return []chain{
		{name: "plain", after: between},
		{name: "web", before: `
			- name: grpc-web
			  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb }`},
		{name: "bridge", before: `
			- name: grpc-http1-bridge
			  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_http1_bridge.v3.Config }`},
		{name: "custom-response", before: sorry, after: between},
		{name: "lua", before: `
			- name: lua-before
			  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua }`, after: between},
		{name: "ext-proc", before: `
			- name: ext-proc
			  typed_config:
			    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
			    http_service: { http_service: { http_uri: { uri: "http://processor/", cluster: processor, timeout: 30s } } }
			    message_timeout: 30s
			    processing_mode: { request_header_mode: SKIP, response_header_mode: SEND, request_trailer_mode: SKIP, response_trailer_mode: SKIP }`},
		{name: "header-mutation", before: `
			- name: header-mutation
			  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation }`},
		{name: "transcoder", before: `
			- name: transcoder
			  typed_config:
			    "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
			    services: [grpc.testing.TestService]
			    auto_mapping: true
			    proto_descriptor_bin: ` + testServiceDescriptors(t)},
		{name: "compressor", before: `
			- name: compressor
			  typed_config:
			    "@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor
			    compressor_library:
			      name: gzip
			      typed_config: { "@type": type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip }`},
		{name: "limited", manager: "common_http_protocol_options: { max_stream_duration: 0.3s }"},
		{name: "mapped", manager: localReplies(), after: between},
	}
}

// localReplies gives Envoy's own replies the status that the request's header "map" asks for.
func localReplies() string {
	var b strings.Builder
	b.WriteString("local_reply_config:\n  mappers:\n")
	for _, to := range []int{200, 404, 500, 503, 504} {
		fmt.Fprintf(&b, `  - filter: { header_filter: { header: { name: map, string_match: { exact: "%d" } } } }
    status_code: %d
`, to, to)
	}
	return b.String()
}

// testServiceDescriptors returns the files of grpc.testing.TestService as a base64 of a FileDescriptorSet.
func testServiceDescriptors(t *testing.T) string {
	t.Helper()
	set := new(descriptorpb.FileDescriptorSet)
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		if !slices.ContainsFunc(set.File, func(f *descriptorpb.FileDescriptorProto) bool { return f.GetName() == file.Path() }) {
			set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
		}
	}
	add(testpb.File_grpc_testing_test_proto)
	text, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(text)
}
