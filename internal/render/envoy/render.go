package envoy

import (
	"slices"

	"github.com/smi-project/smi/mesh"
)

// Renderer turns meshes into resources. It remembers what it built, so that a
// rendering costs what has changed. It is not safe for concurrent use.
type Renderer struct {
	parts *parts

	portGrants   *memo[portGrantsInputs, *portGrants]
	spreads      *memo[spreadInputs, *spread]
	access       *memo[accessInputs, *Resource]
	chainAccess  *memo[chainAccessInputs, []*Resource]
	grants       *memo[grantInputs, *Resource]
	portChains   *memo[portChainsInputs, *portChains]
	inbound      *memo[inboundInputs, *Resource]
	inner        *memo[innerInputs, *Resource]
	applications *memo[applicationInputs, *Resource]
	internal     *memo[string, *Resource]
	denied       *memo[struct{}, *Resource]
	delivery     *memo[mesh.Protocol, *Resource]
	portListed   *memo[inboundInputs, []chain]

	services       *memo[*mesh.ServicePort, *serviceResources]
	reached        *memo[*mesh.ServicePort, *upstreamResources]
	refused        *memo[refusedInputs, *upstreamResources]
	clusters       *memo[clusterInputs, *Resource]
	upstreams      *memo[upstreamInputs, *Resource]
	upstreamChains *memo[upstreamChainsInputs, *upstreamChains]
	senders        *memo[mesh.Principal, *piece]
	proxyHosts     *memo[*mesh.ServicePort, piece]
	ownNames       *memo[portKey, piece]
	proxies        *memo[proxyInputs, *Resource]
	requests       *memo[proxyInputs, *Resource]
	// proxyRoutes depend on all that a class reaches, which the class stands for.
	proxyRoutes map[*mesh.Workload]*memoEntry[*Resource]

	captures    *memo[captureInputs, *Resource]
	passthrough *memo[struct{}, *Resource]
	podChains   *memo[mesh.Account, piece]
	podClusters *memo[mesh.Account, *Resource]
	// sidecars are the resources of the classes of a cluster, in this rendering.
	// same are their listeners by version.
	sidecars    map[sidecarKey][]*Resource
	same        map[string]*memoEntry[*Resource]
	podsReached map[mesh.Principal]*podsReached
	served      map[servedKey]*served

	outsideRoutes   *memo[outsideInputs, *Resource]
	outsideListener *memo[struct{}, *Resource]
	forward         *memo[struct{}, *Resource]

	nodes map[string]*node
	// order are those of the last rendering.
	order []*node
	// last are the Services of the last mesh, gone the ports that the one before
	// it had and it has not.
	last       []*mesh.Service
	gone       map[*mesh.ServicePort]bool
	generation uint64
	// built counts what was built since the last sweep, live what was left then.
	built, live int
}

// node is what one proxy was given, and for what.
type node struct {
	name      string
	workload  *mesh.Workload
	placement Placement
	epochs    *accountEpochs
	shared    sharedResources
	// backends are Services' ports that the node has resources for and that are no
	// part of the class: receivers of splits.
	backends  []*mesh.ServicePort
	resources []*Resource
	used      uint64
}

// sharedResources are in every proxy, or what such are made of.
type sharedResources struct {
	denied, outsideRoutes, outsideListener, outsideCluster, forward *Resource
	addresses                                                       *mesh.Addresses
}

// serviceResources are those of one Service's port. Each is the same for every
// class that reaches it.
type serviceResources struct {
	meets     clusterInputs
	endpoints *Resource
	// cluster is that of the inputs, as it was looked up in a generation.
	cluster  *Resource
	lookedUp uint64
}

// upstreamResources are what the listener of a Service's port refers to, for
// classes that reach it or for those that do not: routes unless the port speaks
// TCP, tcp unless it speaks HTTP.
type upstreamResources struct{ routes, tcp *Resource }

