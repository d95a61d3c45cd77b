package envoy

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// A filled template is the message that would be built with the same strings,
// whatever their lengths, in fields, maps and packed messages alike.
func TestTemplate(t *testing.T) {
	build := func(name, account string) *clusterv3.Cluster {
		return &clusterv3.Cluster{
			Name: name, AltStatName: "x|" + name + "|" + account, TransportSocket: clientTLS(mesh.Principal("spiffe://" + account)),
			TransportSocketMatches: []*clusterv3.Cluster_TransportSocketMatch{socketMatch(account, clientTLS("nobody")), socketMatch("none", plaintext())},
			Metadata:               routeMetadata(map[string]string{"a": "b", "service": name + account}), CommonLbConfig: noPanic,
		}
	}
	template := newTemplate(build(hole(1), hole(2)))
	for _, size := range []int{1, 2, 90, 127, 128, 129, 20_000} {
		name, account := strings.Repeat("n", size), "a/"+strings.Repeat("b", size/2)
		got := &clusterv3.Cluster{}
		if err := proto.Unmarshal(template.fill([]byte("\x0a\x01x"), name, account), got); err != nil {
			t.Fatal(err)
		}
		if want := build(name, account); !proto.Equal(want, got) {
			t.Errorf("of size %d: got %v, want %v", size, got, want)
		}
	}
}

// Numbers that are the byte of a hole's mark are no holes.
func TestTemplateOfNumbers(t *testing.T) {
	build := func(on string) *routev3.RetryPolicy {
		return &routev3.RetryPolicy{RetryOn: on, NumRetries: wrapperspb.UInt32(1), RetriableStatusCodes: []uint32{1, 129, 1}}
	}
	got := &routev3.RetryPolicy{}
	if err := proto.Unmarshal(newTemplate(build(hole(1))).fill(nil, "reset"), got); err != nil {
		t.Fatal(err)
	}
	if want := build("reset"); !proto.Equal(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Templates of numbers do not gather for ever.
func TestTemplatesAreBounded(t *testing.T) {
	kept := templates{}
	for port := range uint16(3 * maxTemplates) {
		kept.get(templateKey{kind: "name", port: port}, func() proto.Message { return &clusterv3.Cluster{Name: hole(1)} })
	}
	if len(kept) > maxTemplates {
		t.Errorf("%d are kept, of at most %d", len(kept), maxTemplates)
	}
}
