package envoy

import (
	"maps"
	"slices"

	"github.com/smi-project/smi/mesh"
)

// sidecarKey is what the resources of a pod on a cluster depend on, beside what
// is the same for the whole mesh. All pods of a class share them.
type sidecarKey struct {
	workload *mesh.Workload
	epochs   *accountEpochs
	ipv6     bool
}

// renderSidecar returns the resources of a pod on a cluster.
func (r *Renderer) renderSidecar(m *mesh.Mesh, n *node) []*Resource {
	key := sidecarKey{n.workload, n.epochs, n.placement.IPv6}
	n.backends = splitBackends(m, n.workload.Reaches)
	if out, ok := r.sidecars[key]; ok {
		return out
	}
	out := []*Resource{
		n.shared.denied,
		r.delivery.get(r, mesh.HTTP), r.delivery.get(r, mesh.HTTP2),
		r.passthrough.get(r, struct{}{}),
		r.captures.get(r, captureInputs{n.shared.addresses, key.ipv6}),
		r.internal.get(r, pods),
	}
	out = r.appendCaptured(out, key)
	out = r.appendServices(out, m, n)
	out = r.appendPods(out, n.workload)
	r.sidecars[key] = out
	return out
}

// appendCaptured adds what serves the ports of a pod.
func (r *Renderer) appendCaptured(out []*Resource, key sidecarKey) []*Resource {
	w := key.workload
	var chains []chain
	for _, port := range portsWithPast(w.Ports, key.epochs) {
		if port.Protocol == mesh.UDP {
			continue
		}
		in := portChainsInputs{port.Number, port.Protocol, true}
		shared := r.portChains.get(r, in)
		granted := r.portGrants.get(r, portGrantsInputs{w.Policy, port.Number, port.Protocol == mesh.TCP})
		spread := r.spreads.get(r, spreadInputs{granted, key.epochs.port(port.Number)})
		chains = append(chains, r.portListed.get(r, inboundInputs{port: port, mode: w.Mode, spread: spread, shared: shared})...)
		out = r.appendRules(out, w, port, portRules{granted, spread})
		if !port.Protocol.SpeaksHTTP() {
			out = append(out, r.internal.get(r, innerName(port.Number)),
				r.inner.get(r, innerInputs{w.Policy, port, w.Mode, shared, in.application(), true}),
				r.grants.get(r, grantInputs{w.Policy, port}))
		}
	}
	return append(out, r.shareEqual(captured(r.parts, w, key.ipv6, chains)))
}

// portsWithPast are a class's ports, and those that it had no more than a grant
// for which was withdrawn. What is open there must be denied and drained, which
// a filter chain that is gone could not be told any more.
func portsWithPast(ports []mesh.InboundPort, epochs *accountEpochs) []mesh.InboundPort {
	if epochs == nil {
		return ports
	}
	out := slices.Clone(ports)
	for _, number := range slices.Sorted(maps.Keys(epochs.ports)) {
		if slices.ContainsFunc(ports, func(p mesh.InboundPort) bool { return p.Number == number }) {
			continue
		}
		past := mesh.InboundPort{Number: number, Protocol: mesh.Undeclared}
		if mesh.UsuallyServerFirst(number) {
			past.Protocol = mesh.TCP
		}
		out = append(out, past)
	}
	return out
}

// appendServices adds the listeners of the Services' ports that a class
// reaches, and what is behind them.
func (r *Renderer) appendServices(out []*Resource, m *mesh.Mesh, n *node) []*Resource {
	source := mesh.PrincipalOf(r.parts.TrustDomain, n.workload.Account)
	clusters := map[portKey]bool{}
	appendCluster := func(sp *mesh.ServicePort) {
		if key := keyOf(sp); !clusters[key] && sp.Protocol != mesh.UDP {
			clusters[key] = true
			s := r.services.get(r, sp)
			out = append(out, r.clusterOf(s), s.endpoints)
		}
	}
	for _, sp := range n.workload.Reaches {
		service := m.Service(sp.Service)
		// What has no address of its own is reached by those of its pods.
		if sp.Protocol == mesh.UDP || service == nil || len(service.ClusterIPs) == 0 {
			continue
		}
		appendCluster(sp)
		for _, address := range service.ClusterIPs {
			out = append(out, r.upstreams.get(r, upstreamInputs{true, address, sp.Number, source, r.upstreamChains.get(r, upstreamChainsInputs{keyOf(sp), sp.Protocol})}))
		}
		u := r.reached.get(r, sp)
		if u.routes != nil {
			out = append(out, u.routes)
		}
		if u.tcp != nil {
			out = append(out, u.tcp)
		}
	}
	for _, sp := range n.backends {
		appendCluster(sp)
	}
	return out
}

// podsReached is the listener for calls to pods by their addresses, as it was
// built for one who sends.
type podsReached struct {
	groups   []*mesh.PodGroup
	listener *Resource
	used     uint64
}

// appendPods adds what calls to pods by their addresses need.
func (r *Renderer) appendPods(out []*Resource, w *mesh.Workload) []*Resource {
	source := mesh.PrincipalOf(r.parts.TrustDomain, w.Account)
	var chains []namedChain
	known := map[mesh.Account]bool{}
	for _, g := range w.ReachesPods {
		if len(g.Addresses) == 0 || known[g.Account] {
			continue
		}
		known[g.Account] = true
		chains = append(chains, r.podChains.get(r, g.Account))
		out = append(out, r.podClusters.get(r, g.Account))
	}
	of := r.podsReached[source]
	if of == nil || !slices.Equal(of.groups, w.ReachesPods) {
		of = &podsReached{groups: w.ReachesPods, listener: podListener(r.parts, source, w.ReachesPods, chains)}
		r.podsReached[source] = of
		r.built++
	}
	of.used = r.generation
	return append(out, of.listener)
}

// shareEqual returns the resource that was made of the same, where there is one.
func (r *Renderer) shareEqual(resource *Resource) *Resource {
	key := resource.Name + " " + resource.Version
	e, ok := r.same[key]
	if !ok {
		e = &memoEntry[*Resource]{out: resource}
		r.same[key] = e
		r.built++
	}
	e.used = r.generation
	return e.out
}