// New returns a renderer that has built nothing yet.
func New(o Options) *Renderer {
	return &Renderer{
		parts:           newParts(o.withDefaults()),
		portGrants:      newMemo(buildPortGrants),
		spreads:         newMemo(buildSpread),
		access:          newMemo(buildAccess),
		chainAccess:     newMemo(buildChainAccess),
		grants:          newMemo(buildGrants),
		portChains:      newMemo(buildPortChains),
		inbound:         newMemo(buildInbound),
		inner:           newMemo(buildInner),
		applications:    newMemo(buildApplication),
		internal:        newMemo(buildInternal),
		denied:          newMemo(buildDenied),
		delivery:        newMemo(buildDelivery),
		portListed:      newMemo(capturedChains),
		captures:        newMemo(buildCapture),
		passthrough:     newMemo(buildPassthrough),
		podChains:       newMemo(buildPodChain),
		podClusters:     newMemo(buildPodCluster),
		same:            map[string]*memoEntry[*Resource]{},
		services:        newMemo(buildService),
		reached:         newMemo(buildReached),
		refused:         newMemo(buildRefused),
		clusters:        newMemo(buildCluster),
		upstreams:       newMemo(buildUpstream),
		senders:         newMemo(buildSender),
		upstreamChains:  newMemo(buildUpstreamChains),
		podsReached:     map[mesh.Principal]*podsReached{},
		served:          map[servedKey]*served{},
		proxyHosts:      newMemo(buildProxyHost),
		ownNames:        newMemo(buildOwnNames),
		proxies:         newMemo(buildProxy),
		requests:        newMemo(buildRequestProxy),
		proxyRoutes:     map[*mesh.Workload]*memoEntry[*Resource]{},
		outsideRoutes:   newMemo(buildOutsideRoutes),
		outsideListener: newMemo(buildOutsideListener),
		forward:         newMemo(buildForward),
		nodes:           map[string]*node{},
		gone:            map[*mesh.ServicePort]bool{},
	}
}

// Render returns, per node, every resource that its proxy needs.
func (r *Renderer) Render(m *mesh.Mesh, proxies []Proxy, epochs Epochs) map[string][]*Resource {
	out := make(map[string][]*Resource, len(proxies))
	for i, resources := range r.RenderList(m, proxies, epochs) {
		out[proxies[i].Node] = resources
	}
	return out
}

// RenderList returns, for each of the proxies, every resource that it needs, in
// an order that is the same each time. What did not change since the last call
// is the same pointer. The mesh must have been compiled for the renderer's trust
// domain.
func (r *Renderer) RenderList(m *mesh.Mesh, proxies []Proxy, epochs Epochs) [][]*Resource {
	r.generation++
	sweep := r.built > r.live+1000
	shared := r.shared(m)
	r.noteGone(m)
	r.sidecars = map[sidecarKey][]*Resource{}
	out, order := make([][]*Resource, len(proxies)), make([]*node, len(proxies))
	for i := range proxies {
		p := &proxies[i]
		n := r.node(i, p.Node)
		account := epochs.accounts[p.Workload.Account]
		if sweep || !n.current(r.gone, p, account, shared) {
			n = &node{name: p.Node, workload: p.Workload, placement: p.Placement, epochs: account, shared: shared}
			if p.Placement.Cluster {
				n.resources = r.renderSidecar(m, n)
			} else {
				n.backends = splitBackends(m, p.Workload.Reaches)
				n.resources = r.render(m, p, n)
			}
			r.nodes[p.Node] = n
		}
		n.used = r.generation
		out[i], order[i] = n.resources, n
	}
	r.order = order
	if sweep {
		r.sweep()
	}
	if r.generation == 1 {
		// What was built first is all in use.
		r.built, r.live = 0, r.built
	}
	if len(r.nodes) > len(proxies) {
		for name, n := range r.nodes {
			if n.used != r.generation {
				delete(r.nodes, name)
			}
		}
	}
	return out
}

// current tells whether everything that the node's resources depend on is as it
// was. Listeners of Service ports depend on the whole mesh and are looked at
// each time.
func (n *node) current(gone map[*mesh.ServicePort]bool, p *Proxy, epochs *accountEpochs, shared sharedResources) bool {
	if n == nil || n.workload != p.Workload || n.epochs != epochs || n.shared != shared ||
		len(p.Placement.Upstreams) > 0 || !n.placement.equal(p.Placement) {
		return false
	}
	return !slices.ContainsFunc(n.backends, func(b *mesh.ServicePort) bool { return gone[b] })
}

// node returns what is known of a node, nil where nothing is. It is mostly where
// it was the last time.
func (r *Renderer) node(i int, name string) *node {
	if i < len(r.order) && r.order[i].name == name {
		return r.order[i]
	}
	return r.nodes[name]
}

