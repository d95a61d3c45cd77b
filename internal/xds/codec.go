package xds

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/smi-project/smi/internal/render/envoy"
)

// response is a DeltaDiscoveryResponse that was not marshalled yet.
type response struct {
	kind      kind
	version   string
	nonce     string
	resources []*envoy.Resource
	removed   []string
}

// codec marshals responses without copying the bodies of their resources: what
// ten thousand proxies are about to receive lies in memory once. Everything else
// it leaves to gRPC's own codec.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*response); ok {
		return r.marshal(), nil
	}
	return c.CodecV2.Marshal(v)
}

// maxHead is more than the numbers in the head of a resource take, and than what a
// response begins with unless it removes something.
const maxHead = 128

// marshal writes the wire form. The fields are those of
// envoy.service.discovery.v3.DeltaDiscoveryResponse: system_version_info 1,
// resources 2, type_url 4, nonce 5, removed_resources 6.
func (r *response) marshal() mem.BufferSlice {
	const fieldVersion, fieldResources, fieldType, fieldNonce, fieldRemoved = 1, 2, 4, 5, 6
	parts, heads := 1, maxHead
	for _, resource := range r.resources {
		parts += 1 + len(resource.Body)
		heads += maxHead + len(resource.Type) + len(resource.Name) + len(resource.Version)
	}
	buffers := make(mem.BufferSlice, 0, parts)
	// The heads of all resources lie in one piece of memory.
	head := make([]byte, 0, heads)
	head = appendString(head, fieldVersion, r.version)
	head = appendString(head, fieldType, typeURLs[r.kind])
	head = appendString(head, fieldNonce, r.nonce)
	for _, name := range r.removed {
		head = appendString(head, fieldRemoved, name)
	}
	for _, resource := range r.resources {
		head = protowire.AppendTag(head, fieldResources, protowire.BytesType)
		head = appendResource(head, resource)
		buffers = append(buffers, mem.SliceBuffer(head[:len(head):len(head)]))
		for _, part := range resource.Body {
			buffers = append(buffers, mem.SliceBuffer(part))
		}
		head = head[len(head):]
	}
	if len(head) > 0 {
		buffers = append(buffers, mem.SliceBuffer(head))
	}
	return buffers
}

// appendResource writes a envoy.service.discovery.v3.Resource with its length,
// all but the bytes of the body, which follow: version is 1, resource 2, name 3;
// in the Any, type_url is 1 and value 2.
func appendResource(b []byte, r *envoy.Resource) []byte {
	const fieldVersion, fieldBody, fieldName, anyType, anyValue = 1, 2, 3, 1, 2
	value := r.Size()
	body := sizeString(anyType, r.Type) + protowire.SizeTag(anyValue) + protowire.SizeBytes(value)
	size := sizeString(fieldVersion, r.Version) + sizeString(fieldName, r.Name) + protowire.SizeTag(fieldBody) + protowire.SizeBytes(body)

	b = protowire.AppendVarint(b, uint64(size))
	b = appendString(b, fieldVersion, r.Version)
	b = appendString(b, fieldName, r.Name)
	b = protowire.AppendTag(b, fieldBody, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(body))
	b = appendString(b, anyType, r.Type)
	b = protowire.AppendTag(b, anyValue, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(value))
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func sizeString(field protowire.Number, s string) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(len(s))
}
