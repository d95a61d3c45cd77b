package main

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

func grpcTo(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithNoProxy(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestGRPC(t *testing.T) {
	r := start(t, nil, nil)
	for _, kind := range []portKind{kindGRPC, kindHTTP, kindAny} {
		conn := grpcTo(t, r.address[kind])
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/a/sa/b")
		out := new(structpb.Struct)
		if err := conn.Invoke(ctx, "/smi.sample.v1.Echo/Say", &structpb.Struct{}, out); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		for field, want := range map[string]string{
			"pod": "bookstore-v1-0", "path": "/smi.sample.v1.Echo/Say", "protocol": "gRPC",
			"principal": "spiffe://cluster.local/ns/a/sa/b", "host": r.address[kind],
		} {
			if got := out.Fields[field].GetStringValue(); got != want {
				t.Errorf("%s: %s is %q, want %q", kind, field, got, want)
			}
		}
	}
}

func TestGRPCWatch(t *testing.T) {
	conn := grpcTo(t, start(t, nil, nil).address[kindGRPC])
	watch := func(count, interval float64) (int, error) {
		in, err := structpb.NewStruct(map[string]any{"count": count, "intervalMs": interval})
		if err != nil {
			t.Fatal(err)
		}
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/smi.sample.v1.Echo/Watch")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(in); err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		for received := 0; ; received++ {
			if err := stream.RecvMsg(new(structpb.Struct)); err != nil {
				return received, err
			}
		}
	}
	if n, err := watch(3, 1); n != 3 {
		t.Errorf("%d messages, then %v", n, err)
	}
	for _, c := range [][2]float64{{1e9, 0}, {-1, 0}, {1, 1e9}} {
		if n, err := watch(c[0], c[1]); n != 0 || status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %d messages, then %v", c, n, err)
		}
	}
}

func TestGRPCHealth(t *testing.T) {
	r := start(t, nil, nil)
	client := healthpb.NewHealthClient(grpcTo(t, r.address[kindGRPC]))
	res, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || res.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", res, err)
	}
}