// noteGone notes the Service ports that the last mesh had and this one has not.
func (r *Renderer) noteGone(m *mesh.Mesh) {
	clear(r.gone)
	next := 0
	for _, was := range r.last { // sorted, as the next ones are
		for next < len(m.Services) && m.Services[next] != was && m.Services[next].Name.Compare(was.Name) < 0 {
			next++
		}
		if next < len(m.Services) && m.Services[next] == was {
			continue
		}
		for _, p := range was.Ports {
			r.gone[p] = next == len(m.Services) || !slices.Contains(m.Services[next].Ports, p)
		}
	}
	r.last = m.Services
}

// splitBackends are the Service ports that splits of ports that a class reaches
// send it to.
func splitBackends(m *mesh.Mesh, reaches []*mesh.ServicePort) []*mesh.ServicePort {
	var out []*mesh.ServicePort
	for _, sp := range reaches {
		for _, split := range sp.Splits {
			for _, b := range split.Backends {
				s := m.Service(b.Service)
				if s == nil {
					continue
				}
				if port := s.Port(b.Port); port != nil {
					out = append(out, port)
				}
			}
		}
	}
	return out
}

func (r *Renderer) shared(m *mesh.Mesh) sharedResources {
	return sharedResources{
		addresses:       m.Addresses,
		denied:          r.denied.get(r, struct{}{}),
		outsideRoutes:   r.outsideRoutes.get(r, outsideInputs{namespacesOf(m.Services)}),
		outsideListener: r.outsideListener.get(r, struct{}{}),
		outsideCluster:  r.internal.get(r, outside),
		forward:         r.forward.get(r, struct{}{}),
	}
}

func (r *Renderer) render(m *mesh.Mesh, p *Proxy, n *node) []*Resource {
	shared := n.shared
	out := make([]*Resource, 0, 16+4*len(p.Workload.Ports)+2*(len(p.Workload.Reaches)+len(n.backends)))
	out = append(out, shared.denied, shared.outsideCluster, shared.forward, shared.outsideRoutes, shared.outsideListener)
	for _, port := range p.Workload.Ports {
		if port.Protocol != mesh.UDP {
			out = r.appendInbound(out, p, port, n.epochs)
		}
	}
	return r.appendOutbound(out, m, p, n.backends)
}

func (r *Renderer) appendInbound(out []*Resource, p *Proxy, port mesh.InboundPort, epochs *accountEpochs) []*Resource {
	w := p.Workload
	chains := r.portChains.get(r, portChainsInputs{port.Number, port.Protocol, false})
	granted := r.portGrants.get(r, portGrantsInputs{w.Policy, port.Number, port.Protocol == mesh.TCP})
	spread := r.spreads.get(r, spreadInputs{granted, epochs.port(port.Number)})
	out = r.appendRules(out, w.Mode, port, portRules{granted, spread})
	out = append(out,
		r.applications.get(r, applicationInputs{p.Placement.AppAddress, port.Number, port.Protocol}),
		r.inbound.get(r, inboundInputs{p.Placement.SidecarAddress, port, w.Mode, spread, chains}),
	)
	if port.Protocol == mesh.TCP || port.Protocol == mesh.Undeclared {
		out = append(out, r.internal.get(r, innerName(port.Number)), r.inner.get(r, innerInputs{w.Policy, port, w.Mode, chains, inboundName(port.Number), false}),
			r.grants.get(r, grantInputs{w.Policy, port}))
	}
	return out
}

// portRules are what the rules of a port are made of.
type portRules struct {
	granted *portGrants
	spread  *spread
}

// appendRules adds the access rules of a port. Those of its chains are also there
// for a port that declares nothing, although none of its chains asks for them: it
// may have declared HTTP a moment ago, and what peers keep open from then needs
// rules until it has drained.
func (r *Renderer) appendRules(out []*Resource, mode mesh.Mode, port mesh.InboundPort, of portRules) []*Resource {
	in := accessInputs{of.granted, port, mode}
	if port.Protocol != mesh.TCP {
		out = append(out, r.access.get(r, in))
	}
	if port.Protocol != mesh.TCP && port.Number != mesh.AnyPort {
		rules := of.spread
		if !rules.past {
			// A new epoch alone leaves rules as they are.
			rules = r.spreads.get(r, spreadInputs{of.granted, nil})
		}
		out = append(out, r.chainAccess.get(r, chainAccessInputs{in, rules})...)
	}
	return out
}

