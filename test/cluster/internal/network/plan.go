package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Clusters is how many clusters can exist on one machine at once.
const Clusters = 12

// Dual is a pair of prefixes, one of each family.
type Dual struct {
	V4 netip.Prefix `json:"v4"`
	V6 netip.Prefix `json:"v6"`
}

// String lists both, IPv4 first, as Kubernetes takes them.
func (d Dual) String() string { return d.V4.String() + "," + d.V6.String() }

// Prefixes lists both, IPv4 first.
func (d Dual) Prefixes() []netip.Prefix { return []netip.Prefix{d.V4, d.V6} }

// Plan is the addresses of one cluster.
type Plan struct {
	// Pods is what the addresses of pods come from.
	Pods Dual `json:"pods"`
	// NodePods is the node's share of Pods.
	NodePods Dual `json:"nodePods"`
	// Services is what cluster IPs come from.
	Services Dual `json:"services"`
	// Host and Node are the ends of the link, each with the link's prefix length.
	Host Dual `json:"host"`
	Node Dual `json:"node"`
}

// DNS gives the cluster IPs of the cluster's name server, IPv4 first.
func (p Plan) DNS() []netip.Addr {
	return []netip.Addr{nth(p.Services.V4, 10), nth(p.Services.V6, 10)}
}

// APIServer gives the addresses at which the API server is reached: the node's,
// then the cluster IP of the Service kubernetes.
func (p Plan) APIServer() []netip.Addr {
	return []netip.Addr{p.Node.V4.Addr(), p.Node.V6.Addr(), nth(p.Services.V4, 1)}
}

// Allocate gives the first plan none of whose prefixes overlaps with one that
// is in use on the machine.
func Allocate(used []netip.Prefix) (Plan, error) {
	for i := range Clusters {
		if plan := numbered(i); !plan.overlaps(used) {
			return plan, nil
		}
	}
	return Plan{}, errors.New("all address ranges for clusters (10.244.0.0/16 with 10.96.0.0/16, and the eleven after them) overlap with routes of this machine: take down a cluster")
}

// numbered gives the plan with a number below Clusters.
func numbered(i int) Plan {
	link := fmt.Sprintf("fd00:10:95:%x", i)
	return Plan{
		Pods:     dual(fmt.Sprintf("10.%d.0.0/16", 244+i), fmt.Sprintf("fd00:10:244:%x::/64", i)),
		NodePods: dual(fmt.Sprintf("10.%d.0.0/24", 244+i), fmt.Sprintf("fd00:10:244:%x::/64", i)),
		Services: dual(fmt.Sprintf("10.%d.0.0/16", 96+i), fmt.Sprintf("fd00:10:96:%x::/112", i)),
		Host:     dual(fmt.Sprintf("10.95.%d.1/24", i), link+"::1/64"),
		Node:     dual(fmt.Sprintf("10.95.%d.2/24", i), link+"::2/64"),
	}
}

func dual(v4, v6 string) Dual {
	return Dual{V4: netip.MustParsePrefix(v4), V6: netip.MustParsePrefix(v6)}
}

func (p Plan) overlaps(used []netip.Prefix) bool {
	for _, mine := range []Dual{p.Pods, p.Services, p.Host} {
		for _, prefix := range used {
			if prefix.Overlaps(mine.V4) || prefix.Overlaps(mine.V6) {
				return true
			}
		}
	}
	return false
}

// nth gives the n-th address of a prefix.
func nth(prefix netip.Prefix, n int) netip.Addr {
	addr := prefix.Addr()
	for range n {
		addr = addr.Next()
	}
	return addr
}

// IPNet is the prefix in the form that routes and addresses of interfaces take.
// The address keeps its host part.
func IPNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{
		IP:   net.IP(prefix.Addr().AsSlice()),
		Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
	}
}
