package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"

	"github.com/smi-project/smi/mesh"
)

// parts are what every resource of a mesh shares, packed once. They never
// change, but for templates that are added.
type parts struct {
	Options

	serverHTTP *corev3.TransportSocket
	serverTCP  *corev3.TransportSocket
	plaintext  *corev3.TransportSocket
	toInternal *corev3.TransportSocket
	// refuseAll is a TLS context that accepts no identity.
	refuseAll *corev3.TransportSocket

	tlsInspector []*listenerv3.ListenerFilter
	peer         *listenerv3.Filter
	sharedPeer   *listenerv3.Filter
	noPeer       *listenerv3.Filter
	// sharedPeerOnCluster and noPeerOnCluster also tell where a connection was going.
	sharedPeerOnCluster, noPeerOnCluster *listenerv3.Filter
	// serviceCluster, accountMatch and plaintextMatch are parts of a cluster (see
	// buildCluster); the holes of the second are an account and its principal.
	serviceCluster *template
	accountMatch   *template
	plaintextMatch []byte
	// serviceHost is a virtual host without domains; its holes are its name, the
	// cluster of a Service's port and the port's label.
	serviceHost *template
	// ownChain is a filter chain that states who sends; its holes are the
	// principal and its server name.
	ownChain  *template
	templates templates
	// proxyHTTP is the last filter of the HTTP proxy, as a filter chain.
	proxyHTTP piece
	// proxyRoutes are the routes of a class that reaches nothing.
	proxyRoutes piece
	// sender is a filter chain that states who sends, and nothing more; its holes are
	// the principal and its server name.
	sender *template
	// refused is what chains that deliver nothing have beside their heads.
	refused piece
	// closedPorts are the chains of ports that no rule opens.
	closedPorts []chain
	// closedPods are the chains of what is called by an address and may not be, without
	// their first filter, which is the sender's.
	closedPods []piece
	// refusedLog records connections that no filter chain took.
	refusedLog []*accesslogv3.AccessLog
}

func newParts(o Options) *parts {
	p := &parts{
		Options:      o,
		serverHTTP:   serverTLS(o.TrustDomain, "h2", "http/1.1"),
		serverTCP:    serverTLS(o.TrustDomain),
		plaintext:    plaintext(),
		toInternal:   toInternal(),
		refuseAll:    refuseAll(),
		tlsInspector: []*listenerv3.ListenerFilter{listenerFilter("envoy.filters.listener.tls_inspector", &tlsinspectorv3.TlsInspector{})},
		peer:         peerIdentity(),
		sharedPeer:   sharedPeerIdentity(),
		noPeer:       noIdentity(),

		sharedPeerOnCluster: sharedPeerOnCluster(), noPeerOnCluster: noPeerOnCluster(),
		accountMatch: newTemplate(meeting(hole(1), clientTLS(mesh.Principal(hole(2))))),
		serviceHost:  newTemplate(virtualHost(hole(1), nil, []*routev3.Route{serviceRoute(hole(2), hole(3))})),
		ownChain:     newTemplate(&listenerv3.FilterChain{Name: chainHTTP, Filters: []*listenerv3.Filter{identityFilter(hole(1), hole(2))}}),
		templates:    templates{},
	}
	p.serviceCluster = serviceClusterTemplate(p.refuseAll)
	p.plaintextMatch = encode(meeting(matchPlaintext, p.plaintext))
	p.refusedLog = onlyRefused(o.tcpLog([]tag{{TagSide, "server"}, {TagGrant, Denied}}))
	p.proxyRoutes = newPiece(&routev3.RouteConfiguration{
		Name: ProxyName, VirtualHosts: []*routev3.VirtualHost{everythingElse}, ValidateClusters: no(),
	})
	p.sender = newTemplate(&listenerv3.FilterChain{Filters: []*listenerv3.Filter{identityFilter(hole(1), hole(2))}})
	p.refused = refused(p)
	p.closedPorts, p.closedPods = closedPorts(p), closedPods(p)
	p.proxyHTTP = newPiece(&listenerv3.FilterChain{Filters: []*listenerv3.Filter{httpManagerFilter(p.httpManager(httpConfig{
		stats: "outbound", rds: ProxyName, forbidden: forbiddenHere, tags: clientTags(),
	}))}})
	return p
}

// buildSender is the first filter of all that one source sends through: it states
// who that is. All chains of the source have it in memory once.
func buildSender(p *parts, source mesh.Principal) *piece {
	sender := p.sender.piece(string(source), SourceName(source))
	return &sender
}
