package compile

import (
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// podPorts is what the ports of one pod speak, after all Services that lead to
// it were heard (PR-1).
type podPorts struct {
	protocols map[uint16]mesh.Protocol
	// servicePorts are the Service ports that lead to a pod port of another
	// number: Service port -> pod port.
	servicePorts map[uint16]uint16
}

// same is true for all but the rare change of a pod: readiness says nothing of
// its ports.
func (p *podPorts) same(o *podPorts) bool {
	return maps.Equal(p.protocols, o.protocols) && maps.Equal(p.servicePorts, o.servicePorts)
}

type podPortsInputs struct {
	pod      *pod
	services []*service
}

func (i podPortsInputs) equal(o podPortsInputs) bool {
	return i.pod == o.pod && slices.Equal(i.services, o.services)
}

func buildPodPorts(in podPortsInputs) *podPorts {
	p := &podPorts{protocols: map[uint16]mesh.Protocol{}, servicePorts: map[uint16]uint16{}}
	for _, c := range in.pod.ports {
		if !c.udp && !mesh.OfSidecar(c.number) {
			p.protocols[c.number] = mesh.Undeclared
		}
	}
	for _, s := range in.services {
		for _, sp := range s.ports {
			if sp.protocol == mesh.UDP {
				continue
			}
			for _, number := range sp.numbers(in.pod) {
				if mesh.OfSidecar(number) {
					continue
				}
				known, ok := p.protocols[number]
				if !ok {
					known = mesh.Undeclared
				}
				p.protocols[number] = agree(known, sp.declared)
				if sp.number != number {
					p.servicePorts[sp.number] = number
				}
			}
		}
	}
	for port, protocol := range p.protocols {
		p.protocols[port] = orServerFirst(protocol, port)
	}
	return p
}

// root is a Service as the mesh sees it, with the splits that apply to it.
type root struct {
	service  *mesh.Service
	findings []mesh.Finding
}

type rootInputs struct {
	// from is where the service and its ports were looked up. It tells at once
	// that they are what they were, and nothing reads it to build a root.
	from    *serviceSet
	service *service
	// ports are those of the service's pods, in the same order.
	ports  []*podPorts
	splits []*resolvedSplit
}

func (i rootInputs) equal(o rootInputs) bool {
	return i.service == o.service && slices.Equal(i.ports, o.ports) && slices.Equal(i.splits, o.splits)
}

func buildRoot(in rootInputs) *root {
	s := in.service
	speaking := make(map[*pod]*podPorts, len(in.ports))
	for i, p := range s.pods {
		speaking[p] = in.ports[i]
	}
	speaks := func(p *pod, port uint16) mesh.Protocol { return speaking[p].protocols[port] }
	out := &root{service: &mesh.Service{Name: s.name, Headless: s.headless, ClusterIPs: clusterIPs(s)}}
	ordered, findings := orderSplits(in.splits)
	out.findings = findings
	for _, p := range s.ports {
		port := &mesh.ServicePort{
			Service: s.name, Name: p.name, Number: p.number, Protocol: p.protocol,
			Destinations: p.destinations(speaks), Endpoints: p.endpoints(speaks),
		}
		out.findings = append(out.findings, contradicted(s, p, port.Destinations)...)
		if p.protocol != mesh.UDP {
			port.Splits, findings = portSplits(p, ordered)
			out.findings = append(out.findings, findings...)
		}
		out.service.Ports = append(out.service.Ports, port)
	}
	return out
}

// contradicted warns of a port that is declared to speak HTTP while other
// Services say something else of the pods' port behind it (PR-1).
func contradicted(s *service, p *servicePort, destinations []mesh.Destination) []mesh.Finding {
	if !p.declared.SpeaksHTTP() {
		return nil
	}
	r := reportOn(kindService, s.object)
	for _, d := range destinations {
		if d.Meshed && d.Protocol == mesh.TCP {
			r.warnf(place{"PR-1", "spec.ports", "ProtocolConflict"},
				"port %d is declared to speak HTTP, and another Service declares port %d of the pods of %s differently; there it is TCP, which no HTTP rule opens: let both declare the same", p.number, d.Port, d.Account)
		}
	}
	return r.findings
}

func clusterIPs(s *service) []string {
	if s.headless || s.external {
		return nil
	}
	if ips := s.object.Spec.ClusterIPs; len(ips) > 0 {
		return ips
	}
	if ip := s.object.Spec.ClusterIP; ip != "" {
		return []string{ip}
	}
	return nil
}
