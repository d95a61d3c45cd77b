package envoy

import (
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	networkinputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

// sniffSeconds is how long a connection may take to show that it is HTTP (PR-2).
const sniffSeconds = 0.5

// Chains of an internal listener.
const (
	chainHTTP   = "http"
	chainTCP    = "tcp"
	chainDenied = "denied"
)

// innerInputs are what the internal listener of a port depends on.
type innerInputs struct {
	policy *mesh.Policy
	port   mesh.InboundPort
	mode   mesh.Mode
	shared *portChains
	// application is the name of the cluster of the application; cluster tells
	// that it depends on where a connection was going.
	application string
	cluster     bool
}

// buildInner is where connections to a port that speaks TCP, or does not say,
// are judged, after decryption and before the application is connected
// (AC-12). What speaks HTTP goes on to the connection manager of the port and
// its rules; anything else needs a grant for connections (AC-10).
func buildInner(p *parts, in innerInputs) *Resource {
	number := in.port.Number
	tags := with(serverTags(), tag{TagGrant, formatConnectionGrant}, tag{TagAudit, ""})
	if in.mode == mesh.Audit {
		tags = with(serverTags(), tag{TagGrant, ""}, tag{TagAudit, formatConnectionGrant})
	}
	denied, audited := with(tags, tag{TagGrant, Denied}), with(tags, tag{TagGrant, ""}, tag{TagAudit, Denied})
	l := &listenerv3.Listener{
		Name:              innerName(number),
		ListenerSpecifier: &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}},
		FilterChains: []*listenerv3.FilterChain{
			{Name: chainTCP, Filters: []*listenerv3.Filter{
				discoveredGrants(number), tcpFilter(tcpProxy("inbound", in.application, p.tcpLog(tags))),
			}},
		},
	}
	switch {
	case in.mode.Enforced():
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name: chainDenied, Filters: []*listenerv3.Filter{tcpFilter(tcpProxy("denied", clusterDenied, p.tcpLog(denied)))},
		})
	case in.mode == mesh.Audit:
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name: chainDenied, Filters: []*listenerv3.Filter{tcpFilter(tcpProxy("inbound", in.application, p.tcpLog(audited)))},
		})
	}
	if in.cluster {
		l.ListenerFilters = originalDestination
	}
	if in.port.Protocol == mesh.Undeclared {
		if sniff(l); in.port.Number == mesh.AnyPort {
			l.ListenerFilters[len(l.ListenerFilters)-1].FilterDisabled = onPorts(mesh.ServerFirst())
		}
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name: chainHTTP, Filters: []*listenerv3.Filter{in.shared.http},
		})
	}
	l.FilterChainMatcher = innerMatcher(in)
	return newResource(l.Name, l)
}

// sniff lets the first bytes of a connection decide (PR-2).
func sniff(l *listenerv3.Listener) {
	l.ListenerFilters = append(l.ListenerFilters, listenerFilter("envoy.filters.listener.http_inspector", &httpinspectorv3.HttpInspector{}))
	l.ListenerFiltersTimeout = seconds(sniffSeconds)
	l.ContinueOnListenerFiltersTimeout = true
}

func innerMatcher(in innerInputs) *xdsmatcherv3.Matcher {
	// HTTP goes to its rules whoever sends it, so that what they deny is told so
	// in HTTP.
	route := func(tcp string) *xdsmatcherv3.Matcher_OnMatch {
		if in.port.Protocol != mesh.Undeclared {
			return toChain(tcp)
		}
		return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Matcher{Matcher: byProtocol(toChain(chainHTTP), toChain(tcp))}}
	}
	if in.mode == mesh.Permissive {
		return &xdsmatcherv3.Matcher{OnNoMatch: route(chainTCP)}
	}
	entries := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	if in.port.Plaintext {
		entries[keyPlaintext] = route(chainTCP)
	}
	for _, s := range grantedSources(in.policy, mesh.InboundPort{Number: in.port.Number, Protocol: mesh.TCP}) {
		entries[sourceKey(s)] = route(chainTCP)
	}
	matcher := &xdsmatcherv3.Matcher{OnNoMatch: route(chainDenied)}
	if len(entries) > 0 {
		matcher.MatcherType = exactMap(keyInput, entries)
	}
	return matcher
}

// byProtocol decides by what the inspector has recognised.
func byProtocol(http, other *xdsmatcherv3.Matcher_OnMatch) *xdsmatcherv3.Matcher {
	entries := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	for _, protocol := range []string{"'http/1.0'", "'http/1.1'", "'h2c'"} {
		entries[protocol] = http
	}
	return &xdsmatcherv3.Matcher{
		MatcherType: exactMap(xdsTyped("protocol", &networkinputv3.ApplicationProtocolInput{}), entries),
		OnNoMatch:   other,
	}
}

// toChain chooses the filter chain of that name.
func toChain(name string) *xdsmatcherv3.Matcher_OnMatch {
	return onMatch(xdsTyped(name, wrapperspb.String(name)))
}
