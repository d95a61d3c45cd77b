package main

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Types of resources.
const (
	typePrefix    = "type.googleapis.com/envoy.config."
	typeCluster   = typePrefix + "cluster.v3.Cluster"
	typeEndpoints = typePrefix + "endpoint.v3.ClusterLoadAssignment"
	typeListener  = typePrefix + "listener.v3.Listener"
	typeRoutes    = typePrefix + "route.v3.RouteConfiguration"
	typeExtension = typePrefix + "core.v3.TypedExtensionConfig"
)

// received is what a proxy of the fleet wants to know of a response. Thousands
// of proxies in one process would otherwise spend the processor that the server
// needs on decoding what nobody looks at.
type received struct {
	typeURL, nonce string
	bytes          int
	// known is where to look up what resources refer to; nil where nobody asks.
	known *references
	// refers are the names that the resources of the response refer to.
	refers []reference
}

// reference is a name that an Envoy asks for because of what it was sent.
type reference struct{ typeURL, name string }

// references are what resources refer to, by the version of the resource, which
// is a hash of its content: proxies that share a resource look into it once.
type references struct {
	mu    sync.Mutex
	known map[string][]reference
}

func newReferences() *references { return &references{known: map[string][]reference{}} }

// of returns what a resource refers to.
func (r *references) of(typeURL string, version, body []byte) []reference {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.known[string(version)]
	if !ok {
		found = refersTo(typeURL, body)
		r.known[string(version)] = found
	}
	return found
}

// receiving is the codec of the fleet's streams.
type receiving struct{ encoding.CodecV2 }

func newReceiving() receiving { return receiving{encoding.GetCodecV2(grpcproto.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c receiving) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*received)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return r.read(buffer.ReadOnlyData())
}

// read takes a DeltaDiscoveryResponse apart: resources are field 2, type_url 4,
// nonce 5.
func (r *received) read(message []byte) error {
	const fieldResources, fieldType, fieldNonce = 2, 4, 5
	r.bytes, r.refers = len(message), nil
	r.typeURL, r.nonce = string(first(message, fieldType)), string(first(message, fieldNonce))
	if r.typeURL == "" || r.nonce == "" {
		return fmt.Errorf("a response of %d bytes has no type or no nonce", len(message))
	}
	if r.known == nil || (r.typeURL != typeCluster && r.typeURL != typeListener) {
		return nil
	}
	each(message, fieldResources, func(resource []byte) {
		// Of a Resource, version is 1 and resource, an Any, 2; of an Any, value is 2.
		body := first(first(resource, 2), 2)
		r.refers = append(r.refers, r.known.of(r.typeURL, first(resource, 1), body)...)
	})
	return nil
}

// refersTo are the names that Envoy asks for because of a cluster or a listener.
func refersTo(typeURL string, body []byte) []reference {
	if typeURL == typeCluster {
		return endpointsOf(body)
	}
	var found []reference
	seen := map[reference]bool{}
	add := func(r reference) {
		if r.name != "" && !seen[r] {
			seen[r] = true
			found = append(found, r)
		}
	}
	// Of a Listener, filter_chains is 3 and default_filter_chain 25; of those,
	// filters is 3.
	for _, field := range []protowire.Number{3, 25} {
		each(body, field, func(chain []byte) {
			each(chain, 3, func(filter []byte) { filterRefers(filter, add) })
		})
	}
	return found
}

// endpointsOf is the name of the endpoints that a cluster gets by EDS, if it does.
// Of a Cluster, name is 1, type 2, which is 3 for EDS, and eds_cluster_config 3,
// of which service_name is 2.
func endpointsOf(cluster []byte) []reference {
	const eds = 3
	if number(cluster, 2) != eds {
		return nil
	}
	name := first(first(cluster, 3), 2)
	if len(name) == 0 {
		name = first(cluster, 1)
	}
	return []reference{{typeEndpoints, string(name)}}
}

// filterRefers adds what a network filter refers to. Of it, name is 1,
// typed_config 4 and config_discovery 5. Of an HttpConnectionManager, rds is 3, of
// which route_config_name is 2, and http_filters 5, which look like network filters.
func filterRefers(filter []byte, add func(reference)) {
	const connectionManager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	if has(filter, 5) {
		add(reference{typeExtension, string(first(filter, 1))})
	}
	config := first(filter, 4)
	if string(first(config, 1)) != connectionManager {
		return
	}
	manager := first(config, 2)
	add(reference{typeRoutes, string(first(first(manager, 3), 2))})
	each(manager, 5, func(httpFilter []byte) {
		if has(httpFilter, 5) {
			add(reference{typeExtension, string(first(httpFilter, 1))})
		}
	})
}

// each calls visit for every field of a message that has that number and a length,
// until the message ends or makes no sense.
func each(message []byte, field protowire.Number, visit func([]byte)) {
	for len(message) > 0 {
		number, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		if wire == protowire.BytesType {
			value, m := protowire.ConsumeBytes(message)
			if m >= 0 && number == field {
				visit(value)
			}
			n = m
		} else {
			n = protowire.ConsumeFieldValue(number, wire, message)
		}
		if n < 0 {
			return
		}
		message = message[n:]
	}
}

// first is the first field of that number, nil where there is none.
func first(message []byte, field protowire.Number) []byte {
	var found []byte
	each(message, field, func(value []byte) {
		if found == nil {
			found = value
		}
	})
	return found
}

func has(message []byte, field protowire.Number) bool { return first(message, field) != nil }

// number is the field of that number that is a varint, 0 where there is none.
func number(message []byte, field protowire.Number) uint64 {
	for len(message) > 0 {
		at, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0
		}
		message = message[n:]
		if at == field && wire == protowire.VarintType {
			value, _ := protowire.ConsumeVarint(message)
			return value
		}
		if n = protowire.ConsumeFieldValue(at, wire, message); n < 0 {
			return 0
		}
		message = message[n:]
	}
	return 0
}
