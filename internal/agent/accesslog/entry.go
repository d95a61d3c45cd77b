package accesslog

import (
	"time"

	"github.com/smi-project/smi/mesh"
)

// Side says on whose side a proxy saw something.
type Side string

// The sides.
const (
	Client Side = "client"
	Server Side = "server"
)

// Protocol is how a proxy treated a connection.
type Protocol string

// The protocols.
const (
	HTTP Protocol = "http"
	GRPC Protocol = "grpc"
	TCP  Protocol = "tcp"
)

// Denied is the grant of what no TrafficTarget allows.
const Denied = "denied"

// NoStatus is the gRPC status of what is no gRPC call, or ended without one.
const NoStatus = -1

// Peer is one end of a request or connection. What is not known is empty.
type Peer struct {
	// Principal is verified on the server's side; on the client's side it is
	// what the client demands of its peer (ID-6).
	Principal mesh.Principal
	// Account is that of the principal, where it is of this trust domain.
	Account mesh.Account
	// Workload names the owner of the pod, such as a Deployment.
	Workload string
	Pod      string
}

// Entry is one request (HTTP, gRPC) or one connection (TCP) that has ended.
type Entry struct {
	Time     time.Time
	Duration time.Duration
	Side     Side
	Protocol Protocol

	Source, Destination Peer
	// Service is what was called and Backend what a split chose, both as
	// "namespace/name:port"; Split is that split, "namespace/name".
	Service, Backend, Split string

	// Method, Authority and Path are empty for TCP. The authority is what the
	// caller wrote, and the path the one that was judged (SP-9), without its
	// query; at most 256 bytes of each.
	Method, Authority, Path string
	// Code is the HTTP status, 0 where no response was begun.
	Code int
	// GRPCStatus is NoStatus for what is not gRPC.
	GRPCStatus int
	// Flags are Envoy's response flags in their short form, such as "UF".
	Flags []string

	// Grant is the TrafficTarget that allowed it, "namespace/name", or Denied.
	Grant string
	// Denied tells that it was refused for want of a grant (AC-12).
	Denied bool
	// Audit is what Grant would be in strict mode, where the destination is in
	// audit mode (AC-16), and WouldDeny tells that strict mode would refuse it.
	Audit     string
	WouldDeny bool

	// UpstreamCluster and UpstreamHost say where the proxy sent it: the name of
	// an Envoy cluster, and an address with its port.
	UpstreamCluster, UpstreamHost string
}

// Failed tells whether TM-3 counts the entry as a failure. A denial is neither
// failure nor success; ask Denied first.
func (e *Entry) Failed() bool {
	if e.Protocol == TCP {
		for _, f := range e.Flags {
			if connectionFailures[f] {
				return true
			}
		}
		return false
	}
	return e.Code >= 500 || grpcFailures[e.GRPCStatus]
}

// connectionFailures are the flags of a TCP connection that never reached an
// upstream: no healthy host, connection failure, overflow, no cluster, overload.
var connectionFailures = map[string]bool{"UH": true, "UF": true, "UO": true, "NC": true, "NR": true, "OM": true, "DF": true}

// grpcFailures are UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL,
// UNAVAILABLE and DATA_LOSS.
var grpcFailures = map[int]bool{2: true, 4: true, 12: true, 13: true, 14: true, 15: true}

// Sink takes entries. It must not block, must not keep the entry, which becomes
// the next one, and is called by several goroutines.
type Sink interface {
	Observe(e *Entry)
}

// SinkFunc makes a function a Sink.
type SinkFunc func(e *Entry)

// Observe calls the function.
func (f SinkFunc) Observe(e *Entry) { f(e) }

// Tee passes each entry to all sinks, in their order.
func Tee(sinks ...Sink) Sink {
	return SinkFunc(func(e *Entry) {
		for _, s := range sinks {
			s.Observe(e)
		}
	})
}
