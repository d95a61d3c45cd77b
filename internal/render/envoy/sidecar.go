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
	out = append(out, r.servedBy(n, servedInputs{n.workload.Policy, n.workload.Mode, n.workload.Ports, n.epochs, key.ipv6})...)
	out = r.appendServices(out, m, n)
	out = r.appendPods(out, n.workload)
	r.sidecars[key] = out
	return out
}

// servedInputs are what the ports of a pod and their rules depend on. Most changes
// are of what a class reaches, and of none of these.
type servedInputs struct {
	policy *mesh.Policy
	mode   mesh.Mode
	ports  []mesh.InboundPort
	epochs *accountEpochs
	ipv6   bool
}

func (i servedInputs) equal(o servedInputs) bool {
	return i.policy == o.policy && i.mode == o.mode && slices.Equal(i.ports, o.ports) && i.epochs == o.epochs && i.ipv6 == o.ipv6
}

// servedKey is a class, in both of its forms.
type servedKey struct {
	workload string
	ipv6     bool
}

// served is what serves the ports of a class, as it was built from the inputs. What
// it was put together from may be forgotten meanwhile.
type served struct {
	inputs    servedInputs
	resources []*Resource
	used      uint64
}

// servedBy returns what serves the ports of a pod.
func (r *Renderer) servedBy(n *node, in servedInputs) []*Resource {
	key := servedKey{n.workload.ID, in.ipv6}
	of := r.served[key]
	if of == nil || !of.inputs.equal(in) {
		of = &served{inputs: in, resources: r.serve(in)}
		r.served[key] = of
		r.built++
	}
	of.used = r.generation
	return of.resources
}

// serve builds what serves the ports of a pod.
func (r *Renderer) serve(in servedInputs) []*Resource {
	var out []*Resource
	var chains []chain
	for _, port := range portsWithPast(in.ports, in.epochs) {
		if port.Protocol == mesh.UDP {
			continue
		}
		serving := portChainsInputs{port.Number, port.Protocol, true}
		shared := r.portChains.get(r, serving)
		granted := r.portGrants.get(r, portGrantsInputs{in.policy, port.Number, port.Protocol == mesh.TCP})
		spread := r.spreads.get(r, spreadInputs{granted, in.epochs.port(port.Number)})
		chains = append(chains, r.portListed.get(r, inboundInputs{port: port, mode: in.mode, spread: spread, shared: shared})...)
		out = r.appendRules(out, in.mode, port, portRules{granted, spread})
		if !port.Protocol.SpeaksHTTP() {
			out = append(out, r.internal.get(r, innerName(port.Number)),
				r.inner.get(r, innerInputs{in.policy, port, in.mode, shared, serving.application(), true}),
				r.grants.get(r, grantInputs{in.policy, port}))
		}
	}
	return append(out, r.shareEqual(captured(r.parts, in, chains)))
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
	sender := r.senders.get(r, mesh.PrincipalOf(r.parts.TrustDomain, n.workload.Account))
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
			out = append(out, r.upstreams.get(r, upstreamInputs{true, address, sp.Number, sender, r.upstreamChains.get(r, upstreamChainsInputs{keyOf(sp), sp.Protocol})}))
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
// built for one who sends, and the accounts that it has chains for.
type podsReached struct {
	groups   []*mesh.PodGroup
	accounts []mesh.Account
	listener *Resource
	used     uint64
}

// appendPods adds what calls to pods by their addresses need.
func (r *Renderer) appendPods(out []*Resource, w *mesh.Workload) []*Resource {
	source := mesh.PrincipalOf(r.parts.TrustDomain, w.Account)
	of := r.podsReached[source]
	if of == nil || !slices.Equal(of.groups, w.ReachesPods) {
		of = r.reachPods(source, w.ReachesPods)
		r.podsReached[source] = of
		r.built++
	}
	of.used = r.generation
	for _, account := range of.accounts {
		r.podChains.get(r, account) // is in use
		out = append(out, r.podClusters.get(r, account))
	}
	return append(out, of.listener)
}

// reachPods builds the listener of one who sends.
func (r *Renderer) reachPods(source mesh.Principal, groups []*mesh.PodGroup) *podsReached {
	of := &podsReached{groups: groups}
	var chains []piece
	known := map[mesh.Account]bool{}
	for _, g := range groups {
		if len(g.Addresses) == 0 || known[g.Account] {
			continue
		}
		known[g.Account] = true
		of.accounts = append(of.accounts, g.Account)
		chains = append(chains, r.podChains.get(r, g.Account))
	}
	of.listener = podListener(r.parts, r.senders.get(r, source), groups, chains)
	return of
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
