package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	commonstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	httpstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// httpConfig is in what the HTTP connection managers of a proxy differ.
type httpConfig struct {
	stats string
	// rds names the route configuration, where routes is nil.
	rds    string
	routes *routev3.RouteConfiguration
	// filters come before the router.
	filters []*hcmv3.HttpFilter
	// forbidden is the body of every 403 that the proxy itself answers, as an
	// Envoy format string.
	forbidden string
	tags      []tag
	// once lets each connection carry one request.
	once bool
}

// Constant parts of every HTTP connection manager.
var (
	routerFilter = httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true})
	// withoutEnvoyHeaders removes what would steer Envoy, before it looks, and
	// what applications by CGI's rules take for the client's certificate: there
	// a hyphen and an underscore make the same name (PR-4).
	withoutEnvoyHeaders = extension("smi.envoy_headers", &earlyv3.HeaderMutation{Mutations: []*mutationv3.HeaderMutation{{
		Action: &mutationv3.HeaderMutation_RemoveOnMatch_{RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{
			KeyMatcher: regexMatcher(`x-envoy-\C*|x[-_]forwarded[-_]client[-_]cert`),
		}},
	}}})
	// pathState is the path that rules judge. Plain %PATH(NQ)% would prefer the
	// header x-envoy-original-path.
	pathState = httpFilter("smi.path", &httpstatev3.Config{OnRequestHeaders: []*commonstatev3.FilterStateValue{
		stateValue(statePath, "%PATH(NQ:PATH)%", commonstatev3.FilterStateValue_NONE),
	}})
)

// httpManager is an HTTP connection manager that passes requests on as they
// came: no timeout, no header of its own (PR-4), paths normalised (SP-9), the
// upgrade websocket only (PR-3).
func (o Options) httpManager(c httpConfig) *hcmv3.HttpConnectionManager {
	slashes := hcmv3.HttpConnectionManager_REJECT_REQUEST
	if o.EncodedSlashes {
		slashes = hcmv3.HttpConnectionManager_KEEP_UNCHANGED
	}
	m := &hcmv3.HttpConnectionManager{
		StatPrefix:                    c.stats,
		HttpFilters:                   append(c.filters[:len(c.filters):len(c.filters)], routerFilter),
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{withoutEnvoyHeaders},
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		HttpProtocolOptions:           &corev3.Http1ProtocolOptions{AcceptHttp_10: true, EnableTrailers: true},
		StreamIdleTimeout:             seconds(0),
		GenerateRequestId:             no(),
		UseRemoteAddress:              no(),
		SkipXffAppend:                 true,
		ForwardClientCertDetails:      hcmv3.HttpConnectionManager_SANITIZE,
		UpgradeConfigs:                []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		NormalizePath:                 yes(),
		PathWithEscapedSlashesAction:  slashes,
		StripTrailingHostDot:          true,
		LocalReplyConfig:              localReplies(c.forbidden),
		AccessLog:                     o.httpLog(c.tags),
	}
	if c.once {
		m.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxRequestsPerConnection: wrapperspb.UInt32(1)}
	}
	if c.routes != nil {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: c.routes}
	} else {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: ads(), RouteConfigName: c.rds}}
	}
	return m
}

const refusedUpgrade = "smi: upgrades other than websocket are refused\n"

// localReplies gives what the proxy refuses a short plain body (AC-12). 403 is
// also Envoy's answer to an upgrade that it does not take. A cluster that is gone
// is that of something which the class may not reach any more, asked for on a
// connection that is older.
func localReplies(forbidden string) *hcmv3.LocalReplyConfig {
	mappers := []*hcmv3.ResponseMapper{
		{Filter: allOf(statusIs403(), upgrade(websocket)), BodyFormatOverride: text(forbidden)},
		{Filter: allOf(statusIs403(), upgrade(anything)), BodyFormatOverride: text(refusedUpgrade)},
		{Filter: statusIs403(), BodyFormatOverride: text(forbidden)},
		{Filter: withFlags("NC"), StatusCode: wrapperspb.UInt32(403), BodyFormatOverride: text(forbidden)},
	}
	if forbidden == "" {
		mappers = mappers[1:2]
	}
	return &hcmv3.LocalReplyConfig{Mappers: mappers}
}

func allOf(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{Filters: filters}}}
}

// withFlags selects what has one of the response flags.
func withFlags(flags ...string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: flags},
	}}
}

func statusIs403() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{StatusCodeFilter: &accesslogv3.StatusCodeFilter{
		Comparison: &accesslogv3.ComparisonFilter{Value: &corev3.RuntimeUInt32{DefaultValue: 403, RuntimeKey: "smi.forbidden"}},
	}}}
}

var (
	websocket = &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "websocket"}, IgnoreCase: true}
	anything  = regexMatcher(".+")
)

// upgrade selects requests with an Upgrade header like that.
func upgrade(value *matcherv3.StringMatcher) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{
		Header: &routev3.HeaderMatcher{Name: "upgrade", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: value}},
	}}}
}

// inboundHTTP is the connection manager of a port that asks the rules of that
// name, the same for every class of pods: what differs are the rules. It
// stands in every chain of the port, since a connection manager that travels by
// ECDS itself must not refer to rules that do: Envoy 1.40 crashes when such a
// one is updated (tried).
func inboundHTTP(p *parts, in portChainsInputs, rules string) *listenerv3.Filter {
	access := &hcmv3.HttpFilter{
		Name:       rules,
		ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: discovered(&rbacv3.RBAC{})},
	}
	return httpManagerFilter(p.httpManager(httpConfig{
		stats:     "inbound",
		routes:    inboundRoutes(in.application()),
		filters:   []*hcmv3.HttpFilter{pathState, access},
		forbidden: "smi: no TrafficTarget allows " + formatSource + " to %REQ(:METHOD)% %PATH(NQ:PATH)% here\n",
		tags:      serverTags(),
	}))
}

// inboundRoutes send everything to the application, with the identity that the
// client has proved and no other (PR-4), but for paths that it may read as
// another one (SP-9).
func inboundRoutes(application string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: "inbound",
		RequestHeadersToAdd: []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: "x-forwarded-client-cert", Value: "%FILTER_STATE(" + stateXFCC + ":PLAIN)%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
		VirtualHosts: []*routev3.VirtualHost{{
			Name: "application", Domains: []string{"*"},
			Routes: []*routev3.Route{
				{Match: dotsWithParameters, Action: directResponse(400, "smi: a segment of dots has parameters\n")},
				{Match: everything(), Action: toCluster(application)},
			},
		}},
	}
}

// dotsWithParameters are paths with a segment such as "..;" or "%2e%2e;v=1".
// Servers that cut the parameters off resolve it, behind the back of the rules.
// Envoy's own normalisation, where it knows the form at all, overlooks encoded
// dots.
var dotsWithParameters = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{
	SafeRegex: &matcherv3.RegexMatcher{Regex: `\C*/(?:\.|%2[eE]){1,2};\C*`},
}}

func httpManagerFilter(m *hcmv3.HttpConnectionManager) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.http_connection_manager", m)
}
