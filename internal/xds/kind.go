package xds

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/smi-project/smi/internal/render/envoy"
)

// AccessPrefix begins the names of the extension configurations that hold access
// rules. They are sent before and beside everything else (AC-17).
const AccessPrefix = "access|"

// kind is a type of resource that the server knows.
type kind uint8

const (
	clusters kind = iota
	endpoints
	secrets
	listeners
	routes
	scopedRoutes
	extensions
	kindCount
)

var typeURLs = [kindCount]string{
	clusters:     "type.googleapis.com/envoy.config.cluster.v3.Cluster",
	endpoints:    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
	secrets:      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
	listeners:    "type.googleapis.com/envoy.config.listener.v3.Listener",
	routes:       "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
	scopedRoutes: "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
	extensions:   "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
}

func kindOf(typeURL string) (kind, bool) {
	for k, url := range typeURLs {
		if url == typeURL {
			return kind(k), true
		}
	}
	return 0, false
}

// String is the name of the type without its package, such as "Cluster".
func (k kind) String() string {
	return typeURLs[k][strings.LastIndexByte(typeURLs[k], '.')+1:]
}

// collection tells whether a first request without names means all resources of
// the kind. For the other kinds it means none.
func (k kind) collection() bool {
	return k == clusters || k == listeners || k == scopedRoutes
}

// answersAbsent tells whether a proxy that asks for a name which does not exist
// is told so. Envoy stops waiting for endpoints and for collections then. For
// the other kinds it ignores what it is told, but takes it for an answer: the
// timeout of its wait ends and the listener is never served. Without an answer
// it is served after that timeout, without what is missing, which denies.
func (k kind) answersAbsent() bool { return k == endpoints || k.collection() }

// endpointsOf returns the name of the endpoints that a cluster gets by EDS, and
// whether it does. It reads the three fields it needs from the wire, since this
// is asked for every cluster that is sent to every proxy.
//
// The fields are those of envoy.config.cluster.v3.Cluster: type is 2,
// eds_cluster_config is 3, and in the latter service_name is 2.
func endpointsOf(cluster *envoy.Resource) (string, bool) {
	const fieldType, fieldConfig, fieldServiceName, edsType = 2, 3, 2, 3
	name, eds := cluster.Name, false
	eachField(cluster.Bytes(), func(field protowire.Number, number uint64, bytes []byte) {
		switch field {
		case fieldType:
			eds = number == edsType
		case fieldConfig:
			eachField(bytes, func(field protowire.Number, _ uint64, bytes []byte) {
				if field == fieldServiceName && len(bytes) > 0 {
					name = string(bytes)
				}
			})
		}
	})
	return name, eds
}

// eachField calls visit for every varint and every length-delimited field of a
// message, and ends at the first thing that is not one.
func eachField(message []byte, visit func(field protowire.Number, number uint64, bytes []byte)) {
	for len(message) > 0 {
		field, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		switch wire {
		case protowire.VarintType:
			var number uint64
			number, n = protowire.ConsumeVarint(message)
			visit(field, number, nil)
		case protowire.BytesType:
			var bytes []byte
			bytes, n = protowire.ConsumeBytes(message)
			visit(field, 0, bytes)
		default:
			n = protowire.ConsumeFieldValue(field, wire, message)
		}
		if n < 0 {
			return
		}
		message = message[n:]
	}
}
