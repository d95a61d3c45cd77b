package envoy

import (
	"math"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// retries repeats only what surely was not processed, at most twice, and on
// another endpoint where there is one (PR-4). Envoy's reset-before-request adds
// nothing: Envoy takes a request for sent as soon as it has a connection, also where
// that has just been closed (tried).
var retries = &routev3.RetryPolicy{
	RetryOn:    "connect-failure,refused-stream",
	NumRetries: wrapperspb.UInt32(2),
	RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
		Name:       "envoy.retry_host_predicates.previous_hosts",
		ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: typed(&previousv3.PreviousHostsPredicate{})},
	}},
	HostSelectionRetryMaxAttempts: 3,
}

// buildRoutes is the route configuration of a Service's port, for its own
// listener.
func buildRoutes(port *mesh.ServicePort) *Resource {
	routeName := outboundName(keyOf(port))
	return newResource(routeName, &routev3.RouteConfiguration{
		Name:             routeName,
		VirtualHosts:     []*routev3.VirtualHost{virtualHost(routeName, []string{"*"}, serviceRoutes(port))},
		ValidateClusters: no(),
	})
}

func virtualHost(name string, domains []string, routes []*routev3.Route) *routev3.VirtualHost {
	return &routev3.VirtualHost{Name: name, Domains: domains, Routes: routes, RetryPolicy: retries}
}

// serviceRoutes are where requests to a Service's port go: each split in its
// order (TS-7), one route per match (TS-6), and in the end the Service itself.
func serviceRoutes(port *mesh.ServicePort) []*routev3.Route {
	key := keyOf(port)
	var routes []*routev3.Route
	for _, split := range port.Splits {
		if len(split.Backends) == 0 {
			continue
		}
		action, metadata := toSplit(split), routeMetadata(map[string]string{"side": "client", "service": key.label(), "split": split.Name.String()})
		if split.Matches == nil {
			return append(routes, &routev3.Route{Match: everything(), Action: action, Metadata: metadata})
		}
		for _, m := range split.Matches {
			if match, ok := routeMatch(m); ok {
				routes = append(routes, &routev3.Route{Match: match, Action: action, Metadata: metadata})
			}
		}
	}
	return append(routes, serviceRoute(outboundName(key), key.label()))
}

// serviceRoute sends everything to a Service's port.
func serviceRoute(cluster, label string) *routev3.Route {
	return &routev3.Route{
		Match: everything(), Action: toCluster(cluster), Metadata: routeMetadata(map[string]string{"side": "client", "service": label}),
	}
}

func everything() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

// routeMatch returns false for a match that Envoy could not be told; it selects
// nothing.
func routeMatch(m *mesh.Match) (*routev3.RouteMatch, bool) {
	match := everything()
	if m.Path != "" {
		match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: pathExpression(m.Path)}}
	}
	if len(m.Methods) > 0 {
		quoted := make([]string, len(m.Methods))
		for i, method := range m.Methods {
			quoted[i] = regexp.QuoteMeta(method)
		}
		match.Headers = append(match.Headers, regexHeader(":method", strings.Join(quoted, "|")))
	}
	for _, h := range m.Headers {
		header, expr, ok := headerCondition(h)
		if !ok {
			return nil, false
		}
		match.Headers = append(match.Headers, regexHeader(header, expr))
	}
	return match, true
}

func regexHeader(name, expr string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: regexMatcher(expr)}}
}

// toCluster sends requests to a cluster, without a timeout (PR-4).
func toCluster(cluster string) *routev3.Route_Route {
	return &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: seconds(0),
	}}
}

func toSplit(split *mesh.Split) *routev3.Route_Route {
	clusters := &routev3.WeightedCluster{}
	weights := scaledWeights(split)
	for i, b := range split.Backends {
		clusters.Clusters = append(clusters.Clusters, &routev3.WeightedCluster_ClusterWeight{
			Name: outboundName(portKey{b.Service, b.Port}), Weight: wrapperspb.UInt32(weights[i]),
		})
	}
	return &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: clusters}, Timeout: seconds(0),
	}}
}

// scaledWeights brings the weights of a split under the greatest total that
// Envoy takes, keeping their ratios (TS-2); none that is positive becomes zero.
func scaledWeights(split *mesh.Split) []uint32 {
	out := make([]uint32, len(split.Backends))
	total := split.TotalWeight()
	// Each backend that is rounded up to 1 adds at most 1 to the total.
	limit := uint64(math.MaxUint32) - uint64(len(split.Backends))
	for i, b := range split.Backends {
		out[i] = b.Weight
		if total > math.MaxUint32 {
			out[i] = uint32(float64(b.Weight) / float64(total) * float64(limit))
		}
		if out[i] == 0 && b.Weight > 0 {
			out[i] = 1
		}
	}
	return out
}

// directResponse answers in the mesh's own name.
func directResponse(status uint32, body string) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status, Body: inline(body)}}
}

func routeMetadata(values map[string]string) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{metadataSMI: stringStruct(values)}}
}
