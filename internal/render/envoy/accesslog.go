package envoy

import (
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	statsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stats/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Tags of every access log record (custom_tags of the gRPC access log, but for
// what untold leaves out). All are verified or enumerated values. A value that is
// not known is "-" or absent.
const (
	// TagSide is "client" or "server".
	TagSide = "smi.side"
	// TagSource is the principal of the client: on the server's side the one it
	// has proved, on the client's side its own.
	TagSource = "smi.source"
	// TagDestination is the principal of the endpoint that a client was sent to;
	// a server is itself the destination.
	TagDestination = "smi.destination"
	// TagWorkload is the name of the owner of that endpoint's pod.
	TagWorkload = "smi.workload"
	// TagPod is the name of that endpoint's pod.
	TagPod = "smi.pod"
	// TagService is the Service "namespace/name:port" that a client called.
	TagService = "smi.service"
	// TagBackend is the Service "namespace/name:port" that a client was sent to.
	TagBackend = "smi.backend"
	// TagSplit is the TrafficSplit "namespace/name" that decided so.
	TagSplit = "smi.split"
	// TagGrant is the TrafficTarget "namespace/name" that allowed the request or
	// the connection, or Denied. A connection on which the client never sent a
	// byte carries none.
	TagGrant = "smi.grant"
	// TagAudit is what TagGrant would be in strict mode, for a destination in
	// audit mode (AC-16).
	TagAudit = "smi.audit"
)

// Denied stands where a grant's name would, for what no grant allows.
const Denied = "denied"

// Plaintext stands there for what a peer without identity was served on a port
// that is open to such peers (AC-18).
const Plaintext = keyPlaintext

// metadataSMI is the namespace of our own metadata of routes, clusters and
// endpoints.
const metadataSMI = "smi"

const rbacMetadata = "envoy.filters.http.rbac"

// tag is a name and an Envoy format string for its value.
type tag struct{ name, format string }

const (
	formatSource    = "%FILTER_STATE(" + stateSource + ":PLAIN)%"
	formatRBACGrant = "%DYNAMIC_METADATA(" + rbacMetadata + ":enforced_effective_policy_id)%"
	formatRBACAudit = "%DYNAMIC_METADATA(" + rbacMetadata + ":shadow_effective_policy_id)%"
)

// serverTags describe what a pod received.
func serverTags() []tag {
	return []tag{
		{TagSide, "server"},
		{TagSource, formatSource},
		{TagGrant, formatRBACGrant},
		{TagAudit, formatRBACAudit},
	}
}

// clientTags describe what a pod sent.
func clientTags() []tag {
	return []tag{
		// Requests that the HTTP proxy hands on, or that leave the mesh, have none.
		{TagSide, "%METADATA(ROUTE:smi:side)%"},
		{TagSource, formatSource},
		{TagDestination, hostMetadata("principal")},
		{TagWorkload, hostMetadata("workload")},
		{TagPod, hostMetadata("pod")},
		{TagService, "%METADATA(ROUTE:smi:service)%"},
		{TagBackend, "%METADATA(CLUSTER:smi:service)%"},
		{TagSplit, "%METADATA(ROUTE:smi:split)%"},
		{TagGrant, "%METADATA(ROUTE:smi:grant)%"},
	}
}

func hostMetadata(key string) string { return "%METADATA(UPSTREAM_HOST:smi:" + key + ")%" }

// with returns the tags with some values replaced or added. A tag without a
// format is left out.
func with(tags []tag, more ...tag) []tag {
	out := slices.Clone(tags)
	for _, m := range more {
		i := slices.IndexFunc(out, func(t tag) bool { return t.name == m.name })
		if i < 0 {
			out = append(out, m)
			continue
		}
		out[i] = m
	}
	return slices.DeleteFunc(out, func(t tag) bool { return t.format == "" })
}

// requestsBuffer is how many bytes of records of requests are sent at once; after
// a second they are anyway. It is twice what Envoy takes by itself: with less the
// agent would be woken more often, and more would be a longer burst beside the
// requests of that moment.
const requestsBuffer = 32 << 10

// httpLog returns the access loggers of an HTTP connection manager.
func (o Options) httpLog(tags []tag) []*accesslogv3.AccessLog {
	var logs []*accesslogv3.AccessLog
	switch o.Metrics {
	case ALS:
		common := alsConfig(tags)
		common.BufferSizeBytes = wrapperspb.UInt32(requestsBuffer)
		logs = append(logs, accessLog("envoy.access_loggers.http_grpc", &grpcv3.HttpGrpcAccessLogConfig{
			CommonConfig:                    common,
			AdditionalRequestHeadersToLog:   []string{"content-type"},
			AdditionalResponseHeadersToLog:  []string{"grpc-status"},
			AdditionalResponseTrailersToLog: []string{"grpc-status"},
		}))
	case Stats:
		logs = append(logs, statsLog(with(tags, tag{"code", "%RESPONSE_CODE%"}, tag{"grpc_status", "%GRPC_STATUS_NUMBER%"}), "requests_total", "request_duration_seconds"))
	}
	return append(logs, o.fileLog(with(tags,
		tag{"method", "%REQ(:METHOD)%"}, tag{"path", "%PATH(NQ:PATH)%"}, tag{"authority", "%REQ(:AUTHORITY)%"}, tag{"code", "%RESPONSE_CODE%"},
	))...)
}

// tcpLog returns the access loggers of a TCP proxy.
func (o Options) tcpLog(tags []tag) []*accesslogv3.AccessLog {
	var logs []*accesslogv3.AccessLog
	switch o.Metrics {
	case ALS:
		logs = append(logs, accessLog("envoy.access_loggers.tcp_grpc", &grpcv3.TcpGrpcAccessLogConfig{CommonConfig: alsConfig(tags)}))
	case Stats:
		logs = append(logs, statsLog(with(tags, tag{"flags", "%RESPONSE_FLAGS%"}), "connections_total", ""))
	}
	return append(logs, o.fileLog(tags)...)
}

func alsConfig(tags []tag) *grpcv3.CommonGrpcAccessLogConfig {
	config := &grpcv3.CommonGrpcAccessLogConfig{
		LogName:             LogName,
		TransportApiVersion: corev3.ApiVersion_V3,
		GrpcService:         grpcService(ClusterALS),
	}
	for _, t := range untold(tags) {
		config.CustomTags = append(config.CustomTags, &tracingv3.CustomTag{
			Tag: t.name, Type: &tracingv3.CustomTag_Value{Value: t.format},
		})
	}
	return config
}

// untold are the tags without those that tell what the RBAC filter decided on a
// request: that is part of every record anyway, and a tag costs each request half
// a microsecond and more.
func untold(tags []tag) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t tag) bool { return t.format == formatRBACGrant || t.format == formatRBACAudit })
}

