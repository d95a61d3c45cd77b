package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/smi-project/smi/mesh"
)

// buildEndpoints are the endpoints of a Service's port.
func buildEndpoints(p *parts, port *mesh.ServicePort) *Resource {
	const fieldEndpoints = 2 // of a ClusterLoadAssignment
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: outboundName(keyOf(port))}
	b := encode(assignment)
	var locality []byte
	for i := range port.Endpoints {
		if e := &port.Endpoints[i]; e.Address != "" {
			locality = p.appendEndpoint(locality, e)
		}
	}
	if len(locality) > 0 {
		b = protowire.AppendBytes(protowire.AppendTag(b, fieldEndpoints, protowire.BytesType), locality)
	}
	return newRaw(b).resource(assignment.ClusterName, typeURL(assignment))
}

// appendEndpoint adds an endpoint to a locality.
func (p *parts) appendEndpoint(locality []byte, e *mesh.Endpoint) []byte {
	if e.Meshed {
		meshed := p.templates.get(templateKey{kind: "endpoint", port: e.Port}, func() proto.Message {
			return anEndpoint(e.Port, hole(4), map[string]string{"pod": hole(2), "workload": hole(3), "principal": hole(5)})
		})
		return meshed.fill(locality, e.Address, e.Pod.Name, e.Workload, e.Account.String(), string(mesh.PrincipalOf(p.TrustDomain, e.Account)))
	}
	plain := p.templates.get(templateKey{kind: "plaintext endpoint", port: e.Port}, func() proto.Message {
		return anEndpoint(e.Port, matchPlaintext, map[string]string{"pod": hole(2), "workload": hole(3)})
	})
	return plain.fill(locality, e.Address, e.Pod.Name, e.Workload)
}

// anEndpoint is a locality with one endpoint at the address of the first hole.
// It says who answers there, for the choice of a TLS context and for the access
// log.
func anEndpoint(port uint16, match string, who map[string]string) *endpointv3.LocalityLbEndpoints {
	return &endpointv3.LocalityLbEndpoints{LbEndpoints: []*endpointv3.LbEndpoint{{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(hole(1), port)}},
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			"envoy.transport_socket_match": stringStruct(map[string]string{metadataSMI: match}),
			metadataSMI:                    stringStruct(who),
		}},
	}}}
}
