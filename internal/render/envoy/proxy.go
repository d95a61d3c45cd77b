package envoy

import (
	"regexp"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	dfpclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	dfpcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/dynamic_forward_proxy/v3"
	dfpfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_forward_proxy/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/smi-project/smi/mesh"
)

// outside names the internal listener, cluster and routes that take what the
// HTTP proxy of a class does not know: they are the same for the whole mesh.
// With them, a class's own routes hold what it may call and nothing else.
const outside = "outside"

// forward is the cluster that resolves names outside the mesh.
const forward = "forward"

const (
	fieldVirtualHosts = 2 // of a RouteConfiguration
	fieldDomains      = 2 // of a VirtualHost
)

// host is a virtual host of a class's HTTP proxy in two pieces: what is the same
// for all classes, and the domains that it has for classes of the Service's own
// namespace alone.
type host struct{ shared, own piece }

// proxyRoutes assembles the route configuration of a class's HTTP proxy from
// the virtual hosts of what it reaches.
func proxyRoutes(p *parts, hosts []host) *Resource {
	a := newAssembly(1 + 2*len(hosts))
	a.fields(p.proxyRoutes)
	for _, h := range hosts {
		a.message(fieldVirtualHosts, h.shared, h.own)
	}
	return a.piece().resource(ProxyName, typeURL(&routev3.RouteConfiguration{}))
}

// everythingElse leaves names that a class does not reach to the outside
// listener. A name without a dot can only mean a Service of the own namespace.
var everythingElse = &routev3.VirtualHost{Name: outside, Domains: []string{"*"}, Routes: []*routev3.Route{
	{
		Match: &routev3.RouteMatch{
			PathSpecifier: everything().PathSpecifier,
			Headers:       []*routev3.HeaderMatcher{regexHeader(":authority", `[^.:\[]*(?::[0-9]*)?`)},
		},
		Action: directResponse(403, "smi: denied\n"), Metadata: routeMetadata(map[string]string{"side": "client", "grant": Denied}),
	},
	{Match: everything(), Action: toCluster(outside)},
}}

// buildProxyHost is the virtual host of a Service's port in the HTTP proxy of
// classes that reach it.
func buildProxyHost(p *parts, port *mesh.ServicePort) piece {
	key := keyOf(port)
	domains := serviceDomains(key, p.ClusterDomain)
	if port.Protocol == mesh.TCP {
		body := "smi: " + key.label() + " speaks TCP; use the address that this workload has for it\n"
		return newPiece(&routev3.VirtualHost{Name: key.String(), Domains: domains, Routes: []*routev3.Route{
			{Match: everything(), Action: directResponse(421, body), Metadata: routeMetadata(map[string]string{"side": "client", "service": key.label()})},
		}})
	}
	if len(port.Splits) > 0 {
		return newPiece(virtualHost(key.String(), domains, serviceRoutes(port)))
	}
	return newRaw(appendDomains(p.serviceHost.fill(nil, key.String(), outboundName(key), key.label()), domains))
}

// buildOwnNames are the domains by which classes of a Service's own namespace
// know its port besides.
func buildOwnNames(_ *parts, key portKey) piece {
	return newRaw(appendDomains(nil, withPort(key.service.Name, key.port)))
}

func appendDomains(host []byte, domains []string) []byte {
	for _, d := range domains {
		host = protowire.AppendString(protowire.AppendTag(host, fieldDomains, protowire.BytesType), d)
	}
	return host
}

// serviceDomains are the names of a Service's port that are the same for every
// client. Envoy compares them without regard to case.
func serviceDomains(key portKey, clusterDomain string) []string {
	var domains []string
	for _, n := range serviceNames(key.service, clusterDomain) {
		domains = append(domains, withPort(n, key.port)...)
	}
	return domains
}

func serviceNames(service mesh.Name, clusterDomain string) []string {
	qualified := service.Name + "." + service.Namespace
	return []string{qualified, qualified + ".svc", qualified + ".svc." + clusterDomain}
}

// withPort are the forms of an authority.
func withPort(host string, port uint16) []string {
	forms := []string{host + ":" + strconv.Itoa(int(port))}
	if port == 80 {
		forms = append(forms, host)
	}
	return forms
}

// outsideInputs are the namespaces of the mesh, in order, joined by commas.
type outsideInputs struct{ namespaces string }

