package accesslog

import (
	"errors"
	"io"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Service receives the access log of one pod's proxy and passes it to a sink.
type Service struct {
	local Local
	sink  Sink
}

// NewService makes the service for the proxy of a pod.
func NewService(local Local, sink Sink) *Service { return &Service{local: local, sink: sink} }

// window is how many bytes Envoy may send ahead. Above 64 kB gRPC stops
// measuring what would be best, for which Envoy would have to answer a ping with
// nearly every message, and asks for more once in a while only.
const window = 1 << 20

// ServerOptions are what a gRPC server needs that serves the access log. It may
// serve others as well.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()), grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
	}
}

// Register adds the service to a server with ServerOptions.
func (s *Service) Register(to grpc.ServiceRegistrar) {
	description := servicev3.AccessLogService_ServiceDesc
	description.HandlerType = nil
	description.Streams = []grpc.StreamDesc{{
		StreamName: "StreamAccessLogs", ClientStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) error { return s.stream(stream) },
	}}
	to.RegisterService(&description, nil)
}

// stream takes what a proxy sends until it ends.
func (s *Service) stream(stream grpc.ServerStream) error {
	var message batch
	reader := newReader(s.local, s.sink)
	for {
		err := stream.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			return stream.SendMsg(&servicev3.StreamAccessLogsResponse{})
		}
		if err == nil {
			err = reader.read(message.bytes)
		}
		if err != nil {
			return err
		}
	}
}

// reader reads the messages of one stream.
type reader struct {
	sink    Sink
	convert *converter
	// record and current are used again and again.
	record  record
	current Entry
}

func newReader(local Local, sink Sink) *reader {
	return &reader{sink: sink, convert: newConverter(local)}
}

// read passes the entries of a StreamAccessLogsMessage to the sink, up to what
// is malformed.
func (r *reader) read(message []byte) error {
	var malformed bool
	for f := walk(message, &malformed); f.next(); {
		if f.tag != messageHTTP && f.tag != messageTCP {
			continue
		}
		for entries := f.within(); entries.next(); {
			if entries.tag == entriesItem {
				r.entry(entries.within(), f.tag == messageHTTP)
			}
		}
	}
	if malformed {
		return status.Error(codes.InvalidArgument, "a message of the access log is malformed")
	}
	return nil
}

func (r *reader) entry(f fields, http bool) {
	r.record.reset()
	if http {
		r.record.readHTTP(f)
	} else {
		r.record.readTCP(f)
	}
	if *f.malformed || !r.record.ended() {
		return
	}
	r.current = r.convert.entry(&r.record, http)
	r.sink.Observe(&r.current)
}

// ended tells whether an entry is the last one of its request or connection.
// Those that Envoy writes at the start or now and then would be counted twice.
func (r *record) ended() bool {
	switch r.kind {
	case datav3.AccessLogType_NotSet:
		return !r.intermediate // all that an entry without a type has
	case datav3.AccessLogType_TcpConnectionEnd, datav3.AccessLogType_DownstreamEnd:
		return true
	}
	return false
}
