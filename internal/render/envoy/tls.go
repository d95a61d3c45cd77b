package envoy

import (
	"regexp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	internalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/mesh"
)

func transportSocket(name string, message proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: name, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(message)}}
}

// secret refers to a secret that the agent serves.
func secret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType:                   corev3.ApiConfigSource_GRPC,
			TransportApiVersion:       corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices:              []*corev3.GrpcService{grpcService(ClusterSDS)},
		}},
	}}
}

func grpcService(cluster string) *corev3.GrpcService {
	return &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster},
	}}
}

// commonTLS presents the workload's certificate and accepts peers whose chain
// ends in the mesh's roots and whose only identity the matcher accepts (ID-2).
func commonTLS(identity *matcherv3.StringMatcher) *tlsv3.CommonTlsContext {
	return &tlsv3.CommonTlsContext{
		TlsParams:                      &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secret(SecretDefault)},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext: &tlsv3.CertificateValidationContext{
					MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
						SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: identity,
					}},
				},
				ValidationContextSdsSecretConfig: secret(SecretRoot),
			},
		},
	}
}

// serverTLS requires a certificate of the trust domain. The form of the identity
// keeps anything but one account's name out of what authorisation looks up.
func serverTLS(trustDomain string, protocols ...string) *corev3.TransportSocket {
	common := commonTLS(regexMatcher(regexp.QuoteMeta("spiffe://"+trustDomain+"/ns/") + `[a-z0-9-]+/sa/[a-z0-9.-]+`))
	common.AlpnProtocols = protocols
	return transportSocket("envoy.transport_sockets.tls", &tlsv3.DownstreamTlsContext{
		CommonTlsContext: common, RequireClientCertificate: yes(),
		// A resumed session is served without another look at the certificate, so
		// a ticket would outlive the certificate that it stands for, by days.
		SessionTicketKeysType:            &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true},
		DisableStatefulSessionResumption: true,
	})
}

// clientTLS accepts exactly one identity (ID-6).
func clientTLS(p mesh.Principal) *corev3.TransportSocket {
	return transportSocket("envoy.transport_sockets.tls", &tlsv3.UpstreamTlsContext{CommonTlsContext: commonTLS(exactMatcher(string(p)))})
}

// refuseAll accepts no identity: the endpoint fails instead of being trusted.
func refuseAll() *corev3.TransportSocket { return clientTLS("nobody") }

func plaintext() *corev3.TransportSocket {
	return transportSocket("envoy.transport_sockets.raw_buffer", &rawv3.RawBuffer{})
}

// toInternal carries what filters have shared to an internal listener.
func toInternal() *corev3.TransportSocket {
	return transportSocket("envoy.transport_sockets.internal_upstream", &internalv3.InternalUpstreamTransport{
		TransportSocket: plaintext(),
	})
}

func exactMatcher(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

func regexMatcher(expr string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: expr},
	}}
}
