package main

import (
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// TestReceivedRefers asks for what an Envoy would ask for: endpoints of clusters
// that have them by EDS, routes and extensions that a listener names.
func TestReceivedRefers(t *testing.T) {
	byEDS := &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	discovered := &corev3.ExtensionConfigSource{}
	manager := packed(t, &hcmv3.HttpConnectionManager{
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "routes"}},
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: "access", ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: discovered}}, {Name: "router"},
		},
	})
	chain := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{
		{Name: "tcp", ConfigType: &listenerv3.Filter_ConfigDiscovery{ConfigDiscovery: discovered}},
		{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager}},
	}}
	known := newReferences()
	for _, c := range []struct {
		name     string
		resource proto.Message
		want     []reference
	}{
		{"cluster with endpoints of its own name", &clusterv3.Cluster{Name: "a", ClusterDiscoveryType: byEDS}, []reference{{typeEndpoints, "a"}}},
		{"cluster with endpoints of another name", &clusterv3.Cluster{
			Name: "b", ClusterDiscoveryType: byEDS, EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{ServiceName: "c"},
		}, []reference{{typeEndpoints, "c"}}},
		{"cluster without", &clusterv3.Cluster{Name: "d"}, nil},
		{"listener", &listenerv3.Listener{FilterChains: []*listenerv3.FilterChain{chain}, DefaultFilterChain: chain},
			[]reference{{typeExtension, "tcp"}, {typeRoutes, "routes"}, {typeExtension, "access"}}},
	} {
		body := packed(t, c.resource)
		message, err := proto.Marshal(&discovery.DeltaDiscoveryResponse{
			TypeUrl: body.GetTypeUrl(), Nonce: "1", Resources: []*discovery.Resource{{Version: c.name, Resource: body}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second one is remembered
			got := received{known: known}
			if err := got.read(message); err != nil {
				t.Fatal(err)
			}
			if got.typeURL != body.GetTypeUrl() || got.nonce != "1" || got.bytes != len(message) || !slices.Equal(got.refers, c.want) {
				t.Errorf("%s: got %+v, want %v", c.name, got, c.want)
			}
		}
	}
}

func packed(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	out, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
