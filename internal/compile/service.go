package compile

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// service is a Service with its pods selected and its ports resolved to them,
// before anything is known of splits or of what other Services say.
type service struct {
	name     mesh.Name
	object   *corev1.Service
	external bool // ExternalName: lives outside the mesh (PR-5)
	headless bool
	pods     []*pod
	ports    []*servicePort
	findings []mesh.Finding
}

// servicePort is one port of a service.
type servicePort struct {
	written *corev1.ServicePort
	name    string
	number  uint16
	// declared is what the Service declares, protocol what the port is taken for.
	declared mesh.Protocol
	protocol mesh.Protocol
	// targets are the pods' ports, in order of the pods' names. A pod that has no
	// port of the name is not there.
	targets []target
	// outside are endpoints that are no pods.
	outside []mesh.Endpoint
	// ipv6 tells that the Service's first family is IPv6.
	ipv6 bool
}

type target struct {
	pod  *pod
	port uint16
	// ready tells whether it takes traffic.
	ready bool
}

func (s *service) port(number uint16) *servicePort {
	for _, p := range s.ports {
		if p.number == number && p.protocol != mesh.UDP {
			return p
		}
	}
	return nil
}

type serviceInputs struct {
	object *corev1.Service
	// from is where the others were looked up. It tells at once that they are what
	// they were, and nothing reads it to build a service.
	from serviceContext
	// pods are those that the Service selects. Where it has no selector, its
	// endpoints stand in slices, and pods are those that have one of the addresses.
	pods   []*pod
	slices []*discoveryv1.EndpointSlice
}

type serviceContext struct {
	slices *store.Table[*discoveryv1.EndpointSlice]
	pods   *podSet
}

func (i serviceInputs) equal(o serviceInputs) bool {
	return i.object == o.object && slices.Equal(i.pods, o.pods) && slices.Equal(i.slices, o.slices)
}

func buildService(in serviceInputs) *service {
	o := in.object
	r := reportOn(kindService, o)
	s := &service{
		name:     mesh.Name{Namespace: o.Namespace, Name: o.Name},
		object:   o,
		external: o.Spec.Type == corev1.ServiceTypeExternalName,
		headless: o.Spec.ClusterIP == corev1.ClusterIPNone,
		pods:     in.pods,
	}
	for i := range o.Spec.Ports {
		if p := buildServicePort(r, i, in); p != nil {
			s.ports = append(s.ports, p)
		}
	}
	if len(in.pods) == 0 && len(in.slices) == 0 && !s.external {
		r.warnf(place{"TS-5", "spec.selector", "NoPods"}, "selects no pod, so requests to it fail with 503")
	}
	s.findings = r.findings
	return s
}

func buildServicePort(r *report, i int, in serviceInputs) *servicePort {
	written := &in.object.Spec.Ports[i]
	field := fmt.Sprintf("spec.ports[%d]", i)
	if written.Port < 1 || written.Port > 65535 {
		r.errorf(place{"TS-4", field + ".port", "InvalidPort"}, "%d is no port; it is left out", written.Port)
		return nil
	}
	p := &servicePort{written: written, name: written.Name, number: uint16(written.Port), declared: declaredProtocol(written)}
	p.ipv6 = len(in.object.Spec.IPFamilies) > 0 && in.object.Spec.IPFamilies[0] == corev1.IPv6Protocol
	p.protocol = orServerFirst(p.declared, p.number)
	if len(in.slices) > 0 {
		p.readSlices(in)
	} else {
		p.readSelected(r, field, in)
	}
	p.targets = slices.DeleteFunc(p.targets, func(t target) bool {
		refused := mesh.OfSidecar(t.port) && t.pod.meshed
		if refused {
			r.errorf(place{"SP-7", field + ".targetPort", "SidecarPort"}, "%d belongs to the sidecar and cannot be served by pod %s", t.port, t.pod.name.Name)
		}
		return refused
	})
	return p
}

