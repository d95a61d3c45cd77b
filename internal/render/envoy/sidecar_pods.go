package envoy

import (
	"net/netip"
	"slices"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/smi-project/smi/mesh"
)

// podsName is the name of the cluster of an account's pods.
func podsName(a mesh.Account) string { return pods + "|" + a.String() }

// buildPodCluster is the cluster of an account's pods, each of which is called
// by its own address. It accepts the identity of the account and no other
// (ID-6).
func buildPodCluster(p *parts, account mesh.Account) *Resource {
	c := originalCluster(podsName(account))
	c.TransportSocket = clientTLS(mesh.PrincipalOf(p.TrustDomain, account))
	return newResource(c.Name, c)
}

// buildPodChain is the chain to an account's pods, the same for all who send. There
// is no split (TS-1), and what is sent is judged at the destination, so bytes pass as
// they are, HTTP included. A connection of the application is then one to that pod
// and lives as long: a pod that ends, or that asks for the connection to be closed,
// asks the application itself, which can look for another one.
func buildPodChain(p *parts, account mesh.Account) piece {
	tags := with(clientTags(), tag{TagSide, "client"}, tag{TagDestination, string(mesh.PrincipalOf(p.TrustDomain, account))},
		tag{TagWorkload, ""}, tag{TagPod, ""}, tag{TagService, ""}, tag{TagBackend, ""}, tag{TagSplit, ""}, tag{TagGrant, ""})
	proxy := tcpProxy(pods, podsName(account), p.tcpLog(tags))
	return podChain(account.String(), tcpFilter(proxy))
}

// closedPods are the chains of what is called by an address and may not be. A
// connection that was refused must not be kept: it would be refused for ever,
// whatever is granted meanwhile.
func closedPods(p *parts) []piece {
	refused := &routev3.RouteConfiguration{Name: pods, VirtualHosts: []*routev3.VirtualHost{
		{Name: chainDenied, Domains: []string{"*"}, Routes: []*routev3.Route{refuse("")}},
	}}
	return []piece{
		podChain(chainHTTP, httpManagerFilter(p.httpManager(httpConfig{
			stats: pods, routes: refused, forbidden: forbiddenHere, tags: byItsAddress(clientTags()), once: true,
		}))),
		podChain(chainDenied, tcpFilter(tcpProxy("denied", clusterDenied, p.tcpLog(byItsAddress(deniedTags))))),
	}
}

// byItsAddress has a call that is refused counted by the address that it was for
// (AC-12): the class knows no Service there.
func byItsAddress(tags []tag) []tag { return with(tags, tag{TagService, "%DOWNSTREAM_LOCAL_ADDRESS%"}) }

// podChain is a chain without its first filter, which is the sender's.
func podChain(name string, filter *listenerv3.Filter) piece {
	return newPiece(&listenerv3.FilterChain{Name: name, Filters: []*listenerv3.Filter{filter}})
}

// podListener takes what is called by the address of a pod, and what a class
// does not reach: HTTP gets a 403 there, and other connections are closed
// (AC-12).
func podListener(p *parts, sender *piece, groups []*mesh.PodGroup, chains []piece) *Resource {
	l := &listenerv3.Listener{
		Name:              pods,
		ListenerSpecifier: &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}},
		ListenerFilters:   originalDestination,
	}
	sniff(l)
	// Where the server may speak first, nothing is waited for (PR-2).
	l.ListenerFilters[len(l.ListenerFilters)-1].FilterDisabled = onPorts(silentPorts(groups))
	l.FilterChainMatcher = podMatcher(groups)
	all := slices.Concat(p.closedPods, chains)
	a := newAssembly(1 + 2*len(all))
	a.fields(newPiece(l))
	for _, c := range all {
		a.message(fieldFilterChains, *sender, c)
	}
	return a.piece().resource(l.Name, typeURL(l))
}

// podMatcher chooses a chain by the address that a connection was going to, and for
// one that may not be called by what the connection speaks.
func podMatcher(groups []*mesh.PodGroup) *xdsmatcherv3.Matcher {
	reached := make([]addressRange, len(groups))
	for i, g := range groups {
		reached[i] = addressRange{singles(g.Addresses), toChain(g.Account.String())}
	}
	return byAddress(reached, chosenBy(byProtocol(toChain(chainHTTP), toChain(chainDenied))))
}

func chosenBy(m *xdsmatcherv3.Matcher) *xdsmatcherv3.Matcher_OnMatch {
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Matcher{Matcher: m}}
}

// candidates are the ports of a group that may speak TCP.
func candidates(g *mesh.PodGroup) []uint16 {
	ports := mesh.ServerFirst()
	for _, p := range g.Ports {
		if p.Number != mesh.AnyPort {
			ports = append(ports, p.Number)
		}
	}
	return ports
}

// silentPorts are the ports that speak TCP in all groups, sorted.
func silentPorts(groups []*mesh.PodGroup) []uint16 {
	all := mesh.ServerFirst()
	for _, g := range groups {
		all = append(all, candidates(g)...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(port uint16) bool {
		return slices.ContainsFunc(groups, func(g *mesh.PodGroup) bool { return g.Protocol(port) != mesh.TCP })
	})
}

func singles(addresses []netip.Addr) []netip.Prefix {
	out := make([]netip.Prefix, len(addresses))
	for i, a := range addresses {
		out[i] = netip.PrefixFrom(a, a.BitLen())
	}
	return out
}
