package envoy

import (
	"encoding/hex"

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
	// Body is the content.
	Body *anypb.Any
}

// newResource encodes a message.
func newResource(name string, message proto.Message) *Resource {
	return newPiece(message).resource(name, typeURL(message))
}

// resource makes a piece that is a whole message of that type a resource.
func (p piece) resource(name, url string) *Resource {
	return &Resource{
		Type:    url,
		Name:    name,
		Version: hex.EncodeToString(p.sum[:8]),
		Body:    &anypb.Any{TypeUrl: url, Value: p.bytes()},
	}
}
