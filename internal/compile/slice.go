package compile

import (
	"cmp"
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/smi-project/smi/mesh"
)

// podAddresses are pods by the texts of their addresses. An address of a node says
// nothing of the pods that use it.
type podAddresses map[string]*pod

func (a podAddresses) add(p *pod) {
	if p.hostNetwork {
		return
	}
	for _, address := range p.addresses {
		// For a moment an old pod and a new one may have the same address.
		if known := a[address]; known == nil || !known.ready {
			a[address] = p
		}
	}
}

// at returns the pod of an address, however that is written; nil if it is no pod's.
func (a podAddresses) at(address string) *pod {
	if parsed, err := netip.ParseAddr(address); err == nil {
		address = parsed.Unmap().String()
	}
	return a[address]
}

// inSlices returns the pods whose addresses stand in slices, in order of their
// names.
func (a podAddresses) inSlices(all []*discoveryv1.EndpointSlice) []*pod {
	var found []*pod
	for _, slice := range all {
		for _, e := range slice.Endpoints {
			for _, address := range e.Addresses {
				if p := a.at(address); p != nil {
					found = append(found, p)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b *pod) int { return a.name.Compare(b.name) })
	return slices.Compact(found)
}

// readSlices finds the endpoints of a Service without selector. Pods among them
// are what pods are anywhere; the others are outside. Whether they take traffic is
// for the slices to say.
func (p *servicePort) readSlices(in serviceInputs) {
	pods := podAddresses{}
	for _, pod := range in.pods {
		pods.add(pod)
	}
	for _, slice := range in.slices {
		number, ok := slicePort(slice, p.name)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready
			for _, address := range e.Addresses {
				switch pod := pods.at(address); {
				case pod != nil:
					p.targets = append(p.targets, target{pod, number, ready})
				case ready:
					p.outside = append(p.outside, mesh.Endpoint{Address: address, Destination: mesh.Destination{Port: number, Protocol: p.protocol, Mode: mesh.Permissive}})
				}
			}
		}
	}
	slices.SortFunc(p.outside, compareEndpoints)
	// A pod may stand there by each of its addresses; it is ready if it is by one.
	slices.SortFunc(p.targets, func(a, b target) int {
		return cmp.Or(a.pod.name.Compare(b.pod.name), cmp.Compare(a.port, b.port), compareBool(b.ready, a.ready))
	})
	p.targets = slices.CompactFunc(p.targets, func(a, b target) bool { return a.pod == b.pod && a.port == b.port })
}

func slicePort(slice *discoveryv1.EndpointSlice, name string) (uint16, bool) {
	for _, p := range slice.Ports {
		named := p.Name != nil && *p.Name == name || p.Name == nil && name == ""
		if named && p.Port != nil && *p.Port > 0 && *p.Port <= 65535 {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}