func (r *Renderer) appendOutbound(out []*Resource, m *mesh.Mesh, p *Proxy, backends []*mesh.ServicePort) []*Resource {
	w, place := p.Workload, p.Placement
	source := mesh.PrincipalOf(r.parts.TrustDomain, w.Account)
	port := place.OutboundPort
	if port == 0 {
		port = DefaultOutboundPort
	}
	out = append(out, r.proxies.get(r, proxyInputs{place.SidecarAddress, port, source}), r.routesOf(w))
	if place.RequestPort != 0 {
		out = append(out, r.requests.get(r, proxyInputs{place.SidecarAddress, place.RequestPort, source}))
	}

	clusters := make(map[portKey]bool, len(w.Reaches))
	for _, list := range [][]*mesh.ServicePort{w.Reaches, backends} {
		for _, sp := range list {
			if key := keyOf(sp); !clusters[key] && sp.Protocol != mesh.UDP {
				clusters[key] = true
				s := r.services.get(r, sp)
				out = append(out, r.clusterOf(s), s.endpoints)
			}
		}
	}
	return r.appendUpstreams(out, m, p, source)
}

// clusterOf is the cluster of a Service's port. Several ports, one after the
// other, may have the same.
func (r *Renderer) clusterOf(s *serviceResources) *Resource {
	if s.lookedUp != r.generation {
		s.cluster, s.lookedUp = r.clusters.get(r, s.meets), r.generation
	}
	return s.cluster
}

// appendUpstreams adds the listeners that stand for a Service's port each, and
// the routes and weights that they refer to.
func (r *Renderer) appendUpstreams(out []*Resource, m *mesh.Mesh, p *Proxy, source mesh.Principal) []*Resource {
	if len(p.Placement.Upstreams) == 0 {
		return out
	}
	sender := r.senders.get(r, source)
	reaches := make(map[portKey]bool, len(p.Workload.Reaches))
	for _, sp := range p.Workload.Reaches {
		reaches[keyOf(sp)] = true
	}
	for _, service := range m.Services {
		for _, sp := range service.Ports {
			local, ok := p.Placement.Upstreams[ServicePort{sp.Service, sp.Number}]
			if !ok || sp.Protocol == mesh.UDP {
				continue
			}
			in := upstreamInputs{false, p.Placement.SidecarAddress, local, sender, r.upstreamChains.get(r, upstreamChainsInputs{keyOf(sp), sp.Protocol})}
			out = append(out, r.upstreams.get(r, in))
			var u *upstreamResources
			if reaches[keyOf(sp)] {
				u = r.reached.get(r, sp)
			} else {
				u = r.refused.get(r, refusedInputs{keyOf(sp), sp.Protocol})
			}
			if u.routes != nil {
				out = append(out, u.routes)
			}
			if u.tcp != nil {
				out = append(out, u.tcp)
			}
		}
	}
	return out
}

// routesOf are the routes of a class's HTTP proxy.
func (r *Renderer) routesOf(w *mesh.Workload) *Resource {
	e, ok := r.proxyRoutes[w]
	if !ok {
		hosts := make([]host, 0, len(w.Reaches))
		for _, sp := range w.Reaches {
			if sp.Protocol == mesh.UDP {
				continue
			}
			h := host{shared: r.proxyHosts.get(r, sp)}
			if sp.Service.Namespace == w.Account.Namespace {
				h.own = r.ownNames.get(r, keyOf(sp))
			}
			hosts = append(hosts, h)
		}
		e = &memoEntry[*Resource]{out: proxyRoutes(r.parts, hosts)}
		r.proxyRoutes[w] = e
		r.built++
	}
	e.used = r.generation
	return e.out
}

func buildService(p *parts, port *mesh.ServicePort) *serviceResources {
	return &serviceResources{meets: clusterInputsOf(port), endpoints: buildEndpoints(p, port)}
}

func buildReached(p *parts, port *mesh.ServicePort) *upstreamResources {
	u := &upstreamResources{}
	if port.Protocol != mesh.TCP {
		u.routes = buildRoutes(port)
	}
	if !port.Protocol.SpeaksHTTP() {
		u.tcp = buildTCP(p, port)
	}
	return u
}
