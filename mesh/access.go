package mesh

// Mode says what happens to traffic that no TrafficTarget allows (AC-16).
type Mode string

// The modes of AC-16.
const (
	// Strict denies it (AC-1).
	Strict Mode = "strict"
	// Permissive serves it, peers without identity included.
	Permissive Mode = "permissive"
	// Audit serves it as Permissive does, and reports what Strict would deny.
	Audit Mode = "audit"
)

// Enforced tells whether access rules deny anything in the mode.
func (m Mode) Enforced() bool { return m != Permissive && m != Audit }

// Policy is everything that TrafficTargets grant at one destination account.
// Grants are a union (AC-3); their order means nothing.
type Policy struct {
	Account Account
	Grants  []*Grant
}

// Grant is what one TrafficTarget allows its sources.
type Grant struct {
	// Target is the TrafficTarget.
	Target Name
	// Sources are the principals it names, sorted, never empty (AC-4).
	Sources []Principal
	// Ports are the pod's ports that it covers, sorted; nil means every port.
	Ports []uint16
	// Connections tells that it allows any TCP traffic on its ports, HTTP
	// included (AC-8). Otherwise it allows the Matches on ports and connections
	// that speak HTTP, and nothing else (AC-9, AC-10).
	Connections bool
	// Matches are alternatives (SP-5).
	Matches []*Match
}

// Covers tells whether the grant extends to the pod's port.
func (g *Grant) Covers(port uint16) bool {
	if g.Ports == nil {
		return true
	}
	for _, p := range g.Ports {
		if p == port {
			return true
		}
	}
	return false
}

// Workload is a class of meshed pods that share one proxy configuration.
type Workload struct {
	// ID identifies the class. It is a hash of what the class is made of and
	// says nothing to a person.
	ID      string
	Account Account
	Mode    Mode
	// Ports are the pods' ports that something may call, sorted by number. On a
	// cluster, AnyPort is among them.
	Ports []InboundPort
	// Policy is what may be called there; nil grants nothing.
	Policy *Policy
	// Reaches are the Service ports that its account may send to, because some
	// destination behind them, or behind a backend of their splits, grants it
	// something, does not enforce or is outside the mesh; sorted.
	Reaches []*ServicePort
	// ReachesPods are the pods that its account may send to by their addresses, for
	// the same reasons; sorted by ID.
	ReachesPods []*PodGroup
	// Pods are the names of the pods of the class, sorted.
	Pods []Name
}

// InboundPort is a port of a workload's pods.
type InboundPort struct {
	// Number may be AnyPort. Then the ports of UsuallyServerFirst, as far as they
	// are not listed, are TCP.
	Number   uint16
	Protocol Protocol
	// Plaintext opens the port to peers without identity (AC-18). Those that
	// have one are judged as on any other port.
	Plaintext bool
}
