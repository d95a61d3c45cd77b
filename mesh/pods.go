package mesh

import (
	"net/netip"
	"slices"
)

// AnyPort is the number of an InboundPort that stands for every port which is
// not listed beside it. On a cluster, pods may listen on ports that nothing
// declares.
const AnyPort = 0

// serverFirst are the ports on which the server usually speaks first, so that
// nothing could be recognised from the client's bytes (PR-2).
var serverFirst = []uint16{25, 587, 3306, 4444, 5432, 6379, 9300, 11211}

// ServerFirst returns the ports, sorted, that are TCP unless declared (PR-2).
func ServerFirst() []uint16 { return slices.Clone(serverFirst) }

// UsuallyServerFirst tells whether a port is TCP unless declared (PR-2).
func UsuallyServerFirst(port uint16) bool {
	_, found := slices.BinarySearch(serverFirst, port)
	return found
}

// sidecarPorts are the sidecar's own (SP-7).
var sidecarPorts = []uint16{15000, 15001, 15002, 15006, 15020, 15021, 15022}

// SidecarPorts returns the sidecar's own ports, sorted, which no rule can open
// (SP-7).
func SidecarPorts() []uint16 { return slices.Clone(sidecarPorts) }

// OfSidecar tells whether a port is the sidecar's own (SP-7).
func OfSidecar(port uint16) bool {
	_, found := slices.BinarySearch(sidecarPorts, port)
	return found
}

// PodGroup is what the pods of one class are to those who call them by their
// addresses, without a Service. There are groups on a cluster alone.
type PodGroup struct {
	// ID is that of the class.
	ID      string
	Account Account
	// Ports are those of the class, AnyPort among them.
	Ports []InboundPort
	// Addresses are those of all the pods, of both families, sorted.
	Addresses []netip.Addr
}

// Protocol tells what the pods' port speaks.
func (g *PodGroup) Protocol(port uint16) Protocol {
	i, found := slices.BinarySearchFunc(g.Ports, port, func(p InboundPort, number uint16) int { return int(p.Number) - int(number) })
	switch {
	case found:
		return g.Ports[i].Protocol
	case UsuallyServerFirst(port):
		return TCP
	default:
		return Undeclared
	}
}

// Addresses tell by an address alone whether it is in the mesh. The most
// specific prefix counts; what is in none is outside.
type Addresses struct {
	// Inside are the addresses of meshed pods and of Services, and ranges that
	// Kubernetes gives such addresses from; sorted.
	Inside []netip.Prefix
	// Outside are the addresses, within those ranges, of pods that are known not to
	// be meshed; sorted.
	Outside []netip.Prefix
	// Exceptions are further addresses in the mesh, and ranges of such, some of whose
	// ports are outside all the same; each with other ports, sorted by these.
	Exceptions []PortException
}

// PortException are addresses in the mesh but for some ports, whose connections pass
// the sidecar by.
type PortException struct {
	// Addresses and Ports are sorted.
	Addresses []netip.Prefix
	Ports     []uint16
}
