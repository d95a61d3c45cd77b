package xds

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/smi-project/smi/internal/render/envoy"
)

// What the codec writes is what the generated code reads.
func TestCodec(t *testing.T) {
	body := make([]byte, 70_000)
	for name, c := range map[string]struct {
		in   *response
		want *discovery.DeltaDiscoveryResponse
	}{
		"empty": {
			&response{kind: clusters, version: "v", nonce: "1"},
			&discovery.DeltaDiscoveryResponse{SystemVersionInfo: "v", TypeUrl: typeURLs[clusters], Nonce: "1"},
		},
		"removed only": {
			&response{kind: endpoints, version: "v", nonce: "2", removed: []string{"a", "b"}},
			&discovery.DeltaDiscoveryResponse{SystemVersionInfo: "v", TypeUrl: typeURLs[endpoints], Nonce: "2", RemovedResources: []string{"a", "b"}},
		},
		"resources": {
			&response{kind: routes, version: "v", nonce: "3", removed: []string{"x"}, resources: []*envoy.Resource{
				{Name: "a", Version: "1", Type: typeURLs[routes], Body: [][]byte{body[:len(body)/2], body[len(body)/2:]}},
				{Name: "b", Version: "2", Type: typeURLs[routes]},
			}},
			&discovery.DeltaDiscoveryResponse{
				SystemVersionInfo: "v", TypeUrl: typeURLs[routes], Nonce: "3", RemovedResources: []string{"x"},
				Resources: []*discovery.Resource{
					{Name: "a", Version: "1", Resource: &anypb.Any{TypeUrl: typeURLs[routes], Value: body}},
					{Name: "b", Version: "2", Resource: &anypb.Any{TypeUrl: typeURLs[routes]}},
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := newCodec().Marshal(c.in)
			if err != nil {
				t.Fatal(err)
			}
			got := &discovery.DeltaDiscoveryResponse{}
			if err := proto.Unmarshal(data.Materialize(), got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
				t.Fatal(diff)
			}
		})
	}
	if _, err := newCodec().Marshal(&discovery.DeltaDiscoveryRequest{TypeUrl: "x"}); err != nil {
		t.Errorf("other messages: %v", err)
	}
}

func TestEndpointsOf(t *testing.T) {
	eds := &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	for name, c := range map[string]struct {
		cluster *clusterv3.Cluster
		want    string
		eds     bool
	}{
		"static":       {&clusterv3.Cluster{Name: "c"}, "c", false},
		"by name":      {&clusterv3.Cluster{Name: "c", ClusterDiscoveryType: eds, ConnectTimeout: durationpb.New(1)}, "c", true},
		"service name": {&clusterv3.Cluster{Name: "c", ClusterDiscoveryType: eds, EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{ServiceName: "s", EdsConfig: &corev3.ConfigSource{}}}, "s", true},
		"dns":          {&clusterv3.Cluster{Name: "c", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}}, "c", false},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := proto.Marshal(c.cluster)
			if err != nil {
				t.Fatal(err)
			}
			got, eds := endpointsOf(&envoy.Resource{Name: c.cluster.GetName(), Body: [][]byte{body}})
			if got != c.want || eds != c.eds {
				t.Errorf("got %q, %v, want %q, %v", got, eds, c.want, c.eds)
			}
		})
	}
}

// Whatever the bytes of a cluster are, reading them ends and does not panic.
func FuzzEndpointsOf(f *testing.F) {
	body, err := proto.Marshal(&clusterv3.Cluster{Name: "c", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte{0x1a, 0xff})
	f.Fuzz(func(_ *testing.T, body []byte) {
		endpointsOf(&envoy.Resource{Name: "c", Body: [][]byte{body}})
	})
}