func accessLog(name string, config proto.Message) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{Name: name, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: typed(config)}}
}

// statsLog counts in Envoy itself, with the tags as labels.
func statsLog(tags []tag, counter, histogram string) *accesslogv3.AccessLog {
	labels := make([]*statsv3.Config_Tag, len(tags))
	for i, t := range tags {
		labels[i] = &statsv3.Config_Tag{Name: labelName(t.name), ValueFormat: t.format}
	}
	config := &statsv3.Config{StatPrefix: "smi", Counters: []*statsv3.Config_Counter{{ //nolint:staticcheck // what takes its place came with 1.40
		Stat: &statsv3.Config_Stat{Name: counter, Tags: labels}, ValueFixed: wrapperspb.UInt64(1),
	}}}
	if histogram != "" {
		config.Histograms = []*statsv3.Config_Histogram{{
			Stat: &statsv3.Config_Stat{Name: histogram, Tags: labels}, Unit: statsv3.Config_Histogram_Milliseconds, ValueFormat: "%DURATION%",
		}}
	}
	return accessLog("envoy.access_loggers.stats", config)
}

// labelName is the tag's name without its prefix.
func labelName(name string) string {
	if len(name) > 4 && name[:4] == "smi." {
		return name[4:]
	}
	return name
}

// fileLog writes a line of JSON per request or connection, where asked to.
func (o Options) fileLog(tags []tag) []*accesslogv3.AccessLog {
	if o.AccessLogPath == "" {
		return nil
	}
	fields := map[string]*structpb.Value{}
	for _, t := range with(tags,
		tag{"time", "%START_TIME%"}, tag{"duration_ms", "%DURATION%"}, tag{"flags", "%RESPONSE_FLAGS%"},
		tag{"bytes_received", "%BYTES_RECEIVED%"}, tag{"bytes_sent", "%BYTES_SENT%"},
	) {
		fields[labelName(t.name)] = structpb.NewStringValue(t.format)
	}
	return []*accesslogv3.AccessLog{accessLog("envoy.access_loggers.file", &filev3.FileAccessLog{
		Path: o.AccessLogPath,
		AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}},
		}},
	})}
}
