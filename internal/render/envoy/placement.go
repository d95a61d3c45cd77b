package envoy

import (
	"maps"

	"github.com/smi-project/smi/mesh"
)

// DefaultOutboundPort is where a sidecar listens for its own application, as
// an HTTP proxy in the standalone runtime.
const DefaultOutboundPort = 15001

// ServicePort names a port of a Service.
type ServicePort struct {
	Service mesh.Name
	Port    uint16
}

// Placement says where a proxy stands: on a cluster, or in the standalone
// runtime, in which each pod has an address of its own for the sidecar and one
// for the application.
type Placement struct {
	// Cluster tells that the proxy stands in a pod's network namespace, in which
	// package redirect brings connections to it. Then IPv6 is the only other field
	// that counts: whether the pod has IPv6. All pods of a class get the same
	// resources.
	Cluster bool
	IPv6    bool
	// SidecarAddress is where the mesh reaches the pod and where its application
	// reaches the mesh.
	SidecarAddress string
	// AppAddress is where the application listens.
	AppAddress string
	// OutboundPort is that of the HTTP proxy; DefaultOutboundPort if 0.
	OutboundPort uint16
	// RequestPort is that of the listener for smi request; none if 0.
	RequestPort uint16
	// Upstreams are the ports on SidecarAddress that stand for one port of a
	// Service each.
	Upstreams map[ServicePort]uint16
}

func (p Placement) equal(o Placement) bool {
	return p.Cluster == o.Cluster && p.IPv6 == o.IPv6 && p.SidecarAddress == o.SidecarAddress && p.AppAddress == o.AppAddress &&
		p.OutboundPort == o.OutboundPort && p.RequestPort == o.RequestPort && maps.Equal(p.Upstreams, o.Upstreams)
}

// Proxy is one proxy to render for.
type Proxy struct {
	// Node is the name that the proxy is known by, "<namespace>/<pod>".
	Node string
	// Workload is the class of the pod.
	Workload  *mesh.Workload
	Placement Placement
}
