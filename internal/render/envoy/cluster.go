package envoy

import (
	"math"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// How long an HTTP connection is kept that carries no request. Who closes one
// cannot know whether a request is on its way, and that one would fail: so it is
// always the side that sends requests, before the other side does.
const (
	// idleSeconds is below the time that sidecars take to drain, in which they ask
	// with every answer that the connection be closed: what is idle until its end
	// has been idle from its beginning.
	idleSeconds = 15
	// idleToApplication is below what servers wait, which is five seconds in some. A
	// connection within the pod costs next to nothing.
	idleToApplication = 3
)

// Constant parts of clusters.
var (
	// sameProtocol speaks to an upstream what the client speaks.
	sameProtocol = protocolOptions(idleSeconds, asDownstream)
	// applicationProtocol speaks to an application what the client speaks,
	// applicationHTTP2 speaks HTTP/2 to one that speaks nothing else.
	applicationProtocol = protocolOptions(idleToApplication, asDownstream)
	applicationHTTP2    = protocolOptions(idleToApplication, &upstreamhttpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		},
	})
	asDownstream = &upstreamhttpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions:  &corev3.Http1ProtocolOptions{EnableTrailers: true},
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
			},
		},
	}
	unlimited = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{
		thresholds(corev3.RoutingPriority_DEFAULT), thresholds(corev3.RoutingPriority_HIGH),
	}}
	keepalive = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
		KeepaliveTime: wrapperspb.UInt32(60), KeepaliveInterval: wrapperspb.UInt32(15), KeepaliveProbes: wrapperspb.UInt32(4),
	}}
	noPanic = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}}
)

func protocolOptions(idle float64, upstream *upstreamhttpv3.HttpProtocolOptions) map[string]*anypb.Any {
	o := &upstreamhttpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: seconds(idle)},
		UpstreamProtocolOptions:   upstream.UpstreamProtocolOptions,
	}
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(o)}
}

// thresholds are as good as none: Envoy's own would refuse a busy service's
// 1025th request.
func thresholds(p corev3.RoutingPriority) *clusterv3.CircuitBreakers_Thresholds {
	most := wrapperspb.UInt32(math.MaxUint32)
	return &clusterv3.CircuitBreakers_Thresholds{
		Priority: p, MaxConnections: most, MaxPendingRequests: most, MaxRequests: most, MaxRetries: most,
	}
}

func cluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                      name,
		ConnectTimeout:            seconds(5),
		CircuitBreakers:           unlimited,
		UpstreamConnectionOptions: keepalive,
		CommonLbConfig:            noPanic,
	}
}

// clusterInputs are what the cluster of a Service's port depends on; whom a
// client may meet there is one string, so that equal sets compare equal.
type clusterInputs struct {
	key portKey
	// accounts are the meshed accounts, as "namespace/name", in order.
	accounts  string
	plaintext bool
}

func clusterInputsOf(port *mesh.ServicePort) clusterInputs {
	in := clusterInputs{key: keyOf(port)}
	var accounts []string
	meet := func(a mesh.Account, meshed bool) {
		if meshed {
			accounts = append(accounts, a.String())
			return
		}
		in.plaintext = true
	}
	for _, d := range port.Destinations {
		meet(d.Account, d.Meshed)
	}
	for _, e := range port.Endpoints {
		meet(e.Account, e.Meshed)
	}
	slices.Sort(accounts)
	in.accounts = strings.Join(slices.Compact(accounts), ",")
	return in
}

// matchPlaintext marks endpoints that are known to be outside the mesh.
const matchPlaintext = "plaintext"

// buildCluster is the cluster of a Service's port. An endpoint is reached by a
// TLS context that accepts its own account and no other (ID-6); one that is
// known to be outside the mesh in plaintext; one that is neither, not at all.
func buildCluster(p *parts, in clusterInputs) *Resource {
	name := outboundName(in.key)
	b := p.serviceCluster.fill(nil, name, in.key.label())
	if in.accounts != "" {
		for _, a := range strings.Split(in.accounts, ",") {
			ns, sa, _ := strings.Cut(a, "/")
			b = p.accountMatch.fill(b, a, string(mesh.PrincipalOf(p.TrustDomain, mesh.Account{Namespace: ns, Name: sa})))
		}
	}
	if in.plaintext {
		b = append(b, p.plaintextMatch...)
	}
	return newRaw(b).resource(name, typeURL(&clusterv3.Cluster{}))
}

// serviceClusterTemplate is the cluster of a Service's port, of which nobody is
// met yet. Its holes are its name and the Service's label.
func serviceClusterTemplate(refuseAll *corev3.TransportSocket) *template {
	c := cluster(hole(1))
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()}
	c.TypedExtensionProtocolOptions = sameProtocol
	c.Metadata = routeMetadata(map[string]string{"service": hole(2)})
	c.TransportSocket = refuseAll
	return newTemplate(c)
}

// meeting is what a cluster has for those that it may meet by that value.
func meeting(value string, socket *corev3.TransportSocket) *clusterv3.Cluster {
	return &clusterv3.Cluster{TransportSocketMatches: []*clusterv3.Cluster_TransportSocketMatch{socketMatch(value, socket)}}
}

func socketMatch(value string, socket *corev3.TransportSocket) *clusterv3.Cluster_TransportSocketMatch {
	return &clusterv3.Cluster_TransportSocketMatch{Name: value, Match: stringStruct(map[string]string{metadataSMI: value}), TransportSocket: socket}
}

func stringStruct(values map[string]string) *structpb.Struct {
	fields := make(map[string]*structpb.Value, len(values))
	for k, v := range values {
		fields[k] = structpb.NewStringValue(v)
	}
	return &structpb.Struct{Fields: fields}
}

// toApplication is how an application is spoken to behind a port of that protocol.
func toApplication(protocol mesh.Protocol) map[string]*anypb.Any {
	if protocol == mesh.HTTP2 {
		return applicationHTTP2
	}
	return applicationProtocol
}

// applicationInputs are what the cluster of the application behind a port
// depends on.
type applicationInputs struct {
	address  string
	port     uint16
	protocol mesh.Protocol
}

// buildApplication is the cluster of the application behind a pod's port.
func buildApplication(p *parts, in applicationInputs) *Resource {
	anywhere := p.templates.get(templateKey{"application", in.port, in.protocol}, func() proto.Message {
		c := cluster(inboundName(in.port))
		c.LoadAssignment = oneEndpoint(c.Name, &endpointv3.Endpoint{Address: socketAddress(hole(1), in.port)})
		c.TypedExtensionProtocolOptions = toApplication(in.protocol)
		return c
	})
	return anywhere.piece(in.address).resource(inboundName(in.port), typeURL(&clusterv3.Cluster{}))
}

// buildInternal is the cluster that leads to the internal listener of its name.
func buildInternal(p *parts, listener string) *Resource {
	c := cluster(listener)
	c.UpstreamConnectionOptions = nil
	c.TypedExtensionProtocolOptions = sameProtocol
	c.TransportSocket = p.toInternal
	c.LoadAssignment = oneEndpoint(c.Name, &endpointv3.Endpoint{Address: &corev3.Address{
		Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
			AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: listener},
		}},
	}})
	return newResource(c.Name, c)
}

func oneEndpoint(cluster string, e *endpointv3.Endpoint) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: e}}},
	}}}
}
