package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// echoService is the name of the gRPC service. Its messages are
// google.protobuf.Struct, so that no generated code is needed on either side:
//
//	rpc Say(Struct) returns (Struct)            the reply, as over HTTP
//	rpc Watch(Struct) returns (stream Struct)   {count, intervalMs}: the reply, count times
const echoService = "smi.sample.v1.Echo"

// The bounds of one Watch.
const (
	maxWatchCount    = 1000
	maxWatchInterval = 10 * time.Second
)

// newGRPC returns a server with the echo and the health service. It has no
// listener of its own: the HTTP server hands it the requests that are gRPC.
func newGRPC(me who) (*grpc.Server, *health.Server) {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxBodyBytes))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: echoService,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: sayHandler}},
		Streams:     []grpc.StreamDesc{{StreamName: "Watch", Handler: watchHandler, ServerStreams: true}},
	}, &echoServer{who: me})
	checks := health.NewServer()
	healthpb.RegisterHealthServer(s, checks)
	return s, checks
}

// echoServer carries out the echo service.
type echoServer struct{ who who }

//nolint:revive // the order of parameters is gRPC's
func sayHandler(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := new(structpb.Struct)
	if err := decode(in); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, in any) (any, error) {
		return srv.(*echoServer).describe(ctx, in.(*structpb.Struct))
	}
	if intercept == nil {
		return handle(ctx, in)
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + echoService + "/Say"}
	return intercept(ctx, in, info, handle)
}

func watchHandler(srv any, stream grpc.ServerStream) error {
	in := new(structpb.Struct)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	count := in.Fields["count"].GetNumberValue()
	interval := in.Fields["intervalMs"].GetNumberValue()
	if !(count >= 0 && count <= maxWatchCount) || !(interval >= 0 && interval <= float64(maxWatchInterval.Milliseconds())) {
		return status.Errorf(codes.InvalidArgument, "count is at most %d, intervalMs at most %d", maxWatchCount, maxWatchInterval.Milliseconds())
	}
	out, err := srv.(*echoServer).describe(stream.Context(), in)
	if err != nil {
		return err
	}
	for i := range int(count) {
		if i > 0 {
			select {
			case <-time.After(time.Duration(interval) * time.Millisecond):
			case <-stream.Context().Done():
				return status.FromContextError(stream.Context().Err()).Err()
			}
		}
		if err := stream.SendMsg(out); err != nil {
			return err
		}
	}
	return nil
}

// describe tells what arrived, in the form of the HTTP answer.
func (e *echoServer) describe(ctx context.Context, in *structpb.Struct) (*structpb.Struct, error) {
	method, _ := grpc.Method(ctx)
	headers, _ := metadata.FromIncomingContext(ctx)
	out := &reply{
		who: e.who, Protocol: "gRPC", Method: "POST", Path: method, Host: strings.Join(headers[":authority"], ","),
		Headers: headers, BodyBytes: int64(proto.Size(in)), Principal: principal(headers["x-forwarded-client-cert"]),
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	message := new(structpb.Struct)
	if err := message.UnmarshalJSON(text); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return message, nil
}

// onceGRPC calls the unary method that the URL's path names, Say where it names
// none. The status is the code's name; a code that is not OK is an answer too.
func (c *caller) onceGRPC(ctx context.Context, u *url.URL, req callRequest) (*answer, error) {
	conn, err := grpc.NewClient("passthrough:///"+u.Host, grpc.WithContextDialer(c.dialer.dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for name, values := range req.header {
		for _, v := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, name, v)
		}
	}
	method := u.Path
	if method == "" || method == "/" {
		method = "/" + echoService + "/Say"
	}
	in, err := structpb.NewStruct(map[string]any{"text": req.body})
	if err != nil {
		return nil, err
	}
	out := new(structpb.Struct)
	if err := conn.Invoke(ctx, method, in, out); err != nil {
		said := status.Convert(err)
		return newAnswer(said.Code().String(), "", fmt.Append(nil, said.Message())), nil
	}
	body, err := out.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return newAnswer(codes.OK.String(), "", body), nil
}
