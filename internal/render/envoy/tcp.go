package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// clusterDenied is a cluster without endpoints: a connection that is sent there
// is closed at once, and the access log records it.
const clusterDenied = "denied"

func buildDenied(_ *parts, _ struct{}) *Resource {
	return newResource(clusterDenied, &clusterv3.Cluster{Name: clusterDenied, ConnectTimeout: seconds(1)})
}

// tcpProxy sends a connection's bytes to a cluster. The mesh adds no timeout.
func tcpProxy(stats, cluster string, logs []*accesslogv3.AccessLog) *tcpv3.TcpProxy {
	return &tcpv3.TcpProxy{
		StatPrefix:       stats,
		ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster},
		IdleTimeout:      seconds(0),
		AccessLog:        logs,
	}
}

func tcpFilter(p *tcpv3.TcpProxy) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.tcp_proxy", p)
}

// earlyBytes is how much a client may send while its handshake completes.
const earlyBytes = 64 << 10

// handOver passes decrypted connections on to the port's internal listener, once
// it is known whose they are.
func handOver(port uint16) *listenerv3.Filter {
	p := tcpProxy("handover", innerName(port), nil)
	p.UpstreamConnectMode = tcpv3.UpstreamConnectMode_ON_DOWNSTREAM_TLS_HANDSHAKE
	p.MaxEarlyDataBytes = wrapperspb.UInt32(earlyBytes)
	return tcpFilter(p)
}

// handOverPlain passes connections without identity on.
func handOverPlain(port uint16) *listenerv3.Filter {
	return tcpFilter(tcpProxy("handover", innerName(port), nil))
}

// connectAttempts is how many endpoints are tried in turn for a connection, of which
// nothing has been sent before one of them has taken it (PR-4).
const connectAttempts = 3

func tcpName(k portKey) string { return "tcp|" + k.String() }

// buildTCP is where connections to a Service's port go: by ECDS, since a change
// inside a listener closes connections (TS-11).
func buildTCP(p *parts, port *mesh.ServicePort) *Resource {
	key := keyOf(port)
	proxy := tcpProxy("outbound", outboundName(key), nil)
	tags := []tag{{TagSide, "client"}, {TagService, key.label()}, {TagSplit, ""}, {TagGrant, ""}}
	if split := connectionSplit(port); split != nil {
		tags[2].format = split.Name.String()
		proxy.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: tcpWeights(split)}
	}
	proxy.MaxConnectAttempts = wrapperspb.UInt32(connectAttempts)
	proxy.AccessLog = p.tcpLog(with(clientTags(), tags...))
	return extensionResource(tcpName(key), proxy)
}

// connectionSplit is the split that applies to connections: the one without
// matches (TS-9).
func connectionSplit(port *mesh.ServicePort) *mesh.Split {
	for _, s := range port.Splits {
		if s.Matches == nil && len(s.Backends) > 0 {
			return s
		}
	}
	return nil
}

func tcpWeights(split *mesh.Split) *tcpv3.TcpProxy_WeightedCluster {
	out := &tcpv3.TcpProxy_WeightedCluster{}
	weights := scaledWeights(split)
	for i, b := range split.Backends {
		if weights[i] > 0 {
			out.Clusters = append(out.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{
				Name: outboundName(portKey{b.Service, b.Port}), Weight: weights[i],
			})
		}
	}
	return out
}

// discoveredTCP is the network filter that takes its weights from the resource
// of that name.
func discoveredTCP(resource string) *listenerv3.Filter {
	return &listenerv3.Filter{
		Name:       resource,
		ConfigType: &listenerv3.Filter_ConfigDiscovery{ConfigDiscovery: discovered(&tcpv3.TcpProxy{})},
	}
}
