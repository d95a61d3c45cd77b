package envoy

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"

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
