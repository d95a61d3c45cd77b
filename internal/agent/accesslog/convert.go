package accesslog

import (
	"net"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// The tags and filter state objects that listeners describe their traffic by;
// the package comment says what is in them.
const (
	TagSide        = "smi.side"
	TagSource      = "smi.source"
	TagDestination = "smi.destination"
	TagService     = "smi.service"
	TagBackend     = "smi.backend"
	TagSplit       = "smi.split"
	TagGrant       = "smi.grant"
	TagAudit       = "smi.audit"
	TagWorkload    = "smi.workload"
	TagPod         = "smi.pod"
)

const (
	// maxPath, for authorities too, and maxTag bound what an entry carries, in bytes.
	maxPath = 256
	maxTag  = 512

	httpRBAC    = "envoy.filters.http.rbac"
	networkRBAC = "envoy.filters.network.rbac"
)

// Local is the pod whose proxy sends the log.
type Local struct {
	TrustDomain string
	Pod         mesh.Name
	Account     mesh.Account
	Workload    string
}

func (l Local) peer() Peer {
	return Peer{Principal: mesh.PrincipalOf(l.TrustDomain, l.Account), Account: l.Account, Workload: l.Workload, Pod: l.Pod.Name}
}

func (l Local) fromHTTP(in *datav3.HTTPAccessLogEntry) *Entry {
	e := l.fromCommon(in.GetCommonProperties())
	req, resp := in.GetRequest(), in.GetResponse()
	e.Protocol, e.GRPCStatus = HTTP, NoStatus
	if m := req.GetRequestMethod(); m != corev3.RequestMethod_METHOD_UNSPECIFIED {
		e.Method = m.String()
	}
	// Not original_path, which is a header that a client can send.
	path, _, _ := strings.Cut(req.GetPath(), "?")
	e.Path, e.Authority = cut(path, maxPath), cut(req.GetAuthority(), maxPath)
	e.Code = int(resp.GetResponseCode().GetValue())
	status, ok := resp.GetResponseTrailers()["grpc-status"]
	if !ok {
		status, ok = resp.GetResponseHeaders()["grpc-status"]
	}
	if ok || strings.HasPrefix(req.GetRequestHeaders()["content-type"], "application/grpc") {
		e.Protocol = GRPC
	}
	if n, err := strconv.ParseUint(status, 10, 8); err == nil {
		e.GRPCStatus = int(n)
	}
	if strings.HasPrefix(resp.GetResponseCodeDetails(), "rbac_access_denied") {
		e.Denied = true
	}
	return e
}

func (l Local) fromTCP(in *datav3.TCPAccessLogEntry) *Entry {
	e := l.fromCommon(in.GetCommonProperties())
	e.Protocol, e.GRPCStatus = TCP, NoStatus
	return e
}

func (l Local) fromCommon(in *datav3.AccessLogCommon) *Entry {
	tags := tagReader{in}
	e := &Entry{
		Time: in.GetStartTime().AsTime(), Duration: in.GetDuration().AsDuration(),
		Side: Side(tags.get(TagSide)), Service: tags.get(TagService), Backend: tags.get(TagBackend), Split: tags.get(TagSplit),
		Grant: tags.get(TagGrant), Audit: tags.get(TagAudit),
		Flags:           flags(in.GetResponseFlags()),
		UpstreamCluster: cut(in.GetUpstreamCluster(), maxTag), UpstreamHost: address(in.GetUpstreamRemoteAddress()),
	}
	if in.GetDuration() == nil {
		e.Duration = in.GetTimeToLastDownstreamTxByte().AsDuration()
	}
	source, destination := mesh.Principal(tags.get(TagSource)), mesh.Principal(tags.get(TagDestination))
	switch e.Side {
	case Client:
		e.Source = l.peer()
		e.Destination = l.remote(destination)
		e.Destination.Workload, e.Destination.Pod = tags.get(TagWorkload), tags.get(TagPod)
	case Server:
		if san := peerSAN(in.GetTlsProperties()); san != "" {
			source = san
		}
		e.Source, e.Destination = l.remote(source), l.peer()
	default:
		e.Side = ""
		e.Source, e.Destination = l.remote(source), l.remote(destination)
	}
	rbac(in, e)
	e.Denied = e.Denied || e.Grant == Denied
	e.WouldDeny = e.WouldDeny || e.Audit == Denied
	return e
}

func (l Local) remote(p mesh.Principal) Peer {
	account, _ := p.Account(l.TrustDomain)
	return Peer{Principal: p, Account: account}
}

// tagReader reads custom tags, and filter state where there is none.
type tagReader struct{ common *datav3.AccessLogCommon }

func (r tagReader) get(name string) string {
	if v, ok := r.common.GetCustomTags()[name]; ok && v != "-" {
		return cut(v, maxTag)
	}
	return cut(stringValue(r.common.GetFilterStateObjects()[name]), maxTag)
}

// stringValue reads the forms in which Envoy's string objects are serialised.
func stringValue(object *anypb.Any) string {
	if object == nil {
		return ""
	}
	var s wrapperspb.StringValue
	if object.MessageIs(&s) && object.UnmarshalTo(&s) == nil {
		return s.GetValue()
	}
	var b wrapperspb.BytesValue
	if object.MessageIs(&b) && object.UnmarshalTo(&b) == nil {
		return string(b.GetValue())
	}
	return ""
}

// peerSAN is the one URI SAN of the certificate that a connection showed.
func peerSAN(tls *datav3.TLSProperties) mesh.Principal {
	var uris []string
	for _, san := range tls.GetPeerCertificateProperties().GetSubjectAltName() {
		if uri := san.GetUri(); uri != "" {
			uris = append(uris, uri)
		}
	}
	if len(uris) != 1 {
		return ""
	}
	return mesh.Principal(cut(uris[0], maxTag))
}

// rbac reads what Envoy's RBAC filters decided, and what their shadow would
// have decided.
func rbac(in *datav3.AccessLogCommon, e *Entry) {
	for _, filter := range []string{httpRBAC, networkRBAC} {
		fields := in.GetMetadata().GetFilterMetadata()[filter].GetFields()
		e.Denied = e.Denied || fields["enforced_engine_result"].GetStringValue() == Denied
		e.WouldDeny = e.WouldDeny || fields["shadow_engine_result"].GetStringValue() == Denied
		if e.Grant == "" {
			e.Grant = cut(fields["enforced_effective_policy_id"].GetStringValue(), maxTag)
		}
		if e.Audit == "" {
			e.Audit = cut(fields["shadow_effective_policy_id"].GetStringValue(), maxTag)
		}
	}
}

func address(a *corev3.Address) string {
	if s := a.GetSocketAddress(); s != nil {
		return net.JoinHostPort(s.GetAddress(), strconv.FormatUint(uint64(s.GetPortValue()), 10))
	}
	if p := a.GetPipe(); p != nil {
		return p.GetPath()
	}
	return a.GetEnvoyInternalAddress().GetServerListenerName()
}

// flagNames are the fields of ResponseFlags and the short forms that Envoy's
// documentation of access logs lists for them.
var flagNames = map[protoreflect.Name]string{
	"failed_local_healthcheck": "LH", "no_healthy_upstream": "UH", "upstream_request_timeout": "UT",
	"local_reset": "LR", "upstream_remote_reset": "UR", "upstream_connection_failure": "UF",
	"upstream_connection_termination": "UC", "upstream_overflow": "UO", "no_route_found": "NR",
	"delay_injected": "DI", "fault_injected": "FI", "rate_limited": "RL", "unauthorized_details": "UAEX",
	"rate_limit_service_error": "RLSE", "downstream_connection_termination": "DC",
	"upstream_retry_limit_exceeded": "URX", "stream_idle_timeout": "SI", "invalid_envoy_request_headers": "IH",
	"downstream_protocol_error": "DPE", "upstream_max_stream_duration_reached": "UMSDR",
	"response_from_cache_filter": "RFCF", "no_filter_config_found": "NFCF", "duration_timeout": "DT",
	"upstream_protocol_error": "UPE", "no_cluster_found": "NC", "overload_manager": "OM",
	"dns_resolution_failure": "DF", "downstream_remote_reset": "DR",
}

// flags lists the flags that are set, in the order of the message. One that is
// newer than this table goes by the name of its field.
func flags(f *datav3.ResponseFlags) []string {
	if f == nil {
		return nil
	}
	var out []string
	m := f.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !m.Has(field) {
			continue
		}
		name, ok := flagNames[field.Name()]
		if !ok {
			name = string(field.Name())
		}
		out = append(out, name)
	}
	return out
}

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}
