package driver

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// http2 sends HTTP/2 without TLS to the Service's address.
func (s *Sender) http2(r *Request) (func(context.Context) *Answer, func()) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{DialContext: s.dial, Protocols: &protocols}
	return func(ctx context.Context) *Answer {
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, r.method(), "http://"+r.address(), strings.NewReader(r.Body))
		if err != nil {
			return failure(err)
		}
		request.Host = r.authority()
		// What is opaque is sent as it is.
		path, query, _ := strings.Cut(r.path(), "?")
		request.URL = &url.URL{Scheme: "http", Host: r.address(), Opaque: "//" + r.authority() + path, RawQuery: query}
		for _, h := range r.Header {
			request.Header.Add(h[0], h[1])
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return failure(err)
		}
		defer response.Body.Close()
		a := &Answer{Status: response.StatusCode, Header: lowerNames(response.Header), Pod: response.Header.Get("X-Pod")}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
		if err != nil {
			a.cut(err)
		}
		a.takeBody(body)
		return a
	}, transport.CloseIdleConnections
}

// grpc calls a unary method whose messages are google.protobuf.Struct. What has no
// connection gets the code Unavailable, and is told to have failed besides.
func (s *Sender) grpc(r *Request) (func(context.Context) *Answer, func()) {
	var failed atomic.Pointer[error] // of the latest connection, which is tried again and again
	conn, err := grpc.NewClient("passthrough:///"+r.address(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := s.dial(ctx, "tcp", address)
			failed.Store(&err)
			return conn, err
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(r.authority()))
	if err != nil {
		return func(context.Context) *Answer { return failure(err) }, func() {}
	}
	return func(ctx context.Context) *Answer {
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		for _, h := range r.Header {
			ctx = metadata.AppendToOutgoingContext(ctx, h[0], h[1])
		}
		in := &structpb.Struct{Fields: map[string]*structpb.Value{"text": structpb.NewStringValue(r.Body)}}
		out := new(structpb.Struct)
		var header, trailer metadata.MD
		if err := conn.Invoke(ctx, r.path(), in, out, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
			said := status.Convert(err)
			// An application's own code bears its name, which a mesh's does not.
			a := &Answer{Code: said.Code().String(), Body: said.Message(), Pod: strings.Join(append(header["x-pod"], trailer["x-pod"]...), ",")}
			if dialled := failed.Load(); dialled != nil && *dialled != nil && a.Pod == "" {
				a.Failure, a.Error = notMade(*dialled), (*dialled).Error()
			}
			return a
		}
		a := &Answer{Code: "OK"}
		body, err := out.MarshalJSON()
		if err != nil {
			return failure(err)
		}
		a.takeBody(body)
		return a
	}, func() { conn.Close() }
}

// udp sends one datagram and waits for one.
func (s *Sender) udp(ctx context.Context, r *Request) *Answer {
	conn, err := s.dial(ctx, "udp", r.address())
	if err != nil {
		return failure(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline()); err != nil {
		return failure(err)
	}
	if _, err := io.WriteString(conn, r.Body); err != nil {
		return failure(err)
	}
	buffer := make([]byte, maxBody)
	n, err := conn.Read(buffer)
	if err != nil {
		return failure(err)
	}
	a := &Answer{}
	a.takeBody(buffer[:n])
	return a
}
