package envoy

import (
	"encoding/hex"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resource is one xDS resource, marshalled once and shared by every proxy that
// receives it. It never changes.
type Resource struct {
	// Type is the type URL, such as type.googleapis.com/envoy.config.cluster.v3.Cluster.
	Type string
	// Name is unique among the resources of that type of one proxy.
	Name string
	// Version is a hash of the content: equal versions of one name are equal.
	Version string
	// Body is the content, a message of the type in wire format. It is in parts,
	// which joined are the message, so that what many resources have in common
	// lies in memory once.
	Body [][]byte
	// Spare tells that nothing else refers to it: it is for a proxy that has asked for
	// it before, and nobody is expected to ask for it now.
	Spare bool
}

// Size is the length of the body.
func (r *Resource) Size() int {
	size := 0
	for _, part := range r.Body {
		size += len(part)
	}
	return size
}

// Bytes is the body in one part, which the caller must not modify. It is a copy
// where the body has several.
func (r *Resource) Bytes() []byte {
	if len(r.Body) == 1 {
		return r.Body[0]
	}
	return slices.Concat(r.Body...)
}

// Any is the body together with its type.
func (r *Resource) Any() *anypb.Any { return &anypb.Any{TypeUrl: r.Type, Value: r.Bytes()} }

// newResource encodes a message.
func newResource(name string, message proto.Message) *Resource {
	return newPiece(message).resource(name, typeURL(message))
}

// resource makes a piece that is a whole message of that type a resource.
func (p piece) resource(name, url string) *Resource {
	return &Resource{
		Type:    url,
		Name:    name,
		Version: hex.EncodeToString(p.sum[:16]),
		Body:    p.segments,
	}
}
