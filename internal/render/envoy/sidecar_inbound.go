package envoy

import (
	"net/netip"
	"slices"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// ListenerInbound is the name of the listener of a pod on a cluster, to which
// all that comes in is redirected.
const ListenerInbound = "inbound"

// originalDestination lets a connection count as one to where it was going.
var originalDestination = []*listenerv3.ListenerFilter{
	listenerFilter("envoy.filters.listener.original_dst", &originalv3.OriginalDst{}),
}

// captured is the listener of all ports of a pod. Its chains are those of the
// ports.
func captured(p *parts, in servedInputs, chains []chain) *Resource {
	l := &listenerv3.Listener{
		Name:             ListenerInbound,
		Address:          socketAddress("0.0.0.0", sidecar.PortInbound),
		ListenerFilters:  slices.Concat(originalDestination, p.tlsInspector),
		AccessLog:        p.refusedLog,
		TcpKeepalive:     keepalive.TcpKeepalive,
		TrafficDirection: corev3.TrafficDirection_INBOUND,
	}
	if in.ipv6 {
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socketAddress("::", sidecar.PortInbound)}}
	}
	if slices.ContainsFunc(in.ports, func(port mesh.InboundPort) bool {
		return (port.Plaintext || !in.mode.Enforced()) && !port.Protocol.SpeaksHTTP()
	}) {
		// A client that waits for the server to speak shows no TLS. The time is that
		// of all ports; on those that are for TLS alone, whoever is slower is refused.
		l.ListenerFiltersTimeout = seconds(sniffSeconds)
		l.ContinueOnListenerFiltersTimeout = true
	}
	return withChains(l, slices.Concat(chains, p.closedPorts)).resource(l.Name, typeURL(l))
}

// closedPorts are the chains of the sidecar's own ports, which no rule opens
// (SP-7). What came to one of them was not redirected: to deliver it would bring
// it here again.
func closedPorts(p *parts) []chain {
	var chains []chain
	for _, port := range mesh.SidecarPorts() {
		chains = append(chains, chain{newPiece(portChain(strconv.Itoa(int(port))+"|refused", port)), p.refused})
	}
	return chains
}

// refused is the rest of a chain from which nothing is delivered.
func refused(p *parts) piece {
	return newPiece(&listenerv3.FilterChain{Filters: []*listenerv3.Filter{
		tcpFilter(tcpProxy("denied", clusterDenied, p.tcpLog([]tag{{TagSide, "server"}, {TagGrant, Denied}}))),
	}})
}

// capturedChains are the chains of one port in the listener of all ports. One of
// them refuses what goes to an address that means something within the pod alone:
// no such thing is ever redirected, and what listens there trusts whoever calls.
// Of the chains of a port, Envoy takes those of the most specific address.
func capturedChains(p *parts, in inboundInputs) []chain {
	match := &listenerv3.FilterChainMatch{PrefixRanges: podOnly}
	if in.port.Number != mesh.AnyPort {
		match.DestinationPort = wrapperspb.UInt32(uint32(in.port.Number))
	}
	within := &listenerv3.FilterChain{Name: strconv.Itoa(int(in.port.Number)) + "|within", FilterChainMatch: match}
	return append(inboundChains(in), chain{newPiece(within), p.refused})
}

var podOnly = cidrRanges(sidecar.PodOnly())

func cidrRanges(prefixes []netip.Prefix) []*corev3.CidrRange {
	ranges := make([]*corev3.CidrRange, len(prefixes))
	for i, p := range prefixes {
		ranges[i] = &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits()))}
	}
	return ranges
}

// deliveryName is the name of the cluster of the application of a pod on a
// cluster.
func deliveryName(protocol mesh.Protocol) string {
	if protocol == mesh.HTTP2 {
		return "application|http2"
	}
	return "application"
}

// buildDelivery is the cluster of the application of a pod on a cluster, where
// it speaks that protocol. It connects to where a connection was going, which is
// an address of the pod, as only such are redirected. No pod's address is in it.
func buildDelivery(_ *parts, protocol mesh.Protocol) *Resource {
	c := originalCluster(deliveryName(protocol))
	c.TypedExtensionProtocolOptions = toApplication(protocol)
	// The redirection lets pass what comes from these addresses.
	c.UpstreamBindConfig = &corev3.BindConfig{
		SourceAddress: &corev3.SocketAddress{Address: sidecar.DeliveryIPv4, PortSpecifier: anyPort},
		ExtraSourceAddresses: []*corev3.ExtraSourceAddress{{
			Address: &corev3.SocketAddress{Address: sidecar.DeliveryIPv6, PortSpecifier: anyPort},
		}},
	}
	return newResource(c.Name, c)
}

var anyPort = &corev3.SocketAddress_PortValue{PortValue: 0}

// originalCluster is a cluster whose only endpoint is where a connection was
// going.
func originalCluster(name string) *clusterv3.Cluster {
	c := cluster(name)
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
	c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	c.CleanupInterval = seconds(60)
	c.TypedExtensionProtocolOptions = sameProtocol
	return c
}

// onPorts is true of connections to one of the ports, which are sorted.
func onPorts(ports []uint16) *listenerv3.ListenerFilterChainMatchPredicate {
	rules := make([]*listenerv3.ListenerFilterChainMatchPredicate, len(ports))
	for i, port := range ports {
		rules[i] = &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange{
			DestinationPortRange: &typev3.Int32Range{Start: int32(port), End: int32(port) + 1},
		}}
	}
	switch len(rules) {
	case 0:
		return nil
	case 1:
		return rules[0]
	}
	return &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_OrMatch{
		OrMatch: &listenerv3.ListenerFilterChainMatchPredicate_MatchSet{Rules: rules},
	}}
}
