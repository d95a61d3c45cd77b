package envoy

import (
	"net/netip"
	"slices"
	"strconv"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"

	"github.com/smi-project/smi/mesh"
)

// podsName is the name of the cluster of an account's pods.
func podsName(a mesh.Account) string { return pods + "|" + a.String() }

// podChainName is the name of a chain for an account's pods.
func podChainName(kind string, a mesh.Account) string { return kind + "|" + a.String() }

// buildPodCluster is the cluster of an account's pods, each of which is called
// by its own address. It accepts the identity of the account and no other
// (ID-6).
func buildPodCluster(p *parts, account mesh.Account) *Resource {
	c := originalCluster(podsName(account))
	c.TransportSocket = clientTLS(mesh.PrincipalOf(p.TrustDomain, account))
	return newResource(c.Name, c)
}

// buildPodChains are the chains to an account's pods, for HTTP and for other
// bytes, the same for all who send. There is no split (TS-1).
func buildPodChains(p *parts, account mesh.Account) []namedChain {
	tags := with(clientTags(), tag{TagSide, "client"}, tag{TagDestination, string(mesh.PrincipalOf(p.TrustDomain, account))},
		tag{TagWorkload, ""}, tag{TagPod, ""}, tag{TagService, ""}, tag{TagBackend, ""}, tag{TagSplit, ""})
	route := &routev3.Route{Match: everything(), Action: toCluster(podsName(account)), Metadata: routeMetadata(map[string]string{"side": "client"})}
	tcp := tcpFilter(tcpProxy(pods, podsName(account), p.tcpLog(with(tags, tag{TagGrant, ""}))))
	return []namedChain{
		podChain(podChainName(chainHTTP, account), podHTTP(p, httpConfig{tags: tags}, route)),
		podChain(podChainName(chainTCP, account), tcp),
	}
}

// closedPods are the chains of what is called by an address and may not be. A
// connection that was refused must not be kept: it would be refused for ever,
// whatever is granted meanwhile.
func closedPods(p *parts) []namedChain {
	return []namedChain{
		podChain(chainHTTP, podHTTP(p, httpConfig{tags: byItsAddress(clientTags()), once: true}, refuse(""))),
		podChain(chainDenied, tcpFilter(tcpProxy("denied", clusterDenied, p.tcpLog(byItsAddress(deniedTags))))),
	}
}

// byItsAddress has a call that is refused counted by the address that it was for
// (AC-12): the class knows no Service there.
func byItsAddress(tags []tag) []tag { return with(tags, tag{TagService, "%DOWNSTREAM_LOCAL_ADDRESS%"}) }

func podChain(name string, filter *listenerv3.Filter) namedChain {
	return namedChain{name, newPiece(&listenerv3.FilterChain{Filters: []*listenerv3.Filter{filter}})}
}

func podHTTP(p *parts, c httpConfig, route *routev3.Route) *listenerv3.Filter {
	c.stats, c.forbidden = pods, forbiddenHere
	c.routes = &routev3.RouteConfiguration{Name: pods, VirtualHosts: []*routev3.VirtualHost{virtualHost(pods, []string{"*"}, []*routev3.Route{route})}}
	return httpManagerFilter(p.httpManager(c))
}

// podListener takes what is called by the address of a pod, and what a class
// does not reach: HTTP gets a 403 there, and other connections are closed
// (AC-12).
func podListener(p *parts, source mesh.Principal, groups []*mesh.PodGroup, chains []namedChain) *Resource {
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
		a.message(fieldFilterChains, p.ownHead(c.name, source), c.rest)
	}
	return a.piece().resource(l.Name, typeURL(l))
}

// podMatcher chooses a chain by what a connection speaks and by the address that
// it was going to. Addresses are what there are many of, so nothing is said of
// one of them more than twice.
func podMatcher(groups []*mesh.PodGroup) *xdsmatcherv3.Matcher {
	http, tcp := addressRanges(groups, chainHTTP), addressRanges(groups, chainTCP)
	byBytes := &xdsmatcherv3.Matcher{
		MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{
			Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{{
				Predicate: condition(xdsTyped("protocol", &networkinputv3.ApplicationProtocolInput{}), regexValue(`'(?:http/1\.[01]|h2c)'`)),
				OnMatch:   chosenBy(byAddress(http, toChain(chainHTTP))),
			}},
		}},
		OnNoMatch: chosenBy(byAddress(tcp, toChain(chainDenied))),
	}
	byPort := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	for _, port := range contested(groups) {
		// Bytes say nothing where the port is declared otherwise.
		silent := slices.DeleteFunc(slices.Clone(groups), func(g *mesh.PodGroup) bool { return g.Protocol(port) != mesh.TCP })
		byPort[strconv.Itoa(int(port))] = chosenBy(byAddress(addressRanges(silent, chainTCP), chosenBy(byBytes)))
	}
	if len(byPort) == 0 {
		return byBytes
	}
	return &xdsmatcherv3.Matcher{
		MatcherType: exactMap(xdsTyped("port", &networkinputv3.DestinationPortInput{}), byPort), OnNoMatch: chosenBy(byBytes),
	}
}

// addressRanges lead to the chains of that kind.
func addressRanges(groups []*mesh.PodGroup, kind string) []addressRange {
	out := make([]addressRange, len(groups))
	for i, g := range groups {
		out[i] = addressRange{singles(g.Addresses), toChain(podChainName(kind, g.Account))}
	}
	return out
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

// silentPorts are the ports that speak TCP in all groups, contested those that do
// in some; both are sorted.
func silentPorts(groups []*mesh.PodGroup) []uint16 {
	return portsOf(groups, func(count int) bool { return count == len(groups) })
}

func contested(groups []*mesh.PodGroup) []uint16 {
	return portsOf(groups, func(count int) bool { return count > 0 && count < len(groups) })
}

// portsOf are the ports that so many groups speak TCP on.
func portsOf(groups []*mesh.PodGroup, wanted func(count int) bool) []uint16 {
	all := mesh.ServerFirst()
	for _, g := range groups {
		all = append(all, candidates(g)...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(port uint16) bool {
		count := 0
		for _, g := range groups {
			if g.Protocol(port) == mesh.TCP {
				count++
			}
		}
		return !wanted(count)
	})
}

func singles(addresses []netip.Addr) []netip.Prefix {
	out := make([]netip.Prefix, len(addresses))
	for i, a := range addresses {
		out[i] = netip.PrefixFrom(a, a.BitLen())
	}
	return out
}
