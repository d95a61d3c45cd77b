package agent

import (
	"errors"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/internal/identity"
)

// xdsCluster is the xDS server: mutual TLS 1.3 with the pod's own certificate,
// and only with a server that proves the given identity (ID-6), whatever its
// address.
func xdsCluster(cfg BootstrapConfig) (*clusterv3.Cluster, error) {
	host, port, literal, err := hostPort(cfg.XDSAddress)
	if err != nil {
		return nil, err
	}
	if cfg.XDSServer == "" {
		return nil, errors.New("the identity of the xDS server is needed")
	}
	kind := clusterv3.Cluster_LOGICAL_DNS
	if literal {
		kind = clusterv3.Cluster_STATIC
	}
	context, err := anypb.New(&tlsv3.UpstreamTlsContext{
		Sni: identity.XDSServerName,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols: []string{"h2"},
			TlsParams: &tlsv3.TlsParameters{
				TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
				TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secretSource(SecretIdentity)},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext: &tlsv3.CertificateValidationContext{
						MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
							SanType: tlsv3.SubjectAltNameMatcher_URI,
							Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: string(cfg.XDSServer)}},
						}},
					},
					ValidationContextSdsSecretConfig: secretSource(SecretRoots),
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
	c := grpcCluster(XDSCluster, kind, address)
	if !literal {
		// The name may have addresses of a family that the pod does not: whichever
		// answers is taken.
		c.DnsLookupFamily = clusterv3.Cluster_ALL
	}
	c.TransportSocket = &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: context},
	}
	// A server that vanished without a word is noticed within half a minute. The
	// kernel asks and not HTTP/2: gRPC servers close connections that ping more
	// often than they were told to allow.
	c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
		KeepaliveTime: wrapperspb.UInt32(15), KeepaliveInterval: wrapperspb.UInt32(5), KeepaliveProbes: wrapperspb.UInt32(3),
	}}
	return c, nil
}

// agentCluster is the agent itself, at its Unix socket.
func agentCluster(name, socket string) *clusterv3.Cluster {
	return grpcCluster(name, clusterv3.Cluster_STATIC, &corev3.Address{
		Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: socket}},
	})
}

func grpcCluster(name string, kind clusterv3.Cluster_DiscoveryType, address *corev3.Address) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: kind},
		ConnectTimeout:                durationpb.New(connectTimeout),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2()},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}},
			}}}},
		},
	}
}

func http2() *anypb.Any {
	options, err := anypb.New(&upstreamhttpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
				},
			},
		},
	})
	if err != nil {
		panic(err) // A constant message always marshals.
	}
	return options
}

// secretSource is where Envoy gets a secret from: the agent, by delta SDS.
func secretSource(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: grpcSource(SDSCluster)},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}}
}
