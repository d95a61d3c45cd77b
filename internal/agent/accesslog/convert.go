package accesslog

import (
	"bytes"
	"cmp"
	"net"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/smi-project/smi/mesh"
)

// The tags that listeners describe their traffic by; the package comment says
// what is in them.
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

// Where a record keeps the tags.
const (
	atSide = iota
	atSource
	atDestination
	atService
	atBackend
	atSplit
	atGrant
	atAudit
	atWorkload
	atPod
	tagCount
)

// tagIndex is where a record keeps the tag of that name, -1 for a foreign one.
func tagIndex(name []byte) int {
	switch string(name) {
	case TagSide:
		return atSide
	case TagSource:
		return atSource
	case TagDestination:
		return atDestination
	case TagService:
		return atService
	case TagBackend:
		return atBackend
	case TagSplit:
		return atSplit
	case TagGrant:
		return atGrant
	case TagAudit:
		return atAudit
	case TagWorkload:
		return atWorkload
	case TagPod:
		return atPod
	}
	return -1
}

// maxPath, for authorities too, and maxTag bound what an entry carries, in bytes.
const (
	maxPath = 256
	maxTag  = 512
)

// rbacFilters are those whose decisions are read; the first one counts.
var rbacFilters = [...]string{"envoy.filters.http.rbac", "envoy.filters.network.rbac"}

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

// converter makes entries of the records of one stream.
type converter struct {
	local Local
	self  Peer
	names names
	hosts names
}

func newConverter(local Local) *converter {
	return &converter{local: local, self: local.peer(), names: names{}, hosts: names{}}
}

// entry makes an entry of a record. It does not keep the record.
func (c *converter) entry(r *record, http bool) Entry {
	e := Entry{
		Time: r.start.time(), Duration: r.duration.duration(), Protocol: TCP, GRPCStatus: NoStatus,
		Side: Side(c.tag(r, atSide)), Service: c.tag(r, atService), Backend: c.tag(r, atBackend), Split: c.tag(r, atSplit),
		Grant: c.tag(r, atGrant), Audit: c.tag(r, atAudit),
		Flags:           flags(r.flags),
		UpstreamCluster: c.names.text(r.cluster), UpstreamHost: c.host(r.host),
	}
	if !r.duration.set {
		e.Duration = r.lastSent.duration()
	}
	c.ends(r, &e)
	c.decide(r, &e)
	if http {
		c.http(r, &e)
	}
	return e
}

// ends adds source and destination.
func (c *converter) ends(r *record, e *Entry) {
	source, destination := c.tag(r, atSource), c.tag(r, atDestination)
	switch e.Side {
	case Client:
		e.Source, e.Destination = c.self, c.remote(destination)
		e.Destination.Workload, e.Destination.Pod = c.tag(r, atWorkload), c.tag(r, atPod)
	case Server:
		if r.uris == 1 {
			source = c.names.text(r.uri)
		}
		e.Source, e.Destination = c.remote(source), c.self
	default:
		e.Side = ""
		e.Source, e.Destination = c.remote(source), c.remote(destination)
	}
}

// http adds what only requests have.
func (c *converter) http(r *record, e *Entry) {
	e.Protocol = HTTP
	if r.gRPC || bytes.HasPrefix(r.contentType, []byte("application/grpc")) {
		e.Protocol = GRPC
	}
	if r.method != 0 {
		e.Method = corev3.RequestMethod_name[int32(r.method)]
	}
	// Not original_path, which is a header that a client can send.
	path, _, _ := bytes.Cut(r.path, []byte("?"))
	e.Path, e.Authority = text(path, maxPath), text(r.authority, maxPath)
	e.Code = int(uint32(r.code))
	if r.gRPC {
		if n, err := strconv.ParseUint(string(r.status), 10, 8); err == nil {
			e.GRPCStatus = int(n)
		}
	}
	// The second is asked for on a connection from when it could be reached.
	if bytes.HasPrefix(r.details, []byte("rbac_access_denied")) || e.Code == 403 && bytes.Equal(r.details, []byte("cluster_not_found")) {
		e.Denied = true
	}
}

// decide adds what Envoy's RBAC filters decided, and what their shadow would
// have decided.
func (c *converter) decide(r *record, e *Entry) {
	for i := range r.decisions {
		d := &r.decisions[i]
		e.Denied = e.Denied || string(d.enforced) == Denied
		e.WouldDeny = e.WouldDeny || string(d.shadow) == Denied
		if e.Grant == "" {
			e.Grant = c.names.text(d.enforcedBy)
		}
		if e.Audit == "" {
			e.Audit = c.names.text(d.shadowBy)
		}
	}
	e.Denied = e.Denied || e.Grant == Denied
	e.WouldDeny = e.WouldDeny || e.Audit == Denied
}

// tag is the value of a tag; "-" is what Envoy writes for none.
func (c *converter) tag(r *record, at int) string {
	if v := r.tags[at]; string(v) != "-" {
		return c.names.text(v)
	}
	return ""
}

func (c *converter) remote(id string) Peer {
	p := mesh.Principal(id)
	account, _ := p.Account(c.local.TrustDomain)
	return Peer{Principal: p, Account: account}
}

// host is the text of an encoded address.
func (c *converter) host(address []byte) string {
	return c.hosts.remember(address, func() string { return addressText(address) })
}

func addressText(address []byte) string {
	var malformed bool
	for f := walk(address, &malformed); f.next(); {
		switch f.tag {
		case addressSocket:
			var host string
			var port uint64
			for s := f.within(); s.next(); {
				switch s.tag {
				case socketHost:
					host = text(s.bytes, maxTag)
				case socketPort:
					port = s.number
				}
			}
			return net.JoinHostPort(host, strconv.FormatUint(port, 10))
		case addressPipe, addressInternal:
			for s := f.within(); s.next(); {
				// The path of a pipe, and the name of an internal listener.
				if s.tag == addressName {
					return text(s.bytes, maxTag)
				}
			}
		}
	}
	return ""
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

// flagByNumber is the short form of each field of ResponseFlags. One that is
// newer than the table goes by the name of its field.
var flagByNumber = func() map[uint64]string {
	short := map[uint64]string{}
	fields := (&datav3.ResponseFlags{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		short[uint64(field.Number())] = cmp.Or(flagNames[field.Name()], string(field.Name()))
	}
	return short
}()

// flags are the short forms of those fields of ResponseFlags.
func flags(numbers []uint64) []string {
	var out []string
	for _, n := range numbers {
		if name, ok := flagByNumber[n]; ok {
			out = append(out, name)
		}
	}
	return out
}
