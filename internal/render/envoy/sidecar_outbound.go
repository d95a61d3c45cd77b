package envoy

import (
	"net/netip"
	"strconv"

	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	valuev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	netstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// pods names the internal listener, and the cluster that leads to it, for what
// is called by the address of a pod, or by one that a class does not reach.
const pods = "pods"

// passthrough is the cluster of destinations outside the mesh.
const passthrough = "passthrough"

// captureInputs are what the listener of all that a pod sends depends on: on
// nothing of its class.
type captureInputs struct {
	addresses *mesh.Addresses
	ipv6      bool
}

// chainMesh and chainOutside are chains of the listener.
const (
	chainMesh    = "mesh"
	chainOutside = "outside"
)

// buildCapture is the listener to which all is redirected that the application
// of a pod sends. Envoy hands a connection on to the listener of exactly the
// address that it was going to, where there is one: that of a Service's port
// which the class reaches. What remains is told by its address. A change of
// that changes no filter chain, and so closes nothing.
func buildCapture(p *parts, in captureInputs) *Resource {
	l := &listenerv3.Listener{
		Name:             ListenerOutbound,
		Address:          socketAddress("127.0.0.1", sidecar.PortOutbound),
		ListenerFilters:  originalDestination,
		UseOriginalDst:   yes(),
		TcpKeepalive:     keepalive.TcpKeepalive,
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		FilterChains: []*listenerv3.FilterChain{
			{Name: chainMesh, Filters: []*listenerv3.Filter{
				networkFilter("smi.destination", &netstatev3.Config{OnNewConnection: []*valuev3.FilterStateValue{destination, poolOfItsOwn}}),
				tcpFilter(tcpProxy("handover", pods, nil)),
			}},
			{Name: chainOutside, Filters: []*listenerv3.Filter{tcpFilter(tcpProxy(chainOutside, passthrough, nil))}},
			{Name: chainDenied, Filters: []*listenerv3.Filter{tcpFilter(tcpProxy("denied", clusterDenied, p.tcpLog(deniedTags)))}},
		},
	}
	if in.ipv6 {
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socketAddress("::1", sidecar.PortOutbound)}}
	}
	outside := toChain(chainOutside)
	if p.RefuseOutside {
		outside = toChain(chainDenied)
	}
	l.FilterChainMatcher = captureMatcher(in.addresses, outside)
	return newResource(l.Name, l)
}

// captureMatcher tells by an address, and few times by a port, whether it is in
// the mesh.
func captureMatcher(known *mesh.Addresses, outside *xdsmatcherv3.Matcher_OnMatch) *xdsmatcherv3.Matcher {
	if known == nil {
		known = &mesh.Addresses{}
	}
	ranges := []addressRange{{loopbackAddresses, toChain(chainDenied)}, {known.Inside, toChain(chainMesh)}, {known.Outside, outside}}
	for _, e := range known.Exceptions {
		excluded := map[string]*xdsmatcherv3.Matcher_OnMatch{}
		for _, port := range e.Ports {
			excluded[strconv.Itoa(int(port))] = outside
		}
		ranges = append(ranges, addressRange{e.Addresses, chosenBy(&xdsmatcherv3.Matcher{
			MatcherType: exactMap(xdsTyped("port", &networkinputv3.DestinationPortInput{}), excluded), OnNoMatch: toChain(chainMesh),
		})})
	}
	return byAddress(ranges, outside)
}

// loopbackAddresses are not redirected: who comes from them has called the
// listener itself.
var loopbackAddresses = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// deniedTags describe what a pod was not allowed to send.
var deniedTags = with(clientTags(), tag{TagSide, "client"}, tag{TagService, ""}, tag{TagSplit, ""}, tag{TagGrant, Denied})

// buildPassthrough is the cluster of destinations outside the mesh (PR-5).
func buildPassthrough(_ *parts, _ struct{}) *Resource {
	c := originalCluster(passthrough)
	return newResource(c.Name, c)
}
