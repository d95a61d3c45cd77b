package mesh

// Protocol is what a port speaks (PR-1).
type Protocol string

// The protocols that the mesh tells apart.
const (
	// HTTP is HTTP/1.1, HTTP/2 and gRPC, as the client chooses (PR-3).
	HTTP Protocol = "http"
	// HTTP2 is HTTP towards an application that speaks HTTP/2 only, without TLS:
	// appProtocol grpc and kubernetes.io/h2c, port names grpc and http2.
	HTTP2 Protocol = "http2"
	// TCP is any bytes; HTTP rules never open it (AC-10).
	TCP Protocol = "tcp"
	// Undeclared lets the bytes of each connection decide (PR-2).
	Undeclared Protocol = "undeclared"
	// UDP carries no certificate and is never opened (AC-11).
	UDP Protocol = "udp"
)

// SpeaksHTTP tells whether connections of the port are HTTP by declaration.
func (p Protocol) SpeaksHTTP() bool { return p == HTTP || p == HTTP2 }

// Service is a Kubernetes Service.
type Service struct {
	Name Name
	// ClusterIPs are its virtual addresses, none in the standalone runtime.
	ClusterIPs []string
	// Headless Services have no virtual address and take no split (TS-1).
	Headless bool
	// Ports are in the order of the Service.
	Ports []*ServicePort
}

// Port returns the TCP port of that number, or nil (TS-4).
func (s *Service) Port(number uint16) *ServicePort {
	for _, p := range s.Ports {
		if p.Number == number && p.Protocol != UDP {
			return p
		}
	}
	return nil
}

// ServicePort is one port of a Service, the endpoints behind it, and where
// what is sent to it goes.
type ServicePort struct {
	Service  Name
	Name     string
	Number   uint16
	Protocol Protocol
	// Destinations are the accounts of the pods behind the port, ready or not,
	// sorted: what a client may meet there (ID-6), and who judges (AC-13).
	Destinations []Destination
	// Endpoints are the ready pods, sorted by address and name.
	Endpoints []Endpoint
	// Splits say where the traffic goes, first match first; at most the last one
	// has no Matches. What none of them takes goes to the Service itself (TS-6).
	Splits []*Split
}

// Destination is a set of pods that share everything that judges a request:
// their account, the port they serve it on and whether they are in the mesh.
type Destination struct {
	Account Account
	// Port is the pod's port (target port).
	Port uint16
	// Protocol is what the pod's port speaks (PR-1: TCP where Services disagree).
	Protocol Protocol
	Meshed   bool
	// Mode is that of the pods' namespace (AC-16).
	Mode Mode
	// Plaintext ports are open to peers without identity (AC-18).
	Plaintext bool
}

// Endpoint is a ready pod behind a Service's port.
type Endpoint struct {
	// Destination is the one, among those of the ServicePort, that the pod
	// belongs to: its account, its port, whether it is meshed and what judges.
	// Meshed endpoints are reached by mutual TLS only (ID-6).
	Destination
	Pod Name
	// Workload names the pod's owner, such as a Deployment, or the pod itself.
	Workload string
	// Address is where the mesh reaches the pod: the sidecar's address in the
	// standalone runtime, the pod's on a cluster. It is empty where the pod does
	// not run (an offline check).
	Address string
}

// Split shares the traffic of a root Service between backends (TS-1).
type Split struct {
	Name Name
	// Matches select what is split; nil selects everything (TS-6).
	Matches []*Match
	// Backends are those with a positive weight, in the order of the object.
	Backends []Backend
}

// Backend is one receiver of a split. Weights are relative (TS-2).
type Backend struct {
	Service Name
	Port    uint16
	Weight  uint32
}

// TotalWeight is the sum of the weights of all backends.
func (s *Split) TotalWeight() uint64 {
	var total uint64
	for _, b := range s.Backends {
		total += uint64(b.Weight)
	}
	return total
}
