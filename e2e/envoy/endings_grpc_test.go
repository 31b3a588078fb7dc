package envoy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

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
