package accesslog

import (
	"errors"
	"io"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
)

// Service receives the access log of one pod's proxy and passes it to a sink.
type Service struct {
	servicev3.UnimplementedAccessLogServiceServer

	local Local
	sink  Sink
}

// NewService makes the service for the proxy of a pod.
func NewService(local Local, sink Sink) *Service { return &Service{local: local, sink: sink} }

// StreamAccessLogs implements the service of Envoy.
func (s *Service) StreamAccessLogs(stream servicev3.AccessLogService_StreamAccessLogsServer) error {
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&servicev3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return err
		}
		for _, in := range msg.GetHttpLogs().GetLogEntry() {
			if ended(in.GetCommonProperties()) {
				s.sink.Observe(s.local.fromHTTP(in))
			}
		}
		for _, in := range msg.GetTcpLogs().GetLogEntry() {
			if ended(in.GetCommonProperties()) {
				s.sink.Observe(s.local.fromTCP(in))
			}
		}
	}
}

// ended tells whether an entry is the last one of its request or connection.
// Those that Envoy writes at the start or now and then would be counted twice.
func ended(in *datav3.AccessLogCommon) bool {
	switch in.GetAccessLogType() {
	case datav3.AccessLogType_NotSet:
		return !in.GetIntermediateLogEntry() //nolint:staticcheck // all that an entry without a type has
	case datav3.AccessLogType_TcpConnectionEnd, datav3.AccessLogType_DownstreamEnd:
		return true
	}
	return false
}