// readSelected finds the targets of a Service with a selector.
func (p *servicePort) readSelected(r *report, field string, in serviceInputs) {
	for _, pod := range in.pods {
		number, ok := targetPort(p.written, pod)
		if !ok {
			r.warnf(place{"TS-4", field + ".targetPort", "NoSuchPort"}, "pod %s has no container port named %s, so it gets nothing from this port", pod.name.Name, quote(p.written.TargetPort.StrVal))
			continue
		}
		p.targets = append(p.targets, target{pod, number, pod.ready || in.object.Spec.PublishNotReadyAddresses})
	}
}

// targetPort is the port of the pod that a Service port leads to.
func targetPort(p *corev1.ServicePort, pod *pod) (uint16, bool) {
	switch {
	case p.TargetPort.Type == intstr.String && p.TargetPort.StrVal != "":
		return pod.portNamed(p.TargetPort.StrVal)
	case p.TargetPort.IntVal > 0 && p.TargetPort.IntVal <= 65535:
		return uint16(p.TargetPort.IntVal), true
	default:
		return uint16(p.Port), true
	}
}

func compareEndpoints(a, b mesh.Endpoint) int {
	return cmp.Or(cmp.Compare(a.Address, b.Address), a.Pod.Compare(b.Pod), cmp.Compare(a.Port, b.Port))
}

// numbers are the ports of a pod that the port leads to.
func (p *servicePort) numbers(of *pod) []uint16 {
	at, _ := slices.BinarySearchFunc(p.targets, of.name, func(t target, name mesh.Name) int { return t.pod.name.Compare(name) })
	var found []uint16
	for ; at < len(p.targets) && p.targets[at].pod == of; at++ {
		found = append(found, p.targets[at].port)
	}
	return found
}

// ready tells whether anything behind the port can take traffic.
func (p *servicePort) ready() bool {
	return len(p.outside) > 0 || slices.ContainsFunc(p.targets, func(t target) bool { return t.ready })
}

// speaks tells what a pod's port speaks, after all Services were heard.
type speaks func(*pod, uint16) mesh.Protocol

// destination is what judges a request that arrives at the target.
func (p *servicePort) destination(t target, speaks speaks) mesh.Destination {
	d := mesh.Destination{
		Account: t.pod.account, Port: t.port, Protocol: mesh.UDP,
		Meshed: t.pod.meshed && !slices.Contains(t.pod.excluded, t.port), Mode: t.pod.mode,
	}
	// A TCP port of the same number is another port.
	if p.protocol != mesh.UDP {
		d.Protocol, d.Plaintext = speaks(t.pod, t.port), t.pod.plaintext[t.port]
	}
	return d
}

// endpoints are the ready pods behind the port.
func (p *servicePort) endpoints(speaks speaks) []mesh.Endpoint {
	found := slices.Clone(p.outside)
	for _, t := range p.targets {
		if t.ready {
			found = append(found, mesh.Endpoint{
				Destination: p.destination(t, speaks), Pod: t.pod.name, Workload: t.pod.owner, Address: t.pod.address(p.ipv6),
			})
		}
	}
	slices.SortFunc(found, compareEndpoints)
	return found
}

// destinations groups the pods behind the port by what judges a request.
func (p *servicePort) destinations(speaks speaks) []mesh.Destination {
	seen := map[mesh.Destination]bool{}
	for _, t := range p.targets {
		seen[p.destination(t, speaks)] = true
	}
	for _, e := range p.outside {
		seen[e.Destination] = true
	}
	return sortedDestinations(seen)
}

func sortedDestinations(set map[mesh.Destination]bool) []mesh.Destination {
	list := make([]mesh.Destination, 0, len(set))
	for d := range set {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b mesh.Destination) int {
		return cmp.Or(a.Account.Compare(b.Account), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), compareBool(a.Meshed, b.Meshed), compareBool(a.Plaintext, b.Plaintext))
	})
	return list
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
