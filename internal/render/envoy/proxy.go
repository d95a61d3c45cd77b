package envoy

import (
	"cmp"
	"slices"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	dfpclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	dfpcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/dynamic_forward_proxy/v3"
	dfpfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_forward_proxy/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/smi-project/smi/mesh"
)

// outside names the internal listener, cluster and routes that take what the
// HTTP proxy of a class does not know: they are the same for the whole mesh.
// With them, a class's own routes hold what it may call and nothing else.
const outside = "outside"

// forward is the cluster that resolves names outside the mesh.
const forward = "forward"

const fieldVirtualHosts = 2 // of a RouteConfiguration

// proxyRoutes assembles the route configuration of a class's HTTP proxy from
// the virtual hosts of what it reaches.
func proxyRoutes(p *parts, hosts []piece) *Resource {
	a := newAssembly(1 + len(hosts))
	a.fields(p.proxyRoutes)
	for _, h := range hosts {
		a.message(fieldVirtualHosts, h)
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
// classes that reach it; own tells that they share its namespace.
func buildProxyHost(p *parts, in proxyHostInputs) piece {
	key := keyOf(in.port)
	domains := serviceDomains(key, p.ClusterDomain)
	if in.own {
		domains = append(domains, withPort(key.service.Name, key.port)...)
	}
	if in.port.Protocol == mesh.TCP {
		body := "smi: " + key.label() + " speaks TCP; use the address that this workload has for it\n"
		return newPiece(&routev3.VirtualHost{Name: key.String(), Domains: domains, Routes: []*routev3.Route{
			{Match: everything(), Action: directResponse(421, body), Metadata: routeMetadata(map[string]string{"side": "client", "service": key.label()})},
		}})
	}
	return newPiece(virtualHost(key.String(), domains, serviceRoutes(in.port)))
}

type proxyHostInputs struct {
	port *mesh.ServicePort
	own  bool
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

// namesInputs are the Service ports of a mesh; the pointer stands for them.
type namesInputs struct{ list *[]portKey }

// buildOutsideRoutes refuse the names of the mesh, and forward all others.
func buildOutsideRoutes(p *parts, in namesInputs) *Resource {
	denied := &routev3.VirtualHost{Name: chainDenied, Routes: []*routev3.Route{refuse("")}}
	unknown := &routev3.VirtualHost{Name: "unknown", Routes: []*routev3.Route{
		{Match: everything(), Action: directResponse(404, "smi: the service has no such port\n")},
	}}
	var last mesh.Name
	default80 := false
	finish := func() {
		if last.Name == "" {
			return
		}
		for _, n := range serviceNames(last, p.ClusterDomain) {
			unknown.Domains = append(unknown.Domains, n+":*")
			if !default80 {
				unknown.Domains = append(unknown.Domains, n)
			}
		}
	}
	for _, key := range *in.list {
		if key.service != last {
			finish()
			last, default80 = key.service, false
		}
		default80 = default80 || key.port == 80
		denied.Domains = append(denied.Domains, serviceDomains(key, p.ClusterDomain)...)
	}
	finish()
	hosts := []*routev3.VirtualHost{
		{Name: "loopback", Domains: loopback, Routes: []*routev3.Route{
			{Match: everything(), Action: directResponse(421, "smi: call loopback addresses directly, not by the proxy\n")},
		}},
		{Name: forward, Domains: []string{"*"}, RetryPolicy: retries, Routes: []*routev3.Route{{Match: everything(), Action: toCluster(forward)}}},
	}
	if len(denied.Domains) > 0 {
		hosts = append(hosts, denied, unknown)
	}
	return newResource(outside, &routev3.RouteConfiguration{Name: outside, VirtualHosts: hosts, ValidateClusters: no()})
}

// loopback are names of the machine itself. A request for one of them must not
// come back to a sidecar, nor pass it to reach another pod's application.
var loopback = []string{"127.*", "0.*", "localhost", "localhost:*", "[::1]*", "[::]*", "[::ffff:*"}

// servicePortKeys lists the Service ports that have a name in the mesh, those
// of a Service together.
func servicePortKeys(services []*mesh.Service) []portKey {
	var keys []portKey
	for _, s := range services {
		first := len(keys)
		for _, port := range s.Ports {
			if port.Protocol != mesh.UDP {
				keys = append(keys, keyOf(port))
			}
		}
		slices.SortFunc(keys[first:], func(a, b portKey) int { return cmp.Compare(a.port, b.port) })
		keys = keys[:first+len(slices.Compact(keys[first:]))]
	}
	return keys
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
