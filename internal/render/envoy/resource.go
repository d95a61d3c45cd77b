package envoy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

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

// newResource marshals a message deterministically and hashes it.
func newResource(name string, message proto.Message) *Resource {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		// Only an invalid UTF-8 string or a missing required field does this, and
		// compile lets neither through.
		panic(fmt.Sprintf("render/envoy: resource %s: %v", name, err))
	}
	sum := sha256.Sum256(body)
	url := "type.googleapis.com/" + string(message.ProtoReflect().Descriptor().FullName())
	return &Resource{
		Type:    url,
		Name:    name,
		Version: hex.EncodeToString(sum[:8]),
		Body:    &anypb.Any{TypeUrl: url, Value: body},
	}
}