// buildOutsideRoutes refuse the names of the mesh, and forward all others. The
// mesh's are those of its namespaces, whether a Service has them or not: every
// proxy gets these routes, and a list of all Services would have to be sent to
// every proxy whenever one of them changes.
func buildOutsideRoutes(p *parts, in outsideInputs) *Resource {
	toForward := &routev3.Route{Match: everything(), Action: toCluster(forward)}
	local := &routev3.Route{Match: everything(), Action: directResponse(421, "smi: call loopback addresses directly, not by the proxy\n")}
	hosts := []*routev3.VirtualHost{
		{Name: "loopback", Domains: loopback, Routes: []*routev3.Route{local}},
		{Name: forward, Domains: []string{"*"}, RetryPolicy: retries, Routes: []*routev3.Route{toForward}},
	}
	if in.namespaces != "" {
		// Domains cannot say how many labels stand for the asterisk, so what has
		// more of them than a Service's name is sorted out by a route.
		name := refuse("")
		name.Match = &routev3.RouteMatch{
			PathSpecifier: everything().PathSpecifier,
			Headers: []*routev3.HeaderMatcher{regexHeader(":authority",
				`(?i)[^.:]+\.[^.:]+(?:\.svc(?:\.`+regexp.QuoteMeta(p.ClusterDomain)+`)?)?(?::.*)?`)},
		}
		// A namespace may be called 1, and *.1 comes before 127.* for Envoy.
		address := &routev3.Route{Match: everything(), Action: local.Action}
		address.Match.Headers = []*routev3.HeaderMatcher{regexHeader(":authority", `(?:127|0)\..*`)}
		denied := virtualHost(chainDenied, nil, []*routev3.Route{address, name, toForward})
		for _, n := range strings.Split(in.namespaces, ",") {
			denied.Domains = append(denied.Domains, serviceNames(mesh.Name{Namespace: n, Name: "*"}, p.ClusterDomain)...)
		}
		hosts = append(hosts, denied)
	}
	return newResource(outside, &routev3.RouteConfiguration{
		Name: outside, VirtualHosts: hosts, ValidateClusters: no(), IgnorePortInHostMatching: true,
	})
}

// loopback are names of the machine itself, without port. A request for one of
// them must not come back to a sidecar, nor pass it to reach another pod's
// application.
var loopback = []string{"127.*", "0.*", "localhost", "[::1]", "[::]", "[::ffff:*"}

// namespacesOf are the namespaces of Services, which are sorted, as outsideInputs
// wants them.
func namespacesOf(services []*mesh.Service) string {
	var names []string
	for _, s := range services {
		if n := s.Name.Namespace; len(names) == 0 || names[len(names)-1] != n {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// buildOutsideListener takes what the HTTP proxy hands on.
func buildOutsideListener(p *parts, _ struct{}) *Resource {
	l := &listenerv3.Listener{
		Name:              outside,
		ListenerSpecifier: &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}},
		FilterChains: []*listenerv3.FilterChain{{
			Name: chainHTTP,
			Filters: []*listenerv3.Filter{httpManagerFilter(p.httpManager(httpConfig{
				stats: outside, rds: outside, forbidden: forbiddenHere, tags: clientTags(),
				filters: []*hcmv3.HttpFilter{httpFilter("envoy.filters.http.dynamic_forward_proxy", &dfpfilterv3.FilterConfig{
					ImplementationSpecifier: &dfpfilterv3.FilterConfig_DnsCacheConfig{DnsCacheConfig: dnsCache},
				})},
			}))},
		}},
	}
	return newResource(l.Name, l)
}

var dnsCache = &dfpcommonv3.DnsCacheConfig{Name: forward, DnsLookupFamily: clusterv3.Cluster_ALL}

// buildForward is the cluster of destinations outside the mesh (PR-5).
func buildForward(_ *parts, _ struct{}) *Resource {
	c := cluster(forward)
	c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	c.TypedExtensionProtocolOptions = sameProtocol
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.clusters.dynamic_forward_proxy",
		TypedConfig: typed(&dfpclusterv3.ClusterConfig{
			ClusterImplementationSpecifier: &dfpclusterv3.ClusterConfig_DnsCacheConfig{DnsCacheConfig: dnsCache},
			// What is forwarded is plain HTTP, so no certificate can be checked.
			AllowInsecureClusterOptions: true,
		}),
	}}
	return newResource(c.Name, c)
}
