package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/smi-project/smi/mesh"
)

// buildEndpoints are the endpoints of a Service's port.
func buildEndpoints(p *parts, port *mesh.ServicePort) *Resource {
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: outboundName(keyOf(port))}
	locality := &endpointv3.LocalityLbEndpoints{}
	for i := range port.Endpoints {
		if e := &port.Endpoints[i]; e.Address != "" {
			locality.LbEndpoints = append(locality.LbEndpoints, lbEndpoint(p.TrustDomain, e))
		}
	}
	if len(locality.LbEndpoints) > 0 {
		assignment.Endpoints = []*endpointv3.LocalityLbEndpoints{locality}
	}
	return newResource(assignment.ClusterName, assignment)
}

// lbEndpoint says who answers at the address, for the choice of a TLS context
// and for the access log.
func lbEndpoint(trustDomain string, e *mesh.Endpoint) *endpointv3.LbEndpoint {
	match := matchPlaintext
	who := map[string]string{"pod": e.Pod.Name, "workload": e.Workload}
	if e.Meshed {
		match = e.Account.String()
		who["principal"] = string(mesh.PrincipalOf(trustDomain, e.Account))
	}
	return &endpointv3.LbEndpoint{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(e.Address, e.Port)}},
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			"envoy.transport_socket_match": stringStruct(map[string]string{metadataSMI: match}),
			metadataSMI:                    stringStruct(who),
		}},
	}
}
