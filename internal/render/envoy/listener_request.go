package envoy

import (
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	mutationfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// HeaderUpstream is the response header in which the listener for smi request
// tells the address that a request was sent to. No application sees it.
const HeaderUpstream = "x-smi-upstream"

// ListenerRequest is the name of the listener for smi request.
const ListenerRequest = "request"

// buildRequestProxy is a second HTTP proxy of a pod, with the same routes and
// the same identity, for people who ask through smi request where a request
// goes.
func buildRequestProxy(p *parts, in proxyInputs) *Resource {
	manager := p.httpManager(httpConfig{
		stats: "request", rds: ProxyName, forbidden: forbiddenHere, tags: clientTags(),
		filters: []*hcmv3.HttpFilter{tellUpstream},
	})
	return newResource(ListenerRequest, &listenerv3.Listener{
		Name:             ListenerRequest,
		Address:          socketAddress(in.address, in.port),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		FilterChains: []*listenerv3.FilterChain{{
			Name:    chainHTTP,
			Filters: []*listenerv3.Filter{ownIdentity(in.source), httpManagerFilter(manager)},
		}},
	})
}

var tellUpstream = httpFilter("envoy.filters.http.header_mutation", &mutationfilterv3.HeaderMutation{
	Mutations: &mutationfilterv3.Mutations{ResponseMutations: []*mutationv3.HeaderMutation{{
		Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: HeaderUpstream, Value: "%UPSTREAM_REMOTE_ADDRESS%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}}},
})
