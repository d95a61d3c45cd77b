package envoy

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/mesh"
)

// forbiddenHere is what a client is told that has no grant at a destination
// (AC-12). The HTTP proxy does not know the mesh's other Services by name.
const forbiddenHere = "smi: no TrafficTarget allows " + formatSource + " to call %REQ(:AUTHORITY)%, if there is such a Service and port\n"

// upstreamInputs are what the listener of a Service's port depends on: where it
// listens and for whom, but not where the traffic goes, nor whether it may. A
// grant that comes or goes thus closes no connection of the application's.
type upstreamInputs struct {
	// cluster tells that the address is the Service's own.
	cluster bool
	address string
	local   uint16
	// sender begins each filter chain.
	sender *piece
	shared *upstreamChains
}

// buildUpstream is the listener on the sidecar that stands for a Service's
// port. The application speaks plaintext to it.
func buildUpstream(_ *parts, in upstreamInputs) *Resource {
	l := &listenerv3.Listener{
		Name:             outboundName(in.shared.key),
		Address:          socketAddress(in.address, in.local),
		TcpKeepalive:     keepalive.TcpKeepalive,
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		// The pod's own end is announced to those who call it.
		DrainType: listenerv3.Listener_MODIFY_ONLY,
	}
	if in.cluster {
		// The name is that of the address, so that a Service which gets the address of
		// another one is an update.
		l.Name, l.BindToPort = "outbound|"+netip.AddrPortFrom(netip.MustParseAddr(in.address), in.local).String(), no()
	}
	if len(in.shared.chains) > 1 {
		sniff(l)
		l.FilterChainMatcher = byProtocol(toChain(chainHTTP), toChain(chainTCP))
	}
	a := newAssembly(1 + 2*len(in.shared.chains))
	a.fields(newPiece(l))
	for _, c := range in.shared.chains {
		a.message(fieldFilterChains, *in.sender, c)
	}
	return a.piece().resource(l.Name, typeURL(l))
}

// upstreamChains are the filter chains of a Service's port but for who sends,
// the same for all who do. Most of a listener is in them.
type upstreamChains struct {
	key portKey
	// chains lack their first filter, which is the sender's.
	chains []piece
}

type upstreamChainsInputs struct {
	key      portKey
	protocol mesh.Protocol
}

func buildUpstreamChains(p *parts, in upstreamChainsInputs) *upstreamChains {
	c := &upstreamChains{key: in.key}
	add := func(name string, filter *listenerv3.Filter) {
		c.chains = append(c.chains, newPiece(&listenerv3.FilterChain{Name: name, Filters: []*listenerv3.Filter{filter}}))
	}
	if in.protocol != mesh.TCP {
		add(chainHTTP, httpManagerFilter(p.httpManager(httpConfig{
			stats: "outbound", rds: outboundName(in.key), tags: clientTags(),
			forbidden: "smi: no TrafficTarget allows " + formatSource + " to call " + in.key.label() + "\n",
		})))
	}
	if !in.protocol.SpeaksHTTP() {
		add(chainTCP, discoveredTCP(tcpName(in.key)))
	}
	return c
}

// refusedInputs are a Service's port for classes that do not reach it.
type refusedInputs struct {
	key      portKey
	protocol mesh.Protocol
}

// buildRefused is what a Service's port is to classes that do not reach it:
// resources of the same names, which refuse every request and connection.
func buildRefused(p *parts, in refusedInputs) *upstreamResources {
	s := &upstreamResources{}
	if in.protocol != mesh.TCP {
		name := outboundName(in.key)
		s.routes = newResource(name, &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
			Name: chainDenied, Domains: []string{"*"}, Routes: []*routev3.Route{refuse(in.key.label())},
		}}})
	}
	if !in.protocol.SpeaksHTTP() {
		tags := with(clientTags(), tag{TagSide, "client"}, tag{TagService, in.key.label()}, tag{TagSplit, ""}, tag{TagGrant, Denied})
		s.tcp = extensionResource(tcpName(in.key), tcpProxy("denied", clusterDenied, p.tcpLog(tags)))
	}
	return s
}

// refuse answers every request with 403; the connection manager gives it its
// text.
func refuse(service string) *routev3.Route {
	metadata := map[string]string{"side": "client", "grant": Denied}
	if service != "" {
		metadata["service"] = service
	}
	return &routev3.Route{Match: everything(), Action: directResponse(403, "smi: denied\n"), Metadata: routeMetadata(metadata)}
}

// proxyInputs are what the HTTP proxy of a pod depends on.
type proxyInputs struct {
	address string
	port    uint16
	source  mesh.Principal
}

// ProxyName is the name of the route configuration of a pod's HTTP proxy, and
// ListenerOutbound that of its listener.
const (
	ProxyName        = "proxy"
	ListenerOutbound = "outbound"
)

// buildProxy is the listener that a pod's application uses as its HTTP proxy.
func buildProxy(p *parts, in proxyInputs) *Resource {
	anywhere := p.templates.get(templateKey{kind: "outbound", port: in.port}, func() proto.Message {
		return &listenerv3.Listener{
			Name:             ListenerOutbound,
			Address:          socketAddress(hole(1), in.port),
			TcpKeepalive:     keepalive.TcpKeepalive,
			TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		}
	})
	own := p.ownChain.piece(string(in.source), SourceName(in.source))
	a := newAssembly(3)
	a.fields(anywhere.piece(in.address))
	a.message(fieldFilterChains, own, p.proxyHTTP)
	return a.piece().resource(ListenerOutbound, typeURL(&listenerv3.Listener{}))
}
